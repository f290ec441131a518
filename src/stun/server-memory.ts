/**
 * What earlier discoveries of one family learned about the servers: in which order the next one asks them. So a dead server
 * costs time only once, and one far down the list is reached although each discovery has a deadline.
 *
 * Servers and the addresses of their names are known by their labels, as formatServerAt() makes them.
 */

export interface ServerMemory {
  /**
   * `items` as they are to be asked: first the one that answered last, then those that have not failed, then those that have,
   * the longest ago first, and last those that others contradict.
   */
  order<T>(items: readonly T[], labelOf: (item: T) => string): readonly T[];
  /** One of the labels of a server answered: its name, and its address. */
  answered(label: string): void;
  /** It was asked in vain. */
  failed(label: string): void;
  /** The servers, by name, that others contradict; all others are believed again. */
  distrust(labels: readonly string[]): void;
  isDistrusted(label: string): boolean;
}

/** A name may have other addresses every time it is looked up. */
const MAX_LABELS = 512;

/** Makes one that knows nothing yet. */
export function createServerMemory(): ServerMemory {
  /** In the order of their last failure, and of their last answer. */
  const inVain = new Set<string>();
  const good = new Set<string>();
  let distrusted: ReadonlySet<string> = new Set();

  function rank(label: string): number {
    if (distrusted.has(label)) return Number.POSITIVE_INFINITY;
    const failure = [...inVain].indexOf(label);
    if (failure >= 0) return 1 + failure;
    return -1 - [...good].indexOf(label);
  }

  return {
    order(items, labelOf) {
      // Array.sort keeps the order of equals.
      return [...items]
        .map((item) => ({ item, rank: rank(labelOf(item)) }))
        .sort((a, b) => (a.rank === b.rank ? 0 : a.rank - b.rank))
        .map(({ item }) => item);
    },
    answered(label) {
      inVain.delete(label);
      append(good, label);
    },
    failed(label) {
      good.delete(label);
      append(inVain, label);
    },
    distrust(labels) {
      distrusted = new Set(labels);
    },
    isDistrusted: (label) => distrusted.has(label),
  };
}

function append(labels: Set<string>, label: string): void {
  labels.delete(label);
  labels.add(label);
  const [oldest] = labels;
  if (labels.size > MAX_LABELS && oldest !== undefined) labels.delete(oldest);
}
