/**
 * Sends UDP datagrams by a raw socket of Linux, from a port that another socket is bound to.
 *
 * The UDP checksum is always right: for IPv6 the kernel computes it; for IPv4 we do, over the very source address the
 * datagram is then sent from (source-address.ts). raw(7), RFC 768.
 */
import { type Family, formatTransportAddress, parseIp, type TransportAddress } from "../../address.ts";
import type { Clock } from "../../clock.ts";
import { StunmeshError } from "../../errors.ts";
import { type BpfProgram, dropAll } from "../bpf.ts";
import { encodeUdp } from "../frame.ts";
import { loadLibc } from "../native/libc.ts";
import { systemCallFailed } from "../native/system-error.ts";
import type { DatagramSender } from "../pcap/types.ts";
import { openRawSocket, type Packet } from "./raw-socket.ts";
import { readSourceAddress } from "./source-address.ts";

const IPPROTO_UDP = 17;
const UDP_CHECKSUM_OFFSET = 6;

export interface SenderOptions {
  readonly family: Family;
  readonly localPort: number;
  /** 0 = none. */
  readonly firewallMark: number;
}

interface ReceiveOptions {
  /** Which packets to let in. */
  readonly filter: BpfProgram;
  onPacket(packet: Packet): void;
}

const receiveNothing: ReceiveOptions = { filter: dropAll, onPacket: () => undefined };

/** Opens a raw UDP socket that sends and, unless asked otherwise, receives nothing. Throws as openRawSocket does. */
export async function openDatagramSender(
  { family, localPort, firewallMark }: SenderOptions,
  { clock, receive = receiveNothing }: { readonly clock: Clock; readonly receive?: ReceiveOptions },
): Promise<DatagramSender> {
  const libc = await loadLibc();
  const socket = await openRawSocket({
    family,
    protocol: IPPROTO_UDP,
    action: "open a raw UDP socket",
    firewallMark,
    ...(family === "ipv6" && { checksumOffset: UDP_CHECKSUM_OFFSET }),
    clock,
    ...receive,
  });
  return {
    send(payload, to) {
      const destination = ipOfFamily(to, family);
      const ports = { sourcePort: localPort, destinationPort: to.port };
      try {
        const source = family === "ipv4" ? readSourceAddress(libc, { destination, firewallMark }) : undefined;
        const addresses = source && { source, destination };
        socket.send(encodeUdp(payload, { ...ports, addresses }), { destination, ...(source && { source }) });
      } catch (cause) {
        if (cause instanceof StunmeshError) throw cause;
        throw systemCallFailed(`send a datagram to ${formatTransportAddress(to)}`, cause);
      }
    },
    close: socket.close,
  };
}

function ipOfFamily(to: TransportAddress, family: Family): Uint8Array {
  const ip = to.family === family ? parseIp(to.host) : undefined;
  if (ip) return ip;
  throw new RangeError(`Cannot send a datagram to ${formatTransportAddress(to)}: the socket is for ${family}`);
}
