/**
 * What a thread of the pool does. {@linkcode serve} is sent to the thread as text, so it names nothing outside of itself.
 *
 * @module
 */

/** What a thread is given. */
export interface ThreadData {
  /** The kernels, compiled for a block of memory of the thread's own. */
  readonly code: Uint8Array<ArrayBuffer>;
  /** The memory that all threads share. */
  readonly memory: WebAssembly.Memory;
  /** Address of the thread's own work area. */
  readonly work: number;
  /** Names of the kernels' functions; a region names one by its place. */
  readonly names: readonly string[];
  /** Numbers that threads and pool share; see {@linkcode Word} and {@linkcode STATE}. */
  readonly control: SharedArrayBuffer;
  /** Arguments of the chunks of the running region, {@linkcode WIDTH} for each. */
  readonly values: SharedArrayBuffer;
}

/** 32-bit words of the control block. */
export const Word = {
  /** Number of the last region; threads sleep on it. */
  region: 0,
  /** Which function the region calls. */
  called: 1,
  /** Arguments of a call. */
  arity: 2,
  /** Chunks that are done; the pool sleeps on it. */
  done: 3,
  /** Threads that sleep. */
  sleeping: 4,
  /** Whether the pool sleeps. */
  waiting: 5,
  /** Whether a chunk failed. */
  failed: 6,
  /** Whether threads are to end. */
  ended: 7,
  /** Threads that have started. */
  started: 8,
  /** Where the code of a function beyond the names is in memory, and its length: a thread that has not met it compiles it. */
  code: 9,
  codeLength: 10,
} as const;

/** The 64-bit word at this place: region (32 bits), chunks in all (16), next chunk (16). A claim adds 1. */
export const STATE = 8;
/** Bytes of the control block. */
export const CONTROL_BYTES = 128;
/** Most arguments of a call. */
export const WIDTH = 24;
/** Most chunks of a region. */
export const MOST_CHUNKS = 64;

/**
 * Takes chunks of regions until the pool ends. A claim carries the number of its region: one made too late for it fails,
 * and arguments are read after the claim, while the region cannot end.
 *
 * @param data See {@linkcode ThreadData}
 */
export function serve({ code, memory, work, names, control, values }: ThreadData): void {
  const [REGION, CALLED, ARITY, DONE, SLEEPING, WAITING, FAILED, ENDED, STARTED, CODE, LENGTH] = [
    ...[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10],
  ];
  const words = new Int32Array(control);
  const state = new BigInt64Array(control, 64, 1);
  const given = new Float64Array(values);
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(code), { env: { memory } });
  const functions = names.map((name) => exports[name] as (...args: readonly number[]) => number);
  (exports.initialise as () => void)();
  Atomics.add(words, STARTED, 1);
  let seen = 0;
  while (Atomics.load(words, ENDED) === 0) {
    const region = Atomics.load(words, REGION);
    if (region === seen) {
      // About 25 microseconds awake, which the next region of a step usually takes less than.
      let spins = 0;
      while (spins < 2000 && Atomics.load(words, REGION) === seen) spins++;
      if (spins < 2000) continue;
      Atomics.add(words, SLEEPING, 1);
      Atomics.wait(words, REGION, seen);
      Atomics.sub(words, SLEEPING, 1);
      continue;
    }
    seen = region;
    while (true) {
      const now = Atomics.load(state, 0);
      const [own, count, next] = [Number(now >> 32n), Number((now >> 16n) & 0xffffn), Number(now & 0xffffn)];
      if (own !== region || next >= count) break;
      if (Atomics.compareExchange(state, 0, now, now + 1n) !== now) continue;
      const args: number[] = [];
      for (let i = 0, at = next * 24; i < words[ARITY]; i++, at++) {
        args.push(Number.isNaN(given[at]) ? work : given[at]);
      }
      try {
        const called = words[CALLED];
        if (functions[called] === undefined) {
          const bytes = new Uint8Array(memory.buffer, words[CODE] >>> 0, words[LENGTH]).slice();
          const { exports } = new WebAssembly.Instance(new WebAssembly.Module(bytes), { env: { memory } });
          functions[called] = exports.run as typeof functions[number];
        }
        functions[called](...args);
      } catch {
        Atomics.store(words, FAILED, 1);
      }
      if (Atomics.add(words, DONE, 1) + 1 === count && Atomics.load(words, WAITING) !== 0) {
        Atomics.notify(words, DONE);
      }
    }
  }
}
