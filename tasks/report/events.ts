/**
 * A run's numbers and pictures for TensorBoard (`tensorboard --logdir runs`): an event file in the run's folder.
 *
 * @module
 */
import { OneloraError } from "../../dsl/error.ts";
import { openAppend, refuseLinks } from "../../dsl/files/write.ts";
import type { LogRecord } from "../trainer/log.ts";
import { imageEvent, scalarsEvent, stepOf, versionEvent } from "./event.ts";
import { recordOf, recordsIn } from "./records.ts";

/** An open event file. Disposing it closes the file. */
export interface EventLog extends Disposable {
  /** Appends numbers of a step at once; tags as `group/name`. */
  scalars(step: number, values: Readonly<Record<string, number>>): void;
  /** Appends a picture of a step at once. */
  image(step: number, tag: string, png: Uint8Array): void;
}

/** An action on files whose failure is one line. */
function writing<Result>(path: string, action: () => Result): Result {
  try {
    return action();
  } catch (cause) {
    if (cause instanceof OneloraError) throw cause;
    const found = (cause as Error).message;
    throw new OneloraError({ attempted: `writing ${path}`, found, allowed: "a folder that can be written" }, { cause });
  }
}

/** Parts in a row. */
function joined(parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

/** TensorBoard recognises a file by the start of its name; the end says that it is ours. */
const [START, END] = ["events.out.tfevents.", ".onelora"];

/** The name of our event file in a folder, if it has one. */
function existing(folder: string): string | undefined {
  return Array.from(Deno.readDirSync(folder), ({ name }) => name)
    .filter((name) => name.startsWith(START) && name.endsWith(END)).sort()[0];
}

/**
 * Opens a run's event file, `events.out.tfevents.SECONDS.onelora`. A resumed run keeps the events up to its checkpoint:
 * what came after is computed again, and a last one cut off by a crash is dropped. A new run starts anew.
 *
 * @param folder The run's folder, made if needed
 * @param resumedStep Steps of the checkpoint; 0 for a new run
 * @param now Milliseconds since 1970
 * @throws OneloraError if the folder cannot be written
 *
 * @example
 * ```ts
 * import { openEvents } from "@onelora/onelora/tasks";
 * import { recordsIn } from "./records.ts";
 * import { assertEquals } from "@std/assert";
 * const folder = await Deno.makeTempDir();
 * {
 *   using events = openEvents(folder, 0, () => 1_700_000_000_000);
 *   events.scalars(1, { "train/loss": 2.5 });
 * }
 * const file = await Deno.readFile(`${folder}/events.out.tfevents.1700000000.onelora`);
 * assertEquals(recordsIn(file).length, 2);
 * await Deno.remove(folder, { recursive: true });
 * ```
 */
export function openEvents(folder: string, resumedStep: number, now: () => number = Date.now): EventLog {
  const seconds = () => now() / 1000;
  return writing(`events into ${folder}`, () => {
    Deno.mkdirSync(folder, { recursive: true });
    const [earlier, opened] = [existing(folder), seconds()];
    const path = `${folder}/${earlier ?? `${START}${Math.floor(opened)}${END}`}`;
    refuseLinks(`reading ${path}`, path);
    const records = earlier === undefined || resumedStep === 0 ? [] : recordsIn(Deno.readFileSync(path));
    const kept = records.filter((record) => (stepOf(record) ?? Infinity) <= resumedStep);
    const first = kept.length === 0 ? [versionEvent(opened)] : kept;
    const file = openAppend(path, joined(first.map(recordOf)));
    return {
      scalars: (step, values) => file.append(recordOf(scalarsEvent(seconds(), step, values))),
      image: (step, tag, png) => file.append(recordOf(imageEvent(seconds(), step, tag, png))),
      [Symbol.dispose]: () => file[Symbol.dispose](),
    };
  });
}

/**
 * A log line's numbers by tag: what a step measured under `train/`, metrics of an evaluation under `evaluation/`.
 *
 * @param record A line of `metrics.jsonl`
 *
 * @example
 * ```ts
 * import { scalarsOf } from "./events.ts";
 * import { assertEquals } from "@std/assert";
 * assertEquals(scalarsOf({ step: 8, loss: 0.5, evaluation: { accuracy: 0.9 } }), {
 *   "train/loss": 0.5,
 *   "evaluation/accuracy": 0.9,
 * });
 * ```
 */
export function scalarsOf({ step: _, ...rest }: LogRecord): Readonly<Record<string, number>> {
  return Object.fromEntries(
    Object.entries(rest).flatMap(([name, value]) =>
      typeof value === "number"
        ? [[`train/${name}`, value]]
        : Object.entries(value).map(([metric, number]) => [`${name}/${metric}`, number])
    ),
  );
}
