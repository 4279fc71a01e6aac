/**
 * What a recurrent function's program becomes: products of a few rows by a kernel of our own, those of some rows in pieces, and
 * blocks of the model compiled as they are.
 *
 * @module
 */
import type { Program, ValueId } from "../program.ts";
import type { Continued, ContinuedOptions } from "../continuation.ts";
import { halve, nothingHalved } from "./half.ts";
import { inPieces } from "./pieces.ts";
import { blocksOf } from "./repeated.ts";
import { rowProducts, rowWeights, suitsBlocks } from "./row_products.ts";

/** Of fewer blocks than this, compiling one takes longer than it saves. */
const BLOCKS_FROM = 8;

/**
 * What a recurrent function's program becomes.
 *
 * @param prepared The program, prepared for graphs
 * @param options See {@linkcode ContinuedOptions}
 */
export function continued(
  prepared: Program,
  { forms, kept, precision, byRows, inBlocks, cut }: ContinuedOptions,
): Continued {
  const places = new Map(prepared.inputs.slice(0, forms.length).map((value, i) => [value, i]));
  const isNumbers = (value: ValueId) => (forms[places.get(value)!] ?? "bf16") === "bf16";
  const read = new Set(byRows ? [...rowWeights(prepared, forms.length)].filter(isNumbers) : []);
  const chosen = rowProducts(prepared, read);
  const program = precision === "float32" && cut ? inPieces(chosen) : chosen;
  const { values, products } = precision === "bf16" ? halve(program, forms.length + kept) : nothingHalved;
  const halved = { products, values: new Set([...values, ...precision === "bf16" ? read : []]) };
  const isStored = forms.some((form) => form !== undefined && form !== "bf16");
  const blocks = inBlocks && !isStored && suitsBlocks(program) ? blocksOf(program) : [];
  return { program, halved, blocks: blocks.length < BLOCKS_FROM ? undefined : blocks };
}
