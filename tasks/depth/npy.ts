/**
 * NumPy's .npy files: magic, version, a header that is a Python dictionary, then plain values (source: the specification
 * in numpy.lib.format).
 *
 * @module
 */

import { OneloraError } from "../../dsl/error.ts";

/** An array of numbers. */
export interface NumberArray {
  /** Dimensions, outermost first. */
  readonly shape: readonly number[];
  /** Values in row-major order. */
  readonly data: Float32Array;
  /** Whether it is of booleans or integers. */
  readonly whole: boolean;
}

/** Bytes a value and how to read one, by type code without byte order. */
const TYPES: Readonly<Record<string, readonly [number, (view: DataView, at: number, little: boolean) => number]>> = {
  b1: [1, (view, at) => view.getUint8(at)],
  u1: [1, (view, at) => view.getUint8(at)],
  i1: [1, (view, at) => view.getInt8(at)],
  u2: [2, (view, at, little) => view.getUint16(at, little)],
  i2: [2, (view, at, little) => view.getInt16(at, little)],
  u4: [4, (view, at, little) => view.getUint32(at, little)],
  i4: [4, (view, at, little) => view.getInt32(at, little)],
  u8: [8, (view, at, little) => Number(view.getBigUint64(at, little))],
  i8: [8, (view, at, little) => Number(view.getBigInt64(at, little))],
  f2: [2, (view, at, little) => view.getFloat16(at, little)],
  f4: [4, (view, at, little) => view.getFloat32(at, little)],
  f8: [8, (view, at, little) => view.getFloat64(at, little)],
};

/** Values in row-major order of an array in column-major order. */
function inRows(values: Float32Array, shape: readonly number[]): Float32Array {
  // From one value to the next in a dimension, there and here.
  const steps = shape.map((_, axis) => shape.slice(0, axis).reduce((product, size) => product * size, 1));
  const rows = new Float32Array(values.length);
  const places = shape.map(() => 0);
  let from = 0;
  for (let to = 0; to < rows.length; to++) {
    rows[to] = values[from];
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      from += steps[axis];
      if (++places[axis] < shape[axis]) break;
      from -= shape[axis] * steps[axis];
      places[axis] = 0;
    }
  }
  return rows;
}

const MAGIC = [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59];

/**
 * Reads an .npy file of booleans, integers or floats, in either order; every field is checked, and the length must be exact.
 *
 * @param bytes The file
 * @param name What to call the file in errors
 *
 * @example
 * ```ts
 * import { parseNpy } from "./npy.ts";
 * import { assertEquals } from "@std/assert";
 * const header = "{'descr': '|u1', 'fortran_order': False, 'shape': (2, 1), }\n";
 * const start = [0x93, ...new TextEncoder().encode("NUMPY"), 1, 0, header.length, 0];
 * const file = Uint8Array.of(...start, ...new TextEncoder().encode(header), 7, 9);
 * assertEquals(parseNpy(file, "mask.npy"), { shape: [2, 1], data: Float32Array.of(7, 9), whole: true });
 * ```
 */
export function parseNpy(bytes: Uint8Array, name: string): NumberArray {
  const fail = (found: string, allowed: string): never => {
    throw new OneloraError({ attempted: `reading ${name}`, found, allowed });
  };
  if (bytes.length < 12 || MAGIC.some((byte, i) => bytes[i] !== byte)) {
    fail(`${bytes.length} bytes that do not start as .npy files do`, "an .npy file");
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const version = bytes[6];
  if (![1, 2, 3].includes(version)) fail(`version ${version}`, "1, 2 or 3");
  const start = version === 1 ? 10 : 12;
  const end = start + (version === 1 ? view.getUint16(8, true) : view.getUint32(8, true));
  if (end > bytes.length) fail(`a header of ${end - start} bytes in a file of ${bytes.length}`, "a whole header");
  const header = new TextDecoder().decode(bytes.subarray(start, end));
  const type = header.match(/'descr':\s*'([<>|=]?)([a-z]\d+)'/);
  const order = header.match(/'fortran_order':\s*(True|False)/);
  const sizes = header.match(/'shape':\s*\(([\d,\s]*)\)/);
  if (type === null || order === null || sizes === null) {
    return fail(JSON.stringify(header.slice(0, 80)), "descr, fortran_order and shape of an array of plain numbers");
  }
  const shape = sizes[1].split(",").map((size) => size.trim()).filter(Boolean).map(Number);
  const count = shape.reduce((product, size) => product * size, 1);
  const [size, read] = TYPES[type[2]] ?? fail(`type ${type[2]}`, Object.keys(TYPES).join(", "));
  if (count * size !== bytes.length - end) {
    fail(
      `${bytes.length - end} bytes after the header`,
      `${count * size}, as [${shape.join(", ")}] of ${type[2]} says`,
    );
  }
  const little = type[1] !== ">";
  const data = Float32Array.from({ length: count }, (_, i) => read(view, end + i * size, little));
  return { shape, data: order[1] === "True" ? inRows(data, shape) : data, whole: !type[2].startsWith("f") };
}
