/**
 * Products of several rows with a very large matrix, such as a vocabulary's: in pieces of the matrix.
 *
 * @module
 */
import type { Call, Program, ValueId } from "../program.ts";
import { sizeOf } from "../../tree.ts";

/** oneDNN lays out all of a matrix that is read by columns, unless the rows that it is multiplied with are this few or many. */
const ROWS = { from: 5, to: 16 };

/** Numbers of the smallest matrix that is cut, and of a piece: a piece laid out stays in the cache. */
const [LARGE, PIECE] = [2 ** 22, 2 ** 20];

/** Whether a call is the product of some rows with a matrix worth cutting, whose rows are the product's columns. */
function isLarge({ kernel, inputs, attrs }: Call, { types }: Program, given: ReadonlySet<ValueId>): boolean {
  if (kernel !== "BatchMatMul" || attrs.transposeA === true || attrs.transposeB !== true) return false;
  const [a, b] = inputs.map((value) => types[value].shape);
  return a.length === 2 && b.length === 2 && a[0] >= ROWS.from && a[0] <= ROWS.to && given.has(inputs[1]) &&
    sizeOf(b) >= LARGE;
}

/**
 * Cuts them. Pieces of rows share the matrix's memory, so nothing is copied.
 *
 * @param program The program
 */
export function inPieces(program: Program): Program {
  const types = [...program.types];
  const given = new Set(program.inputs);
  const made = (shape: readonly number[]): ValueId => types.push({ shape, dtype: "float32" }) - 1;
  const calls = program.calls.flatMap((call): readonly Call[] => {
    if (!isLarge(call, program, given)) return [call];
    const { inputs: [a, b], outputs: [output], region } = call;
    const [[rows], [columns, depth]] = [types[a].shape, types[b].shape];
    const count = Math.ceil(columns * depth / PIECE);
    const cuts = Array.from({ length: count + 1 }, (_, i) => Math.floor(columns * i / count));
    const sizes = cuts.slice(1).map((end, i) => end - cuts[i]);
    const pieces = sizes.map((size) => made([size, depth]));
    const products = sizes.map((size) => made([rows, size]));
    return [
      {
        kernel: "SplitV",
        inputs: [b],
        names: ["x"],
        attrs: { numOrSizeSplits: sizes, axis: 0 },
        outputs: pieces,
        region,
      },
      ...pieces.map((piece, i): Call => ({ ...call, inputs: [a, piece], outputs: [products[i]] })),
      { kernel: "Concat", inputs: products, attrs: { axis: 1 }, outputs: [output], region },
    ];
  });
  return { ...program, types, calls };
}
