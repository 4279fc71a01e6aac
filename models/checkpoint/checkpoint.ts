/**
 * Checkpoints of any kind, safetensors, PyTorch's own and GGUF, by file or folder.
 *
 * @module
 */
import { OneloraError } from "../../dsl/error.ts";
import { guarded, openRanged } from "../../dsl/files/file.ts";
import { parseJson } from "../../dsl/files/json.ts";
import { basename, dirname, join } from "../../dsl/files/path.ts";
import { namesIn, statOf } from "../../dsl/files/store.ts";
import { openSafetensors } from "../../dsl/safetensors/mod.ts";
import { type BlockCheckpoint, isGguf, openGguf } from "../gguf/checkpoint.ts";
import { openPytorch, type PytorchCheckpoint } from "./pytorch/reader.ts";

/** A checkpoint of any kind. */
export type WeightsCheckpoint =
  & PytorchCheckpoint
  & Partial<Pick<BlockCheckpoint, "formOf" | "readBlocks" | "isPacked">>;

/** What PyTorch's files end in. */
const PYTORCH = [".pt", ".pth", ".bin", ".ckpt"];
const INDEX = ".index.json";
/** What transformers and diffusers call a model's file, without what it ends in. */
const USUAL = [
  "model.safetensors",
  "diffusion_pytorch_model.safetensors",
  "pytorch_model.bin",
  "diffusion_pytorch_model.bin",
];
const USUAL_FILES = USUAL.flatMap((name) => [name, `${name}${INDEX}`]);
/** Largest index, bytes. */
const MOST_INDEX_BYTES = 2 ** 27;

/** Whether a file is by its name one of PyTorch's. */
function isPytorch(name: string): boolean {
  return PYTORCH.some((ending) => name.endsWith(ending));
}

/**
 * Whether a file is by its name one of weights.
 *
 * @param name Its name or path
 */
export function isWeights(name: string): boolean {
  return isPytorch(name) || name.endsWith(".safetensors") || isGguf(name);
}

/**
 * The file of a model's weights in a folder, or the index of its shards: by its usual name, safetensors before PyTorch's, or
 * else the only one there is of its kind.
 *
 * @param names The folder's files
 */
export function weightsAmong(names: readonly string[]): string | undefined {
  const usual = USUAL_FILES.find((name) => names.includes(name));
  const kinds = [
    (name: string) => name.endsWith(`.safetensors${INDEX}`),
    (name: string) => name.endsWith(".safetensors"),
    isPytorch,
  ];
  const firstKind = kinds.map((isOne) => names.filter(isOne)).find((some) => some.length > 0) ?? [];
  return usual ?? (firstKind.length === 1 ? firstKind[0] : undefined);
}

/** Whether a name stays in the folder that it is joined to. */
function isPlain(name: unknown): name is string {
  // deno-lint-ignore no-control-regex
  return typeof name === "string" && !/^\.{0,2}$|[/\\:\u0000-\u001f]/.test(name);
}

/**
 * The shards that an index names, and the tensors that it takes from each.
 *
 * @param path The index file
 * @throws OneloraError if it is malformed, or names a file outside its folder
 */
export async function readShards(path: string): Promise<ReadonlyMap<string, ReadonlySet<string>>> {
  const attempted = `reading ${path}`;
  const file = await openRanged(path);
  const bytes = await file.read(0, Math.min(file.bytes, MOST_INDEX_BYTES)).finally(file.close);
  const root = parseJson(bytes, attempted, { depth: 8, wholeNumbers: false });
  const map = (root as { readonly weight_map?: unknown } | null)?.weight_map;
  const entries = typeof map === "object" && map !== null ? Object.entries(map) : [];
  if (entries.length === 0 || !entries.every(([, shard]) => isPlain(shard))) {
    const allowed = "a weight_map of tensor names to files beside the index";
    throw new OneloraError({ attempted, found: "no such weight_map", allowed });
  }
  return Map.groupBy(entries, ([, shard]) => shard as string).entries()
    .reduce((shards, [shard, some]) => shards.set(shard, new Set(some.map(([name]) => name))), new Map());
}

/** Several PyTorch files as one checkpoint. */
async function openShards(index: string): Promise<PytorchCheckpoint> {
  const open: PytorchCheckpoint[] = [];
  const close = async () => {
    for (const each of open) await each.close();
  };
  const holders = new Map<string, PytorchCheckpoint>();
  try {
    for (const [shard, names] of await readShards(index)) {
      const checkpoint = await openPytorch(join(dirname(index), shard));
      open.push(checkpoint);
      // Names that the shard lacks are its own error.
      for (const name of names) checkpoint.info(name);
      for (const name of names) holders.set(name, checkpoint);
    }
  } catch (error) {
    await close();
    throw error;
  }
  const holder = (name: string) => holders.get(name) ?? open[0];
  return {
    names: [...holders.keys()],
    metadata: {},
    info: (name) => holder(name).info(name),
    read: (name) => holder(name).read(name),
    close,
    [Symbol.asyncDispose]: close,
  };
}

/**
 * Opens weights: a safetensors file, a file of `torch.save`, a GGUF file, the index of either's shards, or a folder with one of them. Needs
 * `--allow-read`.
 *
 * @param path File or folder
 * @throws OneloraError for what is missing or malformed, and for a folder without a clear choice
 */
export async function openCheckpoint(path: string): Promise<PytorchCheckpoint> {
  return await openWeights(path);
}

/**
 * As {@linkcode openCheckpoint} does, with what is read of tensors in blocks as they are.
 *
 * @param path File or folder
 */
export async function openWeights(path: string): Promise<WeightsCheckpoint> {
  const { isDirectory } = await guarded(
    `reading ${path}`,
    "a file of weights or a folder with one",
    () => statOf(path),
  );
  const names = isDirectory
    ? await guarded(`reading ${path}`, "a readable folder", () => namesIn(path, USUAL_FILES))
    : [];
  const chosen = weightsAmong(names);
  const file = isDirectory ? chosen : path;
  if (!isDirectory && isGguf(path)) return await openGguf(path);
  // Its own words for folders without a clear choice are safetensors'.
  if (file === undefined || !isPytorch(basename(file).replace(INDEX, ""))) return await openSafetensors(path);
  const at = isDirectory ? join(path, file) : file;
  return at.endsWith(INDEX) ? await openShards(at) : await openPytorch(at);
}
