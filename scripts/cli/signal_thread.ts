/**
 * A thread that waits for signals: what computes on the main thread may not look for a long time. The first signal is passed
 * on; from then on a signal does what it does to any process.
 *
 * @module
 */

/** Signals that end a run in order: Ctrl-C, and what schedulers and containers send. */
export type SignalName = "SIGINT" | "SIGTERM";

/** What the thread is told: what is finished at a signal, or undefined to leave signals alone. */
export interface Listening {
  /** In words. */
  readonly finishing?: string;
  /** Whether it is said when a signal comes (default true). */
  readonly isSaid?: boolean;
}

const channel = globalThis as unknown as {
  onmessage: ((event: MessageEvent<Listening>) => void) | null;
  postMessage(name: SignalName | "ready"): void;
};

let finishing: string | undefined;
let isQuiet = false;

const handlers = (["SIGINT", "SIGTERM"] as const).map((name) => {
  const handle = () => {
    const what = finishing;
    ignore();
    if (!isQuiet) {
      console.error(`interrupted: ${what} (${name === "SIGINT" ? "Ctrl-C" : name} again to stop at once)`);
    }
    channel.postMessage(name);
  };
  return [name, handle] as const;
});

function listen(): void {
  for (const [name, handle] of handlers) {
    try {
      Deno.addSignalListener(name, handle);
    } catch {
      // Windows knows no SIGTERM.
    }
  }
}

/** Without a listener a signal ends the process at once, whatever its threads are doing. */
function ignore(): void {
  if (finishing === undefined) return;
  finishing = undefined;
  for (const [name, handle] of handlers) {
    try {
      Deno.removeSignalListener(name, handle);
    } catch {
      // See above.
    }
  }
}

channel.onmessage = ({ data }) => {
  if (data.finishing === undefined) return ignore();
  if (finishing === undefined) listen();
  finishing = data.finishing;
  isQuiet = data.isSaid === false;
};
channel.postMessage("ready");
