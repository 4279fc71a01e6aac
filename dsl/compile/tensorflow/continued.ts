/**
 * What a recurrent function's program becomes: products of a few rows by a kernel of our own, those of some rows in pieces, and
 * blocks of the model compiled as they are.
 *
 * @module
 */
import type { Precision } from "../../engine/precision.ts";
import type { StoredForm } from "../../engine/stored.ts";
import type { Program, ValueId } from "../program.ts";
import type { Cluster } from "./clusters.ts";
import { halve, type Halved, nothingHalved } from "./half.ts";
import { inPieces } from "./pieces.ts";
import { blocksOf } from "./repeated.ts";
import { rowProducts, rowWeights, suitsBlocks } from "./row_products.ts";

/** Of fewer blocks than this, compiling one takes longer than it saves. */
const BLOCKS_FROM = 8;

/** How a program is made of a recurrent function. */
export interface ContinuedOptions {
  /** What its first inputs, the parameters, are stored as, those that are. */
  readonly forms: readonly (StoredForm | undefined)[];
  /** How many of its inputs are kept between calls, which come after the parameters. */
  readonly kept: number;
  /** Precision of parameters and matrix products. */
  readonly precision: Precision;
  /** Whether the kernel for products of a few rows is to be used, and is there. */
  readonly byRows: boolean;
  /** Whether blocks are to be compiled. */
  readonly inBlocks: boolean;
  /** Whether products of some rows are cut. */
  readonly cut: boolean;
}

/** A program, and how it is run. */
export interface Continued {
  /** The program. */
  readonly program: Program;
  /** What of it is in bfloat16: parameters that products of a few rows read, too. */
  readonly halved: Halved;
  /** The blocks that are compiled, where they are. */
  readonly blocks?: readonly Cluster[];
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
