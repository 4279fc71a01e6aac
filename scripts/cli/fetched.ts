/**
 * Models of Hugging Face's hub, downloaded before a command needs them, with a line for each file.
 *
 * @module
 */
import type { Transfer } from "../../models/mod.ts";
import { pinModel } from "../../models/open.ts";
import { bytesText } from "../commands/params/plan.ts";

/** Where the lines go. */
export interface TransferScreen {
  /** Whether a line can be drawn over. */
  readonly isTerminal: boolean;
  /** Writes text. */
  readonly write: (text: string) => void;
  /** Milliseconds of a clock. */
  readonly now: () => number;
}

/** Milliseconds between two drawings of a line. */
const PAUSE = 100;

/** Standard error, which leaves a command's own output as it is. */
function standardError(): TransferScreen {
  const encoder = new TextEncoder();
  return {
    isTerminal: Deno.stderr.isTerminal(),
    write: (text) => void Deno.stderr.writeSync(encoder.encode(text)),
    now: () => performance.now(),
  };
}

/**
 * Shows transfers: on a terminal a line that grows, elsewhere one when a file begins.
 *
 * @param screen Where; standard error by default
 */
export function showTransfers(screen: TransferScreen = standardError()): (transfer: Transfer) => void {
  let current: string | undefined;
  let drawn = 0;
  return ({ file, bytes, total }) => {
    const begins = file !== current;
    current = file;
    const rest = bytes === 0 ? "" : `, from ${bytesText(bytes)} on`;
    if (!screen.isTerminal) {
      if (begins) screen.write(`downloading ${file}, ${bytesText(total)}${rest}\n`);
      return;
    }
    const isWhole = bytes === total;
    if (!begins && !isWhole && screen.now() - drawn < PAUSE) return;
    drawn = screen.now();
    const share = total === 0 ? 100 : Math.floor(100 * bytes / total);
    screen.write(`\r\x1b[Kdownloading ${file}, ${bytesText(total)}: ${share} %${isWhole ? "\n" : ""}`);
  };
}

/**
 * A model's name with its revision pinned, all of its files in the cache; a name that is not the hub's as it is.
 *
 * @param name What `--model` takes
 */
export async function fetched(name: string): Promise<string> {
  return await pinModel(name, { onProgress: showTransfers() });
}
