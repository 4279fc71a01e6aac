/**
 * The safetensors header: 8 bytes of little-endian length, then JSON that gives each tensor's type, shape and place.
 * Every rule of the format's specification (huggingface.co/docs/safetensors) is checked before anything is allocated.
 *
 * @module
 */
import { OneloraError } from "../error.ts";
import { type DType, dtypes, isDType, itemSize } from "./dtype.ts";
import { isObject, parseJson, show } from "../files/json.ts";

/** Bytes of the length field before the header. */
export const lengthBytes = 8;
/** Largest header, bytes; the reference implementation's cap. */
export const maxHeaderBytes = 100_000_000;
/** The header name that holds free-form text instead of a tensor. */
export const metadataName = "__metadata__";

/** One tensor of a file. */
export interface Entry {
  /** Element type. */
  readonly dtype: DType;
  /** Length of each axis. */
  readonly shape: readonly number[];
  /** First byte, counted from the end of the header. */
  readonly begin: number;
  /** One past the last byte. */
  readonly end: number;
}

/** A validated header. */
export interface Header {
  /** Tensors by name, in the order of their data. */
  readonly entries: ReadonlyMap<string, Entry>;
  /** Free-form text. */
  readonly metadata: Readonly<Record<string, string>>;
}

/** Whether a value is a length or an offset: a whole number from 0 to 2^53 - 1. */
function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

/**
 * Bytes of a tensor: item size x product of the axes, or undefined where item size x the axes other than 0 passes 2^53 - 1.
 *
 * @param dtype Element type
 * @param shape Length of each axis
 */
function byteLength(dtype: DType, shape: readonly number[]): number | undefined {
  const bytes = shape.reduce((product, axis) => product * Math.max(axis, 1), itemSize(dtype));
  if (bytes > Number.MAX_SAFE_INTEGER) return undefined;
  return shape.includes(0) ? 0 : bytes;
}

/**
 * Checks a tensor's type and shape, and gives its bytes.
 *
 * @param attempted What is being done, for the error line
 * @param dtype Untrusted element type
 * @param shape Untrusted shape
 * @throws {OneloraError} for an unknown type, a shape that is no list of counts, and a size past 2^53 - 1 bytes
 */
export function checkShape(
  attempted: string,
  dtype: unknown,
  shape: unknown,
): { readonly dtype: DType; readonly shape: readonly number[]; readonly bytes: number } {
  if (!isDType(dtype)) {
    throw new OneloraError({ attempted, found: `dtype ${show(dtype)}`, allowed: dtypes.join(", ") });
  }
  if (!Array.isArray(shape) || !shape.every(isCount)) {
    const allowed = "a list of whole numbers from 0 to 2^53 - 1";
    throw new OneloraError({ attempted, found: `shape ${show(shape)}`, allowed });
  }
  const bytes = byteLength(dtype, shape);
  if (bytes === undefined) {
    throw new OneloraError({ attempted, found: `shape ${show(shape)}`, allowed: "a tensor of at most 2^53 - 1 bytes" });
  }
  return { dtype, shape, bytes };
}

/** One entry, valid on its own. */
function parseEntry(attempted: string, value: unknown, dataBytes: number): Entry {
  if (!isObject(value)) {
    const allowed = "an object with dtype, shape and data_offsets";
    throw new OneloraError({ attempted, found: show(value), allowed });
  }
  const { dtype, shape, bytes } = checkShape(attempted, value.dtype, value.shape);
  const offsets = value.data_offsets;
  const found = `data_offsets ${show(offsets)}`;
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isCount)) {
    throw new OneloraError({ attempted, found, allowed: "[begin, end], whole numbers from 0" });
  }
  const [begin, end] = offsets as [number, number];
  if (begin > end || end > dataBytes) {
    throw new OneloraError({
      attempted,
      found,
      allowed: `0 <= begin <= end <= ${dataBytes} (the bytes after the header)`,
    });
  }
  if (end - begin !== bytes) {
    const allowed = `${bytes} bytes for ${dtype} ${show(shape)}`;
    throw new OneloraError({ attempted, found: `${end - begin} bytes (${found})`, allowed });
  }
  return { dtype, shape, begin, end };
}

