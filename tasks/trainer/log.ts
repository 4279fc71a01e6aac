/**
 * The run's `metrics.jsonl`: one JSON object a line.
 *
 * @module
 */
import { OneloraError } from "../../dsl/error.ts";
import type { Tree } from "../../dsl/tree.ts";

/** One line: a step's numbers, and the metrics of an evaluation after it. */
export type LogRecord = Readonly<Record<string, number | Tree<number>>> & { readonly step: number };

/** An open log. Disposing it closes the file. */
export interface MetricsLog extends Disposable {
  /** What earlier sessions have written of the steps before this one. */
  readonly kept: readonly LogRecord[];
  /** Appends a line at once. */
  readonly write: (record: LogRecord) => void;
}

/** The lines of earlier sessions up to a step; a line cut off by a crash is dropped. */
function recordsUpTo(text: string, step: number): readonly LogRecord[] {
  return text.split("\n").flatMap((line) => {
    try {
      const record = JSON.parse(line);
      return record.step <= step ? [record] : [];
    } catch {
      return [];
    }
  });
}

/**
 * Opens a run's log. A resumed run keeps the lines up to its checkpoint: what came after is computed again.
 *
 * @param path File
 * @param resumedAt Steps of the checkpoint; 0 for a new run
 */
export function openLog(path: string, resumedAt: number): MetricsLog {
  try {
    const kept = resumedAt > 0 ? recordsUpTo(Deno.readTextFileSync(path), resumedAt) : [];
    const line = (record: LogRecord) => `${JSON.stringify(record)}\n`;
    Deno.writeTextFileSync(`${path}.tmp`, kept.map(line).join(""));
    Deno.renameSync(`${path}.tmp`, path);
    const file = Deno.openSync(path, { append: true });
    const encoder = new TextEncoder();
    return {
      kept,
      write: (record) => {
        const bytes = encoder.encode(line(record));
        for (let written = 0; written < bytes.length;) written += file.writeSync(bytes.subarray(written));
      },
      [Symbol.dispose]: () => file.close(),
    };
  } catch (cause) {
    throw new OneloraError({
      attempted: `writing ${path}`,
      found: (cause as Error).message,
      allowed: "a file in a folder that can be written",
    }, { cause });
  }
}
