/**
 * Threads that share a call of a kernel: the pool cuts it into chunks, and the calling thread takes chunks too, so that it
 * waits for chunks and never for threads. Threads that are not awake yet miss a region and nothing else.
 *
 * @module
 */
import { OneloraError } from "../../error.ts";
import { CONTROL_BYTES, MOST_CHUNKS, serve, STATE, type ThreadData, WIDTH, Word } from "./serve.ts";

/** An argument that stands for the work area of the thread that runs the chunk. */
export const OWN_WORK: number = NaN;

/** Threads beside the calling one. */
export interface Pool {
  /**
   * Calls a function once for every list of arguments, on all threads.
   *
   * @param called The function's place among the names, or that of one added to them
   * @param chunks Arguments, at most {@linkcode MOST_CHUNKS} lists of {@linkcode WIDTH}
   */
  readonly run: (called: number, chunks: readonly (readonly number[])[]) => void;
  /**
   * Adds a function.
   *
   * @param own The calling thread's
   * @param address Where the code of a module that exports it as `run` stays in memory
   * @param length The code's length
   * @returns Its place
   */
  readonly add: (own: (...args: readonly number[]) => number, address: number, length: number) => number;
  /** Ends the threads. */
  readonly stop: () => void;
}

/** What a thread needs besides what the pool shares. */
export type Thread = Pick<ThreadData, "code" | "work">;

/** A thread that runs {@linkcode serve} and does not keep the process alive. */
async function start(data: ThreadData): Promise<void> {
  const { Worker } = await import("node:worker_threads");
  // A module as text needs no permission and no file.
  const text = `import { workerData } from "node:worker_threads"; (${serve.toString()})(workerData);`;
  new Worker(new URL(`data:text/javascript,${encodeURIComponent(text)}`), { workerData: data }).unref();
}

/** Turns of the loop in which the calling thread waits awake: some 50 microseconds. */
const SPINS = 5000;

/**
 * Starts threads. They get ready on their own time; until then the calling thread does their part.
 *
 * @param memory The memory that all work on
 * @param names Names of the kernels' functions
 * @param own The calling thread's functions, in the order of the names, and its work area
 * @param threads What each further thread is given
 */
export async function startPool(
  memory: WebAssembly.Memory,
  names: readonly string[],
  own: { readonly functions: readonly ((...args: readonly number[]) => number)[]; readonly work: number },
  threads: readonly Thread[],
): Promise<Pool> {
  const control = new SharedArrayBuffer(CONTROL_BYTES);
  const values = new SharedArrayBuffer(MOST_CHUNKS * WIDTH * Float64Array.BYTES_PER_ELEMENT);
  const words = new Int32Array(control);
  const state = new BigInt64Array(control, STATE * BigInt64Array.BYTES_PER_ELEMENT, 1);
  const given = new Float64Array(values);
  await Promise.all(threads.map((thread) => start({ ...thread, memory, names, control, values })));
  let region = 0;
  const functions = [...own.functions];
  const codes = new Map<number, readonly [address: number, length: number]>();
  return {
    add(own, address, length) {
      const called = functions.push(own) - 1;
      codes.set(called, [address, length]);
      return called;
    },
    run(called, chunks) {
      const count = chunks.length;
      chunks.forEach((args, i) => given.set(args, i * WIDTH));
      words[Word.called] = called;
      words[Word.arity] = chunks[0].length;
      words[Word.done] = 0;
      [words[Word.code], words[Word.codeLength]] = codes.get(called) ?? [0, 0];
      region = (region + 1) & 0x7fffffff;
      const first = BigInt(region) << 32n | BigInt(count) << 16n;
      Atomics.store(state, 0, first);
      Atomics.store(words, Word.region, region);
      if (Atomics.load(words, Word.sleeping) > 0) Atomics.notify(words, Word.region);
      while (true) {
        const claimed = Number(Atomics.add(state, 0, 1n) - first);
        if (claimed >= count) break;
        functions[called](...chunks[claimed].map((value) => Number.isNaN(value) ? own.work : value));
        Atomics.add(words, Word.done, 1);
      }
      for (let spins = 0; Atomics.load(words, Word.done) < count; spins++) {
        if (spins < SPINS) continue;
        // A thread that has a chunk was put aside by the system: sleep until it has had its turn.
        Atomics.store(words, Word.waiting, 1);
        const done = Atomics.load(words, Word.done);
        if (done < count) Atomics.wait(words, Word.done, done, 1);
        Atomics.store(words, Word.waiting, 0);
      }
      if (Atomics.exchange(words, Word.failed, 0) !== 0) {
        throw new OneloraError({
          attempted: `computing ${names[called] ?? "a formula"} on several threads`,
          found: "a part that failed",
          allowed: "parts within memory",
        });
      }
    },
    stop() {
      Atomics.store(words, Word.ended, 1);
      Atomics.add(words, Word.region, 1);
      Atomics.notify(words, Word.region);
    },
  };
}
