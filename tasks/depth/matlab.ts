/**
 * Columns of numbers in MATLAB 5 files (source: "MAT-File Format", The MathWorks): 128 bytes of header, then elements of a
 * type, a length and content, arrays packed by zlib or plain.
 *
 * @module
 */

import { firstLine, OneloraError } from "../../dsl/error.ts";
import { builtin } from "../../dsl/host.ts";

const HEADER = 128;
const MATRIX = 14;
const COMPRESSED = 15;
/** Most bytes that an array unpacks to; the lists that are read this way have some thousand numbers. */
const MOST_UNPACKED = 2 ** 24;

/** Bytes a value and how to read one, by number type. */
const NUMBERS: Readonly<Record<number, readonly [number, (view: DataView, at: number) => number]>> = {
  1: [1, (view, at) => view.getInt8(at)],
  2: [1, (view, at) => view.getUint8(at)],
  3: [2, (view, at) => view.getInt16(at, true)],
  4: [2, (view, at) => view.getUint16(at, true)],
  5: [4, (view, at) => view.getInt32(at, true)],
  6: [4, (view, at) => view.getUint32(at, true)],
  7: [4, (view, at) => view.getFloat32(at, true)],
  9: [8, (view, at) => view.getFloat64(at, true)],
};

interface Element {
  readonly type: number;
  readonly content: Uint8Array;
}

/** The elements of a stretch of bytes; every one starts at a multiple of 8, packed ones follow at once. */
function elements(bytes: Uint8Array): readonly Element[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const found: Element[] = [];
  for (let at = 0; at + 8 <= bytes.length;) {
    const word = view.getUint32(at, true);
    // Up to four bytes of content fit into the tag itself, the length in the type's upper half.
    const small = word >>> 16 !== 0;
    const [type, length, start] = small
      ? [word & 0xffff, word >>> 16, at + 4]
      : [word, view.getUint32(at + 4, true), at + 8];
    if (start + length > bytes.length) throw new RangeError(`${bytes.length - start} bytes of an element of ${length}`);
    found.push({ type, content: bytes.subarray(start, start + length) });
    const end = start + length;
    at = small ? at + 8 : type === COMPRESSED ? end : Math.ceil(end / 8) * 8;
  }
  return found;
}

/** Numbers of an array's content. */
function numbers({ type, content }: Element): readonly number[] {
  const how = NUMBERS[type];
  if (how === undefined) throw new RangeError(`values of type ${type}`);
  const [size, read] = how;
  const view = new DataView(content.buffer, content.byteOffset, content.byteLength);
  return Array.from({ length: Math.trunc(content.length / size) }, (_, i) => read(view, i * size));
}

/**
 * The numbers of one array, in MATLAB's order.
 *
 * @param bytes The file
 * @param variable The array's name
 * @param name What to call the file in errors
 */
export function readMatlabNumbers(bytes: Uint8Array, variable: string, name: string): readonly number[] {
  const fail = (found: string, cause?: unknown): never => {
    throw new OneloraError({
      attempted: `reading ${name}`,
      found,
      allowed: `a MATLAB 5 file with the numbers ${variable}`,
    }, { cause });
  };
  if (bytes.length < HEADER || bytes[126] !== 0x49 || bytes[127] !== 0x4d || bytes[125] !== 1) {
    fail(`${bytes.length} bytes without its header`);
  }
  try {
    for (const element of elements(bytes.subarray(HEADER))) {
      const [array] = element.type === COMPRESSED
        ? elements(builtin("node:zlib").inflateSync(element.content, { maxOutputLength: MOST_UNPACKED }))
        : [element];
      if (array?.type !== MATRIX) continue;
      const [, , label, values] = elements(array.content);
      if (label !== undefined && new TextDecoder().decode(label.content) === variable) return numbers(values);
    }
  } catch (cause) {
    return fail(firstLine(cause), cause);
  }
  return fail(`no ${variable}`);
}
