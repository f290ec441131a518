/**
 * Collects what another program sends, up to a limit. The bytes contain private keys: they are used once, and wiped.
 */

/** Longest answer about a device that is accepted; 16 MiB is 30,000 peers with ten networks each. */
export const MAX_REPLY_BYTES = 16 * 1024 * 1024;

export interface ByteCollector {
  /** Takes a chunk over; false when it is one byte too many, and nothing of it was kept. */
  push(chunk: Buffer): boolean;
  /** Calls `use` with all bytes in one piece and wipes them afterwards, also when `use` throws. */
  use<T>(use: (bytes: Buffer) => T): T;
  /** Wipes what was collected. */
  wipe(): void;
}

/** Makes an empty collector for at most `maxBytes`. */
export function createByteCollector(maxBytes: number): ByteCollector {
  let chunks: Buffer[] = [];
  let length = 0;
  function wipe() {
    for (const chunk of chunks) chunk.fill(0);
    chunks = [];
    length = 0;
  }
  return {
    push(chunk) {
      if (length + chunk.length > maxBytes) {
        chunk.fill(0);
        return false;
      }
      chunks.push(chunk);
      length += chunk.length;
      return true;
    },
    use(use) {
      const bytes = Buffer.concat(chunks, length);
      wipe();
      try {
        return use(bytes);
      } finally {
        bytes.fill(0);
      }
    },
    wipe,
  };
}
