/**
 * The probe socket of Linux: a raw UDP socket with a BPF filter, beside the socket WireGuard has on the port.
 *
 * The kernel copies to it every UDP datagram of the host before it looks for the socket of the port, which gets its own
 * copy as ever. Open it only while something is waited for. raw(7), RFC 768.
 */
import type { Clock } from "../../clock.ts";
import { udpAlone, udpOverIpv4 } from "../bpf.ts";
import { decodeUdp, decodeUdpOverIpv4, hasWord } from "../frame.ts";
import type { ProbeSocket, ProbeSocketOptions } from "../types.ts";
import { openDatagramSender } from "./datagram-sender.ts";
import { readDefaultRoute } from "./default-route.ts";
import type { Packet } from "./raw-socket.ts";

/** Opens a probe socket that listens as `capture` says. Throws PERMISSION_DENIED, SYSTEM_CALL_FAILED or NATIVE_UNAVAILABLE. */
export async function openProbeSocket(options: ProbeSocketOptions, clock: Clock): Promise<ProbeSocket> {
  return options.capture === "pcap" ? openPcap(options, clock) : openRaw(options, clock);
}

async function openPcap(options: ProbeSocketOptions, clock: Clock): Promise<ProbeSocket> {
  const { openPcapProbeSocket } = await import("../pcap/probe-socket.ts");
  return openPcapProbeSocket(options, {
    clock,
    system: "linux",
    openSender: (senderOptions) => openDatagramSender(senderOptions, { clock }),
    readDefaultRoute: (family, { signal }) => readDefaultRoute(family, { signal, ignore: options.excludeInterface }),
  });
}

async function openRaw(options: ProbeSocketOptions, clock: Clock): Promise<ProbeSocket> {
  const { family, localPort, match } = options;
  const wanted = { port: localPort, ...match };

  function onPacket(packet: Packet) {
    const datagram = family === "ipv4" ? decodeUdpOverIpv4(packet.bytes) : decodeUdp(packet.bytes, packet.source);
    if (!datagram) return;
    const { from, toPort, payload } = datagram;
    // Once more what the filter has checked: it was not there from the socket's first moment.
    if (from.family !== family || toPort !== localPort || !hasWord(payload, match)) return;
    options.onDatagram({ payload, from });
  }

  const filter = family === "ipv4" ? udpOverIpv4(wanted) : udpAlone(wanted);
  const sender = await openDatagramSender(options, { clock, receive: { filter, onPacket } });
  return {
    async send(payload, to) {
      sender.send(payload, to);
    },
    async close() {
      sender.close();
    },
  };
}
