import assert from "node:assert/strict";
import { test } from "node:test";
import { createEvents, type DaemonEvent } from "../src/events.ts";
import { createFakeClock } from "./fakes/clock.ts";
import { createFakeLog } from "./fakes/log.ts";

test("tee writes what the log writes, and tells listeners what is info and above with the fields of its parents", () => {
  const clock = createFakeClock();
  const events = createEvents(clock);
  const log = createFakeLog();
  const teed = events.tee(log);
  const seen: DaemonEvent[] = [];
  teed.warn({}, "before anybody listens");
  const unsubscribe = events.subscribe((event) => seen.push(event));
  teed.child({ interface: "wg0" }).child({ peer: "a" }).error({ code: "TIMEOUT" }, "failed");
  teed.debug({}, "a step");
  teed.trace({}, "a small step");
  unsubscribe();
  teed.info({}, "after");
  const time = new Date(clock.now()).toISOString();
  assert.deepEqual(seen.slice(1), [
    { time, type: "log", level: "error", message: "failed", interface: "wg0", peer: "a", code: "TIMEOUT" },
  ]);
  assert.equal(seen[0]?.type, "hello");
  assert.deepEqual(
    log.lines.map(({ level, msg }) => `${level} ${msg}`),
    ["warn before anybody listens", "error failed", "debug a step", "trace a small step", "info after"],
  );
  assert.equal(log.lines[1]?.interface, "wg0");
});
