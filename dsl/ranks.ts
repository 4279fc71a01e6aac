/**
 * Processes that work on one thing together, each with a share of it. One process alone is all of them.
 *
 * @module
 */
import { readNumbers, writeNumbers } from "./files/json.ts";
import { Interruption, turn } from "./turn.ts";

/**
 * The processes of a job, seen from one of them. What they do together, all of them do, in the same order.
 *
 * @internal
 */
export interface Ranks {
  /** Which one this is, counted from 0. */
  readonly rank: number;
  /** How many there are. */
  readonly size: number;
  /** Adds up the numbers of all, place by place, in place, as {@linkcode addPairs} does by rank; all end with the same bytes. */
  readonly sum: (values: Float32Array) => Promise<void>;
  /** What each of them gives, by rank; any number of bytes each. */
  readonly gather: (bytes: Uint8Array) => Promise<readonly Uint8Array[]>;
  /** What the first of them gives. */
  readonly broadcast: (bytes: Uint8Array) => Promise<Uint8Array>;
}

type Span = readonly [begin: number, end: number];

/**
 * Adds up numbers of several, place by place: the first half of them, the second, and then both, each half in the same way.
 *
 * @param all Numbers of each, of one length; the first one's are overwritten
 * @returns The first, which has the sums
 */
export function addPairs(all: readonly Float32Array[]): Float32Array {
  if (all.length === 1) return all[0];
  const middle = Math.ceil(all.length / 2);
  const [left, right] = [addPairs(all.slice(0, middle)), addPairs(all.slice(middle))];
  for (let i = 0; i < left.length; i++) left[i] += right[i];
  return left;
}

/** Where a row of things is cut into the halves that {@linkcode addPairs} adds up. */
function middleOf([begin, end]: Span): number {
  return begin + Math.ceil((end - begin) / 2);
}

/**
 * What of a row of things is a process's: the sum of all processes' sums, in the order of {@linkcode addPairs}, is that of the whole
 * row, however many processes there are.
 *
 * @param span Things, the first and the one after the last
 * @param rank Of the process
 * @param size Processes
 *
 * @example
 * ```ts
 * import { spanOf } from "./ranks.ts";
 * import { assertEquals } from "@std/assert";
 * assertEquals([0, 1, 2].map((rank) => spanOf([0, 4], rank, 3)), [[0, 1], [1, 2], [2, 4]]);
 * ```
 */
export function spanOf([begin, end]: Span, rank: number, size: number): Span {
  if (size === 1) return [begin, end];
  const [middle, first] = [middleOf([begin, end]), middleOf([0, size])];
  return rank < first ? spanOf([begin, middle], rank, first) : spanOf([middle, end], rank - first, size - first);
}

/**
 * Adds up numbers of a row of things as {@linkcode addPairs} does, of which few are there at a time.
 *
 * @param span Things, the first and the one after the last; at least one
 * @param of Numbers of one, to be overwritten; undefined ends it
 */
export async function addInPairs(
  span: Span,
  of: (i: number) => Promise<Float32Array | undefined>,
): Promise<Float32Array | undefined> {
  if (span[1] - span[0] === 1) return await of(span[0]);
  const middle = middleOf(span);
  const left = await addInPairs([span[0], middle], of);
  const right = left && await addInPairs([middle, span[1]], of);
  return right && addPairs([left, right]);
}

/** One process, which waits for nobody. */
export const alone: Ranks = {
  rank: 0,
  size: 1,
  sum: () => Promise.resolve(),
  gather: (bytes) => Promise.resolve([bytes]),
  broadcast: (bytes) => Promise.resolve(bytes),
};

let inUse: Ranks = alone;

/** The processes that share the work of this one: itself alone, unless it has joined others. */
export function ranksInUse(): Ranks {
  return inUse;
}

/**
 * Makes processes those that share the work.
 *
 * @param ranks The processes
 * @returns Puts those of before back
 */
export function shareWith(ranks: Ranks): () => void {
  const before = inUse;
  inUse = ranks;
  return () => inUse = before;
}

let heeded: AbortSignal | undefined;

/**
 * Lets the signal of any process end what all do together, in all of them at the same place: {@linkcode agreed} and
 * {@linkcode inTurn} throw an Interruption then.
 *
 * @param signal This process's
 */
export function heeding(signal: AbortSignal | undefined): Disposable {
  const before = heeded;
  heeded = signal;
  return { [Symbol.dispose]: () => heeded = before };
}

