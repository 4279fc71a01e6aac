/**
 * What a run needs from its surroundings: an interrupt and progress.
 *
 * @module
 */
import { printable } from "../../dsl/error.ts";
import type { Reporter } from "../../tasks/trainer/observe.ts";
import { type Progress, progress } from "./mod.ts";

/**
 * A trainer's reporter that draws on this terminal.
 *
 * @param label What is being trained
 */
export function reporterFor(label: string): Reporter {
  let drawn: Progress | undefined;
  return {
    line: (text) => drawn === undefined ? console.log(text) : drawn.note(printable(text)),
    start: (start, total) => drawn = progress({ label, total, start }),
    progress: (step, { loss, lr }) => drawn?.tick({ step, loss, rate: lr }),
    finish: () => {
      drawn?.stop();
      drawn = undefined;
    },
  };
}
