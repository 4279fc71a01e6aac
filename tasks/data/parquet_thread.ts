/**
 * The thread that reads Parquet files: a file's footer and rows are whatever somebody wrote, and the library that reads them may
 * loop or swell over them.
 *
 * @module
 */
import { type Aside, serveApart } from "../../dsl/files/apart.ts";
import { guarded, openRanged } from "../../dsl/files/file.ts";
import { builtin } from "../../dsl/host.ts";
import { checkPages, type Pages } from "./parquet_pages.ts";

// Not literal where they are imported, so that nobody downloads a reader that they have no file for.
const READER = "npm:hyparquet@1.31.5";
const COMPRESSORS = "npm:hyparquet-compressors@1.1.2";

/** Most bytes that a page unpacks to; writers make them of a megabyte or so. */
const MOST_PAGE_BYTES = 2 ** 28;
/** Most bytes of the values that are read at once, as the footer says. */
const MOST_GROUP_BYTES = 2 ** 32;
/** Most bytes of a footer. */
const MOST_FOOTER_BYTES = 2 ** 26;
/** Footers that are kept. */
const KEPT_FOOTERS = 64;

/** A column's values in a row group. */
interface Chunk {
  readonly offset_index_length?: number;
  readonly meta_data?: {
    readonly codec: string;
    readonly path_in_schema: readonly string[];
    readonly num_values: bigint;
    readonly data_page_offset: bigint;
    readonly dictionary_page_offset?: bigint;
    readonly total_uncompressed_size: bigint;
    readonly total_compressed_size: bigint;
  };
}

/** What is used of a file's footer. */
interface Footer {
  /** The root, then every column before its parts. */
  readonly schema: readonly { readonly name: string; readonly num_children?: number }[];
  readonly row_groups: readonly { readonly num_rows: bigint; readonly columns: readonly Chunk[] }[];
  readonly key_value_metadata?: readonly { readonly key: string; readonly value?: string }[];
}

/** A file in ranges. */
interface Ranges {
  readonly byteLength: number;
  readonly slice: (begin: number, end?: number) => Promise<ArrayBuffer>;
}

/** Unpacks a page. */
type Compressor = (bytes: Uint8Array, size: number) => Uint8Array;

/** What is used of hyparquet. */
interface Reader {
  readonly snappyUncompress: (bytes: Uint8Array, into: Uint8Array) => void;
  readonly parquetMetadataAsync: (file: Ranges) => Promise<Footer>;
  readonly parquetReadObjects: (options: {
    readonly file: Ranges;
    readonly metadata: Footer;
    readonly columns: readonly string[];
    readonly rowStart: number;
    readonly rowEnd: number;
    readonly compressors?: Readonly<Record<string, Compressor>>;
    readonly useOffsetIndex: boolean;
    readonly utf8: boolean;
    readonly parsers: { readonly stringFromBytes: (bytes: Uint8Array | undefined) => string | Uint8Array | undefined };
  }) => Promise<readonly Readonly<Record<string, unknown>>[]>;
}

/** What is wanted: what a footer says, or rows. */
export type ParquetRequest =
  | { readonly path: string }
  | {
    readonly path: string;
    readonly columns: readonly string[];
    readonly start: number;
    readonly end: number;
    readonly binary: boolean;
  };

/** A footer as plain data. */
export interface PlainFooter {
  /** Bytes of the file. */
  readonly bytes: number;
  /** Names of the columns, without those of their parts. */
  readonly columns: readonly string[];
  /** Row groups: rows, and of each column its name, bytes in memory and whether an index says where rows are. */
  readonly groups: readonly {
    readonly rows: number;
    readonly chunks: readonly { readonly column: string; readonly bytes: number; readonly indexed: boolean }[];
  }[];
  /** Texts that the writer added. */
  readonly notes: readonly (readonly [key: string, value: string])[];
}

/** A file that is open while something is done with it. */
interface Opened {
  readonly ranges: Ranges;
  readonly footer: Footer;
  readonly reader: Reader;
}

/** Columns of row groups whose pages have been looked at, by the footer. */
const looked = new WeakMap<Footer, Set<Chunk>>();

