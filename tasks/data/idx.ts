/**
 * The IDX format of the MNIST files: two zero bytes, a type byte, the number of dimensions, each dimension as a
 * big-endian 32-bit integer, then the values in row-major order (source: the "FILE FORMATS" section of
 * yann.lecun.com/exdb/mnist).
 *
 * @module
 */

import { OneloraError } from "../../dsl/error.ts";

/** A tensor of bytes. */
export interface ByteTensor {
  /** Dimensions, outermost first. */
  readonly shape: readonly number[];
  /** Values in row-major order, a view of the file's bytes. */
  readonly data: Uint8Array;
}

const UNSIGNED_BYTE = 0x08;

/**
 * Reads an IDX file of unsigned bytes; every field is checked, and the length must be exact.
 *
 * @param bytes The file
 * @param dimensions How many dimensions it must have: 3 for images, 1 for labels
 * @param name What to call the file in errors
 *
 * @example
 * ```ts
 * import { parseIdx } from "./idx.ts";
 * import { assertEquals } from "@std/assert";
 * const labels = parseIdx(Uint8Array.of(0, 0, 8, 1, 0, 0, 0, 2, 7, 9), 1, "labels");
 * assertEquals([labels.shape, [...labels.data]], [[2], [7, 9]]);
 * ```
 */
export function parseIdx(bytes: Uint8Array, dimensions: number, name: string): ByteTensor {
  const fail = (found: string, allowed: string): never => {
    throw new OneloraError({ attempted: `reading ${name}`, found, allowed });
  };
  const header = 4 + 4 * dimensions;
  if (bytes.length < header) fail(`${bytes.length} bytes`, `an IDX header of ${header} bytes`);
  const hexadecimal = Array.from(bytes.subarray(0, 4), (byte) => byte.toString(16).padStart(2, "0")).join(" ");
  if (bytes[0] !== 0 || bytes[1] !== 0) fail(`magic ${hexadecimal}`, "an IDX file, which starts with 00 00");
  if (bytes[2] !== UNSIGNED_BYTE) fail(`type ${hexadecimal.slice(6, 8)}`, "08 (unsigned byte)");
  if (bytes[3] !== dimensions) fail(`${bytes[3]} dimensions`, `${dimensions}`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const shape = Array.from({ length: dimensions }, (_, i) => view.getUint32(4 + 4 * i));
  const count = shape.reduce((product, size) => product * size, 1);
  if (count !== bytes.length - header) {
    fail(`${bytes.length - header} bytes after the header`, `${count}, as [${shape.join(", ")}] says`);
  }
  return { shape, data: bytes.subarray(header) };
}
