/**
 * Reading a file that should be small, whatever it is: a pipe, a device without an end, a wrong path.
 */
import { open } from "node:fs/promises";

/** Content of a file, and its mode (stat(2)). Reads no more than `limit` bytes. Throws what the file system throws. */
export async function readAtMost(
  path: string,
  limit: number,
): Promise<{ readonly bytes: Buffer; readonly mode: number }> {
  const file = await open(path, "r");
  try {
    const { mode } = await file.stat();
    const chunks: Buffer[] = [];
    let length = 0;
    while (length < limit) {
      const { buffer, bytesRead } = await file.read({ buffer: Buffer.alloc(Math.min(64 * 1024, limit - length)) });
      if (bytesRead === 0) break;
      chunks.push(buffer.subarray(0, bytesRead));
      length += bytesRead;
    }
    return { bytes: Buffer.concat(chunks), mode };
  } finally {
    await file.close();
  }
}
