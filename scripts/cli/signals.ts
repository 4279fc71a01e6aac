/**
 * Signals that end a run in order: Ctrl-C, and what schedulers and containers send.
 *
 * @module
 */
import type { Reporter } from "../../tasks/trainer/observe.ts";
import type { Listening, SignalName } from "./signal_thread.ts";

/** Exit codes of processes that a signal ended. */
const CODES: Readonly<Record<SignalName, number>> = { SIGINT: 130, SIGTERM: 143 };

let received: SignalName | undefined;

/** Work that signals end in order. */
export interface Interruptible {
  /** Aborted by the first signal that comes while they are listened to. A second one ends the process at once. */
  readonly signal: AbortSignal;
  /** Listens from now on. */
  readonly listen: () => Promise<void>;
  /**
   * A reporter that listens from a run's first step to its last evaluation. Before and after there is nothing to lose: a
   * signal ends the process at once, while it loads, compiles or samples pictures.
   */
  readonly during: (reporter: Reporter) => Reporter;
}

/**
 * Work that Ctrl-C and SIGTERM end in order where they are listened to, and at once elsewhere.
 *
 * @param finishing What is done first
 * @param isSaid Whether it is said, too, when it comes; of several processes one does
 */
export function interruptible(
  finishing: string = "saving the state after this step",
  isSaid: boolean = true,
): Interruptible {
  const controller = new AbortController();
  let thread: Worker | undefined;
  const ready = Promise.withResolvers<void>();
  const start = (): Worker => {
    const started = new Worker(new URL("./signal_thread.ts", import.meta.url), { type: "module" });
    started.onmessage = ({ data }: MessageEvent<SignalName | "ready">) => {
      if (data === "ready") return ready.resolve();
      received = data;
      controller.abort();
    };
    // Without it a signal ends the process at once, as it does any other.
    started.onerror = (event) => {
      event.preventDefault();
      ready.resolve();
    };
    return started;
  };
  const tell = (listening: Listening) => (thread ??= start()).postMessage(listening);
  const listen = () => tell({ finishing, isSaid });
  return {
    signal: controller.signal,
    listen: async () => {
      listen();
      await ready.promise;
    },
    during: (reporter) => {
      // By the first step, in which an engine may leave this thread no time to start it, it is there.
      thread ??= start();
      let isListening = false;
      return {
        ...reporter,
        progress: (done, numbers) => {
          reporter.progress(done, numbers);
          if (isListening || controller.signal.aborted) return;
          isListening = true;
          listen();
        },
        finish: () => {
          reporter.finish();
          if (isListening) tell({});
          isListening = false;
        },
      };
    },
  };
}

/** Work of which signals end one piece at a time. */
export interface Interruption extends Disposable {
  /** Aborted by a signal that comes until this is disposed. */
  readonly signal: AbortSignal;
}

/**
 * Pieces of work, each ended by the first signal that comes while it lasts; between them, and at a second one, a signal ends
 * the process as ever.
 *
 * @returns Begins a piece, once signals are listened to
 */
export function interruptions(): () => Promise<Interruption> {
  let thread: Worker | undefined;
  let controller = new AbortController();
  const ready = Promise.withResolvers<void>();
  const start = (): Worker => {
    const started = new Worker(new URL("./signal_thread.ts", import.meta.url), { type: "module" });
    started.onmessage = ({ data }: MessageEvent<SignalName | "ready">) => {
      if (data === "ready") return ready.resolve();
      controller.abort();
    };
    started.onerror = (event) => {
      event.preventDefault();
      ready.resolve();
    };
    return started;
  };
  return async () => {
    thread ??= start();
    controller = new AbortController();
    const listening: Listening = { finishing: "the answer", isSaid: false };
    thread.postMessage(listening);
    await ready.promise;
    return { signal: controller.signal, [Symbol.dispose]: () => thread?.postMessage({}) };
  };
}

/**
 * The exit code of a command: that of a signal, where one ended it.
 *
 * @param code What the command came to
 */
export function exitCode(code: number): number {
  return code !== 0 && received !== undefined ? CODES[received] : code;
}
