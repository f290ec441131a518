/** Random numbers that are the same in every run, so that a failure can be repeated. */

export interface FakeRandom {
  /** 0 <= result < 1 */
  next(): number;
  /** 0 <= result < below */
  integer(below: number): number;
  bytes(count: number): Uint8Array;
}

/** mulberry32: small and good enough to choose test cases. */
export function createFakeRandom(seed: number): FakeRandom {
  let state = seed >>> 0;
  function next(): number {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }
  const integer = (below: number) => Math.floor(next() * below);
  function bytes(count: number): Uint8Array {
    const filled = new Uint8Array(count);
    for (let index = 0; index < count; index++) filled[index] = integer(256);
    return filled;
  }
  return { next, integer, bytes };
}
