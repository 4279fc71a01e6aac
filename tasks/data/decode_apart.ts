/**
 * Decoding pictures in a thread that may do nothing else, while this process holds threads.
 *
 * @module
 */
import { OneloraError } from "../../dsl/error.ts";
import { errorOf, type Fault } from "./messages.ts";
import { restricted } from "./permissions.ts";
import { areThreadsHeld, closeWithThreads } from "./threads.ts";

/** A picture to decode. */
export interface Decoding {
  /** Which answer is this one's. */
  readonly id: number;
  /** The file. */
  readonly bytes: Uint8Array;
  /** What errors call it. */
  readonly name: string;
  /** A picture, or a map of numbers in such a format. */
  readonly kind: "picture" | "png" | "tiff";
  /** Whether it is turned as its file says. */
  readonly turn: boolean;
}

/** What came of it. */
export type Decoded =
  | { readonly id: number; readonly result: unknown }
  | { readonly id: number; readonly fault: Fault };

/** Seconds without an answer after which the thread is ended; the decoder gives up by itself before. */
const SECONDS = 150;

/** A thread at work. */
interface Decoder {
  readonly ask: (decoding: Omit<Decoding, "id">) => Promise<unknown>;
}

let decoder: Decoder | undefined;

function start(): Decoder {
  const options = restricted([]);
  const worker = new Worker(new URL("./decode_thread.ts", import.meta.url), options);
  const waiting = new Map<number, PromiseWithResolvers<unknown> & { readonly name: string }>();
  let count = 0;
  let late: ReturnType<typeof setTimeout> | undefined;
  // From one answer to the next, so that nobody's time goes by while others are decoded.
  const watch = () => {
    clearTimeout(late);
    if (waiting.size > 0) late = setTimeout(() => end("no end of it"), 1000 * SECONDS);
  };
  const end = (found: string) => {
    clearTimeout(late);
    worker.terminate();
    decoder = undefined;
    for (const { name, reject } of waiting.values()) {
      reject(new OneloraError({ attempted: `decoding ${name}`, found, allowed: "an intact image" }));
    }
    waiting.clear();
  };
  worker.onmessage = ({ data }: MessageEvent<Decoded>) => {
    const asked = waiting.get(data.id);
    waiting.delete(data.id);
    watch();
    if ("fault" in data) asked?.reject(errorOf(data.fault));
    else asked?.resolve(data.result);
  };
  worker.onerror = (event) => {
    event.preventDefault();
    end(`a thread that ended: ${event.message.split("\n", 1)[0]}`);
  };
  closeWithThreads(() => end("a closed thread"));
  return {
    ask: async (decoding) => {
      const id = count++;
      const answer = { ...Promise.withResolvers<unknown>(), name: decoding.name };
      waiting.set(id, answer);
      worker.postMessage({ ...decoding, id } satisfies Decoding);
      if (waiting.size === 1) watch();
      return await answer.promise;
    },
  };
}

/** The thread that decodes; none where threads are not held, or may not be given less than their process has. */
export function decoderApart(): Decoder | undefined {
  if (decoder !== undefined) return decoder;
  if (!areThreadsHeld() || !("deno" in restricted([]))) return undefined;
  return decoder = start();
}
