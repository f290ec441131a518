/** The commands of docs/quickstart.md, as they stand there, on two hosts behind NATs that have WireGuard and nothing else. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { markedCommands, readText } from "../docs/pages.ts";
import { program } from "./daemon.ts";
import { type Lab, type LabHost, openLab } from "./lab.ts";
import { type CommandResult, runCommand } from "./process.ts";
import { startDht } from "./store-servers.ts";
import { waitFor } from "./wait.ts";

const commands = markedCommands(readText("docs/quickstart.md"), "quick start");

describe("quick start", () => {
  let lab: Lab;
  /** By command: options for what a host of its own finds by itself, and for servers of the lab. */
  let added: (host: LabHost) => Readonly<Record<string, readonly string[]>>;

  before(async () => {
    const sites = [{ nat: "port" as const }, { nat: "port" as const }];
    lab = await openLab({ sites, services: ["stun1", "stun2"], keepaliveS: 25 });
    const dht = await startDht(lab);
    const { stun1, stun2 } = lab.stun;
    added = (host) => {
      const config = join(lab.directory, `quick-${host.name}`, "config.yaml");
      const { endpoint } = dht(host) as { readonly endpoint: string };
      return {
        init: [
          ...["--output", config, "--interface", host.wireguardInterface],
          ...["--store-option", `endpoint=${endpoint}`, "--stun", stun1.ipv4, stun2.ipv4],
        ],
        check: ["--config", config],
        doctor: ["--config", config],
        run: ["--config", config],
        status: ["--socket", join(lab.directory, `run-${host.name}`, "control.sock")],
      };
    };
  });
  after(() => lab.close());

  const argvOf = (host: LabHost, words: readonly string[]) => [
    ...[process.execPath, program, ...words],
    ...(added(host)[words[0] ?? ""] ?? []),
  ];
  const envOf = (host: LabHost) => ({
    STATE_DIRECTORY: join(lab.directory, `state-${host.name}`),
    RUNTIME_DIRECTORY: join(lab.directory, `run-${host.name}`),
  });
  const run = (host: LabHost, words: readonly string[]): Promise<CommandResult> =>
    runCommand(["nsenter", `--net=/run/netns/${host.namespace}`, ...argvOf(host, words)], {
      env: envOf(host),
    });

  /** Each does one line on a host, and says that it did what the page promises. */
  const steps: Readonly<Record<string, (host: LabHost, words: readonly string[]) => Promise<void>>> = {
    async init(host, words) {
      const { code, stdout, stderr } = await run(host, words);
      assert.equal(code, 0, stderr);
      assert.ok(stdout.includes(`\n  ${host.wireguardInterface}  ${host.publicKey}\n`), stdout);
    },
    async check(host, words) {
      const { code, stdout } = await run(host, words);
      assert.equal(code, 0);
      assert.match(stdout, /: ok: 1 interface, 1 peer, 1 plugin, 2 STUN servers$/m);
    },
    async doctor(host, words) {
      const { code, stdout } = await run(host, words);
      assert.equal(code, 1);
      assert.match(stdout, /store: writes in \d+ ms, gives it back after \d+ ms/);
      assert.match(stdout, /endpoint-independent mapping \(cone\)/);
      const [, verdict = ""] = stdout.replace(/\s+/g, " ").split(" Verdict ");
      assert.match(verdict, /^FAIL .*: (?:the peer has published nothing|this host has published nothing)/);
    },
    async systemctl(host) {
      await lab.spawn(host.name, argvOf(host, ["run"]), { env: envOf(host) });
    },
    async status(host, words) {
      const isReachable = async () => / reachable /.test((await run(host, words)).stdout);
      await waitFor(isReachable, { what: `a reachable peer of ${host.name}`, everyMs: 500 });
      assert.match((await run(host, words)).stdout, /NAT endpoint-independent\n/);
    },
    async ping(host, words) {
      // The addresses of the page are those of the lab.
      assert.equal(words.at(-1), lab.host(1).tunnel4);
      const peer = lab.host(host.site === 1 ? 2 : 1);
      await lab.waitForAnswer(host.name, peer.tunnel4);
    },
  };

  test("its commands lead to an answered ping on both hosts", async (t) => {
    assert.equal(commands.length, 6);
    const startedMs = performance.now();
    await Promise.all(
      [lab.host(1), lab.host(2)].map(async (host) => {
        for (const line of commands) {
          const words = line.split(" ").filter((word) => word !== "stunmesh-ts");
          const step = steps[words[0] ?? ""];
          assert.ok(step, line);
          await step(host, words);
        }
      }),
    );
    t.diagnostic(`from init to the answers: ${((performance.now() - startedMs) / 1000).toFixed(1)} s`);
  });
});
