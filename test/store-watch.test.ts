import assert from "node:assert/strict";
import { test } from "node:test";
import type { NamedStore } from "../src/exchange.ts";
import { createPeerState } from "../src/peer-state.ts";
import type { WatchHandlers } from "../src/plugins/types.ts";
import { storageKey } from "../src/record.ts";
import { createStoreWatch } from "../src/store-watch.ts";
import { createPeerConfig, createPeerReading, createReading } from "./fakes/device.ts";
import { createFakeLog } from "./fakes/log.ts";
import { createFakeStore } from "./fakes/store.ts";

interface OpenWatch {
  readonly keys: readonly string[];
  readonly handlers: WatchHandlers;
}

/** A store that can be watched, and the watches that are open. */
function createWatchable(name: string) {
  const open = new Set<OpenWatch>();
  const store: NamedStore = {
    name,
    dedup: false,
    store: {
      ...createFakeStore(),
      watch(keys, handlers) {
        const watch = { keys, handlers };
        open.add(watch);
        return { close: () => void open.delete(watch) };
      },
    },
  };
  return { open, entry: [name, store] as const };
}

function start() {
  const files = createWatchable("files");
  const other = createWatchable("other");
  const { watch: _, ...blind } = createFakeStore();
  const blindEntry = ["blind", { name: "blind", dedup: false, store: blind }] as const;
  const peers = (["files", "files", "other", "blind"] as const).map((plugin, index) =>
    createPeerState(createPeerConfig({ name: `peer${index}`, plugins: [plugin] })),
  );
  const device = createReading(peers.map(({ config }) => createPeerReading(config)));
  const log = createFakeLog();
  const changed: string[] = [];
  const watch = createStoreWatch({
    stores: new Map([files.entry, other.entry, blindEntry]),
    log,
    onChange: ({ config }) => changed.push(config.name),
  });
  const keyOf = (index: number) =>
    storageKey({ senderKey: peers[index]!.config.publicKey, receiverKey: device.publicKey });
  return { files, other, peers, device, log, changed, watch, keyOf };
}

test("each store is watched for what its peers publish for this device", () => {
  const { files, other, peers, device, watch, keyOf } = start();
  watch.update(device, peers);
  assert.deepEqual(
    [...files.open].map(({ keys }) => keys),
    [[keyOf(0), keyOf(1)]],
  );
  assert.deepEqual(
    [...other.open].map(({ keys }) => keys),
    [[keyOf(2)]],
  );
});

test("a change names the peer it is of; a key nobody asked for names none", () => {
  const { files, peers, device, changed, watch, keyOf } = start();
  watch.update(device, peers);
  const [open] = files.open;
  open?.handlers.onChange(keyOf(1));
  open?.handlers.onChange(keyOf(2));
  open?.handlers.onChange("nonsense");
  assert.deepEqual(changed, ["peer1"]);
});

test("an update closes the watches before it, and a store without peers is not watched", () => {
  const { files, other, peers, device, watch, keyOf } = start();
  watch.update(device, peers);
  watch.update(device, peers.slice(0, 1));
  assert.deepEqual(
    [...files.open].map(({ keys }) => keys),
    [[keyOf(0)]],
  );
  assert.equal(other.open.size, 0);
  watch.close();
  assert.equal(files.open.size, 0);
});

test("a new key of the device is another place to watch", () => {
  const { files, peers, device, watch, keyOf } = start();
  const renewed = { ...device, ...createReading() };
  watch.update(renewed, peers.slice(0, 1));
  const [open] = files.open;
  assert.notEqual(open?.keys[0], keyOf(0));
});

test("a watch that breaks is said at debug, and the others go on", () => {
  const { files, other, peers, device, log, changed, watch, keyOf } = start();
  watch.update(device, peers);
  for (const { handlers } of files.open) handlers.onError(new Error("too many files"));
  for (const { handlers } of other.open) handlers.onChange(keyOf(2));
  assert.deepEqual(
    log.lines.map(({ level, plugin, err }) => ({ level, plugin, err })),
    [{ level: "debug", plugin: "files", err: "too many files" }],
  );
  assert.deepEqual(changed, ["peer2"]);
});
