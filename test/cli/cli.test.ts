import assert from "node:assert/strict";
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { sealRecord, storageKey } from "../../src/record.ts";
import { createFakePeer, createKeyPair, keyBytes } from "../fakes/wg-device.ts";
import { type FakeTool, installFakeTool } from "../fakes/wg-tool.ts";
import { repositoryRoot } from "../fixtures/path.ts";
import { buildProgram, type Program } from "./program.ts";

const { version } = JSON.parse(readFileSync(join(repositoryRoot, "package.json"), "utf8"));

/** An interface that exists on no machine. */
const MISSING = "nowg9";
let program: Program;
before(() => {
  program = buildProgram();
});
after(() => program.close());

/** A configuration with one interface and the peers `site2` and `site3`. */
function configText(keys: readonly string[], device = MISSING): string {
  const peers = keys.map((key, index) => `      site${index + 2}: { public_key: "${key}", plugin: files }\n`);
  return `refresh_interval: 1m
stun: { addresses: ["192.0.2.1:3478"] }
interfaces:
  ${device}:
    peers:
${peers.join("")}plugins:
  files: { type: builtin, name: file, path: ${join(program.dir, "store")} }
`;
}

const twoKeys = () => [createKeyPair().publicKey, createKeyPair().publicKey];
const goodConfig = () => program.write("good.yaml", configText(twoKeys()));

describe("command line", { concurrency: 2 }, () => {
  for (const args of [["--version"], ["-version"]]) {
    test(`${args} prints the version of package.json`, async () => {
      assert.deepEqual(await program.run(args), { status: 0, stdout: `${version}\n`, stderr: "" });
    });
  }

  for (const args of [["-help"], ["publish", "-h"]]) {
    test(`${args.join(" ")} prints what there is`, async () => {
      const { status, stdout, stderr } = await program.run(args);
      assert.equal(status, 0);
      assert.equal(stderr, "");
      for (const word of ["--config", "--config-dir", "--log-level"]) assert.ok(stdout.includes(word), word);
    });
  }

  const wrong: readonly (readonly [readonly string[], RegExp])[] = [
    [["bogus"], /bogus/],
    [["run", "extra"], /extra/],
    [["--config"], /config/],
    [["--config="], /--config: it is empty/],
    [["check", "--config-dir", ""], /--config-dir: it is empty/],
    [["--log-level", "loud"], /loud/],
  ];
  for (const [args, expected] of wrong) {
    test(`"${args.join(" ")}" is a usage error`, async () => {
      const { status, stdout, stderr } = await program.run(args);
      assert.equal(status, 64, stderr);
      assert.equal(stdout, "");
      assert.match(stderr, expected);
      assert.match(stderr, /^stunmesh-ts: [^\n]+\n$/);
    });
  }
});

