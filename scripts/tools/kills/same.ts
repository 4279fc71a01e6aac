/**
 * Whether two run folders hold the same, but for what a clock and a machine's memory say.
 *
 * @module
 */
import { join } from "node:path";
import { equal } from "@std/assert";

/** Numbers that no two runs share, by the name of their field. */
const OWN = new Set([
  ...["seconds", "bestSeconds", "stepSeconds", "memory", "otherLoad", "peakRssBytes", "sum"],
  // A session that only writes down what the last one reached plans no step.
  "plannedPeakBytes",
  // How often the state is kept decides no byte of it.
  "checkpoint-every",
]);

/** Files that say when they were made. */
const DATED = /(^|\/)(events\.out\.tfevents[^/]*|report\.html)$/;

/** A folder's files, by their paths in it. */
export async function filesOf(folder: string, under: string = ""): Promise<readonly string[]> {
  const found: string[] = [];
  for await (const { name, isDirectory } of Deno.readDir(join(folder, under))) {
    const path = under === "" ? name : `${under}/${name}`;
    if (isDirectory) found.push(...await filesOf(folder, path));
    else found.push(path);
  }
  return found.sort();
}

/** A value without the numbers that are its run's own. */
function shared(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value, (name, part) => OWN.has(name) ? undefined : part));
}

/** A safetensors file: its bytes, and its header without what is its run's own. */
function tensorsOf(bytes: Uint8Array): unknown {
  const length = Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true));
  const { __metadata__: metadata, ...tensors } = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + length)));
  const { progress, ...others } = metadata ?? {};
  const own = progress === undefined ? undefined : shared(JSON.parse(progress));
  return [tensors, shared(others), own, bytes.subarray(8 + length)];
}

/** What a file comes to. */
function contentOf(path: string, bytes: Uint8Array): unknown {
  const text = () => new TextDecoder().decode(bytes);
  if (path.endsWith(".jsonl")) return text().trimEnd().split("\n").map((line) => shared(JSON.parse(line)));
  if (path.endsWith(".json")) return shared(JSON.parse(text()));
  return path.startsWith("checkpoint/") ? tensorsOf(bytes) : bytes;
}

/**
 * What differs between two runs.
 *
 * @param run The folder of one
 * @param other The folder of the other
 * @returns Names of files that differ or that only one of them has
 */
export async function differences(run: string, other: string): Promise<readonly string[]> {
  const names = async (folder: string) =>
    new Set((await filesOf(folder)).map((path) => DATED.test(path) ? path.replace(/tfevents.*/, "tfevents") : path));
  const [mine, theirs] = [await names(run), await names(other)];
  const different = [...mine.symmetricDifference(theirs)].map((path) => `${path} (only one has it)`);
  for (const path of mine.intersection(theirs)) {
    if (DATED.test(path) || path.endsWith("tfevents")) continue;
    const [one, two] = await Promise.all([run, other].map((folder) => Deno.readFile(join(folder, path))));
    if (!equal(contentOf(path, one), contentOf(path, two))) different.push(path);
  }
  return different;
}

/**
 * Files of a killed run that are neither whole nor marked as unfinished; the last line of a log may be cut off.
 *
 * @param folder The run's folder
 */
export async function broken(folder: string): Promise<readonly string[]> {
  const bad: string[] = [];
  for (const path of await filesOf(folder)) {
    if (!/\.(json|safetensors)$/.test(path)) continue;
    const bytes = await Deno.readFile(join(folder, path));
    try {
      if (path.endsWith(".json")) JSON.parse(new TextDecoder().decode(bytes));
      else tensorsOf(bytes);
    } catch {
      bad.push(path);
    }
  }
  return bad;
}
