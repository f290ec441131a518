/** A real Knot DNS on the loopback interface, with a zone that takes dynamic updates. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { type LabProcess, spawnProcess } from "./process.ts";
import { freePort } from "./redis-server.ts";

/** Secrets of the keys, in base64. */
export const tsigSecrets = {
  sha256: Buffer.from("a secret of the test, 32 bytes...").toString("base64"),
  sha512: Buffer.from("another secret of the test, 64 bytes".padEnd(64, ".")).toString("base64"),
};

export interface KnotServer {
  readonly port: number;
  start(): Promise<void>;
  stop(): Promise<void>;
}

/**
 * Starts a server of the zone `mesh.test`. Keys: `key256.` and `key512.` may update it, `narrow.` may change TXT records
 * below `narrow.mesh.test`, `reader.` nothing; the zone `locked.test` takes no updates.
 */
export async function startKnotServer(t: TestContext): Promise<KnotServer> {
  const directory = await mkdtemp(join(tmpdir(), "stunmesh-knot-"));
  const port = await freePort();
  await writeFile(join(directory, "knot.conf"), config({ directory, port }));
  for (const zone of ["mesh.test", "locked.test"]) {
    const soa = `@ 60 SOA ns.${zone}. root.${zone}. 1 3600 600 86400 60\n@ 60 NS ns.${zone}.\nns 60 A 127.0.0.1\n`;
    await writeFile(join(directory, `${zone}.zone`), `${soa}alias 60 CNAME ns\n`);
  }
  let server: LabProcess | undefined;
  const running: KnotServer = {
    port,
    async start() {
      server = await spawnProcess(["knotd", "--config", join(directory, "knot.conf")], { cwd: directory });
      await server.waitForLine((line) => line.includes("server started"), { what: "the start" });
    },
    async stop() {
      await server?.stop();
      server = undefined;
    },
  };
  t.after(async () => {
    await running.stop();
    await rm(directory, { recursive: true, force: true });
  });
  await running.start();
  return running;
}

function config({ directory, port }: { readonly directory: string; readonly port: number }): string {
  return `
server:
  rundir: "${directory}"
  listen: 127.0.0.1@${port}
  udp-workers: 1
  tcp-workers: 1
  background-workers: 1
log:
  - target: stdout
    any: info
database:
  storage: "${directory}"
  journal-db-max-size: 16M
  kasp-db-max-size: 5M
  timer-db-max-size: 5M
  catalog-db-max-size: 5M
key:
  - id: key256
    algorithm: hmac-sha256
    secret: ${tsigSecrets.sha256}
  - id: key512
    algorithm: hmac-sha512
    secret: ${tsigSecrets.sha512}
  - id: reader
    algorithm: hmac-sha256
    secret: ${tsigSecrets.sha256}
  - id: narrow
    algorithm: hmac-sha256
    secret: ${tsigSecrets.sha256}
acl:
  - id: update
    key: [key256, key512]
    action: update
  - id: narrow
    key: narrow
    action: update
    update-type: [TXT]
    update-owner: name
    update-owner-match: sub-or-equal
    update-owner-name: [narrow]
template:
  - id: default
    storage: "${directory}"
    file: "%s.zone"
    zonefile-sync: -1
    zonefile-load: whole
    journal-content: none
zone:
  - domain: mesh.test
    acl: [update, narrow]
  - domain: locked.test
`;
}
