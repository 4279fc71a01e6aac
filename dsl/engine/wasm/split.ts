/**
 * How calls of the kernels are cut into chunks: by elements, rows or products of a batch, never within a sum, so
 * that every number of threads gives the same bytes.
 *
 * @module
 */
import { bytesByCode, LARGEST_BLOCK } from "./forms.ts";
import type { FunctionName } from "./functions.ts";
import { byCountedRows, byRows, ranges, replaced, type Split } from "./split_by.ts";
import { productSplits } from "./split_products.ts";

/** Elements of a chunk that are worth waking a thread for: some 10 microseconds of work. */
const [CHEAP, COSTLY] = [16384, 4096];

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
  ...productSplits,
  adamw: elements(7, COSTLY),
  add: pair,
  collect: collection,
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
  maxRows: byRows(2, [0], [1], CHEAP),
  maximum: pair,
  minimum: pair,
  multiply: pair,
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
