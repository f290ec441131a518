import assert from "node:assert/strict";
import { test } from "node:test";
import { selectControlPath } from "../../src/control/path.ts";

const usual = { configured: undefined, environment: {}, hasRun: true };

test("selectControlPath takes the configuration's path, then systemd's directory, then the system's", () => {
  const environment = { RUNTIME_DIRECTORY: "/run/a:/run/b" };
  assert.equal(selectControlPath({ ...usual, configured: "/tmp/x", environment }), "/tmp/x");
  assert.equal(selectControlPath({ ...usual, configured: "off", environment }), undefined);
  assert.equal(selectControlPath({ ...usual, environment }), "/run/a/control.sock");
  assert.equal(selectControlPath(usual), "/run/stunmesh-ts/control.sock");
  assert.equal(selectControlPath({ ...usual, hasRun: false }), "/var/run/stunmesh-ts/control.sock");
});
