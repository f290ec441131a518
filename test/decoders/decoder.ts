/** What reads text or bytes from outside, as the tests of all decoders at once see it. */
import { StunmeshError } from "../../src/errors.ts";

export interface Decoder {
  readonly name: string;
  /** Good inputs, and bad ones that were trouble once: what the fuzzer begins with. */
  readonly samples: readonly Buffer[];
  /** The worst that is known, by what is bad about it, in about so many bytes. */
  readonly worst: Readonly<Record<string, (bytes: number) => Buffer>>;
  /** Reads an input; may return a promise. */
  decode(input: Buffer): unknown;
  /** Whether an error is one that the decoder promises. @default a StunmeshError */
  isDeclared?(error: unknown): boolean;
}

export function isDeclared(decoder: Decoder, error: unknown): boolean {
  return decoder.isDeclared?.(error) ?? error instanceof StunmeshError;
}

/** `unit` again and again, `bytes` long. */
export function fill(unit: string, bytes: number): string {
  return unit.repeat(Math.ceil(bytes / unit.length)).slice(0, bytes);
}

/** Texts made by `make` for 0, 1, 2 ... until they have `bytes`. */
export function many(make: (index: number) => string, bytes: number): string {
  const parts: string[] = [];
  for (let length = 0; length < bytes; ) {
    const part = make(parts.length);
    parts.push(part);
    length += part.length;
  }
  return parts.join("");
}

/** `head`, `unit` again and again, and an end that fits nothing. */
export function run(unit: string, { head = "", end = "x" } = {}): (bytes: number) => Buffer {
  return (bytes) => Buffer.from(`${head}${fill(unit, bytes - head.length - end.length)}${end}`);
}
