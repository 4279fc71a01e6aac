/**
 * How calls of the kernels are cut into chunks: by elements, rows or products of a batch, never within a sum, so
 * that every number of threads gives the same bytes.
 *
 * @module
 */
import { bytesByCode, LARGEST_BLOCK } from "./forms.ts";
import type { FunctionName } from "./functions.ts";
import { OWN_WORK } from "./pool.ts";

/** Arguments of each chunk; one list or none where a call is too small to be shared. */
type Split = (args: readonly number[], parts: number) => readonly (readonly number[])[];

/** Elements of a chunk that are worth waking a thread for: some 10 microseconds of work. */
const [CHEAP, COSTLY] = [16384, 4096];
/** Multiply-adds of a chunk that are. */
const PRODUCTS = 2 ** 18;

/** Elements of a matrix that are worth a chunk of its product with a vector, which is as fast as memory. */
const VECTOR = 2 ** 15;

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

/** Arguments with some replaced. */
function replaced(args: readonly number[], others: Readonly<Record<number, number>>): readonly number[] {
  return args.map((value, i) => others[i] ?? value);
}

/**
 * By elements: `arrays` vectors, then their size.
 *
 * @param arrays How many addresses come first
 * @param least Elements that are worth a chunk
 */
function elements(arrays: number, least: number): Split {
  return (args, parts) =>
    ranges(args[arrays], parts, least, 16).map(([begin, end]) => [
      ...args.slice(0, arrays).map((address) => address + begin * 4),
      end - begin,
      ...args.slice(arrays + 1),
    ]);
}

/**
 * By rows.
 *
 * @param rows Place of the number of rows; that of their size is the next
 * @param wide Places of addresses of rows
 * @param narrow Places of addresses of one number a row
 * @param least Elements that are worth a chunk
 */
