/**
 * Element types of the safetensors format and the exact conversions between them.
 *
 * @module
 */
import { OneloraError } from "../error.ts";

/** Host array of each element type; F16 and BF16 keep their raw 16 bits, BOOL is one byte per element. */
export interface HostArrays {
  /** 64-bit float. */
  readonly F64: Float64Array;
  /** 32-bit float. */
  readonly F32: Float32Array;
  /** IEEE half precision, raw bits. */
  readonly F16: Uint16Array;
  /** bfloat16 (the upper half of a 32-bit float), raw bits. */
  readonly BF16: Uint16Array;
  /** Signed 64-bit integer. */
  readonly I64: BigInt64Array;
  /** Signed 32-bit integer. */
  readonly I32: Int32Array;
  /** Signed 16-bit integer. */
  readonly I16: Int16Array;
  /** Signed 8-bit integer. */
  readonly I8: Int8Array;
  /** Unsigned 64-bit integer. */
  readonly U64: BigUint64Array;
  /** Unsigned 32-bit integer. */
  readonly U32: Uint32Array;
  /** Unsigned 16-bit integer. */
  readonly U16: Uint16Array;
  /** Unsigned 8-bit integer. */
  readonly U8: Uint8Array;
  /** 0 or 1. */
  readonly BOOL: Uint8Array;
}

/** Name of an element type, as a safetensors header spells it. */
export type DType = keyof HostArrays;

/** Any of the host arrays. */
export type HostData = HostArrays[DType];

/** A tensor in plain memory: row-major values of one element type. */
export interface HostTensor {
  /** Element type. */
  readonly dtype: DType;
  /** Length of each axis; `[]` is a scalar. */
  readonly shape: readonly number[];
  /** Values, row-major; its class is the one that {@link HostArrays} gives for `dtype`. */
  readonly data: HostData;
}

/** How a host array is made. */
interface HostArrayConstructor {
  readonly BYTES_PER_ELEMENT: number;
  new (buffer: ArrayBuffer): HostData;
}

// Widest first: the order in which the reference implementation lays tensors out.
const constructors: Readonly<Record<DType, HostArrayConstructor>> = {
  U64: BigUint64Array,
  I64: BigInt64Array,
  F64: Float64Array,
  F32: Float32Array,
  U32: Uint32Array,
  I32: Int32Array,
  BF16: Uint16Array,
  F16: Uint16Array,
  U16: Uint16Array,
  I16: Int16Array,
  I8: Int8Array,
  U8: Uint8Array,
  BOOL: Uint8Array,
};

/** Every element type that can be read and written, in the order in which a file lays them out: widest first. */
export const dtypes: readonly DType[] = Object.keys(constructors) as DType[];

/**
 * Whether a value names an element type.
 *
 * @param value Anything, e.g. a field of an untrusted header
 */
export function isDType(value: unknown): value is DType {
  return typeof value === "string" && Object.hasOwn(constructors, value);
}

/**
 * Bytes of one element.
 *
 * @param dtype Element type
 */
export function itemSize(dtype: DType): number {
  return constructors[dtype].BYTES_PER_ELEMENT;
}

/**
 * The elements stored in a buffer, without a copy.
 *
 * @param dtype Element type
 * @param buffer Little-endian elements; its length is a multiple of the element size
 */
export function hostArray(dtype: DType, buffer: ArrayBuffer): HostData {
  return new constructors[dtype](buffer);
}

/**
 * Whether `data` is of the class that holds elements of type `dtype`.
 *
 * @param dtype Element type
 * @param data Host array
 */
export function holds(dtype: DType, data: HostData): boolean {
  return data instanceof constructors[dtype];
}

/**
 * Half precision -> 32-bit floats, exactly (subnormals, infinities and NaN included).
 *
 * @param bits Raw IEEE binary16 elements
 */
export function fromFloat16(bits: Uint16Array): Float32Array {
  return new Float32Array(new Float16Array(bits.buffer, bits.byteOffset, bits.length));
}

/**
 * 32-bit floats -> half precision, rounded to the nearest, ties to even; beyond +-65519.99 becomes infinity.
 *
 * @param values Floats
 */
export function toFloat16(values: Float32Array): Uint16Array {
  return new Uint16Array(new Float16Array(values).buffer);
}

/** The largest number of half precision. */
const MOST_FLOAT16 = 65504;

/**
 * 32-bit floats -> half precision as {@linkcode toFloat16} does it, where all of them are in its range.
 *
 * @param values Floats
 * @param name What they are, for the error
 * @throws OneloraError for a finite number that would become infinity
 */
export function inFloat16(values: Float32Array, name: string): Uint16Array {
  const beyond = values.find((value) => Number.isFinite(value) && Math.abs(value) >= 65520);
  if (beyond === undefined) return toFloat16(values);
  throw new OneloraError({
    attempted: `keeping ${name} in f16`,
    found: `a weight of ${beyond}`,
    allowed: `weights up to ${MOST_FLOAT16}; float32 has no such bound`,
  });
}

/**
 * bfloat16 -> 32-bit floats, exactly: the 16 bits become the upper half.
 *
 * @param bits Raw bfloat16 elements
 */
export function fromBfloat16(bits: Uint16Array): Float32Array {
  const wide = new Uint32Array(bits.length);
  for (let i = 0; i < bits.length; i++) wide[i] = bits[i] << 16;
  return new Float32Array(wide.buffer);
}

/**
 * 32-bit floats -> bfloat16, rounded to the nearest, ties to even; every NaN becomes the quiet 0x7fc0.
 *
 * @param values Floats
 */
export function toBfloat16(values: Float32Array): Uint16Array {
  const wide = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const bits = new Uint16Array(values.length);
  for (let i = 0; i < bits.length; i++) {
    const notANumber = (wide[i] & 0x7fffffff) > 0x7f800000;
    // Half of the last kept place, less one unless that place is odd: this is what sends ties to even.
    bits[i] = notANumber ? 0x7fc0 : (wide[i] + 0x7fff + ((wide[i] >>> 16) & 1)) >>> 16;
  }
  return bits;
}

/**
 * Any tensor's values as 32-bit floats: exact for F32, F16, BF16, BOOL and integers to 2^24, else rounded (64-bit integers
 * to a double first).
 * F32 data is returned as it is, not copied.
 *
 * @param host Tensor in plain memory
 *
 * @example
 * ```ts
 * import { toFloat32 } from "@onelora/onelora/dsl";
 * import { assertEquals } from "@std/assert";
 * const halves = { dtype: "F16", shape: [2], data: Uint16Array.of(0x3c00, 0xc100) } as const;
 * assertEquals(toFloat32(halves), Float32Array.of(1, -2.5));
 * ```
 */
export function toFloat32(host: HostTensor): Float32Array {
  const { dtype, data } = host;
  if (data instanceof Float32Array) return data;
  if (data instanceof BigInt64Array || data instanceof BigUint64Array) {
    const values = new Float32Array(data.length);
    for (let i = 0; i < values.length; i++) values[i] = Number(data[i]);
    return values;
  }
  if (data instanceof Uint16Array && dtype === "F16") return fromFloat16(data);
  if (data instanceof Uint16Array && dtype === "BF16") return fromBfloat16(data);
  return new Float32Array(data);
}
