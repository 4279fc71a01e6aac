/**
 * Rows of Parquet files (Apache Parquet format), a row group at a time.
 *
 * @module
 */
import { guarded, openRanged } from "../../dsl/safetensors/file.ts";

// Not literal where they are imported, so that nobody downloads a reader that they have no file for.
const READER = "npm:hyparquet@1.31.5";
const COMPRESSORS = "npm:hyparquet-compressors@1.1.2";

/** What is used of a file's metadata. */
interface Metadata {
  readonly schema: readonly { readonly name: string }[];
  readonly row_groups: readonly {
    readonly num_rows: bigint;
    readonly columns: readonly { readonly meta_data?: { readonly codec: string } }[];
  }[];
}

/** A file in ranges. */
interface Ranges {
  readonly byteLength: number;
  readonly slice: (begin: number, end?: number) => Promise<ArrayBuffer>;
}

/** What is used of hyparquet. */
interface Reader {
  readonly parquetMetadataAsync: (file: Ranges) => Promise<Metadata>;
  readonly parquetReadObjects: (options: {
    readonly file: Ranges;
    readonly metadata: Metadata;
    readonly columns: readonly string[];
    readonly rowStart: number;
    readonly rowEnd: number;
    readonly compressors?: unknown;
  }) => Promise<readonly Readonly<Record<string, unknown>>[]>;
}

/** Snappy is in the reader itself; the other codecs are a package of their own. */
async function compressorsFor({ row_groups }: Metadata): Promise<unknown> {
  const codecs = row_groups.flatMap(({ columns }) => columns.map(({ meta_data }) => meta_data?.codec ?? ""));
  if (codecs.every((codec) => ["UNCOMPRESSED", "SNAPPY", ""].includes(codec))) return undefined;
  return (await import(COMPRESSORS)).compressors;
}

/**
 * All rows of a file, with those of the given columns that it has. Needs `--allow-read`.
 *
 * @param path Where it lies
 * @param columns Names of columns
 * @throws OneloraError for what is not a readable Parquet file
 */
export async function* readParquet(
  path: string,
  columns: readonly string[],
): AsyncGenerator<Readonly<Record<string, unknown>>, void, void> {
  const file = await openRanged(path);
  try {
    const attempt = <T>(action: () => Promise<T>) => guarded(`reading ${path}`, "a Parquet file", action);
    const ranges: Ranges = {
      byteLength: file.bytes,
      slice: async (begin, end = file.bytes) => (await file.read(begin, end - begin)).buffer,
    };
    const { parquetMetadataAsync, parquetReadObjects }: Reader = await guarded(
      `fetching ${READER}`,
      "an npm registry in reach on first use; later uses need no network",
      () => import(READER),
    );
    const metadata = await attempt(() => parquetMetadataAsync(ranges));
    const present = columns.filter((column) => metadata.schema.some(({ name }) => name === column));
    const compressors = await attempt(() => compressorsFor(metadata));
    let rowStart = 0;
    for (const { num_rows } of metadata.row_groups) {
      const rowEnd = rowStart + Number(num_rows);
      const options = { file: ranges, metadata, columns: present, rowStart, rowEnd, compressors };
      yield* await attempt(() => parquetReadObjects(options));
      rowStart = rowEnd;
    }
  } finally {
    await file.close();
  }
}
