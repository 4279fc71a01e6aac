/**
 * Lists of calls, and how threads work through one. {@linkcode take} and {@linkcode serve} are sent to threads as text, so
 * they name nothing outside of themselves.
 *
 * @module
 */

/** What a thread is given. */
export interface ThreadData {
  /** The kernels, compiled for a block of memory of the thread's own. */
  readonly code: Uint8Array<ArrayBuffer>;
  /** The memory that all threads share; lists lie in it. */
  readonly memory: WebAssembly.Memory;
  /** Address of the thread's own work area. */
  readonly work: number;
  /** Names of the kernels' functions; a call names one by its place. */
  readonly names: readonly string[];
  /** Numbers that threads and pool share; see {@linkcode Word}. */
  readonly control: SharedArrayBuffer;
}

/** 32-bit words of the control block; those that many threads write are in cache lines of their own. */
export const Word = {
  /** Number of the last list; threads sleep on it. */
  list: 0,
  /** Address of the list's first call. */
  address: 1,
  /** Calls up to which it is to be done. */
  end: 2,
  /** Whether a call failed. */
  failed: 3,
  /** Whether threads are to end. */
  ended: 4,
  /** Threads that have started. */
  started: 5,
  /** Threads that sleep until there is a list. */
  sleeping: 6,
  /** Threads that sleep until more calls are done. */
  waiting: 7,
  /** The next call that nobody has taken: the list's number modulo 2^12 above 20 bits of the call's. */
  next: 16,
  /** Calls that are done. */
  done: 32,
} as const;

/** Bytes of the control block. */
export const CONTROL_BYTES = 256;
/** Most arguments of a call. */
export const WIDTH = 24;
/** Most calls of a list: what {@linkcode Word.next} can count. */
export const MOST_CALLS: number = 2 ** 20 - 1;

/** Places of what a list says of a call, in numbers of 64 bits; {@linkcode STRIDE} of them are a call's. */
export const Field = {
  /** Calls, the first ones of the list, that must be done before it. */
  after: 0,
  /** The function. */
  called: 1,
  /** Arguments. */
  arity: 2,
  /** Where the code of a function beyond the names is in memory, and its length: a thread that has not met it compiles it. */
  code: 3,
  codeLength: 4,
  /** The first argument; NaN stands for the work area of the thread that makes the call. */
  first: 5,
} as const;
/** Numbers of a call. */
export const STRIDE = 32;

/** A list that is being worked through, as one thread sees it. */
export interface Taken {
  /** The control block. */
  readonly words: Int32Array;
  /** The memory that the list lies in. */
  readonly memory: { readonly buffer: ArrayBufferLike };
  /** The list's number. */
  readonly list: number;
  /** The thread's work area. */
  readonly work: number;
  /** The thread's function of a number, whose code may have to be compiled. */
  readonly functionOf: (called: number, code: number, length: number) => (...args: readonly number[]) => unknown;
}

/**
 * Takes calls of a list until all are taken, and makes them. A call is claimed when those before it that it waits for are
 * done. A claim carries the number of its list, so that one made too late for it fails; what is to be called is read after
 * the claim, while the list cannot end.
 *
 * @param taken The list and the thread
 */
export function take({ words, memory, list, work, functionOf }: Taken): void {
  const [ADDRESS, END, FAILED, WAITING, NEXT, DONE, STRIDE, SPINS] = [1, 2, 3, 7, 16, 32, 32, 20000];
  const tag = (list & 0xfff) << 20;
  let numbers = new Float64Array(memory.buffer);
  while (true) {
    const now = Atomics.load(words, NEXT);
    const call = now & 0xfffff;
    if ((now & ~0xfffff) !== tag || call >= words[END]) return;
    const after = numbers[(words[ADDRESS] >>> 0) / 8 + call * STRIDE];
    for (let spins = 0; Atomics.load(words, DONE) < after && Atomics.load(words, NEXT) === now; spins++) {
      if (spins < SPINS) continue;
      // A thread that has a call was put aside by the system: sleep until it has had its turn.
      Atomics.add(words, WAITING, 1);
      const done = Atomics.load(words, DONE);
      if (done < after) Atomics.wait(words, DONE, done, 1);
      Atomics.sub(words, WAITING, 1);
    }
    if (Atomics.compareExchange(words, NEXT, now, now + 1) !== now) continue;
    // From here on nothing depends on what was read before: a thread may have slept for as many lists as there are numbers.
    if (call >= words[END]) return;
    const at = (words[ADDRESS] >>> 0) / 8 + call * STRIDE;
    if (at + STRIDE > numbers.length) numbers = new Float64Array(memory.buffer);
    while (Atomics.load(words, DONE) < numbers[at]);
    try {
      const args: number[] = [];
      for (let i = at + 5, end = i + numbers[at + 2]; i < end; i++) {
        args.push(Number.isNaN(numbers[i]) ? work : numbers[i]);
      }
      functionOf(numbers[at + 1], numbers[at + 3], numbers[at + 4])(...args);
    } catch {
      Atomics.store(words, FAILED, 1);
    }
    Atomics.add(words, DONE, 1);
    if (Atomics.load(words, WAITING) !== 0) Atomics.notify(words, DONE);
  }
}

/**
 * Works on lists until the pool ends.
 *
 * @param data See {@linkcode ThreadData}
 * @param take {@linkcode take}
 */
export function serve(
  { code, memory, work, names, control }: ThreadData,
  take: (taken: Taken) => void,
): void {
  const [LIST, ENDED, STARTED, SLEEPING] = [0, 4, 5, 6];
  const words = new Int32Array(control);
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(code), { env: { memory } });
  const functions = names.map((name) => exports[name] as (...args: readonly number[]) => unknown);
  (exports.initialise as () => void)();
  const functionOf = (called: number, code: number, length: number) => {
    if (functions[called] === undefined) {
      const bytes = new Uint8Array(memory.buffer, code, length).slice();
      const { exports } = new WebAssembly.Instance(new WebAssembly.Module(bytes), { env: { memory } });
      functions[called] = exports.run as typeof functions[number];
    }
    return functions[called];
  };
  Atomics.add(words, STARTED, 1);
  let seen = 0;
  while (Atomics.load(words, ENDED) === 0) {
    const list = Atomics.load(words, LIST);
    if (list === seen) {
      // About 25 microseconds awake, which the next list of a step usually takes less than.
      let spins = 0;
      while (spins < 2000 && Atomics.load(words, LIST) === seen) spins++;
      if (spins < 2000) continue;
      Atomics.add(words, SLEEPING, 1);
      Atomics.wait(words, LIST, seen);
      Atomics.sub(words, SLEEPING, 1);
      continue;
    }
    seen = list;
    take({ words, memory, list, work, functionOf });
  }
}
