/**
 * TFRecord, the framing of TensorFlow's files: length (8 bytes), its checksum (4), the data, its checksum (4), all little
 * endian.
 *
 * @module
 */
import library from "crc-32/crc32c";

const crc32c: (bytes: Uint8Array) => number = library.buf;

/** Bytes of a record before its data, and after it. */
const [HEAD, TAIL] = [12, 4];

/** CRC-32C as the format stores it: rotated right by 15 bits, plus a constant. */
function checksum(bytes: Uint8Array): number {
  const crc = crc32c(bytes);
  return ((crc >>> 15 | crc << 17) + 0xa282ead8) >>> 0;
}

/**
 * Data as a record.
 *
 * @param data Any bytes
 *
 * @example
 * ```ts
 * import { recordOf, recordsIn } from "./records.ts";
 * import { assertEquals } from "@std/assert";
 * const record = recordOf(Uint8Array.of(1, 2, 3));
 * assertEquals(record.length, 12 + 3 + 4);
 * assertEquals(recordsIn(record), [Uint8Array.of(1, 2, 3)]);
 * ```
 */
export function recordOf(data: Uint8Array): Uint8Array<ArrayBuffer> {
  const record = new Uint8Array(HEAD + data.length + TAIL);
  const view = new DataView(record.buffer);
  view.setBigUint64(0, BigInt(data.length), true);
  view.setUint32(8, checksum(record.subarray(0, 8)), true);
  record.set(data, HEAD);
  view.setUint32(HEAD + data.length, checksum(data), true);
  return record;
}

/**
 * The data of a file's records up to the first that is cut off or damaged.
 *
 * @param bytes The file
 */
export function recordsIn(bytes: Uint8Array): readonly Uint8Array[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const records: Uint8Array[] = [];
  for (let at = 0; at + HEAD <= bytes.length;) {
    if (view.getUint32(at + 8, true) !== checksum(bytes.subarray(at, at + 8))) break;
    const begin = at + HEAD;
    const end = begin + Number(view.getBigUint64(at, true));
    if (end + TAIL > bytes.length) break;
    const data = bytes.subarray(begin, end);
    if (view.getUint32(end, true) !== checksum(data)) break;
    records.push(data);
    at = end + TAIL;
  }
  return records;
}