/** A step of the one that others wait for. */
async function byFirst<Result>(action: () => Promise<Result>): Promise<Result> {
  const back = shareWith(alone);
  try {
    return await action();
  } finally {
    back();
  }
}

/**
 * What the first process does alone, nobody sharing its work, while the others wait.
 *
 * @param action What it does
 * @param ranks The processes (default: those in use)
 */
export async function firstAlone(action: () => Promise<void>, ranks: Ranks = ranksInUse()): Promise<void> {
  if (ranks.rank === 0) await byFirst(action);
  await together(ranks);
}

/**
 * What every process does, the first one before the others, so that they find in files what it has put there.
 *
 * @param action What each does
 * @param ranks The processes (default: those in use)
 */
export async function firstBefore<Result>(
  action: () => Promise<Result>,
  ranks: Ranks = ranksInUse(),
): Promise<Result> {
  const first = ranks.rank === 0 ? await byFirst(action) : undefined;
  await together(ranks);
  return ranks.rank === 0 ? first! : await byFirst(action);
}

/**
 * Waits until all are here.
 *
 * @param ranks The processes
 */
export async function together(ranks: Ranks): Promise<void> {
  await ranks.gather(new Uint8Array());
}

/**
 * A value of each process, by rank, as JSON carries it; numbers may be no finite ones.
 *
 * @param ranks The processes
 * @param value This one's
 */
export async function gatherValues<Value>(ranks: Ranks, value: Value): Promise<readonly Value[]> {
  if (ranks.size === 1) return [value];
  const all = await ranks.gather(new TextEncoder().encode(writeNumbers(value)));
  return all.map((bytes) => readNumbers(new TextDecoder().decode(bytes)) as Value);
}

/**
 * A value of each process, by rank, unless the signal of one has come.
 *
 * @param ranks The processes
 * @param value This one's
 * @throws Interruption in all of them
 */
export async function agreed<Value>(ranks: Ranks, value: Value): Promise<readonly Value[]> {
  const said = await gatherValues(ranks, { value, ended: heeded?.aborted ?? false });
  if (said.some(({ ended }) => ended)) throw new Interruption();
  return said.map(({ value }) => value);
}

/**
 * The first process's value, as JSON carries it.
 *
 * @param ranks The processes
 * @param make Makes it, in the first one alone
 */
export async function fromFirst<Value>(ranks: Ranks, make: () => Promise<Value>): Promise<Value> {
  if (ranks.size === 1) return await make();
  const own = ranks.rank === 0 ? new TextEncoder().encode(writeNumbers(await byFirst(make))) : new Uint8Array();
  return readNumbers(new TextDecoder().decode(await ranks.broadcast(own))) as Value;
}

/**
 * Work on items in turn: each process computes for one of as many items as there are processes, and all get everyone's
 * results, in the order of the items. They must all see the same items.
 *
 * @param items The items
 * @param compute Numbers for an item
 * @param ranks The processes (default: those in use)
 * @throws Interruption in all of them, where the signal of one has come
 *
 * @example
 * ```ts
 * import { inTurn } from "./ranks.ts";
 * import { assertEquals } from "@std/assert";
 * const squares = inTurn([1, 2, 3], (n) => Promise.resolve(Float32Array.of(n * n)));
 * assertEquals((await Array.fromAsync(squares)).map(([, [square]]) => square), [1, 4, 9]);
 * ```
 */
export async function* inTurn<Item>(
  items: AsyncIterable<Item> | Iterable<Item>,
  compute: (item: Item) => Promise<Float32Array>,
  ranks: Ranks = ranksInUse(),
): AsyncGenerator<readonly [item: Item, numbers: Float32Array], void, void> {
  const { rank, size, gather } = ranks;
  if (size === 1) {
    for await (const item of items) yield [item, await compute(item)];
    return;
  }
  const round = async function* (waiting: readonly Item[]) {
    const own = rank < waiting.length ? await compute(waiting[rank]) : new Float32Array();
    await turn();
    const said = new Uint8Array(1 + own.byteLength);
    said[0] = heeded?.aborted ? 1 : 0;
    said.set(new Uint8Array(own.buffer, own.byteOffset, own.byteLength), 1);
    const all = await gather(said);
    if (all.some(([ended]) => ended === 1)) throw new Interruption();
    for (const [i, item] of waiting.entries()) yield [item, new Float32Array(all[i].slice(1).buffer)] as const;
  };
  let waiting: Item[] = [];
  for await (const item of items) {
    waiting.push(item);
    if (waiting.length < size) continue;
    yield* round(waiting);
    waiting = [];
  }
  if (waiting.length > 0) yield* round(waiting);
}
