/**
 * Formulas: what a fused elementwise kernel computes, as data.
 *
 * @module
 */

/** Operations that only some engines can join with others. */
export type WideOp =
  | "cosine"
  | "erf"
  | "expm1"
  | "gelu"
  | "geluSlope"
  | "geluTanh"
  | "geluTanhSlope"
  | "log1p"
  | "sine"
  | "tanh";

/** An operation on float32 numbers; comparisons make masks, which `select`, `and`, `or`, `not` and `number` take. */
export type FormulaOp =
  | "abs"
  | "add"
  | "and"
  | "clip"
  | "divide"
  | "equal"
  | "exp"
  | "greater"
  | "greaterEqual"
  | "inverse"
  | "inverseRoot"
  | "less"
  | "lessEqual"
  | "log"
  | "maximum"
  | "minimum"
  | "multiply"
  | "negate"
  | "not"
  | "notEqual"
  | "number"
  | "or"
  | "relu"
  | "root"
  | "select"
  | "sigmoid"
  | "square"
  | "squaredDifference"
  | "step"
  | "subtract";

/** One operation; its arguments are numbers of values: inputs first, then the results of the steps before. */
export interface FormulaStep {
  /** What it does. */
  readonly op: FormulaOp | WideOp;
  /** Its arguments. */
  readonly args: readonly number[];
  /** Numbers of the operation itself: the bounds of `clip`, what `step` gives below 0. */
  readonly settings?: readonly number[];
}

/** A formula over tensors of one shape, to which inputs may be broadcast. */
export interface Formula {
  /** The shape: up to three outer axes and an inner one, along which every input has steps of 1 or 0. */
  readonly lengths: readonly number[];
  /** For each input, its step along every axis, in elements. */
  readonly inputs: readonly (readonly number[])[];
  /** What is computed, in order. */
  readonly steps: readonly FormulaStep[];
  /** The values that are results, each as large as the shape. */
  readonly outputs: readonly number[];
}