describe("configuration", { concurrency: 2 }, () => {
  test("without a configuration every place that was searched is named", async () => {
    const { status, stderr } = await program.run(["check"], { env: { STUNMESH_CONFIG_DIR: "/nonexistent" } });
    assert.equal(status, 66);
    const home = join(program.dir, "home");
    const places = ["/nonexistent", "/etc/stunmesh", join(home, ".stunmesh"), home];
    for (const place of places) {
      for (const name of ["config.yaml", "config.yml"]) assert.ok(stderr.includes(join(place, name)), stderr);
    }
  });

  test("a file that was asked for and is not there is named", async () => {
    for (const command of [["check"], []]) {
      const { status, stderr } = await program.run([...command, "--config", "/nonexistent/my.yaml"]);
      assert.equal(status, 66);
      assert.match(stderr, /^stunmesh-ts: [^\n]*"\/nonexistent\/my\.yaml"[^\n]*\n$/);
    }
  });

  test("everything wrong in a file is told with line and column", async () => {
    const path = program.write(
      "bad.yaml",
      `refresh_intervall: 1m
refresh_interval: 10 parsecs
stun: { addresses: ["no port"] }
interfaces:
  wg0:
    protocol: ipv5
    peers:
      site2: { public_key: "tooshort", plugin: nothere }
plugins: {}
`,
    );
    const { status, stdout, stderr } = await program.run(["check", "-config", path]);
    assert.equal(status, 78);
    assert.equal(stdout, "");
    const found = stderr.split("\n").flatMap((line) => {
      const match = /^(.*):(\d+):(\d+): (\S+):/.exec(line);
      return match?.[1] === path ? [`${match[2]}:${match[3]} ${match[4]}`] : [];
    });
    for (const place of ["1:1 ", "2:19 refresh_interval", "3:", "6:15 ", "8:"]) {
      assert.ok(
        found.some((line) => line.startsWith(place)),
        `${place} is not in ${stderr}`,
      );
    }
  });

  test("what is no YAML is told with line and column", async () => {
    const path = program.write("broken.yaml", "interfaces:\n  wg0: [\n");
    const { status, stderr } = await program.run(["check", "--config", path]);
    assert.equal(status, 78);
    assert.match(stderr, /broken\.yaml:\d+:\d+: /);
  });

  test("check says what a good file has, in every way a file can be named", async () => {
    const path = goodConfig();
    mkdirSync(join(program.dir, "etc"), { recursive: true });
    writeFileSync(join(program.dir, "etc/config.yaml"), readFileSync(path));
    const ways: readonly (readonly string[])[] = [
      ["check", "-config", path],
      ["check", `-config=${path}`],
      ["-config", path, "check"],
      ["check", "--config", "/nonexistent", "--config", path],
      ["check", "-config-dir", join(program.dir, "etc")],
    ];
    for (const args of ways) {
      const { status, stdout, stderr } = await program.run(args);
      assert.equal(status, 0, stderr);
      assert.match(stdout, /^\S+\.yaml: ok: 1 interface, 2 peers, 1 plugin, 1 STUN server\n$/);
      assert.equal(stderr, "");
    }
  });

  test("the example configuration is good", async () => {
    const { status, stderr } = await program.run(["check", "-c", join(repositoryRoot, "config.example.yaml")], {
      env: { STUNMESH_TOKEN: "x", ...exampleSecrets() },
    });
    assert.equal(status, 0, stderr);
  });

  test("check goes on for a reader that is gone", async () => {
    const running = program.start(["check", "-c", goodConfig()]);
    running.child.stdout?.destroy();
    assert.deepEqual(await running.ended, { status: 0, stdout: "", stderr: "" });
  });

  test("a configuration without peers is nothing to run for", async () => {
    const path = program.write("empty.yaml", configText([]).replace("peers:\n", "peers: {}\n"));
    const { status, stderr } = await program.run(["-c", path]);
    assert.equal(status, 78);
    assert.match(stderr, /no interface with peers/);
  });
});

