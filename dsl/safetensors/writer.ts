/**
 * Writes safetensors files: whole or not at all, and the same bytes for the same tensors.
 *
 * @module
 */
import { OneloraError } from "../error.ts";
import { release } from "../release.ts";
import { type DType, dtypes, holds, type HostData, itemSize } from "./dtype.ts";
import { type Sink, writeWhole } from "../files/write.ts";
import { checkShape, lengthBytes, maxHeaderBytes, metadataName } from "./header.ts";
import { show } from "../files/json.ts";

/** A tensor to write: a `HostTensor`, or the same with a function that makes the values when their turn comes. */
export interface TensorSource {
  /** Element type. */
  readonly dtype: DType;
  /** Length of each axis. */
  readonly shape: readonly number[];
  /** Values, row-major, of the class that `HostArrays` gives for `dtype`. */
  readonly data: HostData | (() => HostData | Promise<HostData>);
  /** Whether values are made for the file alone and may go as soon as they are in it (default no). */
  readonly passing?: boolean;
}

/** A name and its tensor. */
export type NamedSource = readonly [name: string, tensor: TensorSource];

/** What {@link writeSafetensors} can add. */
export interface WriteOptions {
  /** Free-form text kept under `__metadata__`. */
  readonly metadata?: Readonly<Record<string, string>>;
  /** The folder that owns the file: no folder between it and the file may be a link. */
  readonly within?: string;
}

/** A tensor with its checked size. */
interface Sized {
  readonly name: string;
  readonly source: TensorSource;
  readonly bytes: number;
}

/** Names in the order of their UTF-8 bytes, which is that of their code points (not of UTF-16 units). */
function compareNames(a: string, b: string): number {
  const [left, right] = [new TextEncoder().encode(a), new TextEncoder().encode(b)];
  const length = Math.min(left.length, right.length);
  for (let i = 0; i < length; i++) if (left[i] !== right[i]) return left[i] - right[i];
  return left.length - right.length;
}

/** Checks names, types, shapes and metadata, and puts the tensors in file order. */
async function arrange(
  attempted: string,
  entries: Iterable<NamedSource> | AsyncIterable<NamedSource>,
): Promise<readonly Sized[]> {
  const sized = new Map<string, Sized>();
  for await (const [name, source] of entries) {
    if (sized.has(name) || name === metadataName || !name.isWellFormed()) {
      const allowed = `Unicode names, each once, other than ${metadataName}`;
      throw new OneloraError({ attempted, found: `tensor name ${show(name)}`, allowed });
    }
    const { bytes } = checkShape(`${attempted}, tensor ${show(name)}`, source.dtype, source.shape);
    sized.set(name, { name, source, bytes });
  }
  const rank = ({ source }: Sized) => dtypes.indexOf(source.dtype);
  return [...sized.values()].sort((a, b) => rank(a) - rank(b) || compareNames(a.name, b.name));
}

/** Length and header, padded with spaces so that the data starts at a multiple of 8 bytes. */
function formatHeader(
  attempted: string,
  tensors: readonly Sized[],
  metadata: Readonly<Record<string, string>>,
): Uint8Array {
  // Members are joined by hand: an object would move names such as "10" to the front.
  const members: string[] = [];
  const keys = Object.keys(metadata).sort(compareNames);
  if (keys.length > 0) {
    const pairs = keys.map((key) => {
      if (typeof metadata[key] === "string") return `${JSON.stringify(key)}:${JSON.stringify(metadata[key])}`;
      throw new OneloraError({ attempted, found: `metadata ${show(key)}: ${show(metadata[key])}`, allowed: "strings" });
    });
    members.push(`"${metadataName}":{${pairs.join(",")}}`);
  }
  let offset = 0;
  for (const { name, source: { dtype, shape }, bytes } of tensors) {
    const entry = JSON.stringify({ dtype, shape, data_offsets: [offset, offset += bytes] });
    members.push(`${JSON.stringify(name)}:${entry}`);
  }
  const text = new TextEncoder().encode(`{${members.join(",")}}`);
  const length = Math.ceil(text.length / 8) * 8;
  if (length > maxHeaderBytes || !Number.isSafeInteger(offset)) {
    const found = `a header of ${length} bytes for ${offset} bytes of data`;
    throw new OneloraError({ attempted, found, allowed: `${maxHeaderBytes} bytes for 2^53 - 1 bytes` });
  }
  const bytes = new Uint8Array(lengthBytes + length).fill(0x20);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(length), true);
  bytes.set(text, lengthBytes);
  return bytes;
}

/** A tensor's values as bytes, made now if they were given as a function. */
async function bytesOf(attempted: string, { name, source: { dtype, shape, data }, bytes }: Sized): Promise<Uint8Array> {
  const values = typeof data === "function" ? await data() : data;
  if (!holds(dtype, values) || values.byteLength !== bytes) {
    const found = `${values.length} values in a ${values.constructor.name}`;
    const allowed = `${bytes / itemSize(dtype)} values of ${dtype} for shape ${show(shape)}`;
    throw new OneloraError({ attempted: `${attempted}, tensor ${show(name)}`, found, allowed });
  }
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}

/**
 * Writes a safetensors file. It appears whole or not at all: the bytes go to a temporary file in the same folder, reach the
 * disk, and take the file's name last. The same tensors and metadata give the same bytes, whatever their order: tensors lie
 * widest element type first, then by name, as the reference implementation writes them. Types and shapes are needed first, values
 * one tensor at a time, so a file larger than memory can be written. Needs `--allow-read` and `--allow-write`.
 *
 * Format: huggingface.co/docs/safetensors.
 *
 * @param path Where the file shall be; its folder exists, a file there is replaced
 * @param entries Names and tensors, in any order
 * @param options Free-form text
 * @throws {OneloraError} for a name given twice, a wrong shape, type or number of values, a failing `data` function, and a folder
 *   that is missing or may not be written; nothing is left behind and a file at `path` stays as it was
 *
 * @example
 * ```ts
 * import { openSafetensors, writeSafetensors } from "@onelora/onelora/dsl";
 * import { assertEquals } from "@std/assert";
 * const path = `${await Deno.makeTempDir()}/adapter.safetensors`;
 * const bias = { dtype: "F32", shape: [2], data: () => Float32Array.of(3, 4) } as const;
 * await writeSafetensors(path, [["bias", bias]], { metadata: { format: "pt" } });
 * await using checkpoint = await openSafetensors(path);
 * assertEquals(checkpoint.metadata, { format: "pt" });
 * assertEquals((await checkpoint.read("bias")).data, Float32Array.of(3, 4));
 * ```
 */
export async function writeSafetensors(
  path: string,
  entries: Iterable<NamedSource> | AsyncIterable<NamedSource>,
  options: WriteOptions = {},
): Promise<void> {
  const attempted = `writing ${path}`;
  const tensors = await arrange(attempted, entries);
  const header = formatHeader(attempted, tensors, options.metadata ?? {});
  const content = async (write: Sink) => {
    await write(header);
    for (const tensor of tensors) {
      const bytes = await bytesOf(attempted, tensor);
      await write(bytes);
      if (tensor.source.passing) release(bytes);
    }
  };
  await writeWhole(path, content, options);
}
