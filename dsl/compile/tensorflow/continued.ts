/**
 * What a recurrent function's program becomes: products of a few rows by a kernel of our own, those of some rows in pieces, and
 * blocks of the model compiled as they are.
 *
 * @module
 */
import type { Program, ValueId } from "../program.ts";
import type { Continued, ContinuedOptions } from "../continuation.ts";
import { canBeHalved, halve, type Halved, nothingHalved } from "./half.ts";
import { inPieces } from "./pieces.ts";
import { blocksOf } from "./repeated.ts";
import { readsRowsOf, rowProducts, rowWeights, suitsBlocks } from "./row_products.ts";
import { pastRead } from "./seen_attention.ts";

/** Of fewer blocks than this, compiling one takes longer than it saves. */
const BLOCKS_FROM = 8;

/** In a first call nothing is read of what is kept: it is kept in the halves that later calls read it in. */
function keptUnread({ calls, inputs }: Program, from: number, to: number): readonly ValueId[] {
  const read = new Set(calls.flatMap((call) => call.inputs));
  return inputs.slice(from, to).filter((value) => !read.has(value));
}

/** What is in halves: what products read and make, matrices of row products, and what is kept, which attention reads so too. */
function inHalves(program: Program, parameters: number, kept: number, rows: ReadonlySet<ValueId>): Halved {
  const { values, products } = halve(program, parameters + kept);
  const unread = keptUnread(program, parameters, parameters + kept).filter((value) => canBeHalved(program, value));
  const past = pastRead(program).filter((value) => canBeHalved(program, value));
  return { products, values: new Set([...values, ...rows, ...unread, ...past]) };
}

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
  const isReadable = (value: ValueId) => readsRowsOf(forms[places.get(value)!], prepared.types[value].shape);
  const read = new Set(byRows ? [...rowWeights(prepared, forms.length)].filter(isReadable) : []);
  const chosen = rowProducts(prepared, read);
  const program = precision === "float32" && cut ? inPieces(chosen) : chosen;
  const halved = precision === "bf16" ? inHalves(program, forms.length, kept, read) : nothingHalved;
  const isQuantised = (value: ValueId) => (forms[places.get(value)!] ?? "bf16") !== "bf16";
  const blocks = inBlocks && suitsBlocks(program, isQuantised) ? blocksOf(program) : [];
  return { program, halved, blocks: blocks.length < BLOCKS_FROM ? undefined : blocks };
}
