import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { parseIp } from "../../../src/address.ts";
import { StunmeshError } from "../../../src/errors.ts";
import type { PcapHandle } from "../../../src/platform/native/pcap-handle.ts";
import { openCapture } from "../../../src/platform/pcap/capture.ts";
import { dlt } from "../../../src/platform/pcap/link-frame.ts";
import { createFakeClock } from "../../fakes/clock.ts";
import { answerV4, answerV6, match, PORT } from "./frames.ts";

type Listener = Parameters<PcapHandle["listen"]>[0];

interface FakeHandle extends PcapHandle {
  readonly log: string[];
  listener?: Listener;
}

/** Interfaces by name; an error is what opening it throws. */
interface World {
  readonly interfaces: Readonly<Record<string, { readonly linkType?: number; readonly error?: Error }>>;
  readonly own?: readonly string[];
  readonly family?: "ipv4" | "ipv6";
  readonly areNamed?: boolean;
}

async function open({ interfaces, own = ["192.0.2.1"], family = "ipv4", areNamed = true }: World) {
  const handles = new Map<string, FakeHandle>();
  const addresses = [...own];
  const payloads: string[] = [];
  const skipped: string[] = [];
  const clock = createFakeClock();
  const reads = { count: 0, fails: false };
  const capture = await openCapture(
    {
      family,
      localPort: PORT,
      match,
      names: Object.keys(interfaces),
      areNamed,
      onDatagram: ({ from }) => payloads.push(from.host),
      onSkipped: ({ interface: name, reason }) => skipped.push(`${name}: ${reason}`),
    },
    {
      clock,
      openHandle(name) {
        const { linkType = dlt.raw, error } = interfaces[name] ?? {};
        if (error) throw error;
        const log: string[] = [];
        const handle: FakeHandle = {
          log,
          linkType,
          setFilter: (expression) => log.push(expression),
          listen(listener) {
            handle.listener = listener;
          },
          stop: () => log.push("stop"),
          close: () => log.push("close"),
        };
        handles.set(name, handle);
        return handle;
      },
      readInterfaces() {
        reads.count++;
        if (reads.fails) throw new Error("not now");
        return [
          { name: "em0", isUp: true, isLoopback: false, addresses: addresses.flatMap((one) => parseIp(one) ?? []) },
        ];
      },
    },
  );
  const receive = (name: string, frame: Uint8Array) => handles.get(name)?.listener?.onFrame(frame);
  return { capture, handles, addresses, payloads, skipped, clock, reads, receive };
}

