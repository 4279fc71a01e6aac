/**
 * Places in one piece of memory for values that live at different times.
 *
 * @module
 */

/** A value that needs a place. */
export interface Tenant {
  /** Bytes that it takes. */
  readonly bytes: number;
  /** When it is first touched. */
  readonly from: number;
  /** When it is last touched. */
  readonly to: number;
}

/** Where values lie. */
export interface Places {
  /** The offset of each, in the order that they were given in; multiples of the alignment. */
  readonly offsets: readonly number[];
  /** Bytes of all together. */
  readonly bytes: number;
}

/**
 * Finds places so that no two values overlap while both live: the largest first, each at the lowest offset that is free for all
 * of its life.
 *
 * @param tenants The values
 * @param alignment What offsets are multiples of (default 64)
 */
export function placesOf(tenants: readonly Tenant[], alignment = 64): Places {
  const lengths = tenants.map(({ bytes }) => Math.ceil(bytes / alignment) * alignment);
  const order = [...tenants.keys()].sort((a, b) => lengths[b] - lengths[a] || tenants[a].from - tenants[b].from);
  const offsets: number[] = new Array(tenants.length).fill(0);
  // Those that have a place, by offset.
  const placed: number[] = [];
  let bytes = 0;
  for (const each of order) {
    const { from, to } = tenants[each];
    let offset = 0;
    for (const other of placed) {
      if (tenants[other].to < from || tenants[other].from > to) continue;
      if (offsets[other] - offset >= lengths[each]) break;
      offset = Math.max(offset, offsets[other] + lengths[other]);
    }
    offsets[each] = offset;
    bytes = Math.max(bytes, offset + lengths[each]);
    let [low, high] = [0, placed.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (offsets[placed[middle]] <= offset) low = middle + 1;
      else high = middle;
    }
    placed.splice(low, 0, each);
  }
  return { offsets, bytes };
}
