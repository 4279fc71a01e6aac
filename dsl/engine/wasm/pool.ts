/**
 * Threads that share lists of calls. The calling thread takes calls too, so that it waits for calls and never for threads:
 * those that are not awake yet miss some and nothing else.
 *
 * @module
 */
import { OneloraError } from "../../error.ts";
import { builtinIfThere } from "../../host.ts";
import { CONTROL_BYTES, Field, serve, STRIDE, take, type ThreadData, Word } from "./serve.ts";

/** An argument that stands for the work area of the thread that makes the call. */
export const OWN_WORK: number = NaN;

/** A function of a kernel. */
export type WasmFunction = (...args: readonly number[]) => number;

/** Threads, the calling one among them. */
export interface Pool {
  /**
   * Makes calls of a list, on all threads.
   *
   * @param address Where the list is in memory
   * @param first The first call that is to be made; those before it count as done
   * @param end The call after the last one
   */
  readonly run: (address: number, first: number, end: number) => void;
  /** Ends the threads. */
  readonly stop: () => void;
}

/** What a thread needs besides what the pool shares. */
export type Thread = Pick<ThreadData, "code" | "work">;

/** The same in a page, which ends its threads when it ends. */
function startInPage(data: ThreadData): void {
  const text = `onmessage = ({ data }) => { (${serve})(data, ${take}); close(); };`;
  const address = URL.createObjectURL(new Blob([text], { type: "text/javascript" }));
  new Worker(address).postMessage(data);
  URL.revokeObjectURL(address);
}

/** A thread that runs {@linkcode serve} and does not keep the process alive. */
function start(data: ThreadData): void {
  const threads = builtinIfThere("node:worker_threads");
  if (threads === undefined) return startInPage(data);
  // A module as text needs no permission and no file.
  const text = `import { workerData } from "node:worker_threads"; (${serve})(workerData, ${take});`;
  new threads.Worker(new URL(`data:text/javascript,${encodeURIComponent(text)}`), { workerData: data }).unref();
}

/** Turns of the loop in which the calling thread waits awake: some 50 microseconds. */
const SPINS = 5000;

/**
 * Starts threads. They get ready on their own time; until then the calling thread does their part.
 *
 * @param memory The memory that all work on
 * @param names Names of the kernels' functions
 * @param own The calling thread's functions, those of the names first, and its work area
 * @param threads What each further thread is given
 */
export function startPool(
  memory: WebAssembly.Memory,
  names: readonly string[],
  own: { readonly functions: readonly WasmFunction[]; readonly work: number },
  threads: readonly Thread[],
): Pool {
  const control = new SharedArrayBuffer(CONTROL_BYTES);
  const words = new Int32Array(control);
  for (const thread of threads) start({ ...thread, memory, names, control });
  const functionOf = (called: number) => own.functions[called];
  let list = 0;
  return {
    run(address, first, end) {
      list = (list + 1) & 0x7fffffff;
      const tag = (list & 0xfff) << 20;
      // No call of this list until all is said of it, and none of the one before.
      Atomics.store(words, Word.next, tag | 0xfffff);
      words[Word.address] = address;
      words[Word.end] = end;
      Atomics.store(words, Word.done, first);
      Atomics.store(words, Word.next, tag | first);
      Atomics.store(words, Word.list, list);
      if (Atomics.load(words, Word.sleeping) > 0) Atomics.notify(words, Word.list);
      take({ words, memory, list, work: own.work, functionOf });
      for (let spins = 0; Atomics.load(words, Word.done) < end; spins++) {
        if (spins < SPINS) continue;
        // A thread that has a call was put aside by the system: sleep until it has had its turn.
        Atomics.add(words, Word.waiting, 1);
        const done = Atomics.load(words, Word.done);
        if (done < end) Atomics.wait(words, Word.done, done, 1);
        Atomics.sub(words, Word.waiting, 1);
      }
      if (Atomics.exchange(words, Word.failed, 0) !== 0) {
        const found = new Float64Array(memory.buffer)[address / 8 + first * STRIDE + Field.called];
        throw new OneloraError({
          attempted: `computing ${
            end - first > 1 ? "a list of kernels" : names[found] ?? "a formula"
          } on several threads`,
          found: "a part that failed",
          allowed: "parts within memory",
        });
      }
    },
    stop() {
      Atomics.store(words, Word.ended, 1);
      Atomics.add(words, Word.list, 1);
      Atomics.notify(words, Word.list);
    },
  };
}
