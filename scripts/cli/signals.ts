/**
 * Signals that end a run in order: Ctrl-C, and what schedulers and containers send.
 *
 * @module
 */

/** Exit codes of processes that a signal ended. */
const CODES = { SIGINT: 130, SIGTERM: 143 } as const;

let received: keyof typeof CODES | undefined;

/**
 * A signal that Ctrl-C and SIGTERM raise; a second one ends the process at once.
 *
 * @param finishing What is done first
 */
export function interruptible(finishing: string = "finishing this step"): AbortSignal {
  const controller = new AbortController();
  for (const name of Object.keys(CODES) as (keyof typeof CODES)[]) {
    const onSignal = () => {
      if (controller.signal.aborted) Deno.exit(CODES[name]);
      received = name;
      controller.abort();
      console.error(`interrupted: ${finishing} (${name === "SIGINT" ? "Ctrl-C" : name} again to stop at once)`);
    };
    try {
      Deno.addSignalListener(name, onSignal);
    } catch {
      // Windows knows no SIGTERM.
    }
  }
  return controller.signal;
}

/**
 * The exit code of a command: that of a signal, where one ended it.
 *
 * @param code What the command came to
 */
export function exitCode(code: number): number {
  return code !== 0 && received !== undefined ? CODES[received] : code;
}
