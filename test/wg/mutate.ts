/** Makes broken texts of good ones: what a decoder may get from a program that is not what it should be. */
import type { FakeRandom } from "../fakes/random.ts";

/** One to four random changes: bytes replaced, cut out, repeated, swapped, the end missing, numbers made extreme. */
export function mutate(text: Buffer, random: FakeRandom): Buffer {
  let bytes: Buffer = Buffer.from(text);
  for (let left = 1 + random.integer(4); left > 0; left--) bytes = mutateOnce(bytes, random);
  return bytes;
}

const interesting = [
  "\n",
  "\t",
  "=",
  "\n\n",
  "0",
  "-1",
  "99999999999999999999",
  "(none)",
  "off",
  "0x",
  "[",
  "%",
  "\0",
  "é",
];

function mutateOnce(bytes: Buffer, random: FakeRandom): Buffer {
  const at = random.integer(bytes.length + 1);
  const to = Math.min(at + random.integer(40), bytes.length);
  const [head, cut, tail] = [bytes.subarray(0, at), bytes.subarray(at, to), bytes.subarray(to)];
  switch (random.integer(6)) {
    case 0:
      return Buffer.concat([head, tail]);
    case 1:
      return Buffer.concat([head, cut, cut, tail]);
    case 2:
      return Buffer.concat([head, Buffer.from(interesting[random.integer(interesting.length)] ?? ""), tail]);
    case 3:
      return Buffer.concat([head, random.bytes(to - at), tail]);
    case 4:
      return Buffer.from(head);
    default:
      return Buffer.concat([tail, cut, head]);
  }
}
