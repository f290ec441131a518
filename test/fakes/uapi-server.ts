/**
 * A userspace WireGuard daemon as far as its socket goes (https://www.wireguard.com/xplatform/): keeps the state of one
 * device, answers get, obeys set, and can misbehave.
 */
import { once } from "node:events";
import { createServer, type Socket } from "node:net";
import { join } from "node:path";
import { createFakePeer, type FakeDevice, type FakePeer } from "./wg-device.ts";

/** What it does instead of answering. */
export type UapiMisbehaviour =
  | { readonly kind: "hang" }
  | { readonly kind: "huge" }
  /** Sends this and keeps the connection open. */
  | { readonly kind: "text"; readonly text: string }
  /** Sends the first `bytes` bytes of the right answer and closes. */
  | { readonly kind: "partial"; readonly bytes: number }
  | { readonly kind: "errno"; readonly errno: number }
  /** Answers as boringtun 0.7.1 did (test/fixtures/wg): `text` to a get request, and no to what it does not know. */
  | { readonly kind: "boringtun"; readonly text: string }
  /** Sends the right answer one byte at a time. */
  | { readonly kind: "trickle" };

export interface FakeUapiServer {
  device: FakeDevice;
  misbehaviour: UapiMisbehaviour | undefined;
  readonly path: string;
  /** Every request so far. */
  readonly requests: readonly string[];
  /** Connections that are open now. */
  readonly connections: number;
  close(): Promise<void>;
}

/** Listens on `dir`/`name`.sock. */
export async function openFakeUapiServer(dir: string, name: string, device: FakeDevice): Promise<FakeUapiServer> {
  const sockets = new Set<Socket>();
  const requests: string[] = [];
  const path = join(dir, `${name}.sock`);
  const fake = {
    device,
    misbehaviour: undefined as UapiMisbehaviour | undefined,
    path,
    requests,
    get connections() {
      return sockets.size;
    },
    async close() {
      for (const socket of sockets) socket.destroy();
      if (!server.listening) return;
      server.close();
      await once(server, "close");
    },
  };
  const server = createServer((socket) => {
    sockets.add(socket);
    let received = "";
    socket.on("close", () => sockets.delete(socket));
    socket.on("error", () => socket.destroy());
    socket.on("data", (chunk) => {
      received += chunk.toString("latin1");
      if (!received.endsWith("\n\n")) return;
      requests.push(received);
      const request = received;
      received = "";
      if (fake.misbehaviour?.kind === "boringtun") socket.write(answerAsBoringtun(fake.misbehaviour.text, request));
      else if (fake.misbehaviour) misbehave(socket, fake.misbehaviour, () => answer(fake.device, request));
      else socket.write(answer(fake.device, request));
    });
  });
  server.listen(path);
  await once(server, "listening");
  return fake;
}

function answerAsBoringtun(text: string, request: string): string {
  if (request === "get=1\n\n") return text;
  return request.includes("update_only=") ? "errno=22\n\n" : "errno=0\n\n";
}

function misbehave(
  socket: Socket,
  misbehaviour: Exclude<UapiMisbehaviour, { readonly kind: "boringtun" }>,
  rightAnswer: () => string,
): void {
  switch (misbehaviour.kind) {
    case "hang":
      return;
    case "huge":
      pour(socket);
      return;
    case "text":
      socket.write(misbehaviour.text, "latin1");
      return;
    case "partial":
      socket.end(rightAnswer().slice(0, misbehaviour.bytes));
      return;
    case "errno":
      socket.write(`errno=${misbehaviour.errno}\n\n`);
      return;
    case "trickle":
      void trickle(socket, rightAnswer());
  }
}

/** Sends lines without end, as fast as they are taken. */
function pour(socket: Socket): void {
  const chunk = "allowed_ip=10.0.0.0/24\n".repeat(5000);
  const fill = () => {
    while (!socket.destroyed && socket.write(chunk));
  };
  socket.on("drain", fill);
  fill();
}

async function trickle(socket: Socket, text: string): Promise<void> {
  for (const char of text) {
    await new Promise((resolve) => socket.write(char, resolve));
  }
}

function answer(device: FakeDevice, request: string): string {
  const lines = request.trimEnd().split("\n");
  if (lines[0] === "get=1") return `${describe(device)}errno=0\n\n`;
  if (lines[0] !== "set=1") return "errno=-22\n\n";
  return `errno=${apply(device, lines.slice(1))}\n\n`;
}

/** The answer to a get request without its end. */
function describe({ privateKey, listenPort, firewallMark, peers }: FakeDevice): string {
  const lines: string[] = [];
  if (privateKey !== undefined) lines.push(`private_key=${toHex(privateKey)}`);
  if (listenPort !== 0) lines.push(`listen_port=${listenPort}`);
  if (firewallMark !== 0) lines.push(`fwmark=${firewallMark}`);
  for (const peer of peers) {
    lines.push(`public_key=${toHex(peer.publicKey)}`);
    lines.push(`preshared_key=${toHex(peer.presharedKey ?? Buffer.alloc(32).toString("base64"))}`);
    lines.push("protocol_version=1");
    if (peer.endpoint !== undefined) lines.push(`endpoint=${peer.endpoint}`);
    lines.push(`last_handshake_time_sec=${peer.latestHandshake}`, "last_handshake_time_nsec=0");
    lines.push(`tx_bytes=${peer.sentBytes}`, `rx_bytes=${peer.receivedBytes}`);
    lines.push(`persistent_keepalive_interval=${peer.persistentKeepalive}`);
    lines.push(...peer.allowedIps.map((allowedIp) => `allowed_ip=${allowedIp}`));
  }
  return lines.map((line) => `${line}\n`).join("");
}

/** Carries out a set request; a peer that is not there is created, as the real one does, unless `update_only` is said. */
function apply(device: FakeDevice, lines: readonly string[]): number {
  let peer: FakePeer | undefined;
  let isNew = false;
  for (const line of lines) {
    const [key, value = ""] = line.split("=", 2);
    if (key === "public_key") {
      const publicKey = Buffer.from(value, "hex").toString("base64");
      peer = device.peers.find((other) => other.publicKey === publicKey);
      isNew = peer === undefined;
      if (!peer) {
        peer = createFakePeer({ publicKey });
        device.peers.push(peer);
      }
    } else if (key === "update_only" && value === "true") {
      if (isNew) device.peers.pop();
    } else if (key === "endpoint" && peer) {
      peer.endpoint = value;
    } else return -22;
  }
  return 0;
}

function toHex(base64: string): string {
  return Buffer.from(base64, "base64").toString("hex");
}
