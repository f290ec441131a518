/** Runs everything at `trace`, with stores that say all they know, and searches whatever was written for secrets. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { sealRecord, storageKey } from "../../src/record.ts";
import { buildProgram, type Program } from "../cli/program.ts";
import { createFakePeer, createKeyPair, createPresharedKey, keyBytes } from "../fakes/wg-device.ts";
import { installFakeTool } from "../fakes/wg-tool.ts";

const TOKEN = "tok-4b1d-9f77-secret-of-the-option";
const ENV_TOKEN = "env-77aa-1c2d-secret-of-the-environment";

let program: Program;
before(() => {
  program = buildProgram();
});
after(() => program.close());

/** Every way a key may be written. */
function spellings(base64: string): readonly string[] {
  const bytes = Buffer.from(base64, "base64");
  const hex = bytes.toString("hex");
  return [base64.replace(/=+$/, ""), bytes.toString("base64url"), hex, hex.toUpperCase(), bytes.toString("latin1")];
}

/** Fails when one of `secrets` is in one of `texts`, without saying the secret. */
function assertNone(
  texts: Readonly<Record<string, string>>,
  secrets: Readonly<Record<string, readonly string[]>>,
): void {
  for (const [where, text] of Object.entries(texts)) {
    for (const [what, spelled] of Object.entries(secrets)) {
      for (const secret of spelled) {
        const at = text.indexOf(secret);
        assert.ok(at < 0, `${what} is in ${where}: ${text.slice(Math.max(0, at - 200), Math.max(0, at))}...`);
      }
    }
    const long = /[0-9a-f]{64,}/i.exec(text);
    assert.ok(!long, `something sealed is in ${where}: ${text.slice((long?.index ?? 0) - 200, long?.index)}...`);
  }
}

/** A store in a shell script that writes down its arguments and environment, and says what it is given while it works. */
const chatty = `#!/bin/sh
here=$(dirname "$0")
printf '%s\\n' "$*" >> "$here/argv.txt"
env >> "$here/environment.txt"
. /dev/stdin
echo "$STUNMESH_VALUE" >> "$here/values.txt"
set -x
echo "token $2, $API_TOKEN, value $STUNMESH_VALUE" >&2
case $STUNMESH_ACTION in
  set) printf %s "$STUNMESH_VALUE" > "$here/chatty/$STUNMESH_KEY.new" && mv "$here/chatty/$STUNMESH_KEY.new" "$here/chatty/$STUNMESH_KEY" ;;
  get) cat "$here/chatty/$STUNMESH_KEY" 2> /dev/null || { echo "not found: $STUNMESH_KEY" >&2; exit 1; } ;;
esac
`;

/** Stores that fail and say everything they know. */
const broken = `#!/bin/sh
printf '%s\\n' "$*" >> "$(dirname "$0")/argv.txt"
{ env; cat; echo "failed with $* and $API_TOKEN"; } >&2
exit 3
`;
const brokenJson = `#!/bin/sh
printf '%s\\n' "$*" >> "$(dirname "$0")/argv.txt"
given=$(tr -d '"\\n')
echo "{\\"success\\":false,\\"error\\":\\"failed with $* and $API_TOKEN, given: $given\\"}"
`;

function writeScripts(dir: string): void {
  for (const [name, text] of Object.entries({ chatty, broken, "broken-json": brokenJson })) {
    writeFileSync(join(dir, `${name}.sh`), text, { mode: 0o755 });
  }
  for (const name of ["files", "chatty"]) mkdirSync(join(dir, name), { mode: 0o700 });
}

/** Everything the stores were told to keep. */
function keptIn(dir: string): readonly string[] {
  const files = ["files", "chatty"].flatMap((name) =>
    readdirSync(join(dir, name)).map((file) => readFileSync(join(dir, name, file), "latin1")),
  );
  return [...files, ...readFileSync(join(dir, "values.txt"), "latin1").split("\n")].filter((text) => text.length > 80);
}

