/**
 * What a plan of a step is made from, and what it says.
 *
 * @module
 */
import type { BackendName } from "../engine/interface.ts";
import type { Precision } from "../engine/precision.ts";
import type { StoredForm } from "../engine/stored.ts";
import type { Params, Tree } from "../tree.ts";
import type { ValueType } from "./program.ts";

/** Types of everything a step reads. */
export interface StepTypes {
  /** Parameters that stay as they are. */
  readonly frozen: Tree<ValueType>;
  /** Parameters that the step moves. */
  readonly trained: Tree<ValueType>;
  /** The optimiser's state. */
  readonly optimiser: Tree<ValueType>;
  /** One batch. */
  readonly batch: Tree<ValueType>;
}

/** Settings of `planStep`. */
export interface PlanOptions {
  /** The backend that is to compute it, with the kernels of it that are there (default: the one in use). */
  readonly backend?: BackendName;
  /** Precision of frozen weights and matrix products (default float32). */
  readonly precision?: Precision;
  /**
   * What frozen parameters are kept as, those that are, by path.
   *
   * @internal
   */
  readonly forms?: ReadonlyMap<string, StoredForm>;
  /** Steps that will be taken, where that is known: few are not compiled, and take more memory (default: many). */
  readonly steps?: number;
  /** The gradients that the step has computed when it returns: they are counted on a line of their own. */
  readonly gradients?: () => Params;
}

/** What is alive when a step takes most memory, in bytes. */
export interface PeakBytes {
  /** Frozen parameters. */
  readonly frozen: number;
  /** Trained parameters. */
  readonly trained: number;
  /** The optimiser's state. */
  readonly optimiser: number;
  /** The batch. */
  readonly batch: number;
  /** Constants of the program. */
  readonly constants: number;
  /** Those gradients of trained parameters that are there by then. */
  readonly gradients: number;
  /** Parameters and optimiser state of the next step, as far as they are there by then. */
  readonly next: number;
  /** Numbers that stored weights are made into for the call that reads them. */
  readonly unpacked: number;
  /** Everything else: what is kept for the backward pass, and what is being computed. */
  readonly activations: number;
}

/** What a step will take. */
export interface StepPlan {
  /** Frozen parameters by element type, in bytes. */
  readonly weights: {
    readonly float32: number;
    readonly bf16: number;
    readonly quantised: number;
    /** Where that is the precision, or what the file has and the engine keeps. */
    readonly f16?: number;
  };
  /** Trained parameters, in bytes. */
  readonly trained: number;
  /** All of their gradients, in bytes. */
  readonly gradients: number;
  /** The optimiser's state, in bytes. */
  readonly optimiser: number;
  /** Largest number of bytes alive at once. */
  readonly peakBytes: number;
  /** What these are; they add up to `peakBytes`. */
  readonly atPeak: PeakBytes;
  /** Floating-point operations of the matrix products and convolutions, 2 per multiply-add. */
  readonly productFlops: number;
  /** Kernel calls. */
  readonly calls: number;
  /** Numbers of the largest quantised matrix that is read. */
  readonly unpackedNumbers: number;
  /** What the process takes at the peak, its own memory included, as the engine was measured. */
  readonly processBytes: number;
}
