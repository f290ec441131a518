/** What packaging/ says of other files is true: scripts can be read by sh, sources of the container exist, sandboxes agree. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { parse } from "yaml";
import { repositoryRoot } from "../fixtures/path.ts";

const folder = join(repositoryRoot, "packaging");
const readText = (name: string) => readFileSync(join(folder, name), "utf8");

const shellScripts = [
  "debian/build.sh",
  "debian/postinst",
  "debian/postrm",
  "debian/prerm",
  "freebsd/stunmesh_ts",
  "openrc/stunmesh-ts.confd",
  "openrc/stunmesh-ts.initd",
  "procd/stunmesh-ts",
];

for (const name of shellScripts) {
  test(`${name} is a shell script`, () => {
    execFileSync("sh", ["-n", join(folder, name)]);
    assert.match(readText(name), /^#/);
  });
}

test("the units have the same sandbox", () => {
  const sandbox = (name: string) => {
    const text = readText(`systemd/${name}`).replace(/^#.*\n/gm, "");
    return text
      .slice(text.indexOf("CapabilityBoundingSet="))
      .replace(/\n*(?:\[Install\][\s\S]*)?$/, "")
      .replace(/\n+/g, "\n");
  };
  const [first, ...others] = ["stunmesh-ts.service", "stunmesh-ts@.service", "stunmesh-ts-oneshot.service"].map(
    sandbox,
  );
  assert.match(first ?? "", /^SystemCallFilter=@system-service$/m);
  for (const other of others) assert.equal(other, first);
});

test("the template differs from the service in its configuration and its control socket only", () => {
  const settings = (name: string) => {
    const [, text = ""] = readText(`systemd/${name}`)
      .replace(/^#.*\n/gm, "")
      .split("[Service]");
    return text.split("\n").filter((line) => line !== "");
  };
  const service = settings("stunmesh-ts.service");
  const changed = settings("stunmesh-ts@.service").filter((line) => !service.includes(line));
  assert.deepEqual(changed, [
    "ExecStart=stunmesh-ts run --config /etc/stunmesh/%i.yaml",
    "RuntimeDirectory=stunmesh-ts-%i",
  ]);
});

test("every source that the Containerfile copies exists and is let through", () => {
  const copies = [...readText("container/Containerfile").matchAll(/^COPY (?!--from)(.+) \S+$/gm)];
  const sources = copies.flatMap(([, names = ""]) => names.split(" "));
  const allowed = readText("container/Containerfile.dockerignore").split("\n");
  assert.ok(sources.length >= 6);
  for (const source of sources) {
    assert.ok(existsSync(join(repositoryRoot, source)), `${source} exists`);
    assert.ok(allowed.includes(`!${source}`), `${source} is let through`);
  }
});

test("what the Containerfile copies is all that the build needs", () => {
  const stages = readText("container/Containerfile").split(/^FROM /m);
  const scripts = (stages[1] ?? "").matchAll(/npm run (\w+)/g);
  const known = (JSON.parse(readFileSync(join(repositoryRoot, "package.json"), "utf8")) as { scripts: object }).scripts;
  for (const [, name = ""] of scripts) assert.ok(Object.hasOwn(known, name), `npm run ${name}`);
});

test("compose.yaml gives the network of the host and two capabilities", () => {
  const { services } = parse(readText("container/compose.yaml")) as {
    services: Record<string, Record<string, unknown>>;
  };
  const service = services["stunmesh-ts"];
  assert.equal(service?.network_mode, "host");
  assert.deepEqual(service?.cap_add, ["NET_ADMIN", "NET_RAW"]);
  assert.deepEqual(service?.cap_drop, ["ALL"]);
});