/** Every ${NAME} of the example, set. */
function exampleSecrets(): Readonly<Record<string, string>> {
  const text = readFileSync(join(repositoryRoot, "config.example.yaml"), "utf8");
  return Object.fromEntries([...text.matchAll(/\$\{?([A-Z_]+)/g)].map(([, name]) => [name, "x".repeat(20)]));
}

describe("without the interface", { concurrency: 2 }, () => {
  const noInterface = new RegExp(`Cannot find WireGuard interface "${MISSING}": .*wg-quick up ${MISSING}`);

  test("publish has a line for each peer and fails", async () => {
    const { status, stdout } = await program.run(["publish", "-c", goodConfig()]);
    assert.equal(status, 69);
    const lines = stdout.trimEnd().split("\n");
    assert.equal(lines.length, 2, stdout);
    for (const [index, line] of lines.entries()) {
      assert.match(line, new RegExp(`^FAILED ${MISSING}/site${index + 2}: ${noInterface.source}`));
    }
  });

  test("--json prints one array of results", async () => {
    for (const command of ["publish", "establish"]) {
      const { status, stdout } = await program.run([command, "--json", "site3", "-c", goodConfig()]);
      assert.equal(status, 69);
      const [result, ...others] = JSON.parse(stdout);
      assert.deepEqual(others, []);
      const { result: text, ...rest } = result;
      assert.match(text, noInterface);
      assert.deepEqual(rest, {
        interface: MISSING,
        peer: "site3",
        ok: false,
        addresses: [],
        code: "WG_DEVICE_NOT_FOUND",
      });
    }
  });

  test("names choose peers, and a name of nothing is a usage error that says what there is", async () => {
    const path = goodConfig();
    for (const [names, count] of [
      [[`${MISSING}/site3`], 1],
      [["site2", MISSING], 2],
    ] as const) {
      const { stdout } = await program.run(["establish", ...names, "-c", path]);
      assert.equal(stdout.trimEnd().split("\n").length, count, stdout);
    }
    const { status, stdout, stderr } = await program.run(["publish", "site9", "-c", path]);
    assert.equal(status, 64);
    assert.equal(stdout, "");
    assert.match(stderr, new RegExp(`"site9".*${MISSING}/site2, ${MISSING}/site3`));
  });

  test("--oneshot says so and ends", async () => {
    const { status, stderr } = await program.run(["-oneshot", "-config", goodConfig()]);
    assert.equal(status, 69);
    assert.match(stderr, noInterface);
  });

  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    test(`run waits for it, and ${signal} ends it with 0`, async () => {
      const running = program.start(["-config", goodConfig(), "--log-format", "json"]);
      await running.said(/interface is not ready/);
      running.child.kill(signal);
      const { status, stdout, stderr } = await running.ended;
      assert.equal(status, 0);
      assert.equal(stderr, "");
      const lines = stdout
        .trimEnd()
        .split("\n")
        .map((line) => JSON.parse(line));
      assert.deepEqual([lines[0].msg, lines.at(-1).msg], ["started", "stopped"]);
      assert.match(lines.find(({ msg }) => msg === "interface is not ready").err, noInterface);
    });
  }

  test("a second signal ends it at once", async () => {
    const running = program.start(["-config", goodConfig()]);
    await running.said(/interface is not ready/);
    running.child.kill("SIGTERM");
    running.child.kill("SIGTERM");
    const { status } = await running.ended;
    // The second may come when the first is done.
    assert.ok(status === 0 || status === 143 || status === "SIGTERM", String(status));
  });

  test("SIGHUP with a file that became wrong changes nothing and says why", async () => {
    const path = program.write("reload.yaml", configText(twoKeys()));
    const running = program.start(["-c", path, "--log-format", "json"]);
    await running.said(/interface is not ready/);
    writeFileSync(path, "interfaces: 7\nrefresh_interval: 5\n");
    running.child.kill("SIGHUP");
    // One line, which a terminal and the status show as it is.
    await running.said(
      /"err":"Cannot use the configuration [^\n]*: 2 errors: [^"\\]*:1:13: [^"\\]*; [^"\\]*:2:19: [^"\\]*".*configuration not reloaded/,
    );
    writeFileSync(path, configText(twoKeys()));
    running.child.kill("SIGHUP");
    await running.said(/configuration reloaded/);
    running.child.kill("SIGTERM");
    assert.equal((await running.ended).status, 0);
  });
});

/** A machine with the interface wg7, as far as wg(8) goes, its peer, and what the peer has published. */
function createMachine(name: string) {
  const dir = join(program.dir, name);
  mkdirSync(join(dir, "store"), { recursive: true });
  const tool = installFakeTool(dir);
  symlinkSync(tool.command, join(dir, "wg"));
  const own = createKeyPair();
  const far = createKeyPair();
  tool.write({
    devices: {
      wg7: {
        ...own,
        listenPort: 51_820,
        firewallMark: 0,
        peers: [createFakePeer({ publicKey: far.publicKey, allowedIps: ["10.99.0.2/32"] })],
      },
    },
  });
  const direction = { senderKey: keyBytes(far.publicKey), receiverKey: keyBytes(own.publicKey) };
  const config = program.write(
    `${name}.yaml`,
    configText([far.publicKey], "wg7").replace(/path: .* \}/, `path: ${join(dir, "store")} }`),
  );
  return {
    config,
    env: { PATH: `${dir}:${process.env.PATH}`, STATE_DIRECTORY: join(dir, "state") },
    tool,
    endpointOf: (from: FakeTool) => from.read().devices.wg7?.peers[0]?.endpoint,
    publish(host: string, sequence: number) {
      const record = { endpoints: { ipv4: { family: "ipv4", host, port: 40_112 } as const }, sequence };
      const sealed = sealRecord(record, { ...direction, privateKey: keyBytes(far.privateKey) });
      writeFileSync(join(dir, "store", storageKey(direction)), sealed);
    },
    own,
  };
}

