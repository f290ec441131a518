/** Makes bad inputs of good ones, the same in every run. */
import type { FakeRandom } from "../fakes/random.ts";

/** What decoders stumble over, whatever they decode. */
const pieces = [
  ..."\0\t\n\r :-[]{}()#&*!|>'\"%@`,?<=~./\\$+;_09aAz\x7f\xff\x80\x01",
  "\n\n",
  "\r\n",
  "- ",
  ": ",
  "|\n",
  "---\n",
  "<<: *a",
  "&a ",
  "*a",
  "null",
  "true",
  "-1",
  "0x",
  "1e999",
  "-0",
  ".nan",
  "9007199254740993",
  "99999999999999999999",
  "__proto__",
  "constructor",
  "\\u0000",
  "\ud800",
  "\ufeff",
  "\u2028",
  "é",
  "(none)",
  "off",
  "$-1\r\n",
  "*64\r\n",
  "*-1\r\n",
  ":1\r\n",
  "\xc0\x0c",
  "\xc0\x00",
  "\xff\xff",
  "\x00\x00\x00\x00",
  "11s",
  "[::1]",
  "192.0.2.1:1",
].map((text) => Buffer.from(text, "latin1"));

/** One to four changes of one of `samples`: bytes replaced, cut out, repeated, put in, parts swapped, two samples joined. */
export function mutate(samples: readonly Buffer[], random: FakeRandom): Buffer {
  const pick = () => samples[random.integer(samples.length)] ?? Buffer.alloc(0);
  let bytes = Buffer.from(pick());
  for (let left = 1 + random.integer(4); left > 0; left--) bytes = mutateOnce(bytes, { random, pick });
  return bytes;
}

function mutateOnce(
  bytes: Buffer,
  { random, pick }: { readonly random: FakeRandom; readonly pick: () => Buffer },
): Buffer<ArrayBuffer> {
  const at = random.integer(bytes.length + 1);
  const to = Math.min(at + random.integer(random.integer(4) === 0 ? 200 : 12), bytes.length);
  const [head, cut, tail] = [bytes.subarray(0, at), bytes.subarray(at, to), bytes.subarray(to)];
  const piece = pieces[random.integer(pieces.length)] ?? head;
  switch (random.integer(10)) {
    case 0:
      return Buffer.concat([head, tail]);
    case 1:
      return Buffer.concat([head, cut, cut, tail]);
    case 2:
      return Buffer.concat([head, piece, tail]);
    case 3:
      return Buffer.concat([head, piece, cut, tail]);
    case 4:
      return Buffer.concat([head, random.bytes(to - at), tail]);
    case 5:
      return Buffer.concat([head]);
    case 6:
      return Buffer.concat([head, ...Array.from({ length: 1 + random.integer(100) }, () => piece), tail]);
    case 7:
      return Buffer.concat([head, pick()]);
    case 8: {
      const changed = Buffer.from(bytes);
      if (changed.length > 0) changed[random.integer(changed.length)] = random.integer(256);
      return changed;
    }
    default:
      return Buffer.concat([tail, cut, head]);
  }
}
