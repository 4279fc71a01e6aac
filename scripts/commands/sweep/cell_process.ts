/**
 * A cell's run: `train` in a process that ends when the sweep that started it has ended, by whatever signal.
 *
 * @module
 */

/** Ends this process when its standard input does, which the sweep holds open as long as it lives. */
async function endWithSweep(): Promise<never> {
  for await (const _ of Deno.stdin.readable);
  // The folder stays as the last checkpoint left it, and resumes from there.
  Deno.exit(143);
}

endWithSweep();
await import("../train.ts");
