/**
 * A thread that takes a second of the processor before it can answer, as one does whose types are checked on a busy machine, and
 * answers after some more that its requests ask for.
 *
 * @module
 */
import { serveApart } from "../../../dsl/files/apart.ts";

/** Work of so many milliseconds of this thread. */
function work(milliseconds: number): void {
  const end = performance.now() + milliseconds;
  while (performance.now() < end);
}

work(1000);

serveApart<{ readonly aside?: number; readonly waiting?: number; readonly working?: number }, string>(
  async ({ aside = 0, waiting = 0, working = 0 }, besides) => {
    await besides(async () => await work(aside));
    await new Promise((resolve) => setTimeout(resolve, waiting));
    work(working);
    return "there";
  },
);
