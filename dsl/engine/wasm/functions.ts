/**
 * What the compiled kernels offer.
 *
 * @module
 */

/** Functions that assembly/mod.ts exports. */
export type FunctionName =
  | "adamw"
  | "add"
  | "attend"
  | "collect"
  | "convolve"
  | "convolveTiles"
  | "copyBlocks"
  | "copyRows"
  | "crossEntropyGradient"
  | "divide"
  | "divideBy"
  | "errorFunction"
  | "exponential"
  | "gather"
  | "gatherStored"
  | "gelu"
  | "geluGradient"
  | "geluTanh"
  | "geluTanhGradient"
  | "hyperbolicTangent"
  | "initialise"
  | "inverse"
  | "inverseSquareRoot"
  | "logistic"
  | "matmul"
  | "maxRows"
  | "maximum"
  | "minimum"
  | "multiply"
  | "multiplyHalf"
  | "multiplyStored"
  | "permute"
  | "repeat"
  | "rotate"
  | "rotateMoved"
  | "softmax"
  | "softmaxGradient"
  | "softmaxMasked"
  | "softmaxParts"
  | "squareRoot"
  | "squaredDifference"
  | "standardise"
  | "standardiseGradient"
  | "subtract"
  | "subtractFrom"
  | "sumColumns"
  | "sumRows"
  | "transpose"
  | "transposeBlocks"
  | "turnFilter"
  | "widen"
  | "workBytes";

/** Compiled functions; addresses and sizes are plain numbers. */
export type Functions = Readonly<Record<FunctionName, (...args: readonly number[]) => number>>;
