/**
 * What a run remembers of its data, so that it notices when it goes on with other.
 *
 * @module
 */
import { OneloraError } from "../../dsl/error.ts";
import { guarded } from "../../dsl/files/file.ts";
import { isObject, parseSettings } from "../../dsl/files/json.ts";
import { readText, SETTINGS_BYTES } from "../../dsl/files/read.ts";
import { builtin } from "../../dsl/host.ts";

/** What a task says of data that it has opened. */
export interface DataFacts {
  /** Examples by part: `train`, `test`. */
  readonly examples: Readonly<Record<string, number>>;
  /** Names of the classes in order, if there are any. */
  readonly classes?: readonly string[];
  /** Where its files are, if its name does not say: files and folders. */
  readonly paths?: readonly string[];
}

/** Data as a run began with it. */
export interface DataRecord extends Omit<DataFacts, "paths"> {
  /** Files of the data, hidden ones aside; 0 for built-in data. */
  readonly files: number;
  /** Their bytes in all. */
  readonly bytes: number;
  /** SHA-256 of their names and sizes. */
  readonly sha256: string;
}

/** Names and sizes of the files below a path, or of the file itself. Synchronous: data sets may have millions. */
function* filesBelow(
  path: string,
  name: string = "",
  above: readonly string[] = [],
): Generator<readonly [name: string, size: number], void, void> {
  const { isFile, isDirectory, size } = Deno.statSync(path);
  if (isFile) yield [name, size];
  const real = isDirectory ? Deno.realPathSync(path) : "";
  // A link to a folder that it lies in.
  if (!isDirectory || above.includes(real)) return;
  const entries = Array.from(Deno.readDirSync(path), (entry) => entry.name).filter((each) => !each.startsWith("."));
  for (const entry of entries.sort()) {
    yield* filesBelow(`${path}/${entry}`, name === "" ? entry : `${name}/${entry}`, [...above, real]);
  }
}

/**
 * What there is to remember of data: names and sizes of its files, examples and classes. Contents are not read: a file that
 * was changed without changing its size goes unnoticed. Needs `--allow-read`.
 *
 * @param spec The data as a run names it: `images:DIR`, `mnist`
 * @param facts What the task found in it
 */
export async function recordData(spec: string, { examples, classes, paths }: DataFacts): Promise<DataRecord> {
  const named = /^[\w-]+:(.+)$/s.exec(spec)?.[1];
  const sum = builtin("node:crypto").createHash("sha256");
  let [files, bytes] = [0, 0];
  for (const path of paths ?? (named === undefined ? [] : [named])) {
    await guarded(`reading ${path}`, "readable files", () => {
      for (const [name, size] of filesBelow(path)) {
        files++;
        bytes += size;
        sum.update(`${name}\0${size}\n`);
      }
    });
  }
  return { examples, ...(classes && { classes }), files, bytes, sha256: sum.digest("hex") };
}

/** A few names of several. */
function some(names: readonly string[]): string {
  const shown = names.slice(0, 3).map((name) => `"${name}"`).join(", ");
  return names.length > 3 ? `${shown} and ${names.length - 3} more` : shown;
}

/** What differs between data of before and of now, in words; nothing if nothing does. */
function differences(before: DataRecord, now: DataRecord): readonly string[] {
  const [old, classes] = [before.classes ?? [], now.classes ?? []];
  const gone = old.filter((name) => !classes.includes(name));
  const come = classes.filter((name) => !old.includes(name));
  const counted = (count: number, what: string) => `${count.toLocaleString("en-US")} ${what}`;
  const moved = gone.length + come.length === 0 && `${old}` !== `${classes}`;
  const parts = [...new Set([...Object.keys(before.examples), ...Object.keys(now.examples)])]
    .map((part) => [part, before.examples[part] ?? 0, now.examples[part] ?? 0] as const)
    .filter(([, then, count]) => then !== count);
  const found = [
    ...gone.length > 0 ? [`no more ${gone.length === 1 ? "class" : "classes"} ${some(gone)}`] : [],
    ...come.length > 0 ? [`new ${come.length === 1 ? "class" : "classes"} ${some(come)}`] : [],
    ...moved ? ["classes in another order"] : [],
    ...parts.map(([part, then, count]) => `${counted(count, `${part} examples`)}, not ${then.toLocaleString("en-US")}`),
    ...before.files === now.files
      ? []
      : [`${counted(now.files, "files")}, not ${before.files.toLocaleString("en-US")}`],
  ];
  if (found.length > 0 || before.sha256 === now.sha256) return found;
  return [
    before.bytes === now.bytes
      ? "files of other names or sizes"
      : `files of ${counted(now.bytes, "bytes")}, not ${before.bytes.toLocaleString("en-US")}`,
  ];
}

/** A record as it was written, or undefined for anything else. */
function parsed(text: string): DataRecord | undefined {
  try {
    const json = parseSettings(text) as DataRecord;
    const { files, bytes, sha256, examples } = json;
    const isRecord = typeof files === "number" && typeof bytes === "number" && typeof sha256 === "string";
    return isRecord && isObject(examples) ? json : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Refuses to go on with data that is not what a run began with, by what differs.
 *
 * @param path The run's record
 * @param now The data as it is
 * @param spec The data's name
 * @returns A note where there is no record to compare with, e.g. of a run of an earlier version
 * @throws OneloraError for data that differs
 */
export async function checkData(path: string, now: DataRecord, spec: string): Promise<string | undefined> {
  const before = parsed(await readText(path, SETTINGS_BYTES).catch(() => ""));
  if (before === undefined) {
    return `no record of the data at the run's start: whether ${spec} is still the same is not known`;
  }
  const found = differences(before, now);
  if (found.length === 0) return undefined;
  throw new OneloraError({
    attempted: `continuing with ${spec}, which has changed since the run began`,
    found: found.join("; "),
    allowed: "the data as it was, or a new run",
  });
}
