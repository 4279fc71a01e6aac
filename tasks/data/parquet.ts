/**
 * Parquet files (Apache Parquet format): what their footers say, and their rows in ranges. A thread of its own reads them, so that
 * a hostile file can neither hang nor swell this one.
 *
 * @module
 */
import { type Apart, apart, Unanswered } from "../../dsl/files/apart.ts";
import { OneloraError } from "../../dsl/error.ts";
import type { ParquetRequest, PlainFooter } from "./parquet_thread.ts";

/** Memory of the thread, megabytes of objects. */
const MEGABYTES = 2048;
/** Seconds of work that a read may take, however small the file. */
const SECONDS = 8;
/** Bytes of a file that are worth another second. */
const BYTES_A_SECOND = 2 ** 22;

let thread: Apart<ParquetRequest, unknown> | undefined;

/** Asks the thread that reads Parquet files. */
async function ask(request: ParquetRequest, bytes: number): Promise<unknown> {
  thread ??= apart(new URL("./parquet_thread.ts", import.meta.url), { megabytes: MEGABYTES });
  return await thread.ask(request, `reading ${request.path}`, SECONDS + Math.ceil(bytes / BYTES_A_SECOND));
}

/**
 * Ends the thread that reads Parquet files, if there is one; the next read starts another.
 */
export async function closeParquetThread(): Promise<void> {
  await thread?.close();
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

/** Row groups with the rows before them. */
function groupsOf({ groups }: PlainFooter): readonly RowGroup[] {
  let end = 0;
  return groups.map(({ rows, chunks }) => {
    const start = end;
    end += rows;
    const among = (columns: readonly string[]) => chunks.filter(({ column }) => columns.includes(column));
    return {
      start,
      end,
      bytesOf: (columns) => among(columns).reduce((sum, { bytes }) => sum + bytes, 0),
      indexed: (columns) => among(columns).every(({ indexed }) => indexed),
    };
  });
}

/**
 * Reads a file's footer. Needs `--allow-read`.
 *
 * @param path Where it lies
 * @param options `binary`: bytes that are not marked as text stay bytes
 * @throws OneloraError for what is not a readable Parquet file, or not within bounds of time and memory; so does `read`
 */
export async function openParquet(path: string, options: { readonly binary?: boolean } = {}): Promise<ParquetFile> {
  const footer = await ask({ path }, 0) as PlainFooter;
  const groups = groupsOf(footer);
  // Row groups that came to no answer: nobody waits for one of them twice.
  const endless = new Set<RowGroup>();
  return {
    path,
    columns: footer.columns,
    groups,
    rows: groups.at(-1)?.end ?? 0,
    notes: new Map(footer.notes),
    read: async (columns, start, end) => {
      const touched = groups.filter((group) => group.start < end && group.end > start);
      if (touched.some((group) => endless.has(group))) {
        const found = "a row group that came to no answer before";
        throw new OneloraError({ attempted: `reading ${path}`, found, allowed: "an intact Parquet file" });
      }
      try {
        return await ask({ path, columns, start, end, binary: options.binary ?? false }, footer.bytes) as ParquetRow[];
      } catch (error) {
        if (error instanceof Unanswered) touched.forEach((group) => endless.add(group));
        throw error;
      }
    },
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
