/**
 * Reads safetensors checkpoints, one tensor at a time: one file, or the shards that an index file lists.
 *
 * @module
 */
import { nearest, OneloraError } from "../error.ts";
import { type DType, hostArray, type HostTensor } from "./dtype.ts";
import { openRanged, type RangedFile } from "../files/file.ts";
import { type Entry, type Header, lengthBytes, parseHeader, parseLength } from "./header.ts";
import { show } from "../files/json.ts";
import { locate, type Place } from "./locate.ts";

/** What a checkpoint says of a tensor. */
export interface TensorInfo {
  /** Element type in the file. */
  readonly dtype: DType;
  /** Length of each axis. */
  readonly shape: readonly number[];
  /** Size of the data, bytes. */
  readonly bytes: number;
  /** Path of the file that holds it. */
  readonly file: string;
}

/** An open checkpoint: headers in memory, data on disk. */
export interface Checkpoint extends AsyncDisposable {
  /** Every tensor's name, file by file, in the order of the data. */
  readonly names: readonly string[];
  /** The free-form text of every file, merged; of one name given by two files, the last file's stands. */
  readonly metadata: Readonly<Record<string, string>>;
  /** Type, shape and size of a tensor, from the header alone. Throws a {@link OneloraError} for an unknown name. */
  readonly info: (name: string) => TensorInfo;
  /** Reads one tensor. Rejects with a {@link OneloraError} for an unknown name and a failing disk. */
  readonly read: (name: string) => Promise<HostTensor>;
  /** Closes the files; reads that have begun are finished first. */
  readonly close: () => Promise<void>;
}

/** An open file with its header. */
interface Shard {
  readonly file: RangedFile;
  readonly header: Header;
  /** First byte of the data. */
  readonly dataBegin: number;
}

/** Opens and validates one file. */
async function openShard(path: string): Promise<Shard> {
  const file = await openRanged(path);
  try {
    const attempted = `reading ${path}`;
    const prefix = await file.read(0, Math.min(lengthBytes, file.bytes));
    const headerBytes = parseLength(attempted, prefix, file.bytes);
    const dataBegin = lengthBytes + headerBytes;
    const header = parseHeader(attempted, await file.read(lengthBytes, headerBytes), file.bytes - dataBegin);
    return { file, header, dataBegin };
  } catch (error) {
    await file.close();
    throw error;
  }
}

/** Opens every shard, or none. */
async function openShards(paths: readonly string[]): Promise<readonly Shard[]> {
  const shards: Shard[] = [];
  try {
    for (const path of paths) shards.push(await openShard(path));
    return shards;
  } catch (error) {
    for (const { file } of shards) await file.close();
    throw error;
  }
}

/** Every tensor's shard and entry; an index chooses the names. */
function contents(place: Place, shards: readonly Shard[]): ReadonlyMap<string, readonly [Shard, Entry]> {
  const all = new Map<string, readonly [Shard, Entry]>();
  for (const [position, shard] of shards.entries()) {
    const wanted = place.names?.[position] ?? new Set(shard.header.entries.keys());
    for (const name of wanted) {
      if (!shard.header.entries.has(name)) {
        const found = `no tensor ${show(name)} in ${shard.file.path}`;
        throw new OneloraError({
          attempted: `reading ${place.path}`,
          found,
          allowed: "tensors that are in their shard",
        });
      }
    }
    for (const [name, entry] of shard.header.entries) if (wanted.has(name)) all.set(name, [shard, entry]);
  }
  return all;
}

/**
 * Opens a checkpoint: a `.safetensors` file, a `.safetensors.index.json` file beside its shards, or a folder with either.
 * Only headers are read, fully validated; peak extra memory of a later `read` is that tensor. Needs `--allow-read`.
 *
 * Format: huggingface.co/docs/safetensors.
 *
 * @param path File or folder
 * @throws {OneloraError} for whatever is missing, unreadable or violates the format
 *
 * @example
 * ```ts
 * import { openSafetensors, writeSafetensors } from "@onelora/onelora/dsl";
 * import { assertEquals } from "@std/assert";
 * const folder = await Deno.makeTempDir();
 * const weight = { dtype: "F32", shape: [2, 1], data: Float32Array.of(1, 2) } as const;
 * await writeSafetensors(`${folder}/model.safetensors`, [["weight", weight]]);
 * await using checkpoint = await openSafetensors(folder);
 * assertEquals(checkpoint.names, ["weight"]);
 * assertEquals(await checkpoint.read("weight"), weight);
 * ```
 */
export async function openSafetensors(path: string): Promise<Checkpoint> {
  const place = await locate(path);
  const shards = await openShards(place.files);
  const close = async () => {
    for (const { file } of shards) await file.close();
  };
  let tensors: ReadonlyMap<string, readonly [Shard, Entry]>;
  try {
    tensors = contents(place, shards);
  } catch (error) {
    await close();
    throw error;
  }
  const names = [...tensors.keys()];
  const find = (name: string): readonly [Shard, Entry] => {
    const tensor = tensors.get(name);
    if (tensor !== undefined) return tensor;
    // Names of another length are no slip of the pen, and hostile ones may be very long.
    const near = nearest(name, names.filter(({ length }) => Math.abs(length - name.length) <= name.length));
    const allowed = near === undefined
      ? `one of its ${names.length} tensors`
      : `one of its tensors, e.g. ${show(near)}`;
    throw new OneloraError({ attempted: `reading ${place.path}`, found: `no tensor ${show(name)}`, allowed });
  };
  return {
    names,
    metadata: Object.fromEntries(shards.flatMap(({ header }) => Object.entries(header.metadata))),
    info: (name) => {
      const [{ file }, { dtype, shape, begin, end }] = find(name);
      return { dtype, shape, bytes: end - begin, file: file.path };
    },
    read: async (name) => {
      const [{ file, dataBegin }, { dtype, shape, begin, end }] = find(name);
      const { buffer } = await file.read(dataBegin + begin, end - begin);
      return { dtype, shape, data: hostArray(dtype, buffer) };
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}
