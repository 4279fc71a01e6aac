/**
 * What the headers of a Parquet column's pages say, looked at before their reader fills lists of as many values: a damaged count
 * kept it busy for seconds, on a busy machine for a minute.
 *
 * @module
 */

/** A file in ranges. */
interface Ranges {
  readonly byteLength: number;
  readonly slice: (begin: number, end?: number) => Promise<ArrayBuffer>;
}

/** Where a column's pages lie, and how many values they should have. */
export interface Pages {
  /** First byte. */
  readonly begin: number;
  /** Byte after the last. */
  readonly end: number;
  /** Values in all of them. */
  readonly values: number;
}

/** A value of Thrift's compact protocol: a whole number, a structure by its fields' numbers, or what is not looked at. */
type Thrift = number | ReadonlyMap<number, Thrift> | undefined;

/** Structures within structures; headers have three. */
const MOST_DEEP = 8;

/** Reads one structure. */
function readStructure(view: DataView): { readonly fields: ReadonlyMap<number, Thrift>; readonly bytes: number } {
  let at = 0;
  const varint = () => {
    let value = 0;
    // Beyond 2^53 nothing is a count.
    for (let power = 1;; power *= 128) {
      const byte = view.getUint8(at++);
      value += (byte & 127) * power;
      if (byte < 128) return value;
    }
  };
  const whole = () => {
    const value = varint();
    return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
  };
  const list = (deep: number): undefined => {
    const head = view.getUint8(at++);
    const count = head >> 4 === 15 ? varint() : head >> 4;
    // Every item has a byte at least.
    for (let i = 0; i < count; i++) element(head & 15, deep);
  };
  const element = (type: number, deep: number): Thrift => {
    if (deep > MOST_DEEP) throw new RangeError("too deep");
    if (type === 1 || type === 2) return undefined;
    if (type === 3) return view.getInt8(at++);
    if (type >= 4 && type <= 6) return whole();
    if (type === 7) return void (at += 8);
    if (type === 8) {
      const length = varint();
      return void (at += length);
    }
    if (type === 9 || type === 10) return list(deep + 1);
    if (type === 12) return structure(deep + 1);
    throw new RangeError(`type ${type}`);
  };
  const structure = (deep: number): ReadonlyMap<number, Thrift> => {
    const fields = new Map<number, Thrift>();
    for (let id = 0;;) {
      const head = view.getUint8(at++);
      if (head === 0) return fields;
      id = head >> 4 === 0 ? whole() : id + (head >> 4);
      fields.set(id, element(head & 15, deep));
    }
  };
  const fields = structure(0);
  if (at > view.byteLength) throw new RangeError("past the end");
  return { fields, bytes: at };
}

/** Bytes that most headers have; those with long texts as bounds have more. */
const USUAL = 512;

/** The header at a place, or undefined where there is none. */
async function headerAt(
  ranges: Ranges,
  begin: number,
  end: number,
): Promise<ReturnType<typeof readStructure> | undefined> {
  for (let size = USUAL;; size *= 16) {
    const until = Math.min(end, begin + size, ranges.byteLength);
    try {
      return readStructure(new DataView(await ranges.slice(begin, until)));
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      if (until === Math.min(end, ranges.byteLength)) return undefined;
    }
  }
}

/**
 * Checks the headers of a column's pages.
 *
 * @param ranges The file
 * @param pages The column's
 * @throws RangeError for what is no header, pages of a negative size, and more values than the footer says
 */
export async function checkPages(ranges: Ranges, { begin, end, values: wanted }: Pages): Promise<void> {
  let found = 0;
  // What may follow the last page is nobody's.
  for (let at = begin; at < end && found < wanted;) {
    const header = await headerAt(ranges, at, end);
    if (header === undefined) throw new RangeError(`no header of a page at byte ${at}`);
    const number = (fields: Thrift, id: number) => {
      const value = fields instanceof Map ? fields.get(id) : undefined;
      return typeof value === "number" ? value : 0;
    };
    const { fields, bytes } = header;
    const [unpacked, packed] = [number(fields, 2), number(fields, 3)];
    if (packed < 0 || unpacked < 0) throw new RangeError(`a page of ${Math.min(packed, unpacked)} bytes`);
    const counts = [5, 8].map((id) => number(fields.get(id), 1));
    const words = number(fields.get(7), 1);
    found += counts[0] + counts[1];
    if (Math.min(...counts, words) < 0 || found > wanted) {
      throw new RangeError(`pages of ${found} values in a column of ${wanted}`);
    }
    if (words > Math.max(unpacked, 1)) throw new RangeError(`a dictionary of ${words} values in ${unpacked} bytes`);
    at += bytes + packed;
  }
}