/** Footers by path, with what tells a file from another one of its name. */
const footers = new Map<string, { readonly of: string; readonly footer: Footer }>();

/** A count that a footer gives. */
function count(value: bigint | number | undefined, what: string): number {
  const number = Number(value ?? 0);
  if (Number.isSafeInteger(number) && number >= 0) return number;
  throw new RangeError(`${what} of ${value}`);
}

/** Fetches one of npm's packages, which may take its time. */
async function fetched<Package>(name: string, aside: Aside): Promise<Package> {
  const allowed = "an npm registry in reach on first use; later uses need no network";
  return await guarded(`fetching ${name}`, allowed, () => aside(() => import(name)));
}

async function withFile<Result>(
  path: string,
  aside: Aside,
  action: (opened: Opened) => Result | Promise<Result>,
): Promise<Result> {
  const reader = await fetched<Reader>(READER, aside);
  const file = await openRanged(path);
  try {
    return await guarded(`reading ${path}`, "a Parquet file", async () => {
      const slice = async (begin: number, end: number = file.bytes) => {
        if (!(begin >= 0 && begin <= end && end <= file.bytes)) {
          throw new RangeError(`bytes ${begin} to ${end} of a file of ${file.bytes}`);
        }
        return (await file.read(begin, end - begin)).buffer;
      };
      const ranges = { byteLength: file.bytes, slice };
      const { mtime } = await Deno.stat(path);
      const of = `${file.bytes} ${mtime?.getTime()}`;
      const kept = footers.get(path);
      const footer = kept?.of === of ? kept.footer : await readFooter(reader, ranges);
      footers.delete(path);
      footers.set(path, { of, footer });
      if (footers.size > KEPT_FOOTERS) footers.delete(footers.keys().next().value!);
      return await action({ ranges, footer, reader });
    });
  } finally {
    await file.close();
  }
}

/** Reads the footer, whose length is looked at first. */
async function readFooter(reader: Reader, ranges: Ranges): Promise<Footer> {
  const { byteLength } = ranges;
  if (byteLength < 12) throw new RangeError(`a file of ${byteLength} bytes`);
  const length = new DataView(await ranges.slice(byteLength - 8, byteLength)).getUint32(0, true);
  if (length > MOST_FOOTER_BYTES) throw new RangeError(`a footer of ${length} bytes`);
  return await reader.parquetMetadataAsync(ranges);
}

/** Names of the schema's first level. */
function topLevel({ schema }: Footer): readonly string[] {
  const names: string[] = [];
  // Columns whose parts are still to come, by how many.
  const open: number[] = [];
  for (const { name, num_children = 0 } of schema.slice(1)) {
    if (open.length === 0) names.push(name);
    else open[open.length - 1]--;
    if (num_children > 0) open.push(num_children);
    while (open.at(-1) === 0) open.pop();
  }
  return names;
}

/** What this thread says of a footer. */
function plain({ ranges, footer }: Opened): PlainFooter {
  return {
    bytes: ranges.byteLength,
    columns: topLevel(footer),
    groups: footer.row_groups.map(({ num_rows, columns }) => ({
      rows: count(num_rows, "a row group"),
      chunks: columns.map(({ meta_data, offset_index_length }) => ({
        column: meta_data?.path_in_schema[0] ?? "",
        bytes: count(meta_data?.total_uncompressed_size, "a column"),
        indexed: (offset_index_length ?? 0) > 0,
      })),
    })),
    notes: (footer.key_value_metadata ?? []).map(({ key, value = "" }) => [key, value] as const),
  };
}

