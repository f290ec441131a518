/**
 * The probe socket of Linux: a raw UDP socket with a BPF filter, beside the socket WireGuard has on the port.
 *
 * The kernel copies to it every UDP datagram of the host before it looks for the socket of the port, which gets its own
 * copy as ever. Open it only while something is waited for. raw(7), RFC 768.
 */
import { type Family, formatTransportAddress, parseIp, type TransportAddress } from "../../address.ts";
import type { Clock } from "../../clock.ts";
import { StunmeshError } from "../../errors.ts";
import { udpAlone, udpOverIpv4 } from "../bpf.ts";
import { decodeUdp, decodeUdpOverIpv4, encodeUdp } from "../frame.ts";
import { loadLibc } from "../native/libc.ts";
import { systemCallFailed } from "../native/system-error.ts";
import type { ProbeSocket, ProbeSocketOptions } from "../types.ts";
import { openRawSocket, type Packet } from "./raw-socket.ts";
import { readSourceAddress } from "./source-address.ts";

const IPPROTO_UDP = 17;
const UDP_CHECKSUM_OFFSET = 6;

/** Opens a probe socket. Throws PERMISSION_DENIED, SYSTEM_CALL_FAILED or NATIVE_UNAVAILABLE. */
export async function openProbeSocket(options: ProbeSocketOptions, clock: Clock): Promise<ProbeSocket> {
  const { family, localPort, firewallMark, match } = options;
  const libc = await loadLibc();
  const wanted = { port: localPort, ...match };

  function onPacket(packet: Packet) {
    const datagram = family === "ipv4" ? decodeUdpOverIpv4(packet.bytes) : decodeUdp(packet.bytes, packet.source);
    if (!datagram) return;
    const { from, toPort, payload } = datagram;
    // Once more what the filter has checked: it was not there from the socket's first moment.
    if (from.family !== family || toPort !== localPort || !hasWord(payload, match)) return;
    options.onDatagram({ payload, from });
  }

  const socket = await openRawSocket({
    family,
    protocol: IPPROTO_UDP,
    action: "open a raw UDP socket",
    filter: family === "ipv4" ? udpOverIpv4(wanted) : udpAlone(wanted),
    firewallMark,
    ...(family === "ipv6" && { checksumOffset: UDP_CHECKSUM_OFFSET }),
    clock,
    onPacket,
  });

  return {
    async send(payload, to) {
      const destination = ipOfFamily(to, family);
      const ports = { sourcePort: localPort, destinationPort: to.port };
      try {
        if (family === "ipv6") {
          socket.send(encodeUdp(payload, ports), { destination });
        } else {
          const source = readSourceAddress(libc, { destination, firewallMark });
          socket.send(encodeUdp(payload, { ...ports, addresses: { source, destination } }), { destination, source });
        }
      } catch (cause) {
        if (cause instanceof StunmeshError) throw cause;
        throw systemCallFailed(`send a datagram to ${formatTransportAddress(to)}`, cause);
      }
    },
    async close() {
      socket.close();
    },
  };
}

function ipOfFamily(to: TransportAddress, family: Family): Uint8Array {
  const ip = to.family === family ? parseIp(to.host) : undefined;
  if (ip) return ip;
  throw new RangeError(`Cannot send a datagram to ${formatTransportAddress(to)}: the socket is for ${family}`);
}

function hasWord(payload: Uint8Array, { offset, value }: ProbeSocketOptions["match"]): boolean {
  if (payload.length < offset + 4) return false;
  return new DataView(payload.buffer, payload.byteOffset).getUint32(offset) === value >>> 0;
}
