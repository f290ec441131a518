/**
 * "Did you mean": the known word nearest to one that is not known. Distance: Damerau-Levenshtein in its restricted form
 * (optimal string alignment), which counts a swap of neighbours, the commonest slip of the hand, as one.
 */

/** Longer words are no slip of the hand, and would cost time. */
const MAX_WORD_CHARS = 40;

/** The known word `word` was probably meant to be, or undefined when none is near. Ignores case. */
export function suggestSpelling(word: string, known: readonly string[]): string | undefined {
  if (word.length > MAX_WORD_CHARS) return undefined;
  const typed = word.toLowerCase();
  // One slip in a short word, two from 5 characters, three from 9: more would suggest unrelated words.
  let nearest = typed.length < 5 ? 2 : typed.length < 9 ? 3 : 4;
  let suggestion: string | undefined;
  for (const candidate of known) {
    if (Math.abs(candidate.length - typed.length) >= nearest) continue;
    const distance = editDistance(typed, candidate.toLowerCase(), nearest);
    if (distance >= nearest || distance >= candidate.length) continue;
    nearest = distance;
    suggestion = candidate;
  }
  return suggestion;
}

/**
 * Insertions, deletions, substitutions and swaps of neighbours that turn `a` into `b`; something of at least `limit` when there
 * are that many. Looks at no more than the diagonals within `limit`: the others cannot lead back in time.
 */
export function editDistance(a: string, b: string, limit = Math.max(a.length, b.length)): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    let least = i;
    for (let j = Math.max(1, i - limit); j <= Math.min(b.length, i + limit); j++) {
      const cost = a[i - 1] === b[j - 1] ? 0 : 1;
      let distance = Math.min((last[j] ?? limit) + 1, (row[j - 1] ?? limit) + 1, (last[j - 1] ?? limit) + cost);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        distance = Math.min(distance, (beforeLast[j - 2] ?? limit) + 1);
      }
      row[j] = distance;
      least = Math.min(least, distance);
    }
    if (least > limit) return least;
    beforeLast = last;
    last = row;
  }
  return last[b.length] ?? limit;
}
