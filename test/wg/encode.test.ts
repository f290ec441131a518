import assert from "node:assert/strict";
import { test } from "node:test";
import * as tool from "../../src/wg/tool-encode.ts";
import * as uapi from "../../src/wg/uapi-encode.ts";

const publicKey = Uint8Array.from(Buffer.from("24jmXGN5dXkEtSr2KHxDxkJN082UAtOyQOcmhxVXtnc=", "base64"));
const ipv4 = { publicKey, endpoint: { family: "ipv4", host: "203.0.113.10", port: 51820 } } as const;
const ipv6 = { publicKey, endpoint: { family: "ipv6", host: "2001:db8::1", port: 51820 } } as const;

test("encodeSetEndpoints of the userspace protocol updates only", () => {
  assert.equal(uapi.getRequest, "get=1\n\n");
  assert.equal(
    uapi.encodeSetEndpoints([ipv4, ipv6]),
    `set=1
public_key=db88e65c6379757904b52af6287c43c6424dd3cd9402d3b240e726871557b677
update_only=true
endpoint=203.0.113.10:51820
public_key=db88e65c6379757904b52af6287c43c6424dd3cd9402d3b240e726871557b677
update_only=true
endpoint=[2001:db8::1]:51820

`,
  );
});

test("encodeSetEndpoints of wg(8) gives the arguments of a command", () => {
  assert.deepEqual(tool.encodeShow("wg0"), ["show", "wg0", "dump"]);
  assert.deepEqual(tool.encodeSetEndpoints("wg0", [ipv4]), [
    ["set", "wg0", "peer", "24jmXGN5dXkEtSr2KHxDxkJN082UAtOyQOcmhxVXtnc=", "endpoint", "203.0.113.10:51820"],
  ]);
  assert.deepEqual(tool.encodeSetEndpoints("wg0", [ipv6])[0]?.at(-1), "[2001:db8::1]:51820");
  assert.deepEqual(tool.encodeSetEndpoints("wg0", []), []);
});