test("openCapture delivers answers of every interface, and filters each by its link type", async () => {
  const { handles, payloads, receive } = await open({ interfaces: { em0: {}, em1: { linkType: dlt.ethernet } } });
  receive("em0", answerV4());
  receive("em1", Uint8Array.from([...new Uint8Array(12), 8, 0, ...answerV4()]));
  assert.deepEqual(payloads, ["203.0.113.9", "203.0.113.9"]);
  assert.match(handles.get("em0")?.log[0] ?? "", /^ip and udp dst port 51820 and udp\[12:4\] = 0x2112a442$/);
  assert.match(handles.get("em1")?.log[0] ?? "", /^\(ip .*\) or \(vlan and /);
});

test("openCapture checks port, word, family and length once more", async () => {
  const { payloads, receive } = await open({ interfaces: { em0: {} }, own: ["192.0.2.1", "2001:db8::1"] });
  receive("em0", answerV4({ port: PORT + 1 }));
  receive("em0", answerV4({ word: 1 }));
  receive("em0", answerV6());
  receive("em0", answerV4().subarray(0, 40));
  receive("em0", new Uint8Array(0));
  assert.deepEqual(payloads, []);
});

test("openCapture delivers nothing that is for another host, and notices new addresses of this one", async () => {
  const { payloads, receive, addresses, clock, reads } = await open({ interfaces: { em0: {} }, own: ["10.0.0.1"] });
  for (let count = 0; count < 1000; count++) receive("em0", answerV4());
  assert.deepEqual(payloads, []);
  assert.equal(reads.count, 2, "the addresses are not read for each of them");
  addresses.push("192.0.2.1");
  receive("em0", answerV4());
  assert.deepEqual(payloads, []);
  await clock.advance(1000);
  receive("em0", answerV4());
  assert.deepEqual(payloads, ["203.0.113.9"]);
});

test("openCapture goes by the addresses it knew when they cannot be read again", async () => {
  const { payloads, receive, reads } = await open({ interfaces: { em0: {} }, own: ["2001:db8::1"], family: "ipv6" });
  reads.fails = true;
  receive("em0", answerV6().with(39, 9));
  receive("em0", answerV6());
  assert.deepEqual(payloads, ["2001:db8::7"]);
});

test("openCapture reports an interface that cannot be opened or breaks, and goes on with the others", async () => {
  const gone = new StunmeshError("SYSTEM_CALL_FAILED", 'Cannot listen on "em1": No such device exists');
  const { capture, handles, payloads, skipped, receive } = await open({
    interfaces: { em0: {}, em1: { error: gone }, em2: {} },
  });
  assert.deepEqual(skipped, ['em1: Cannot listen on "em1": No such device exists']);
  handles.get("em2")?.listener?.onBroken(new StunmeshError("SYSTEM_CALL_FAILED", "The interface disappeared"));
  assert.deepEqual(skipped.slice(1), ["em2: The interface disappeared"]);
  assert.equal(handles.get("em2")?.log.at(-1), "close");
  receive("em0", answerV4());
  assert.equal(payloads.length, 1);
  capture.close();
  await setImmediate();
  await setImmediate();
  assert.deepEqual(handles.get("em0")?.log.slice(1), ["stop", "close"]);
  assert.equal(handles.get("em2")?.log.filter((call) => call === "close").length, 1);
});

test("openCapture stops all handles at once and closes them one in a turn, once", async () => {
  const { capture, handles } = await open({ interfaces: { em0: {}, em1: {}, em2: {} } });
  const closed = () => [...handles.values()].filter(({ log }) => log.includes("close")).length;
  capture.close();
  capture.close();
  assert.ok([...handles.values()].every(({ log }) => log.at(-1) === "stop"));
  const counts = [closed()];
  for (let turn = 0; turn < 6; turn++) {
    await setImmediate();
    counts.push(closed());
  }
  assert.deepEqual([counts[0], counts.at(-1)], [0, 3]);
  assert.ok(counts.includes(1) && counts.includes(2));
});

test("openCapture leaves out link types without IP, with a word only when they were named", async () => {
  const pflog = 117;
  const unnamed = await open({ interfaces: { em0: {}, pflog0: { linkType: pflog } }, areNamed: false });
  assert.deepEqual(unnamed.skipped, []);
  const named = await open({ interfaces: { em0: {}, pflog0: { linkType: pflog } } });
  assert.match(named.skipped[0] ?? "", /^pflog0: Cannot listen on "pflog0": its packets are of link type 117, /);
  for (const { handles } of [unnamed, named]) assert.deepEqual(handles.get("pflog0")?.log, ["close"]);
});

test("openCapture says why nothing could be opened, and that a right is missing before all else", async () => {
  const failed = (name: string) => new StunmeshError("SYSTEM_CALL_FAILED", `Cannot listen on "${name}": it is down`);
  await assert.rejects(open({ interfaces: { em0: { error: failed("em0") }, em1: { error: failed("em1") } } }), {
    code: "SYSTEM_CALL_FAILED",
    message: 'Cannot listen for answers: Cannot listen on "em0": it is down; Cannot listen on "em1": it is down',
  });
  const denied = new StunmeshError("PERMISSION_DENIED", 'Cannot listen on "em1": run as root');
  await assert.rejects(open({ interfaces: { em0: { error: failed("em0") }, em1: { error: denied } } }), denied);
  await assert.rejects(open({ interfaces: { pflog0: { linkType: 117 } }, areNamed: false }), {
    code: "SYSTEM_CALL_FAILED",
    message: "Cannot listen for answers: no packets of IP come by pflog0",
  });
});
