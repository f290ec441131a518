/** A real redis-server on the loopback interface, in a directory of its own. */
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { type LabProcess, readCommand, spawnProcess } from "./process.ts";

export interface RedisServer {
  readonly port: number;
  readonly directory: string;
  /** Runs redis-cli with this input, one command a line. */
  cli(...commands: readonly string[]): Promise<string>;
  stop(): Promise<void>;
  start(): Promise<void>;
}

interface RedisServerOptions {
  /** Lines of redis.conf. */
  readonly config?: readonly string[];
  /** With a certificate for 127.0.0.1 and "localhost" that the authority in `<directory>/ca.pem` signed. */
  readonly isTls?: boolean;
}

/** Starts a server that keeps nothing, and stops it after the test. */
export async function startRedisServer(
  t: TestContext,
  { config = [], isTls = false }: RedisServerOptions = {},
): Promise<RedisServer> {
  const directory = await mkdtemp(join(tmpdir(), "stunmesh-redis-"));
  const port = await freePort();
  if (isTls) await makeCertificates(directory);
  const plain = ["--port", String(port)];
  const tls = [
    ...["--port", "0", "--tls-port", String(port), "--tls-auth-clients", "no"],
    ...["--tls-cert-file", "server.pem", "--tls-key-file", "server.key", "--tls-ca-cert-file", "ca.pem"],
  ];
  const argv = [
    ...["redis-server", "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--daemonize", "no"],
    ...["--dir", directory, ...(isTls ? tls : plain)],
    ...config.flatMap((line) => {
      const [name = "", ...rest] = line.split(" ");
      return [`--${name}`, ...rest];
    }),
  ];
  let server: LabProcess | undefined;
  const running: RedisServer = {
    port,
    directory,
    async start() {
      server = await spawnProcess(argv, { cwd: directory });
      await server.waitForLine((line) => line.includes("Ready to accept connections"));
    },
    async stop() {
      await server?.stop();
      server = undefined;
    },
    cli(...commands) {
      const secured = isTls ? ["--tls", "--cacert", join(directory, "ca.pem")] : [];
      const input = `${commands.join("\n")}\n`;
      return readCommand(["redis-cli", "-h", "127.0.0.1", "-p", String(port), ...secured], { input });
    },
  };
  t.after(async () => {
    await running.stop();
    await rm(directory, { recursive: true, force: true });
  });
  await running.start();
  return running;
}

/** A TCP and UDP port of the loopback interface that nobody uses. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (typeof address !== "object" || address === null) throw new Error("Cannot find a free port");
  return address.port;
}

async function makeCertificates(cwd: string): Promise<void> {
  const run = (...args: readonly string[]) => readCommand(["openssl", ...args], { cwd });
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
  const request = ["req", "-x509", ...key, "-days", "2", "-keyout"];
  await run(...request, "ca.key", "-out", "ca.pem", "-subj", "/CN=test authority");
  const names = ["-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost", "-addext", "basicConstraints=CA:FALSE"];
  const signed = ["-CA", "ca.pem", "-CAkey", "ca.key"];
  await run(...request, "server.key", "-out", "server.pem", "-subj", "/CN=test server", ...names, ...signed);
}
