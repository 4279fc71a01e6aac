/**
 * GGUF files, version 3 (github.com/ggml-org/ggml/blob/master/docs/gguf.md): metadata by key, then tensors.
 *
 * @module
 */
import { BLOCKS } from "../../dsl/blocks.ts";
import { toQ8Blocks } from "../../dsl/block_conversion.ts";
import { OneloraError } from "../../dsl/error.ts";
import { type Sink, writeWhole } from "../../dsl/files/write.ts";
import { release } from "../../dsl/release.ts";
import { toBfloat16, toFloat16 } from "../../dsl/safetensors/dtype.ts";

/** A value of the metadata. */
export type GgufValue =
  | string
  | boolean
  | { readonly uint32: number }
  | { readonly float32: number }
  | { readonly strings: readonly string[] }
  | { readonly int32s: readonly number[] }
  | { readonly float32s: readonly number[] };

/** Types of numbers in tensors. */
export type GgufType = "f32" | "f16" | "bf16" | "q8_0";

/** A tensor to be written. */
export interface GgufTensor {
  /** Its name. */
  readonly name: string;
  /** Its shape, the outermost first as everywhere here; the file has the innermost first. */
  readonly shape: readonly number[];
  /** What its numbers are stored as. */
  readonly type: GgufType;
  /** Its numbers. */
  readonly data: () => Promise<Float32Array>;
}

const KINDS = { uint32: 4, int32: 5, float32: 6, boolean: 7, string: 8, array: 9 } as const;
const { q8_0 } = BLOCKS;
/** Their numbers, and bytes of a number. */
const TYPES: Readonly<Record<GgufType, { readonly code: number; readonly bytes: number }>> = {
  f32: { code: 0, bytes: 4 },
  f16: { code: 1, bytes: 2 },
  bf16: { code: 30, bytes: 2 },
  q8_0: { code: q8_0.code, bytes: q8_0.bytes / q8_0.size },
};
/** Tensors begin at multiples of so many bytes. */
const ALIGNMENT = 32;

const padded = (bytes: number) => Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;

/** Bytes that grow. */
function growing() {
  const parts: Uint8Array[] = [];
  const numbers = (bytes: number, set: (view: DataView) => void) => {
    const view = new DataView(new ArrayBuffer(bytes));
    set(view);
    parts.push(new Uint8Array(view.buffer));
  };
  const uint32 = (value: number) => numbers(4, (view) => view.setUint32(0, value, true));
  const int32 = (value: number) => numbers(4, (view) => view.setInt32(0, value, true));
  const float32 = (value: number) => numbers(4, (view) => view.setFloat32(0, value, true));
  const uint64 = (value: number) => numbers(8, (view) => view.setBigUint64(0, BigInt(value), true));
  const text = (value: string) => {
    const bytes = new TextEncoder().encode(value);
    uint64(bytes.length);
    parts.push(bytes);
  };
  const list = <T>(kind: number, values: readonly T[], each: (value: T) => void) => {
    uint32(KINDS.array);
    uint32(kind);
    uint64(values.length);
    values.forEach(each);
  };
  const value = (given: GgufValue) => {
    if (typeof given === "string") return (uint32(KINDS.string), text(given));
    if (typeof given === "boolean") return (uint32(KINDS.boolean), parts.push(Uint8Array.of(given ? 1 : 0)));
    if ("uint32" in given) return (uint32(KINDS.uint32), uint32(given.uint32));
    if ("float32" in given) return (uint32(KINDS.float32), float32(given.float32));
    if ("strings" in given) return list(KINDS.string, given.strings, text);
    if ("int32s" in given) return list(KINDS.int32, given.int32s, int32);
    return list(KINDS.float32, given.float32s, float32);
  };
  const whole = () => {
    const joined = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
    parts.reduce((at, part) => (joined.set(part, at), at + part.length), 0);
    return joined;
  };
  return { uint32, uint64, text, value, whole };
}

const ENCODERS: Readonly<Record<GgufType, (values: Float32Array, shape: readonly number[]) => ArrayBufferView>> = {
  f32: (values) => values,
  f16: toFloat16,
  bf16: toBfloat16,
  q8_0: (values, shape) => toQ8Blocks(shape, values),
};

/**
 * Writes a GGUF file, which appears whole or not at all; tensors are made one at a time.
 *
 * @param path Where
 * @param metadata Keys and values in order
 * @param tensors The tensors in order
 * @throws OneloraError for a tensor whose numbers do not fill its shape, and a place that cannot be written
 */
export async function writeGguf(
  path: string,
  metadata: readonly (readonly [key: string, value: GgufValue])[],
  tensors: readonly GgufTensor[],
): Promise<void> {
  const head = growing();
  // "GGUF", read as a number of its own byte order.
  head.uint32(0x46554747);
  head.uint32(3);
  head.uint64(tensors.length);
  head.uint64(metadata.length);
  for (const [key, value] of metadata) {
    head.text(key);
    head.value(value);
  }
  const countOf = ({ shape }: GgufTensor) => shape.reduce((product, size) => product * size, 1);
  let offset = 0;
  for (const tensor of tensors) {
    const { name, shape, type } = tensor;
    head.text(name);
    head.uint32(shape.length);
    shape.toReversed().forEach(head.uint64);
    head.uint32(TYPES[type].code);
    head.uint64(offset);
    offset += padded(countOf(tensor) * TYPES[type].bytes);
  }
  const fill = async (write: Sink, bytes: number) => await write(new Uint8Array(padded(bytes) - bytes));
  await writeWhole(path, async (write) => {
    const begun = head.whole();
    await write(begun);
    await fill(write, begun.length);
    for (const tensor of tensors) {
      const values = await tensor.data();
      if (values.length !== countOf(tensor)) {
        const found = `${values.length} numbers of "${tensor.name}"`;
        throw new OneloraError({ attempted: `writing ${path}`, found, allowed: `${countOf(tensor)}` });
      }
      const encoded = ENCODERS[tensor.type](values, tensor.shape);
      const { buffer, byteOffset, byteLength } = encoded;
      await write(new Uint8Array(buffer as ArrayBuffer, byteOffset, byteLength));
      await fill(write, byteLength);
      if (buffer !== values.buffer) release(encoded);
    }
  });
}
