/** Pings any number of targets behind one network interface with one raw ICMP socket, bound to it. RFC 792, RFC 4443, raw(7). */
import type { Clock } from "../../clock.ts";
import { echoReplyAlone, echoReplyOverIpv4 } from "../bpf.ts";
import { createEchoExchange, icmpProtocols } from "../echo.ts";
import { decodeEchoReply, decodeEchoReplyOverIpv4 } from "../frame.ts";
import type { Pinger, PingerOptions } from "../types.ts";
import { openRawSocket, type Packet } from "./raw-socket.ts";

/** The answers to 1,000 requests sent in one go wait here until the last is sent; the kernel counts about 800 bytes for each. */
const RECEIVE_BUFFER_BYTES = 1 << 20;

/** Opens a pinger. Throws PERMISSION_DENIED, SYSTEM_CALL_FAILED (ENODEV: no such interface, ...) or NATIVE_UNAVAILABLE. */
export async function openPinger(options: PingerOptions, clock: Clock): Promise<Pinger> {
  const { family } = options;
  const echoes = createEchoExchange({
    family,
    interface: options.interface,
    clock,
    send: (message, destination) => socket.send(message, { destination }),
  });
  const { identifier } = echoes;

  function onPacket({ bytes, source }: Packet) {
    const reply = family === "ipv4" ? decodeEchoReplyOverIpv4(bytes) : decodeEchoReply(bytes);
    if (reply) echoes.onReply(reply, source);
  }

  const socket = await openRawSocket({
    family,
    protocol: icmpProtocols[family],
    action: `open a raw ICMP socket on "${options.interface}"`,
    filter: family === "ipv4" ? echoReplyOverIpv4(identifier) : echoReplyAlone(identifier),
    interface: options.interface,
    receiveBufferBytes: RECEIVE_BUFFER_BYTES,
    clock,
    onPacket,
  });

  return {
    ping: echoes.ping,
    async close() {
      socket.close();
      echoes.close();
    },
  };
}