describe("with the interface", { concurrency: 2 }, () => {
  test("establish sets the endpoint that the peer has published", async () => {
    const machine = createMachine("establish");
    const args = ["establish", "-c", machine.config];
    const nothing = await program.run(args, machine);
    assert.deepEqual([nothing.status, nothing.stdout], [75, "FAILED wg7/site2: the peer has published nothing yet\n"]);
    machine.publish("203.0.113.9", 5);
    const set = await program.run(args, machine);
    assert.deepEqual([set.status, set.stdout], [0, "ok     wg7/site2: endpoint set to 203.0.113.9:40112\n"]);
    assert.equal(machine.endpointOf(machine.tool), "203.0.113.9:40112");
    const again = await program.run([...args, "--json"], machine);
    assert.equal(again.status, 0);
    assert.deepEqual(JSON.parse(again.stdout), [
      {
        interface: "wg7",
        peer: "site2",
        ok: true,
        result: "endpoint is 203.0.113.9:40112 already",
        addresses: ["203.0.113.9:40112"],
      },
    ]);
  });

  test("a user without rights is told which one is missing", async () => {
    const machine = createMachine("rights");
    machine.tool.write({
      misbehaviour: { kind: "fail", stderr: "Unable to access interface: Operation not permitted\n" },
    });
    for (const args of [["publish"], ["run"]]) {
      const { status, stdout, stderr } = await program.run([...args, "-c", machine.config], machine);
      assert.equal(status, 77);
      assert.match(stdout + stderr, /it needs root, or on Linux the capability CAP_NET_ADMIN/);
      assert.doesNotMatch(stdout + stderr, /\bat .*\.js:|internal error/);
    }
  });

  test("publish by a user without rights names the right that the socket needs", async () => {
    const machine = createMachine("raw");
    const { status, stdout } = await program.run(["publish", "-c", machine.config], {
      ...machine,
      env: { ...machine.env, ...fakeToolForEverybody(machine) },
      unprivileged: true,
    });
    assert.match(stdout, /^FAILED wg7\/site2: /);
    // A machine without any address of the family says that first.
    if (/has no IPv4 address/.test(stdout)) assert.equal(status, 75);
    else assert.deepEqual([status, /CAP_NET_RAW/.test(stdout)], [77, true], stdout);
  });
});

/** The fake writes down its calls, which is nobody's right else. */
function fakeToolForEverybody({ env }: { readonly env: { readonly PATH: string } }): Readonly<Record<string, string>> {
  const [dir = ""] = env.PATH.split(":");
  const text = readFileSync(join(dir, "state.json"), "utf8");
  const { devices } = JSON.parse(text);
  const [peer] = devices.wg7.peers;
  const line = (...fields: readonly unknown[]) => fields.join("\\t");
  const lines = [
    line(devices.wg7.privateKey, devices.wg7.publicKey, 51_820, "off"),
    line(peer.publicKey, "(none)", "(none)", "10.99.0.2/32", 0, 0, 0, "off"),
  ];
  const plain = join(dir, "plain");
  mkdirSync(plain);
  writeFileSync(join(plain, "wg"), `#!/bin/sh\nprintf '${lines.join("\\n")}\\n'\n`, { mode: 0o755 });
  return { PATH: `${plain}:${process.env.PATH}` };
}

describe("store test", { concurrency: 2 }, () => {
  test("writes, reads back and times a value in a store that works", async () => {
    const { status, stdout } = await program.run(["store", "test", "files", "-c", goodConfig()]);
    assert.match(stdout, /^write {2}ok +\d+ ms\nread {3}ok +\d+ ms until it came back\n$/);
    assert.equal(status, 0);
  });

  test("says what is wrong with one that does not, and names those there are", async () => {
    const plugin = `files: { type: shell, command: sh, args: ["-c", "echo no space >&2; exit 1"] }`;
    const failing = configText(twoKeys()).replace(/files: \{ type: .*/, plugin);
    const path = program.write("failing-store.yaml", failing);
    const failed = await program.run(["store", "test", "files", "-c", path]);
    assert.equal(failed.status, 75);
    assert.match(failed.stdout, /^FAILED .*no space/);
    const unknown = await program.run(["store", "test", "nothing", "-c", path]);
    assert.equal(unknown.status, 64);
    assert.match(unknown.stderr, /no plugin has that name, there are: files/);
  });
});
