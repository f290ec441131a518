/** `init`, `schema`, `completion` and `names` of the program as it is installed. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { createFakePeer, createKeyPair } from "../fakes/wg-device.ts";
import { installFakeTool } from "../fakes/wg-tool.ts";
import { buildProgram, type Program, type Result } from "./program.ts";

const own = createKeyPair();
const far = createKeyPair();
const other = createKeyPair();
let program: Program;
let bin: string;
before(() => {
  program = buildProgram();
  bin = join(program.dir, "bin");
  mkdirSync(bin);
  const tool = installFakeTool(bin);
  symlinkSync(tool.command, join(bin, "wg"));
  const peers = [
    createFakePeer({ publicKey: far.publicKey, allowedIps: ["10.99.0.2/32"] }),
    createFakePeer({ publicKey: other.publicKey, allowedIps: ["0.0.0.0/0"] }),
  ];
  tool.write({ devices: { wg7: { ...own, listenPort: 51_820, firewallMark: 0, peers } } });
});
after(() => program.close());

function init(...args: readonly string[]): Promise<Result> {
  return program.run(["init", ...args], { env: { PATH: `${bin}:${process.env.PATH}` } });
}

describe("init", { concurrency: 2 }, () => {
  test("writes a configuration that check accepts, for its owner alone, and says what to do", async () => {
    const path = join(program.dir, "new/config.yaml");
    const store = join(program.dir, "store");
    const args = ["--interface", "wg7", "--store", "file", "--store-option", `path=${store}`, "--output", path];
    const { status, stdout, stderr } = await init(...args);
    assert.deepEqual({ status, stderr }, { status: 0, stderr: "" });
    assert.equal(statSync(path).mode & 0o777, 0o600);
    for (const text of [path, `wg7  ${own.publicKey}`, `wg7/10.99.0.2  ${far.publicKey}`, `check --config ${path}`]) {
      assert.ok(stdout.includes(text), text);
    }
    assert.equal(readFileSync(path, "utf8").includes(own.privateKey ?? ""), false);
    const checked = await program.run(["check", "-c", path]);
    assert.equal(checked.stdout, `${path}: ok: 1 interface, 2 peers, 1 plugin, 2 STUN servers\n`);
    const schema = await program.run(["schema"]);
    assert.equal(readFileSync(join(program.dir, "new/config.schema.json"), "utf8"), schema.stdout);
  });

  test("finds the interfaces by itself", async () => {
    const path = join(program.dir, "found.yaml");
    const { status, stderr } = await init("--store", "opendht", "--output", path);
    assert.equal(status, 0, stderr);
    assert.match(readFileSync(path, "utf8"), /^ {2}wg7:$/m);
  });

  test("never writes over a file, and looks before it asks for anything", async () => {
    const path = program.write("mine.yaml", "mine");
    const { status, stderr } = await init("--output", path);
    assert.equal(status, 73);
    assert.match(stderr, /mine\.yaml": it exists already/);
    assert.equal(readFileSync(path, "utf8"), "mine");
  });

  test("does not hide a config.yml in the usual place", async () => {
    const place = join(program.dir, "place");
    mkdirSync(place);
    writeFileSync(join(place, "config.yml"), "");
    const { status, stderr } = await init("--store", "opendht", "--interface", "wg7", "--config-dir", place);
    assert.equal(status, 73);
    assert.match(stderr, /config\.yml": it exists already/);
    assert.ok(!existsSync(join(place, "config.yaml")));
  });

  const wrong: readonly (readonly [string, readonly string[], number, RegExp])[] = [
    ["nothing", [], 64, /missing --store \(one of file, opendht/],
    ["a store without its options", ["--store", "rfc2136"], 64, /--store-option server=.*zone=.*key_name=/],
    ["an unknown store", ["--store", "fil"], 64, /fil/],
    [
      "a secret",
      ["--store", "http", "--store-option", "url=https://x.org", "--store-option", "token=s3cret"],
      64,
      /token: say where/,
    ],
    ["a wrong option", ["--store", "http", "--store-option", "url=nowhere"], 64, /plugins\.store\.url: wanted/],
    [
      "a missing interface",
      ["--store", "opendht", "--interface", "nowg9"],
      69,
      /nowg9.*or give --interface NAME and --peer/,
    ],
    ["a wrong STUN server", ["--store", "opendht", "--stun", "noport"], 64, /stun\.addresses/],
  ];
  for (const [what, args, wanted, message] of wrong) {
    test(`${what}: exit status ${wanted}, and no file`, async () => {
      const path = join(program.dir, `${what.replaceAll(" ", "-")}.yaml`);
      const given = args.includes("--interface") ? args : [...args, "--interface", "wg7"];
      const { status, stdout, stderr } = await init(...given, "--output", path);
      assert.equal(status, wanted, stderr);
      assert.equal(stdout, "");
      assert.match(stderr, message);
      assert.doesNotMatch(stderr, /s3cret/);
      assert.ok(!existsSync(path));
    });
  }

  test("an interface that may not be read can be described instead", async () => {
    const place = join(program.dir, "open");
    mkdirSync(place, { mode: 0o777 });
    const path = join(place, "config.yaml");
    const args = [
      "init",
      "--store",
      "opendht",
      "--interface",
      "nowg9",
      "--peer",
      `office=${far.publicKey}`,
      "--output",
      path,
    ];
    const { status, stdout, stderr } = await program.run(args);
    assert.equal(status, 0, stderr);
    assert.match(stderr, /^warning: /);
    assert.match(stdout, /nowg9 {2}\(not read/);
    assert.match(readFileSync(path, "utf8"), /^ {6}office:$/m);
  });
});

test("completion prints a script for each shell, and refuses others", async () => {
  for (const [shell, mark] of [
    ["bash", /^complete -F _stunmesh_ts stunmesh-ts$/m],
    ["zsh", /^#compdef stunmesh-ts$/m],
  ] as const) {
    const { status, stdout } = await program.run(["completion", shell]);
    assert.equal(status, 0);
    assert.match(stdout, mark);
  }
  assert.equal((await program.run(["completion", "fish"])).status, 64);
});

test("names prints what is in the configuration, also when it is wrong, and nothing without one", async () => {
  const path = program.write(
    "names.yaml",
    "interfaces: { wg0: { peers: { office: { nonsense: 1 } } } }\nplugins: { s: {} }\n",
  );
  const { status, stdout } = await program.run(["names", "-c", path]);
  assert.deepEqual(
    { status, stdout },
    { status: 0, stdout: "interface wg0\npeer office\npeer wg0/office\nplugin s\n" },
  );
  const broken = program.write("broken.yaml", "a: [");
  for (const args of [["names"], ["names", "-c", "/nonexistent"], ["names", "-c", broken]]) {
    assert.deepEqual(await program.run(args), { status: 0, stdout: "", stderr: "" });
  }
});

test("all of a long output arrives, also when its reader is slow, and a reader may go away", async () => {
  const pipe = (reader: string) =>
    spawnSync(
      "sh",
      ["-c", `"$0" "$1" schema | { ${reader}; }`, process.execPath, join(program.dir, "stunmesh-ts.js")],
      {
        encoding: "utf8",
      },
    );
  const { stdout } = await program.run(["schema"]);
  assert.ok(stdout.length > 65_536);
  assert.equal(pipe("sleep 0.5; cat").stdout, stdout);
  assert.deepEqual({ stdout: pipe("head -c 1").stdout, stderr: pipe("head -c 1").stderr }, { stdout: "{", stderr: "" });
});
