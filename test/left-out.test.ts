import assert from "node:assert/strict";
import { test } from "node:test";
import { createReportLeftOut } from "../src/left-out.ts";
import { createFakeLog } from "./fakes/log.ts";

const LEFT_OUT = "network interface left out";
const NO_LONGER = "network interface no longer left out";

function start() {
  const log = createFakeLog();
  const report = createReportLeftOut(log);
  /** One discovery that leaves out the given interfaces. */
  function discover(skipped: Readonly<Record<string, string>>, family: "ipv4" | "ipv6" = "ipv4") {
    const { onSkipped, onOpen } = report({ device: "wg0", family });
    for (const [name, reason] of Object.entries(skipped)) onSkipped({ interface: name, reason });
    onOpen();
    return onSkipped;
  }
  return { log, discover };
}

test("an interface that is left out is a warning once, and information when it is not any more", () => {
  const { log, discover } = start();
  for (let round = 0; round < 3; round++) discover({ em1: "it is down" });
  discover({});
  discover({});
  assert.deepEqual(
    log.lines.map(({ level, msg }) => `${level}: ${msg}`),
    [`warn: ${LEFT_OUT}`, `debug: ${LEFT_OUT}`, `debug: ${LEFT_OUT}`, `info: ${NO_LONGER}`],
  );
  assert.deepEqual(log.lines[0], {
    level: "warn",
    msg: LEFT_OUT,
    interface: "wg0",
    family: "ipv4",
    names: ["em1"],
    err: "it is down",
  });
});

test("an interface that goes away while it is listened on is remembered until the next discovery", () => {
  const { log, discover } = start();
  const onSkipped = discover({});
  onSkipped({ interface: "em1", reason: "The interface disappeared" });
  discover({});
  assert.equal(log.find(LEFT_OUT, "warn").length, 1);
  assert.equal(log.find(NO_LONGER, "info").length, 1);
});

test("another reason, interface or family is another warning", () => {
  const { log, discover } = start();
  discover({ em1: "it is down" });
  discover({ em1: "there is no such interface", em2: "it is down" });
  discover({ em1: "it is down" }, "ipv6");
  assert.equal(log.find(LEFT_OUT, "warn").length, 4);
  assert.equal(log.find(NO_LONGER).length, 0);
});
