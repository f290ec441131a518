/** The servers of the stores, real ones, in the middle of a lab; each gives the plugin's block for a host. They end with the lab. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { repositoryRoot } from "../fixtures/path.ts";
import { tsigSecrets } from "./knot-server.ts";
import type { Lab, LabHost } from "./lab.ts";

type PluginOf = (host: LabHost) => object;

/** An address of the namespace `srv`. */
const ADDRESS = "198.51.100.10";
/** A program for Node that ends when its argument, a URL, answers. */
const waitForHttp = `(async () => {
  const answers = () => fetch(process.argv[1]).then((reply) => reply.ok, () => false);
  while (!(await answers())) await new Promise((resolve) => setTimeout(resolve, 50));
})()`;
const child = fileURLToPath(new URL("./store-server-child.js", import.meta.url));

export async function startRedis(lab: Lab): Promise<PluginOf> {
  const argv = [
    "redis-server",
    "--bind",
    ADDRESS,
    "--port",
    "6379",
    "--save",
    "",
    "--requirepass",
    "password-of-redis",
  ];
  const server = await lab.spawn("srv", argv, { cwd: lab.directory });
  await server.waitForLine((line) => line.includes("Ready to accept connections"));
  return () => ({ type: "redis", url: `redis://${ADDRESS}:6379`, password: "password-of-redis" });
}

/** Two nodes of a DHT: sites with an odd number ask the proxy of the one, the others that of the other. */
export async function startDht(lab: Lab): Promise<PluginOf> {
  const nodes = [
    { proxy: 8080, args: "-p 4222" },
    { proxy: 8081, args: `-p 4223 -b ${ADDRESS}:4222` },
  ];
  for (const { proxy, args } of nodes) {
    // dhtnode is a shell for people: it ends when its input does.
    await lab.spawn("srv", ["sh", "-c", `tail -f /dev/null | dhtnode ${args} --proxyserver ${proxy}`]);
    await lab.exec("srv", [process.execPath, "-e", waitForHttp, `http://${ADDRESS}:${proxy}/node/info`]);
  }
  return ({ site }) => ({ type: "opendht", endpoint: `http://${ADDRESS}:${site % 2 === 1 ? 8080 : 8081}` });
}

export async function startKnot(lab: Lab): Promise<PluginOf> {
  const directory = join(lab.directory, "knot");
  mkdirSync(directory);
  const soa = "@ 60 SOA ns root 1 3600 600 86400 60\n@ 60 NS ns\nns 60 A 127.0.0.1\n";
  writeFileSync(join(directory, "mesh.test.zone"), `$ORIGIN mesh.test.\n${soa}`);
  writeFileSync(
    join(directory, "knot.conf"),
    `
server:
  rundir: "${directory}"
  listen: ${ADDRESS}@5353
log:
  - target: stdout
    any: info
database:
  storage: "${directory}"
  journal-db-max-size: 16M
key:
  - id: stunmesh
    algorithm: hmac-sha256
    secret: ${tsigSecrets.sha256}
acl:
  - id: stunmesh
    key: stunmesh
    action: update
    update-type: [TXT]
zone:
  - domain: mesh.test
    storage: "${directory}"
    file: mesh.test.zone
    zonefile-sync: -1
    zonefile-load: whole
    journal-content: none
    acl: stunmesh
`,
  );
  const server = await lab.spawn("srv", ["knotd", "--config", join(directory, "knot.conf")], { cwd: directory });
  await server.waitForLine((line) => line.includes("server started"));
  const key = { key_name: "stunmesh", key_secret: tsigSecrets.sha256 };
  return () => ({ type: "rfc2136", server: `${ADDRESS}:5353`, zone: "mesh.test", subdomain: "stun", ...key });
}

export async function startWorker(lab: Lab): Promise<PluginOf> {
  // 10 s in its wrangler.toml, because each look is a read of KV that counts.
  const env = { READ_TOKEN: "read-token-0123", WRITE_TOKEN: "write-token-0123", POLL_SECONDS: "0.2" };
  await startChild(lab, { kind: "worker", port: 8787, env });
  return () => ({
    type: "http",
    url: `http://${ADDRESS}:8787`,
    read_token: env.READ_TOKEN,
    write_token: env.WRITE_TOKEN,
  });
}

/** The module of contrib/store-module, and a web server for it. */
export async function startWebFolder(lab: Lab): Promise<PluginOf> {
  await startChild(lab, { kind: "folder", port: 8788, env: { USER_AND_PASSWORD: "mesh:password-of-mesh" } });
  const path = join(repositoryRoot, "contrib/store-module/webdav.mjs");
  return () => ({
    type: "module",
    path,
    url: `http://${ADDRESS}:8788/stunmesh`,
    user: "mesh",
    password: "password-of-mesh",
  });
}

async function startChild(
  lab: Lab,
  options: { readonly kind: string; readonly port: number; readonly env: Readonly<Record<string, string>> },
): Promise<void> {
  const { kind, port, env } = options;
  const server = await lab.spawn("srv", [process.execPath, child, kind, ADDRESS, String(port)], {
    env,
    logFile: join(lab.directory, "log", `${kind}.log`),
  });
  await server.waitForLine((line) => line === "ready");
}