test("two hosts that find each other through stores of every kind tell nobody a secret", async () => {
  const dir = mkdtempSync(join(tmpdir(), "stunmesh-secrets-"));
  try {
    writeScripts(dir);
    const pair = fileURLToPath(new URL("pair.js", import.meta.url));
    const child = spawn(process.execPath, ["--enable-source-maps", pair, dir, TOKEN], {
      env: { PATH: process.env.PATH, API_TOKEN: ENV_TOKEN },
      stdio: ["ignore", "pipe", "pipe"],
    });
    const texts = { stdout: "", stderr: "" };
    for (const name of ["stdout", "stderr"] as const) {
      child[name].setEncoding("utf8").on("data", (chunk: string) => {
        texts[name] += chunk;
      });
    }
    const [code] = await once(child, "close");
    assert.equal(code, 0, texts.stderr);

    const { keys, sealed } = JSON.parse(readFileSync(join(dir, "secrets.json"), "utf8"));
    const kept = keptIn(dir);
    // The search would find something: there were secrets, and something was said about those who had them.
    assert.ok(kept.length >= 6, String(kept.length));
    for (const said of ["endpoint published", "record fetched", "endpoint set", "publish failed", "fetch failed"]) {
      assert.ok(texts.stdout.includes(said) && texts.stderr.includes(said), said);
    }
    assert.ok(texts.stdout.includes("[hidden]"));
    const argv = readFileSync(join(dir, "argv.txt"), "utf8");
    assert.ok(argv.includes(TOKEN));

    const secrets = {
      "a private key": keys.flatMap(spellings),
      "a sealed value": [...sealed, ...kept].flatMap((text) => [text.slice(0, 48), text.slice(-48)]),
    };
    assertNone(texts, { ...secrets, "the token of an option": [TOKEN], "the token of the environment": [ENV_TOKEN] });
    assertNone({ "arguments of plugins": argv }, secrets);
    assertNone({ "environment of plugins": readFileSync(join(dir, "environment.txt"), "utf8") }, secrets);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
});

test("commands that meet broken stores, junk and a WireGuard that answers nonsense tell nobody a secret", async () => {
  const dir = join(program.dir, "machine");
  mkdirSync(dir);
  writeScripts(dir);
  const tool = installFakeTool(dir);
  symlinkSync(tool.command, join(dir, "wg"));
  const own = createKeyPair();
  const names = ["files", "chatty", "broken", "broken-json"];
  const peers = names.map((plugin) => ({ plugin, ...createKeyPair(), presharedKey: createPresharedKey() }));
  const device = {
    ...own,
    listenPort: 51_820,
    firewallMark: 0,
    peers: peers.map(({ publicKey, presharedKey }, index) =>
      createFakePeer({ publicKey, presharedKey, allowedIps: [`10.99.0.${index + 2}/32`] }),
    ),
  };
  tool.write({ devices: { wg7: device } });
  const sealed = peers.map(({ privateKey, publicKey }) => {
    const direction = { senderKey: keyBytes(publicKey), receiverKey: keyBytes(own.publicKey) };
    const record = { endpoints: { ipv4: { family: "ipv4", host: "127.0.0.1", port: 9 } as const } };
    const text = sealRecord(record, { ...direction, privateKey: keyBytes(privateKey) });
    writeFileSync(join(dir, "files", storageKey(direction)), text, { mode: 0o600 });
    writeFileSync(join(dir, "chatty", storageKey(direction)), text.slice(0, -2));
    return text;
  });
  const lines = peers.map(
    ({ plugin, publicKey }) => `      ${plugin}: { public_key: "${publicKey}", plugin: ${plugin} }`,
  );
  const config = program.write(
    "secrets.yaml",
    `refresh_interval: 1m
stun: { addresses: ["192.0.2.1:3478"] }
interfaces:
  wg7:
    peers:
${lines.join("\n")}
plugins:
  files: { type: builtin, name: file, path: ${dir}/files }
  chatty: { type: shell, command: ${dir}/chatty.sh, args: [--token, "\${OPTION_TOKEN}"] }
  broken: { type: shell, command: ${dir}/broken.sh, args: ["--token=\${OPTION_TOKEN}"] }
  broken-json: { type: exec, command: ${dir}/broken-json.sh, args: [--token, "\${OPTION_TOKEN}"] }
`,
  );
  const env = {
    PATH: `${dir}:${process.env.PATH}`,
    STATE_DIRECTORY: join(dir, "state"),
    OPTION_TOKEN: TOKEN,
    API_TOKEN: ENV_TOKEN,
  };
  const texts: Record<string, string> = {};
  async function collect(name: string, args: readonly string[]): Promise<void> {
    const { status, stdout, stderr } = await program.run([...args, "--log-level", "trace", "-c", config], { env });
    assert.equal(status, 75, stdout + stderr);
    texts[name] = stdout + stderr;
  }
  await collect("establish", ["establish", "--log-format", "json"]);
  await collect("establish for people", ["establish", "--log-format", "console"]);
  for (const peer of names) assert.match(texts.establish ?? "", new RegExp(`FAILED wg7/${peer}: `));
  for (const peer of ["broken", "broken-json"]) {
    assert.match(texts.establish ?? "", new RegExp(`FAILED wg7/${peer}: .*failed with .*\\[hidden\\]`));
  }
  const secretLines = [own.privateKey, ...peers.flatMap(({ presharedKey }) => presharedKey)].join("\t");
  tool.write({ misbehaviour: { kind: "text", text: `${secretLines}\n${secretLines}\n` } });
  await collect("nonsense", ["establish"]);
  tool.write({ misbehaviour: { kind: "fail", stderr: `Key is not the correct length or format: ${secretLines}\n` } });
  await collect("failure", ["establish"]);
  const calls = JSON.stringify(tool.read().calls);
  assertNone(
    { ...texts, "calls of wg(8)": calls },
    {
      "a private key": [own.privateKey, ...peers.map(({ privateKey }) => privateKey)].flatMap(spellings),
      "a preshared key": peers.flatMap(({ presharedKey }) => spellings(presharedKey)),
      "a sealed value": sealed.flatMap((text) => [text.slice(0, 48), text.slice(-48, -2)]),
      "the token of an option": [TOKEN],
      "the token of the environment": [ENV_TOKEN],
    },
  );
});
