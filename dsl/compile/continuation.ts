/**
 * What a recurrent function's program becomes where an engine runs it as a graph.
 *
 * @module
 */
import type { Precision } from "../engine/precision.ts";
import type { StoredForm } from "../engine/stored.ts";
import type { Program } from "./program.ts";
import type { Halved } from "./tensorflow/half.ts";

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
  readonly blocks?: readonly (readonly number[])[];
}