/** Unpackers that refuse pages of absurd sizes before they take memory for them. */
async function compressorsFor(
  { reader, footer: { row_groups } }: Opened,
  aside: Aside,
): Promise<Readonly<Record<string, Compressor>>> {
  const codecs = row_groups.flatMap(({ columns }) => columns.map(({ meta_data }) => meta_data?.codec ?? ""));
  const snappy: Compressor = (bytes, size) => {
    const into = new Uint8Array(size);
    reader.snappyUncompress(bytes, into);
    return into;
  };
  // Node's are faster than the package's, and end at the page's size; its Brotli writes of damaged pages to the terminal.
  const { gunzipSync, zstdDecompressSync } = builtin("node:zlib");
  const bounded =
    (unpack: (bytes: Uint8Array, options: { readonly maxOutputLength: number }) => Uint8Array): Compressor =>
    (bytes, size) => unpack(bytes, { maxOutputLength: Math.max(1, size) });
  const own = {
    SNAPPY: snappy,
    GZIP: bounded(gunzipSync),
    ZSTD: bounded(zstdDecompressSync),
  };
  const others: Readonly<Record<string, Compressor>> =
    codecs.every((codec) => ["UNCOMPRESSED", "", ...Object.keys(own)].includes(codec))
      ? {}
      : (await fetched<{ readonly compressors: Readonly<Record<string, Compressor>> }>(COMPRESSORS, aside)).compressors;
  return Object.fromEntries(
    Object.entries({ ...others, ...own }).map((
      [codec, unpack],
    ) => [codec, (bytes: Uint8Array, size: number) => {
      if (!(size >= 0 && size <= MOST_PAGE_BYTES)) throw new RangeError(`a page of ${size} bytes`);
      // Of a page with no bytes, some write one that no reader of LZ4 takes.
      return size === 0 ? new Uint8Array(0) : unpack(bytes, size);
    }]),
  );
}

const decoder = new TextDecoder("utf-8", { ignoreBOM: true, fatal: true });

/** A text, whatever it begins with; bytes that are none stay bytes. */
function stringFromBytes(bytes: Uint8Array | undefined): string | Uint8Array | undefined {
  if (!bytes) return bytes;
  try {
    return decoder.decode(bytes);
  } catch {
    return bytes.slice();
  }
}

/** Rows as plain data. */
async function rows(
  opened: Opened,
  aside: Aside,
  { columns: wanted, start, end, binary }: Extract<ParquetRequest, { readonly start: number }>,
): Promise<readonly Readonly<Record<string, unknown>>[]> {
  const { ranges, footer, reader } = opened;
  const known = looked.get(footer) ?? new Set();
  looked.set(footer, known);
  const unknown: (readonly [Chunk, Pages])[] = [];
  let first = 0;
  let bytes = 0;
  for (const { num_rows, columns } of footer.row_groups) {
    const next = first + count(num_rows, "a row group");
    const isRead = first < end && next > start;
    for (const chunk of columns) {
      const { meta_data } = chunk;
      if (!isRead || !wanted.includes(meta_data?.path_in_schema[0] ?? "")) continue;
      bytes += count(meta_data?.total_uncompressed_size, "a column");
      const size = count(meta_data?.total_compressed_size, "a column");
      const values = count(meta_data?.num_values, "a column");
      if (values > ranges.byteLength * 2 ** 16) throw new RangeError("too many values");
      const begin = Number(meta_data?.dictionary_page_offset || meta_data?.data_page_offset || 0);
      if (!known.has(chunk)) unknown.push([chunk, { begin, end: begin + size, values }]);
    }
    first = next;
  }
  if (bytes > MOST_GROUP_BYTES) throw new RangeError(`${bytes} bytes of values to be read at once`);
  for (const [chunk, pages] of unknown) {
    await checkPages(ranges, pages);
    known.add(chunk);
  }
  const present = topLevel(footer);
  const read = await reader.parquetReadObjects({
    file: ranges,
    metadata: footer,
    columns: wanted.filter((name) => present.includes(name)),
    rowStart: start,
    rowEnd: end,
    compressors: await compressorsFor(opened, aside),
    useOffsetIndex: true,
    utf8: !binary,
    parsers: { stringFromBytes },
  });
  if (read.length !== Math.min(end, first) - start) {
    throw new RangeError(`${read.length} rows where the footer says more`);
  }
  return read;
}

serveApart<ParquetRequest, unknown>((request, aside) =>
  withFile<unknown>(
    request.path,
    aside,
    (opened) => "start" in request ? rows(opened, aside, request) : plain(opened),
  )
);
