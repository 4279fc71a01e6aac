/**
 * Where TensorFlow puts tensors on a CPU, and how much of the process's memory they touch.
 *
 * It takes regions from the system, each twice as large as the one before, gives none back, and puts every tensor into the
 * smallest hole that it fits in ("best fit with coalescing", `xla/tsl/framework/bfc_allocator.cc`); for every 256 bytes of a
 * region it writes 8 bytes of its own. Tensors below 256 KiB are malloc's
 * (`tensorflow/core/common_runtime/mkl_cpu_allocator.h`).
 *
 * @module
 */

/** Bytes that sizes are rounded up to. */
const GRAIN = 256;

/** The first region. */
const FIRST_REGION = 2 ** 21;

/** Smaller tensors are malloc's. */
const LEAST = 2 ** 18;

/** A hole so much larger than what goes into it is parted, and one of more than twice its size. */
const MOST_WASTED = 2 ** 27;

/** What becomes the process's when a byte of it is touched: a huge page, which malloc asks for. */
const PAGE = 2 ** 21;

/** A stretch of a region: a tensor or a hole. */
interface Chunk {
  readonly region: number;
  readonly at: number;
  size: number;
  isFree: boolean;
  before?: Chunk;
  after?: Chunk;
}

/** A tensor's memory. */
export type Place = Chunk | number;

/** TensorFlow's memory, as far as plans need it. */
export interface Regions {
  /** Makes room for a tensor. */
  readonly take: (bytes: number) => Place;
  /** Gives a tensor's room back. */
  readonly give: (place: Place) => void;
  /** Bytes of the process's memory that tensors have touched so far, and what TensorFlow writes about them. */
  readonly touched: () => number;
}

function precedes(a: Chunk, b: Chunk): boolean {
  return (a.size - b.size || a.region - b.region || a.at - b.at) < 0;
}

/** Memory that nothing was put into yet. */
export function regions(): Regions {
  /** Holes, the smallest first. */
  const holes: Chunk[] = [];
  const pages: Uint8Array[] = [];
  let next = FIRST_REGION;
  let [taken, small, mostSmall] = [0, 0, 0];
  /** The first hole that does not precede a chunk. */
  const rank = (chunk: Chunk): number => {
    let [low, high] = [0, holes.length];
    while (low < high) {
      const middle = low + high >> 1;
      if (precedes(holes[middle], chunk)) low = middle + 1;
      else high = middle;
    }
    return low;
  };
  const add = (hole: Chunk) => holes.splice(rank(hole), 0, hole);
  const remove = (hole: Chunk) => holes.splice(rank(hole), 1);
  const extend = (size: number): Chunk => {
    const isEnough = size <= next;
    while (size > next) next *= 2;
    const region = pages.push(new Uint8Array(Math.ceil(next / PAGE))) - 1;
    const hole = { region, at: 0, size: next, isFree: true };
    taken += next;
    if (isEnough) next *= 2;
    add(hole);
    return hole;
  };
  const part = (chunk: Chunk, size: number) => {
    const rest: Chunk = {
      ...{ region: chunk.region, at: chunk.at + size, size: chunk.size - size, isFree: true },
      before: chunk,
      after: chunk.after,
    };
    if (chunk.after !== undefined) chunk.after.before = rest;
    chunk.after = rest;
    chunk.size = size;
    add(rest);
  };
  /** Joins a hole to the one before it. */
  const join = (first: Chunk, second: Chunk): Chunk => {
    first.size += second.size;
    first.after = second.after;
    if (second.after !== undefined) second.after.before = first;
    return first;
  };
  return {
    take: (bytes) => {
      if (bytes < LEAST) {
        mostSmall = Math.max(mostSmall, small += bytes);
        return bytes;
      }
      const size = Math.ceil(bytes / GRAIN) * GRAIN;
      const chunk = holes[rank({ region: -1, at: 0, size, isFree: true })] ?? extend(size);
      remove(chunk);
      if (chunk.size >= 2 * size || chunk.size - size >= MOST_WASTED) part(chunk, size);
      chunk.isFree = false;
      pages[chunk.region].fill(1, Math.floor(chunk.at / PAGE), Math.ceil((chunk.at + bytes) / PAGE));
      return chunk;
    },
    give: (place) => {
      if (typeof place === "number") {
        small -= place;
        return;
      }
      let hole = place;
      hole.isFree = true;
      if (hole.after?.isFree) {
        remove(hole.after);
        hole = join(hole, hole.after);
      }
      if (hole.before?.isFree) {
        remove(hole.before);
        hole = join(hole.before, hole);
      }
      add(hole);
    },
    touched: () => {
      const touched = pages.reduce((sum, each) => sum + each.reduce((count, page) => count + page, 0), 0);
      return touched * PAGE + mostSmall + taken * 8 / GRAIN;
    },
  };
}
