/**
 * The run's `metrics.jsonl`: one JSON object a line.
 *
 * @module
 */
import { OneloraError } from "../../dsl/error.ts";

/** One line: a step's or an evaluation's numbers. */
export type LogRecord = Readonly<Record<string, number | string>> & { readonly step: number };

/** An open log. */
export interface MetricsLog {
  /** Appends a line at once. */
  readonly write: (record: LogRecord) => void;
  /** Closes the file. */
  readonly close: () => void;
}

/** The lines of an earlier session up to a step; a line cut off by a crash is dropped. */
function linesUpTo(text: string, step: number): string[] {
  return text.split("\n").filter((line) => {
    try {
      return JSON.parse(line).step <= step;
    } catch {
      return false;
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
    if (resumedAt > 0) {
      const kept = linesUpTo(Deno.readTextFileSync(path), resumedAt);
      Deno.writeTextFileSync(`${path}.tmp`, kept.map((line) => `${line}\n`).join(""));
      Deno.renameSync(`${path}.tmp`, path);
    }
    const file = Deno.openSync(path, { write: true, create: true, append: resumedAt > 0, truncate: resumedAt === 0 });
    const encoder = new TextEncoder();
    return {
      write: (record) => {
        const bytes = encoder.encode(`${JSON.stringify(record)}\n`);
        for (let written = 0; written < bytes.length;) written += file.writeSync(bytes.subarray(written));
      },
      close: () => file.close(),
    };
  } catch (cause) {
    throw new OneloraError({
      attempted: `writing ${path}`,
      found: (cause as Error).message,
      allowed: "a file in a folder that can be written",
    }, { cause });
  }
}