function byRows(rows: number, wide: readonly number[], narrow: readonly number[], least: number): Split {
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

/** a, b, out, rows, size, step of b, whether a row has one b. */
const pair: Split = (args, parts) => {
  const [a, b, out, rows, size, step, each] = args;
  if (rows > 1) {
    return ranges(rows, parts, Math.ceil(CHEAP / size), 1).map(([begin, end]) => {
      const skipped = begin * size * 4;
      return [a + skipped, b + begin * step, out + skipped, end - begin, size, step, each];
    });
  }
  return ranges(size, parts, CHEAP, 16).map(([begin, end]) => {
    const skipped = begin * 4;
    return [a + skipped, each ? b : b + skipped, out + skipped, rows, end - begin, step, each];
  });
};

/** x, out, groups, rows, size, divisor, columns: by groups, or by the columns of a single one. */
const columns: Split = ([x, out, groups, rows, size, divisor, width], parts) =>
  groups > 1
    ? ranges(groups, parts, Math.ceil(CHEAP / (rows * size)), 1).map(([begin, end]) => [
      x + begin * rows * size * 4,
      out + begin * size * 4,
      end - begin,
      rows,
      size,
      divisor,
      width,
    ])
    : ranges(width, parts, Math.ceil(CHEAP / rows), 16).map(([begin, end]) => [
      x + begin * 4,
      out + begin * 4,
      groups,
      rows,
      size,
      divisor,
      end - begin,
    ]);

/** By rows, whose number counts on in every part: `first` is its place. */
function byCountedRows(
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

/**
 * batch, a, step, b, step, out, rows, columns, depth, transposeA, transposeB, work, bias, relu, strides of a, b and out: by
 * products of the batch, by rows in sixes or by columns in eights, as many as a tile has. Every part lays out the other
 * factor for itself, so the larger one is cut.
 */
const product: Split = (args, parts) => {
  const [batch, a, stepA, b, stepB, out, rows, width, depth, transposeA, transposeB, , bias, , strideA] = args;
  const own = (others: Readonly<Record<number, number>>) => replaced(args, { 11: OWN_WORK, ...others });
  const each = rows * width * depth;
  if (batch > 1) {
    return ranges(batch, parts, Math.ceil(PRODUCTS / each), 1).map(([begin, end]) =>
      own({ 0: end - begin, 1: a + begin * stepA, 3: b + begin * stepB, 5: out + begin * rows * width * 4 })
    );
  }
  if (rows > 1 && width > rows) {
    return ranges(width, parts, Math.ceil(PRODUCTS / (rows * depth)), 8).map(([begin, end]) =>
      own({
        3: b + begin * (transposeB ? depth : 1) * 4,
        5: out + begin * 4,
        7: end - begin,
        12: bias === 0 ? 0 : bias + begin * 4,
      })
    );
  }
  if (rows > 1 && width > 1) {
    // A chunk of one row would be another kernel's; the last chunk takes the rest of a tile.
    return ranges(rows, parts, Math.ceil(PRODUCTS / (width * depth)), 6).map(([begin, end]) =>
      own({ 1: a + (transposeA ? begin * 4 : begin * strideA), 5: out + begin * width * 4, 6: end - begin })
    );
  }
  if (width === 1 && rows > 1 && !transposeA) {
    return ranges(rows, parts, Math.ceil(PRODUCTS / depth), 1).map(([begin, end]) =>
      own({ 1: a + begin * strideA, 5: out + begin * 4, 6: end - begin })
    );
  }
  if (rows === 1 && width > 1 && transposeB) {
    // Every column is a sum of its own.
    return ranges(width, parts, Math.ceil(VECTOR / depth), 4).map(([begin, end]) =>
      own({ 3: b + begin * depth * 4, 5: out + begin * 4, 7: end - begin, 12: bias === 0 ? 0 : bias + begin * 4 })
    );
  }
  return [args];
};

/** x, filter, out, first, rows, columns, height, width, channels, kernel's height and width, ...: by output pixels in sixes. */
const convolution: Split = (args, parts) => {
  const [, , out, first, rows, columns, , , channels, kernelHeight, kernelWidth] = args;
  const each = columns * channels * kernelHeight * kernelWidth;
  return ranges(rows, parts, Math.ceil(PRODUCTS / each), 6).map(([begin, end]) =>
    replaced(args, { 2: out + begin * columns * 4, 3: first + begin, 4: end - begin, 16: OWN_WORK })
  );
};

/** patches, out, first row, rows, height, width, channels, ...: by rows of the image. */
const collection: Split = (args, parts) => {
  const [, out, first, rows, , width, channels] = args;
  return ranges(rows, parts, Math.ceil(COSTLY / (width * channels)), 1).map(([begin, end]) =>
    replaced(args, { 1: out + begin * width * channels * 4, 2: first + begin, 3: end - begin })
  );
};

/** x, out, four counts, four steps in x, four in out, ...: by the first count, or by the columns of a single transposition. */
const permutation: Split = (args, parts) => {
  const [x, out, n0, n1, n2, n3, s0, , , , t0, , , , rows, columns = 1, , step] = args;
  if (n0 > 1) {
    return ranges(n0, parts, Math.ceil(CHEAP / (n1 * n2 * n3 * rows * columns)), 1).map(([begin, end]) =>
      replaced(args, { 0: x + begin * s0, 1: out + begin * t0, 2: end - begin })
    );
  }
  if (n1 * n2 * n3 > 1 || step === undefined) return [args];
  return ranges(columns, parts, Math.ceil(CHEAP / rows), 16).map(([begin, end]) =>
    replaced(args, { 0: x + begin * 4, 1: out + begin * step, 15: end - begin })
  );
};

/** from, to, batch, and what one of the batch takes. */
function batches(size: (args: readonly number[]) => readonly [from: number, to: number]): Split {
  return (args, parts) => {
    const [from, to] = size(args);
    return ranges(args[2], parts, Math.ceil(CHEAP / Math.max(from, to)), 1).map(([begin, end]) =>
      replaced(args, { 0: args[0] + begin * from * 4, 1: args[1] + begin * to * 4, 2: end - begin })
    );
  };
}

/** x, indices, out, batch, rows, count, size. */
const gather: Split = (args, parts) => {
  const [, indices, out, batch, , count, size] = args;
  if (batch !== 1) return [args];
  return ranges(count, parts, Math.ceil(CHEAP / size), 1).map(([begin, end]) =>
    replaced(args, { 1: indices + begin * 4, 2: out + begin * size * 4, 5: end - begin })
  );
};

/** form, x, indices, out, count, size, bytes: rows of a stored matrix. */
const gatherStored: Split = (args, parts) => {
  const [, , indices, out, count, size] = args;
  return ranges(count, parts, Math.ceil(CHEAP / size), 1).map(([begin, end]) =>
    replaced(args, { 2: indices + begin * 4, 3: out + begin * size * 4, 4: end - begin })
  );
};

/** form, x, out, size: numbers of a stored matrix to float32, by whole blocks. */
const widen: Split = ([form, x, out, size], parts) =>
  ranges(size, parts, CHEAP, LARGEST_BLOCK).map((
    [begin, end],
  ) => [form, x + bytesByCode(form, begin), out + begin * 4, end - begin]);

/**
 * By columns, every one of which is a sum of its own.
 *
 * @param first Place of x, which matrix, out, rows, columns, depth, bias and stride come after
 * @param bytes Bytes of the matrix's rows
 */
function byColumns(first: number, bytes: (args: readonly number[]) => number): Split {
  return (args, parts) => {
    const [, matrix, out, , columns, depth, bias] = args.slice(first);
    return ranges(columns, parts, Math.ceil(VECTOR / depth), 4).map(([begin, end]) =>
      replaced(args, {
        [first + 1]: matrix + begin * bytes(args),
        [first + 2]: out + begin * 4,
        [first + 4]: end - begin,
        [first + 6]: bias === 0 ? 0 : bias + begin * 4,
      })
    );
  };
}

/** x, matrix, ... of bfloat16. */
const productOfHalf = byColumns(0, (args) => args[5] * 2);

/** form, x, matrix, ..., bytes of a row, work. */
const productOfStored = byColumns(1, (args) => args[9]);

/** Multiply-adds of a chunk of attention that are worth waking a thread for. */
const SCORES = 2 ** 15;

/** q, keys and values (4), mask, out, work, rows, size, first, heads, group, queries, keys before and after, ...: by rows. */
const attention: Split = (args, parts) => {
  const columns = args[14] + args[15];
  return byCountedRows(8, [0, 6], 10, Math.ceil(SCORES / columns))(replaced(args, { 7: OWN_WORK }), parts);
};

/** from, stride, to, step, count, size. */
const copies: Split = (args, parts) => {
  const [from, stride, to, step, count, size] = args;
  return ranges(count, parts, Math.ceil(CHEAP / size), 1).map((
    [begin, end],
  ) => [from + begin * stride, stride, to + begin * step, step, end - begin, size]);
};

const unary = elements(2, COSTLY);
const quick = elements(2, CHEAP);
const area = ([, , , rows, columns, size = 1]: readonly number[]) => rows * columns * size;

/** How each function is cut; those that are missing run on one thread. */
export const splits: Readonly<Partial<Record<FunctionName, Split>>> = {
  adamw: elements(7, COSTLY),
  add: pair,
  attend: attention,
  collect: collection,
  convolve: convolution,
  copyBlocks: permutation,
  copyRows: copies,
  crossEntropyGradient: byCountedRows(4, [0, 3], 6, CHEAP, [1, 2]),
  divide: pair,
  divideBy: pair,
  errorFunction: unary,
  exponential: unary,
  gather,
  gatherStored,
  gelu: unary,
  geluGradient: elements(3, COSTLY),
  geluTanh: unary,
  geluTanhGradient: elements(3, COSTLY),
  hyperbolicTangent: unary,
  inverse: quick,
  inverseSquareRoot: quick,
  logistic: unary,
  matmul: product,
  maxRows: byRows(2, [0], [1], CHEAP),
  maximum: pair,
  minimum: pair,
  multiply: pair,
  multiplyHalf: productOfHalf,
  multiplyStored: (args, parts) => productOfStored(replaced(args, { 10: OWN_WORK }), parts),
  permute: permutation,
  repeat: batches(([, , , count, size]) => [size, count * size]),
  rotate: byCountedRows(4, [0, 3], 6, CHEAP),
  rotateMoved: byCountedRows(4, [3], 6, CHEAP),
  softmax: byRows(2, [0, 1], [], COSTLY),
  softmaxGradient: byRows(3, [0, 1, 2], [], COSTLY),
  softmaxMasked: byCountedRows(3, [0, 2], 5, COSTLY),
  softmaxParts: byRows(4, [0, 1], [2, 3], COSTLY),
  squareRoot: quick,
  squaredDifference: pair,
  standardise: byRows(3, [0, 1], [2], COSTLY),
  standardiseGradient: byRows(4, [0, 1, 3], [2], COSTLY),
  subtract: pair,
  subtractFrom: pair,
  sumColumns: columns,
  sumRows: byRows(2, [0], [1], CHEAP),
  transpose: batches((args) => [area(args), area(args)]),
  transposeBlocks: batches((args) => [area(args), area(args)]),
  widen,
};
