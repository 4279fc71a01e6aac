/**
 * What cuts of calls are made of.
 *
 * @module
 */

/** Arguments of each chunk; one list or none where a call is too small to be shared. */
export type Split = (args: readonly number[], parts: number) => readonly (readonly number[])[];

/**
 * Ranges of about equal length from 0 to `total`, cut at multiples; the last takes the rest, which is at least a multiple.
 *
 * @param total What is cut
 * @param parts Most ranges
 * @param least Least length of one
 * @param multiple Where cuts may be
 */
export function ranges(
  total: number,
  parts: number,
  least: number,
  multiple: number,
): readonly (readonly [begin: number, end: number])[] {
  const units = Math.floor(total / multiple);
  const count = Math.max(1, Math.min(parts, units, Math.floor(total / Math.max(least, 1))));
  return Array.from({ length: count }, (_, i) => {
    const [begin, end] = [i, i + 1].map((each) => Math.floor(units * each / count) * multiple);
    return [begin, i + 1 === count ? total : end] as const;
  });
}

/**
 * Arguments with some replaced.
 *
 * @param args The arguments
 * @param others What replaces them, by place
 */
export function replaced(args: readonly number[], others: Readonly<Record<number, number>>): readonly number[] {
  return args.map((value, i) => others[i] ?? value);
}

/**
 * By rows.
 *
 * @param rows Place of the number of rows; that of their size is the next
 * @param wide Places of addresses of rows
 * @param narrow Places of addresses of one number a row
 * @param least Elements that are worth a chunk
 */
export function byRows(rows: number, wide: readonly number[], narrow: readonly number[], least: number): Split {
  return (args, parts) => {
    const size = args[rows + 1];
    return ranges(args[rows], parts, Math.ceil(least / size), 1).map(([begin, end]) =>
      replaced(args, {
        [rows]: end - begin,
        ...Object.fromEntries(wide.map((at) => [at, args[at] + begin * size * 4])),
        ...Object.fromEntries(narrow.map((at) => [at, args[at] + begin * 4])),
      })
    );
  };
}

/**
 * By rows that are counted: every part is told the number of its first one.
 *
 * @param rows Place of the number of rows; that of their size is the next
 * @param wide Places of addresses of rows
 * @param first Place of the first row's number
 * @param least Elements that are worth a chunk
 * @param narrow Places of addresses of one number a row
 */
export function byCountedRows(
  rows: number,
  wide: readonly number[],
  first: number,
  least: number,
  narrow: readonly number[] = [],
): Split {
  const plain = byRows(rows, wide, narrow, least);
  return (args, parts) => {
    let done = args[first];
    return plain(args, parts).map((part) => {
      const counted = replaced(part, { [first]: done });
      done += part[rows];
      return counted;
    });
  };
}