/** `__metadata__`, checked: text to text; null is none, as to the reference implementation. */
function parseMetadata(attempted: string, value: unknown): Readonly<Record<string, string>> {
  if (value === null) return {};
  if (!isObject(value) || !Object.values(value).every((each) => typeof each === "string")) {
    throw new OneloraError({ attempted, found: `${metadataName} ${show(value)}`, allowed: "an object of strings" });
  }
  return value as Readonly<Record<string, string>>;
}

/** Checks that entries, sorted by place, cover the data exactly. */
function checkCover(attempted: string, entries: readonly (readonly [string, Entry])[], dataBytes: number): void {
  const allowed = `tensors that cover the ${dataBytes} bytes after the header, without overlap or hole`;
  let covered = 0;
  for (const [name, { begin, end }] of entries) {
    if (begin !== covered) {
      const what = begin < covered ? "an overlap" : "a hole";
      const found = `${what} before tensor ${
        show(name)
      }: it begins at byte ${begin}, the one before ends at ${covered}`;
      throw new OneloraError({ attempted, found, allowed });
    }
    covered = end;
  }
  if (covered !== dataBytes) {
    throw new OneloraError({ attempted, found: `${dataBytes - covered} bytes after the last tensor`, allowed });
  }
}

/**
 * The header's length in bytes, checked against the file.
 *
 * @param attempted What is being read, for the error line
 * @param prefix The file's first 8 bytes (fewer where the file is shorter)
 * @param fileBytes Size of the whole file
 * @throws {OneloraError} for a file under 8 bytes, and a length past the file's end or 100 MB
 */
export function parseLength(attempted: string, prefix: Uint8Array, fileBytes: number): number {
  if (prefix.length < lengthBytes) {
    throw new OneloraError({ attempted, found: `a file of ${fileBytes} bytes`, allowed: "at least 8 bytes" });
  }
  const length = new DataView(prefix.buffer, prefix.byteOffset).getBigUint64(0, true);
  const most = Math.min(maxHeaderBytes, fileBytes - lengthBytes);
  if (length > BigInt(most)) {
    const allowed = `at most ${most} (the file has ${fileBytes} bytes, a header at most ${maxHeaderBytes})`;
    throw new OneloraError({ attempted, found: `a header length of ${length} bytes`, allowed });
  }
  return Number(length);
}

/**
 * Parses and validates a header: no entry of the result can point outside the data, overlap another or leave a hole.
 *
 * @param attempted What is being read, for the error line
 * @param bytes The header, without the length before it
 * @param dataBytes Bytes of the file after the header
 * @throws {OneloraError} for every violation of the format
 */
export function parseHeader(attempted: string, bytes: Uint8Array, dataBytes: number): Header {
  if (bytes[0] !== 0x7b) {
    const found = bytes.length === 0 ? "an empty header" : `a header that starts with byte ${bytes[0]}`;
    throw new OneloraError({ attempted, found, allowed: "a header that starts with {" });
  }
  const root = parseJson(bytes, attempted, { depth: 3, wholeNumbers: true }) as Readonly<Record<string, unknown>>;
  const { [metadataName]: metadata = {} } = root;
  const entries = Object.keys(root).filter((name) => name !== metadataName).map((name) => {
    if (!name.isWellFormed()) {
      throw new OneloraError({ attempted, found: `the name ${show(name)}`, allowed: "names that are Unicode text" });
    }
    return [name, parseEntry(`${attempted}, tensor ${show(name)}`, root[name], dataBytes)] as const;
  });
  entries.sort(([, a], [, b]) => a.begin - b.begin || a.end - b.end);
  checkCover(attempted, entries, dataBytes);
  return { entries: new Map(entries), metadata: parseMetadata(attempted, metadata) };
}
