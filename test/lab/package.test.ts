/**
 * The packages: the Debian package on a fresh Debian 13 and in a real systemd (installed, upgraded, removed, purged), and
 * npm's tarball in an empty folder. Needs root, dpkg-deb, mmdebstrap, wireguard-go and coturn, Debian's packages, and npm's
 * registry or its cache.
 */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { copyFile, mkdir, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { repositoryRoot } from "../fixtures/path.ts";
import { readCommand, spawnProcess } from "./process.ts";
import { runInSystemd, type Seen } from "./systemd/boot.ts";
import { waitFor } from "./wait.ts";

const { version } = JSON.parse(await readFile(join(repositoryRoot, "package.json"), "utf8")) as { version: string };
let directory: string;

before(async () => {
  directory = await mkdtemp(join(tmpdir(), "stunmesh-package-"));
});
after(() => rm(directory, { recursive: true, force: true }));

async function buildDebianPackage(name: string): Promise<string> {
  const out = join(directory, name);
  await mkdir(out);
  const script = join(repositoryRoot, "packaging/debian/build.sh");
  const path = await readCommand([script], { env: { OUT: out, SOURCE_DATE_EPOCH: "1700000000" } });
  return path.trim();
}

test("the Debian package is all that a fresh Debian 13 needs", async () => {
  const path = await buildDebianPackage("fresh");
  const root = join(directory, "debian13");
  // Of a mirror that may be slow.
  const timeoutMs = 300_000;
  await readCommand(["mmdebstrap", "--variant=apt", "--include=nodejs", "--quiet", "trixie", root], { timeoutMs });
  await copyFile(path, join(root, "tmp/stunmesh-ts.deb"));
  await writeFile(
    join(root, "tmp/config.yaml"),
    "interfaces: {wg0: {peers: {office: {public_key: xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=}}}}\n" +
      "stun: {address: 192.0.2.1:3478}\nplugins: {folder: {type: file, path: /srv}}\n",
  );
  const clean = ["env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND=noninteractive"];
  const inside = (...argv: readonly string[]) => readCommand(["chroot", root, ...clean, ...argv], { timeoutMs });
  await inside("apt-get", "install", "-y", "-q", "--no-install-recommends", "/tmp/stunmesh-ts.deb");
  assert.equal((await inside("stunmesh-ts", "--version")).trim(), version);
  assert.match(await inside("stunmesh-ts", "check", "-c", "/tmp/config.yaml"), /: ok: 1 interface, 1 peer/);
  await inside("apt-get", "purge", "-y", "-q", "stunmesh-ts");
  const left = ["usr/lib/stunmesh-ts", "usr/bin/stunmesh-ts"].filter((name) => existsSync(join(root, name)));
  assert.deepEqual(left, []);
});

test("the Debian package is installed, runs, is upgraded, removed and purged; built twice it is the same", async () => {
  const path = await buildDebianPackage("one");
  assert.deepEqual(await readFile(await buildDebianPackage("two")), await readFile(path));

  const seen: Seen = await runInSystemd("package-checks.sh", async (copy) => {
    await mkdir(join(copy, "srv"));
    await copyFile(path, join(copy, "srv/package.deb"));
  });
  const wanted = {
    "install.status": "0",
    "install.version": version,
    // There is no configuration yet.
    "install.enabled": "disabled",
    "install.active": "inactive",
    "install.modes": "root 755 root 755 root 755",
    "install.cache": "root 644",
    "trigger.cache": "root 644",
    "check.said": "/etc/stunmesh/config.yaml: ok: 1 interface, 1 peer, 1 plugin, 1 STUN server",
    "start.status": "0",
    "start.program": "/usr/bin/node /usr/lib/stunmesh-ts/stunmesh-ts.js run ",
    "start.stored": "1",
    "upgrade.status": "0",
    "upgrade.restarted": "yes",
    "remove.status": "0",
    "remove.active": "inactive",
    "remove.left": "",
    "remove.memory": "wg0.json wg0.lock",
    "purge.status": "0",
    "purge.memory": "",
    "purge.config": "config.yaml",
    end: "reached",
  };
  const found = Object.fromEntries(Object.keys(wanted).map((key) => [key, seen.values.get(key)]));
  assert.deepEqual(found, wanted, seen.text);
});

test("the tarball of npm has what is needed and no more, and runs in an empty folder", async () => {
  const packed = await readCommand(["npm", "pack", "--json", "--ignore-scripts", "--pack-destination", directory], {
    cwd: repositoryRoot,
  });
  const [{ filename, files }] = JSON.parse(packed) as [{ filename: string; files: { path: string }[] }];
  const paths = files.map(({ path }) => path);
  for (const path of [
    "dist/program.cjs",
    "dist/stunmesh-ts.js",
    "config.example.yaml",
    "packaging/systemd/stunmesh-ts.service",
  ]) {
    assert.ok(paths.includes(path), path);
  }
  const unwanted = paths.filter((path) =>
    /^(?:src|test|bench|build|node_modules)|\.(?:cache|deb)$|\.ts$|debian/.test(path),
  );
  assert.deepEqual(unwanted, []);

  const home = join(directory, "home");
  await mkdir(home);
  await readCommand(
    [
      "npm",
      "install",
      "--prefix",
      home,
      "--ignore-scripts",
      "--prefer-offline",
      "--no-audit",
      "--no-fund",
      join(directory, filename),
    ],
    { cwd: home },
  );
  const program = join(home, "node_modules/.bin/stunmesh-ts");
  assert.equal(await readCommand([program, "--version"]), `${version}\n`);
  const example = join(home, "node_modules/stunmesh-ts/config.example.yaml");
  assert.match(await readCommand([program, "check", "--config", example]), /: ok: /);
  const native = 'await import("koffi").then((koffi) => console.log(typeof koffi.default.load))';
  assert.equal(
    await readCommand([process.execPath, "--input-type=module", "--eval", native], { cwd: home }),
    "function\n",
  );
});

test("a daemon that may write beside its program saves what it compiled, for faster starts", async (t) => {
  const installed = join(directory, "home/node_modules/stunmesh-ts/dist");
  const config = join(directory, "nobody.yaml");
  const peers = { nobody: { public_key: Buffer.alloc(32, 1).toString("base64"), plugin: "none" } };
  const plugins = { none: { type: "file", path: join(directory, "none") } };
  const stun = { address: "127.0.0.1:3478" };
  await writeFile(config, JSON.stringify({ stun, interfaces: { nowg9: { peers } }, plugins }));
  const argv = [process.execPath, join(installed, "stunmesh-ts.js"), "run", "--config", config];
  const env = { STATE_DIRECTORY: join(directory, "state"), RUNTIME_DIRECTORY: join(directory, "run") };
  const daemon = await spawnProcess(argv, { env });
  t.after(() => daemon.stop());
  const what = "program.cache";
  const saved = await waitFor(() => stat(join(installed, what)).catch(() => undefined), { what });
  assert.ok(saved.size > 500_000, `${saved.size} bytes`);
  assert.equal(saved.mode & 0o777, 0o644);
});

test("launchd's file is a property list of a daemon that is kept alive", async () => {
  const path = join(repositoryRoot, "packaging/macos/stunmesh-ts.plist");
  const print = "import plistlib, json, sys; print(json.dumps(plistlib.load(open(sys.argv[1], 'rb'))))";
  const list = JSON.parse(await readCommand(["python3", "-c", print, path])) as Record<string, unknown>;
  assert.equal(list.Label, "stunmesh-ts");
  assert.equal(list.KeepAlive, true);
  assert.deepEqual((list.ProgramArguments as string[]).slice(0, 3), ["/usr/bin/env", "stunmesh-ts", "run"]);
});
