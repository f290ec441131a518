/** Lines of text out of a stream of bytes, for answers that are read while they come. */

interface LineLimits {
  /** Longer lines are passed over. */
  readonly maxLineBytes: number;
  /** Reading ends after this many bytes, as if there were no more. @default no limit */
  readonly maxBytes?: number;
}

/**
 * The lines of `source` without their ends (\n or \r\n), also the last one without an end; lines that are too long or not
 * UTF-8 are left out. Holds no more than one line. Throws what `source` throws.
 */
export async function* readLines(
  source: AsyncIterable<Uint8Array>,
  { maxLineBytes, maxBytes = Number.POSITIVE_INFINITY }: LineLimits,
): AsyncGenerator<string> {
  // One for all lines: an answer may be nothing but ends of lines.
  const decoder = new TextDecoder("utf-8", { fatal: true });
  let pieces: Uint8Array[] = [];
  let lineBytes = 0;
  let readBytes = 0;

  function keep(piece: Uint8Array): void {
    lineBytes += piece.length;
    if (lineBytes > maxLineBytes) pieces = [];
    else if (piece.length > 0) pieces.push(piece);
  }
  function finishLine(): string | undefined {
    const [first, ...more] = pieces;
    const bytes = first && more.length === 0 ? first : Buffer.concat(pieces);
    const line = lineBytes > maxLineBytes ? undefined : lineBytes === 0 ? "" : decodeLine(bytes, decoder);
    pieces = [];
    lineBytes = 0;
    return line;
  }

  for await (const chunk of source) {
    let start = 0;
    for (let end = chunk.indexOf(0x0a); end >= 0; end = chunk.indexOf(0x0a, start)) {
      keep(chunk.subarray(start, end));
      start = end + 1;
      const line = finishLine();
      if (line !== undefined) yield line;
    }
    keep(chunk.subarray(start));
    readBytes += chunk.length;
    // What is left is the beginning of a line at best.
    if (readBytes > maxBytes) return;
  }
  const last = lineBytes > 0 ? finishLine() : undefined;
  if (last !== undefined) yield last;
}

function decodeLine(bytes: Uint8Array, decoder: Pick<InstanceType<typeof TextDecoder>, "decode">): string | undefined {
  try {
    return decoder.decode(bytes).replace(/\r$/, "");
  } catch {
    return undefined;
  }
}
