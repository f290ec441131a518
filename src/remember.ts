/** What a loop knows about its peers, to and from the memory that survives a restart. */
import type { PeerState } from "./peer-state.ts";
import type { InterfaceMemory, PeerMemory } from "./state/memory-text.ts";
import type { WireGuardDevice } from "./wg/types.ts";

/** The memory of one interface, as state/memory.ts offers it. */
export interface Remembered {
  load(devicePublicKey: Uint8Array): ReadonlyMap<string, PeerMemory>;
  save(take: () => InterfaceMemory): void;
  flush(): Promise<void>;
}

/** Fills in what is not known yet about `peers` from what was remembered. */
export function recall(memory: Remembered, { device, peers }: Known): void {
  const remembered = memory.load(device.publicKey);
  for (const peer of peers) {
    const { sequence, recordSequence, aheadSequence, record, worked } = remembered.get(keyText(peer)) ?? {};
    if (sequence !== undefined) peer.sequence ??= sequence;
    // They belong together.
    if (peer.recordSequence === undefined) Object.assign(peer, { recordSequence, aheadSequence });
    if (record && !peer.record) {
      peer.record = { endpoints: record };
      if (worked) peer.fallback = worked;
    }
    if (worked) peer.worked ??= worked;
  }
}

/** Has what is known about `peers` written soon. */
export function remember(memory: Remembered, { device, peers }: Known): void {
  const { publicKey } = device;
  memory.save(() => ({ publicKey, peers: new Map(peers.map((peer) => [keyText(peer), memoryOf(peer)])) }));
}

interface Known {
  readonly device: WireGuardDevice;
  readonly peers: readonly PeerState[];
}

function memoryOf({ sequence, recordSequence, aheadSequence, record, worked }: PeerState): PeerMemory {
  return { sequence, recordSequence, aheadSequence, record: record?.endpoints, worked };
}

function keyText({ config }: PeerState): string {
  return Buffer.from(config.publicKey).toString("base64");
}
