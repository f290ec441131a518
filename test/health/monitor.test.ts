import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { type PingTarget, startHealthMonitor, untilNextProbe } from "../../src/health/monitor.ts";
import { createFakeClock } from "../fakes/clock.ts";
import { createFakeLog } from "../fakes/log.ts";

/** A monitor whose targets answer in 5 ms, unless `lost` says so of their address. */
function start(t: TestContext, targets: readonly Pick<PingTarget, "name" | "intervalMs">[]) {
  const clock = createFakeClock();
  const stop = new AbortController();
  const lost = new Set<string>();
  const idle = new Set<string>();
  const elsewhere = new Set<string>();
  const answers: string[] = [];
  const sent: { readonly name: string; readonly atMs: number }[] = [];
  const verdicts: string[] = [];
  const misses: string[] = [];
  const monitor = startHealthMonitor(
    {
      targets: targets.map(({ name, intervalMs }) => ({
        name,
        intervalMs,
        timeoutMs: 1_000,
        resolve: async () => (name === "unnamed" ? undefined : { family: "ipv4", target: name }),
      })),
      clock,
      log: createFakeLog(),
      async ping({ target, timeoutMs }, signal) {
        sent.push({ name: target, atMs: clock.monotonic() });
        await clock.sleep(lost.has(target) ? timeoutMs : 5, signal);
        return lost.has(target) ? undefined : 5;
      },
      isProbeable: (name) => !idle.has(name),
      isTarget: (_name, target) => !elsewhere.has(target),
      onAnswer: (name) => answers.push(name),
      onMiss: (name) => misses.push(name),
      onVerdict: (name, { verdict }) => verdicts.push(`${name} ${verdict}`),
    },
    stop.signal,
  );
  t.after(async () => {
    stop.abort();
    await monitor.ended;
    assert.equal(clock.sleeping, 0);
  });
  const timesOf = (name: string) => sent.filter((one) => one.name === name).map(({ atMs }) => atMs);
  return { clock, monitor, lost, idle, elsewhere, answers, verdicts, misses, timesOf };
}

test("every target is probed at its own interval", async (t) => {
  const { clock, timesOf, verdicts } = start(t, [
    { name: "a", intervalMs: 1_000 },
    { name: "b", intervalMs: 3_000 },
  ]);
  await clock.advance(6_100);
  assert.equal(timesOf("a").length, 7);
  assert.equal(timesOf("b").length, 3);
  assert.deepEqual(verdicts, ["a up", "b up"]);
});

test("a lost probe is confirmed by two more within half a second, and then the tunnel is down", async (t) => {
  const { clock, lost, timesOf, verdicts, misses, monitor } = start(t, [{ name: "a", intervalMs: 10_000 }]);
  await clock.advance(9_000);
  lost.add("a");
  await clock.advance(4_000);
  const [, first = 0, second, third] = timesOf("a");
  assert.deepEqual([second, third], [first + 1_000, first + 1_500]);
  assert.deepEqual([verdicts, misses], [["a up", "a down"], ["a"]]);
  lost.delete("a");
  monitor.probeNow("a");
  await clock.advance(100);
  assert.deepEqual(verdicts, ["a up", "a down", "a up"]);
});

test("what cannot be probed is not, and what was known of it is forgotten", async (t) => {
  const { clock, idle, timesOf, monitor } = start(t, [{ name: "a", intervalMs: 1_000 }]);
  await clock.advance(100);
  assert.equal(monitor.health("a")?.verdict, "up");
  idle.add("a");
  await clock.advance(5_000);
  assert.equal(timesOf("a").length, 1);
  assert.equal(monitor.health("a"), undefined);
});

test("a name that does not resolve is a lost probe", async (t) => {
  const { clock, verdicts } = start(t, [{ name: "unnamed", intervalMs: 1_000 }]);
  await clock.advance(4_000);
  assert.deepEqual(verdicts, ["unnamed down"]);
});

test("untilNextProbe() puts probes on common moments, at their interval", () => {
  const next = (startedMs: number, nowMs: number, intervalMs: number) =>
    untilNextProbe({ startedMs, nowMs, intervalMs }) + nowMs;
  // From any moment to the nearest common one, and from there on at exactly the interval, however late timers are.
  assert.equal(next(10_060, 10_070, 1_000), 11_000);
  assert.equal(next(10_140, 10_150, 1_000), 11_250);
  assert.equal(next(11_000, 11_004, 1_000), 12_000);
  assert.equal(next(12_006, 12_009, 1_000), 13_000);
  assert.equal(next(1_000, 1_003, 100), 1_100);
  assert.equal(next(1_000, 1_003, 30_000), 31_000);
  // After a probe that took longer than its interval the next one comes at once.
  assert.equal(next(1_000, 3_500, 1_000), 3_501);
});

test("what is not behind the tunnel is not pinged and has no verdict, until it is", async (t) => {
  const { clock, monitor, elsewhere, answers, timesOf, verdicts, misses } = start(t, [
    { name: "a", intervalMs: 1_000 },
  ]);
  elsewhere.add("a");
  await clock.advance(5_100);
  assert.deepEqual(timesOf("a"), []);
  assert.equal(monitor.health("a"), undefined);
  elsewhere.delete("a");
  await clock.advance(1_000);
  assert.deepEqual(verdicts, ["a up"]);
  assert.deepEqual(answers, ["a"]);
  elsewhere.add("a");
  await clock.advance(5_000);
  assert.equal(monitor.health("a"), undefined);
  assert.deepEqual(misses, []);
});
