/** A UDP socket of libc on the loopback interface, with a socket of Node that sends to it. */
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { AF_INET, encodeSocketAddress, ipOfSocketAddress } from "../../../src/platform/linux/socket-address.ts";
import { openSocket, SOCK_DGRAM } from "../../../src/platform/linux/socket-options.ts";
import type { Libc } from "../../../src/platform/native/libc.ts";

export interface UdpPair {
  readonly fd: number;
  /** Address of the libc socket. */
  readonly ip: Uint8Array;
  send(text: string): Promise<void>;
  /** What the libc socket got and nobody read yet. */
  receive(): string | undefined;
  stopSender(): Promise<void>;
  /** Starts it again on the port it had. */
  startSender(): Promise<void>;
  close(): void;
}

export async function openUdpPair(libc: Libc): Promise<UdpPair> {
  let sender = await bindSender(0);
  const senderPort = sender.address().port;
  const { fd } = openSocket(libc, { domain: AF_INET, type: SOCK_DGRAM, protocol: 0, action: "open a UDP socket" });
  const address = encodeSocketAddress(Uint8Array.of(127, 0, 0, 1));
  new DataView(address.buffer).setUint16(2, senderPort);
  libc.connect(fd, address);
  const local = libc.getsockname(fd);
  const port = new DataView(local.buffer).getUint16(2);
  const packet = new Uint8Array(100);
  return {
    fd,
    ip: ipOfSocketAddress(local),
    send(text) {
      return new Promise((resolve, reject) => {
        sender.send(text, port, "127.0.0.1", (error) => (error ? reject(error) : resolve()));
      });
    },
    receive() {
      const length = libc.receive(fd, { packet, address: new Uint8Array(28) });
      return length === undefined ? undefined : Buffer.from(packet.subarray(0, length)).toString();
    },
    async stopSender() {
      sender.close();
      await once(sender, "close");
    },
    async startSender() {
      sender = await bindSender(senderPort);
    },
    close() {
      sender.close();
      libc.close(fd);
    },
  };
}

async function bindSender(port: number): Promise<Socket> {
  const socket = createSocket("udp4").bind(port, "127.0.0.1");
  await once(socket, "listening");
  return socket;
}
