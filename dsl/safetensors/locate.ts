/**
 * Finds the files of a checkpoint: one file, or the shards of a `*.safetensors.index.json`.
 *
 * @module
 */
import { OneloraError } from "../error.ts";
import { guarded, openRanged } from "../files/file.ts";
import { basename, dirname, join } from "../files/path.ts";
import { namesIn, statOf } from "../files/store.ts";
import { maxHeaderBytes } from "./header.ts";
import { isObject, parseJson, show } from "../files/json.ts";

const indexSuffix = ".safetensors.index.json";

/** Where a checkpoint's tensors are. */
export interface Place {
  /** The file that was asked for: a single file or the index. */
  readonly path: string;
  /** The files that hold tensors, sorted. */
  readonly files: readonly string[];
  /** From an index: the names that it takes from each of `files`. */
  readonly names?: readonly ReadonlySet<string>[];
}

/** Whether a shard's name is a plain file name, so that joining it to the folder stays in the folder. */
function isPlain(name: unknown): name is string {
  // deno-lint-ignore no-control-regex
  return typeof name === "string" && !/^\.{0,2}$|[/\\:\u0000-\u001f]/.test(name);
}

/** Checks that every shard is there, so that one line names all that are missing. */
async function checkPresent(attempted: string, files: readonly string[]): Promise<void> {
  const there = await Promise.all(files.map((file) => statOf(file).then(() => true, () => false)));
  const missing = files.filter((_, position) => !there[position]);
  if (missing.length === 0) return;
  const found = `${missing.length} of ${files.length} shards missing: ${show(missing.map((file) => basename(file)))}`;
  throw new OneloraError({ attempted, found, allowed: "every file that weight_map names, beside the index" });
}

/** Reads and validates an index file. */
async function readIndex(path: string): Promise<Place> {
  const attempted = `reading ${path}`;
  const file = await openRanged(path);
  const bytes = await (async () => {
    if (file.bytes <= maxHeaderBytes) return await file.read(0, file.bytes);
    throw new OneloraError({ attempted, found: `${file.bytes} bytes`, allowed: `at most ${maxHeaderBytes} bytes` });
  })().finally(file.close);
  const root = parseJson(bytes, attempted, { depth: 8, wholeNumbers: false });
  if (!isObject(root) || !isObject(root.weight_map)) {
    throw new OneloraError({
      attempted,
      found: "no weight_map",
      allowed: "a weight_map of tensor names to shard files",
    });
  }
  const shards = new Map<string, Set<string>>();
  for (const [name, shard] of Object.entries(root.weight_map)) {
    if (!isPlain(shard)) {
      const allowed = "the name of a file in the index file's folder";
      throw new OneloraError({ attempted, found: `shard ${show(shard)} for ${show(name)}`, allowed });
    }
    shards.set(shard, (shards.get(shard) ?? new Set()).add(name));
  }
  const sorted = [...shards].sort(([a], [b]) => a < b ? -1 : 1);
  const files = sorted.map(([shard]) => join(dirname(path), shard));
  await checkPresent(attempted, files);
  return { path, files, names: sorted.map(([, names]) => names) };
}

/** What transformers and diffusers call a model's file. */
const modelNames = ["model", "diffusion_pytorch_model"];

/** The file to read in a folder: a model's by its usual name, its index, or else the only index or safetensors file. */
async function choose(folder: string): Promise<string> {
  const attempted = `reading ${folder}`;
  const usual = modelNames.flatMap((name) => [`${name}.safetensors`, `${name}${indexSuffix}`]);
  const files = await guarded(attempted, "a readable folder", async () => (await namesIn(folder, usual)).toSorted());
  const single = files.filter((name) => name.endsWith(".safetensors"));
  const index = files.filter((name) => name.endsWith(indexSuffix));
  const preferred = usual.find((name) => files.includes(name));
  const only = index.length === 1 ? index[0] : index.length === 0 && single.length === 1 ? single[0] : undefined;
  const chosen = preferred ?? only;
  if (chosen !== undefined) return join(folder, chosen);
  const candidates = [...index, ...single];
  const found = candidates.length === 0 ? "no safetensors file" : `${candidates.length} of them: ${show(candidates)}`;
  throw new OneloraError({ attempted, found, allowed: "model.safetensors, or one index or safetensors file" });
}

/**
 * The files that a path stands for.
 *
 * @param path A safetensors file, an index file or a folder
 * @throws {OneloraError} for a path that does not exist, a folder without a clear choice, and an index that is malformed or
 *   names a file outside its folder
 */
export async function locate(path: string): Promise<Place> {
  const stat = () => statOf(path);
  const { isDirectory } = await guarded(`reading ${path}`, "a safetensors file, an index or a folder with one", stat);
  const file = isDirectory ? await choose(path) : path;
  return basename(file).endsWith(".json") ? await readIndex(file) : { path: file, files: [file] };
}
