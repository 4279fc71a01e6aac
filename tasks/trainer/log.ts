/**
 * The run's `metrics.jsonl`: one JSON object a line.
 *
 * @module
 */
import { OneloraError } from "../../dsl/error.ts";
import { readNumbers, writeNumbers } from "../../dsl/files/json.ts";
import { openAppend, refuseLinks } from "../../dsl/files/write.ts";
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
      const record = readNumbers(line) as LogRecord;
      return record.step <= step ? [record] : [];
    } catch {
      return [];
    }
  });
}

/** What earlier sessions have written. */
function earlierText(path: string): string {
  const attempted = `reading ${path}`;
  refuseLinks(attempted, path);
  try {
    return Deno.readTextFileSync(path);
  } catch (cause) {
    throw new OneloraError({ attempted, found: (cause as Error).message, allowed: "the log of this run" }, { cause });
  }
}

/**
 * Opens a run's log. A resumed run keeps the lines up to its checkpoint: what came after is computed again.
 *
 * @param path File
 * @param resumedAt Steps of the checkpoint; 0 for a new run
 */
export function openLog(path: string, resumedAt: number): MetricsLog {
  const encoder = new TextEncoder();
  const line = (record: LogRecord) => encoder.encode(`${writeNumbers(record)}\n`);
  const kept = resumedAt > 0 ? recordsUpTo(earlierText(path), resumedAt) : [];
  const first = encoder.encode(kept.map((record) => `${writeNumbers(record)}\n`).join(""));
  const file = openAppend(path, first);
  return {
    kept,
    write: (record) => file.append(line(record)),
    [Symbol.dispose]: () => file[Symbol.dispose](),
  };
}
