/**
 * Parquet files (Apache Parquet format): what their footers say, and their rows in ranges.
 *
 * @module
 */
import { guarded, openRanged } from "../../dsl/files/file.ts";

// Not literal where they are imported, so that nobody downloads a reader that they have no file for.
const READER = "npm:hyparquet@1.31.5";
const COMPRESSORS = "npm:hyparquet-compressors@1.1.2";

/** A column's values in a row group. */
interface Chunk {
  readonly offset_index_length?: number;
  readonly meta_data?: {
    readonly codec: string;
    readonly path_in_schema: readonly string[];
    readonly total_uncompressed_size: bigint;
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

/** What is used of hyparquet. */
interface Reader {
  readonly parquetMetadataAsync: (file: Ranges) => Promise<Footer>;
  readonly parquetReadObjects: (options: {
    readonly file: Ranges;
    readonly metadata: Footer;
    readonly columns: readonly string[];
    readonly rowStart: number;
    readonly rowEnd: number;
    readonly compressors?: unknown;
    readonly useOffsetIndex: boolean;
    readonly utf8: boolean;
  }) => Promise<readonly ParquetRow[]>;
}

/** Values by column. */
export type ParquetRow = Readonly<Record<string, unknown>>;

/** Rows that are stored together. */
export interface RowGroup {
  /** First row. */
  readonly start: number;
  /** Row after the last. */
  readonly end: number;
  /** Bytes in memory of some columns' values. */
  readonly bytesOf: (columns: readonly string[]) => number;
  /** Whether an index says where in the file single rows of some columns are. */
  readonly indexed: (columns: readonly string[]) => boolean;
}

/** A file whose footer has been read. */
export interface ParquetFile {
  /** Where it lies. */
  readonly path: string;
  /** Names of the columns, without those of their parts. */
  readonly columns: readonly string[];
  /** How its rows are stored, in order. */
  readonly groups: readonly RowGroup[];
  /** Rows in all. */
  readonly rows: number;
  /** Texts that the writer added to the footer. */
  readonly notes: ReadonlyMap<string, string>;
  /** Rows from `start` to before `end`, with those of the given columns that there are; the file is open meanwhile. */
  readonly read: (columns: readonly string[], start: number, end: number) => Promise<readonly ParquetRow[]>;
}

/** Snappy is in the reader itself; the other codecs are a package of their own. */
async function compressorsFor({ row_groups }: Footer): Promise<unknown> {
  const codecs = row_groups.flatMap(({ columns }) => columns.map(({ meta_data }) => meta_data?.codec ?? ""));
  if (codecs.every((codec) => ["UNCOMPRESSED", "SNAPPY", ""].includes(codec))) return undefined;
  return (await import(COMPRESSORS)).compressors;
}

/** Does something with an open file. */
async function withRanges<T>(path: string, action: (file: Ranges) => Promise<T>): Promise<T> {
  const file = await openRanged(path);
  try {
    return await guarded(`reading ${path}`, "a Parquet file", () =>
      action({
        byteLength: file.bytes,
        slice: async (begin, end = file.bytes) => (await file.read(begin, end - begin)).buffer,
      }));
  } finally {
    await file.close();
  }
}

/** Names of the schema's first level. */
function topLevel({ schema }: Footer): readonly string[] {
  const names: string[] = [];
  /** The place after a column and its parts. */
  const after = (at: number): number => {
    let next = at + 1;
    for (let child = 0; child < (schema[at].num_children ?? 0) && next < schema.length; child++) next = after(next);
    return next;
  };
  for (let at = 1; at < schema.length; at = after(at)) names.push(schema[at].name);
  return names;
}

function groupsOf({ row_groups }: Footer): readonly RowGroup[] {
  let end = 0;
  return row_groups.map(({ num_rows, columns: chunks }) => {
    if (num_rows < 0n) throw new RangeError(`a row group of ${num_rows} rows`);
    const start = end;
    end += Number(num_rows);
    const among = (columns: readonly string[]) =>
      chunks.filter(({ meta_data }) => columns.includes(meta_data?.path_in_schema[0] ?? ""));
    return {
      start,
      end,
      bytesOf: (columns) =>
        among(columns).reduce((sum, { meta_data }) => sum + Number(meta_data?.total_uncompressed_size ?? 0), 0),
      indexed: (columns) => among(columns).every(({ offset_index_length }) => (offset_index_length ?? 0) > 0),
    };
  });
}

/**
 * Reads a file's footer. Needs `--allow-read`.
 *
 * @param path Where it lies
 * @param options `binary`: bytes that are not marked as text stay bytes
 * @throws OneloraError for what is not a readable Parquet file; so does `read`
 */
export async function openParquet(path: string, options: { readonly binary?: boolean } = {}): Promise<ParquetFile> {
  const reader: Reader = await guarded(
    `fetching ${READER}`,
    "an npm registry in reach on first use; later uses need no network",
    () => import(READER),
  );
  const { footer, columns, groups, compressors } = await withRanges(path, async (file) => {
    const footer = await reader.parquetMetadataAsync(file);
    return { footer, columns: topLevel(footer), groups: groupsOf(footer), compressors: await compressorsFor(footer) };
  });
  return {
    path,
    columns,
    groups,
    rows: groups.at(-1)?.end ?? 0,
    notes: new Map((footer.key_value_metadata ?? []).map(({ key, value = "" }) => [key, value])),
    read: (wanted, rowStart, rowEnd) =>
      withRanges(path, (file) =>
        reader.parquetReadObjects({
          file,
          metadata: footer,
          columns: wanted.filter((name) => columns.includes(name)),
          rowStart,
          rowEnd,
          compressors,
          useOffsetIndex: true,
          utf8: !options.binary,
        })),
  };
}

/**
 * All rows of a file, a row group at a time, with those of the given columns that it has. Needs `--allow-read`.
 *
 * @param path Where it lies
 * @param columns Names of columns
 * @throws OneloraError for what is not a readable Parquet file
 */
export async function* readParquet(
  path: string,
  columns: readonly string[],
): AsyncGenerator<ParquetRow, void, void> {
  const file = await openParquet(path);
  for (const { start, end } of file.groups) yield* await file.read(columns, start, end);
}
