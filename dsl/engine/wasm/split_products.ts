/**
 * How products are cut, and what consists of them.
 *
 * @module
 */
import type { FunctionName } from "./functions.ts";
import { OWN_WORK } from "./pool.ts";
import { byCountedRows, ranges, replaced, type Split } from "./split_by.ts";

/** Multiply-adds of a chunk that are worth waking a thread for; of a batch's products, for which nothing is laid out twice. */
const [PRODUCTS, BATCHED] = [2 ** 18, 2 ** 16];

/** Elements of a matrix that are worth a chunk of its product with a vector, which is as fast as memory. */
const VECTOR = 2 ** 15;

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
    return ranges(batch, parts, Math.ceil(BATCHED / each), 1).map(([begin, end]) =>
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
  // A vector by the rows of a matrix, whose columns are sums of their own.
  if (width === 1 && rows > 1) {
    return ranges(rows, parts, Math.ceil(VECTOR / depth), 4).map(([begin, end]) =>
      own({ 1: a + begin * 4, 5: out + begin * 4, 6: end - begin })
    );
  }
  if (rows === 1 && width > 1 && !transposeB) {
    return ranges(width, parts, Math.ceil(VECTOR / depth), 4).map(([begin, end]) =>
      own({ 3: b + begin * 4, 5: out + begin * 4, 7: end - begin, 12: bias === 0 ? 0 : bias + begin * 4 })
    );
  }
  if (rows === 1 && width > 1) {
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

/** x, filter, out, first, tiles, columns, height, width, channels, ...: by tiles of 2 x 2 output pixels in sixes. */
const tiledConvolution: Split = (args, parts) => {
  const [, , , first, tiles, columns, , , channels] = args;
  return ranges(tiles, parts, Math.ceil(PRODUCTS / (16 * columns * channels)), 6).map(([begin, end]) =>
    replaced(args, { 3: first + begin, 4: end - begin, 13: OWN_WORK })
  );
};

/** filter, out, begin, end, channels, columns: by channels. */
const turning: Split = (args, parts) => {
  const [, , begin, end, , columns] = args;
  return ranges(end - begin, parts, Math.ceil(2 ** 12 / columns), 4).map(([from, until]) =>
    replaced(args, { 2: begin + from, 3: begin + until })
  );
};

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

/** How functions that are products, or consist of some, are cut. */
export const productSplits: Readonly<Partial<Record<FunctionName, Split>>> = {
  attend: attention,
  convolve: convolution,
  convolveTiles: tiledConvolution,
  matmul: product,
  multiplyHalf: productOfHalf,
  multiplyStored: (args, parts) => productOfStored(replaced(args, { 10: OWN_WORK }), parts),
  turnFilter: turning,
};
