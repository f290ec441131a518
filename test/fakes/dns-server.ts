/** A DNS server of one port for UDP and TCP on the loopback interface, which answers whatever a test wants. */
import { createSocket } from "node:dgram";
import { type AddressInfo, createServer, type Socket } from "node:net";
import type { TestContext } from "node:test";

type Transport = "udp" | "tcp";

export interface FakeDns {
  /** `127.0.0.1:port` */
  readonly server: string;
  /** How often it was asked, by which transport. */
  readonly asked: readonly Transport[];
}

/** Starts it; `answer` gives the replies to one request, sent in this order. */
export async function startFakeDns(
  t: TestContext,
  answer: (request: Buffer, transport: Transport) => readonly Buffer[],
): Promise<FakeDns> {
  const asked: Transport[] = [];
  const connections = new Set<Socket>();
  const tcp = createServer((socket) => {
    connections.add(socket);
    let received: Buffer = Buffer.alloc(0);
    socket.on("error", () => undefined);
    socket.on("data", (chunk: Buffer) => {
      received = Buffer.concat([received, chunk]);
      if (received.length < 2 || received.length < 2 + received.readUInt16BE(0)) return;
      asked.push("tcp");
      for (const reply of answer(received.subarray(2), "tcp")) {
        const length = Buffer.alloc(2);
        length.writeUInt16BE(reply.length);
        // In two parts, as it may come.
        socket.write(length);
        socket.write(reply);
      }
    });
  });
  await new Promise<void>((resolve) => tcp.listen(0, "127.0.0.1", resolve));
  const { port } = tcp.address() as AddressInfo;
  const udp = createSocket("udp4");
  udp.on("message", (request, { port: to, address }) => {
    asked.push("udp");
    for (const reply of answer(request, "udp")) udp.send(reply, to, address);
  });
  await new Promise<void>((resolve) => udp.bind(port, "127.0.0.1", resolve));
  t.after(async () => {
    for (const socket of connections) socket.destroy();
    await Promise.all([
      new Promise((resolve) => tcp.close(resolve)),
      new Promise<void>((resolve) => udp.close(() => resolve())),
    ]);
  });
  return { server: `127.0.0.1:${port}`, asked };
}
