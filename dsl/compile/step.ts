/**
 * Steps with a state of their own: a pure step `(state, batch) -> [state, metrics]` and the state it has reached.
 *
 * @module
 */
import type { Scalar } from "@tensorflow/tfjs-core";
import type { Precision } from "../engine/precision.ts";
import type { Params } from "../tree.ts";

/** What a step reads and writes. */
export interface StepState {
  /** Stays as it is. */
  readonly frozen: Params;
  /** Parameters that the step moves. */
  readonly trained: Params;
  /** The optimiser's state, which the step moves too. */
  readonly optimiser: Params;
}

/** A pure step; among its metrics, all scalars, is `loss`. */
export type PureStep<Batch extends Params = Params> = (
  state: StepState,
  batch: Batch,
) => readonly [StepState, Readonly<Record<string, Scalar>>];

/** What the next step will be given. */
export interface NextBatch {
  /** Its tensors. */
  readonly batch: Params;
  /** Those that come with every step. */
  readonly staying?: Params;
}

/** A step and the state it has reached. */
export interface Resident<Batch extends Params = Params> {
  /**
   * Takes a step and returns its metrics. The state moves on only if the loss is finite. The batch stays the caller's.
   *
   * Of a batch's tensors, those in `staying` come with every step: they are sent to a card once, whatever they are of. A batch
   * that is named as the next one is sent while the step computes, if it has the types of this one; whatever is named, a step
   * computes with the batch that it is given.
   */
  readonly step: (batch: Batch, staying?: Params, next?: NextBatch) => Promise<Readonly<Record<string, number>>>;
  /** Whether naming the next batch is of use. */
  readonly sendsAhead?: boolean;
  /** The state as tensors of the caller's, all of it (default) or some parts; the others are empty. */
  readonly read: (parts?: readonly (keyof StepState)[]) => StepState;
  /** Frees the state. */
  readonly dispose: () => void;
}

/** Settings of {@linkcode startResident}. */
export interface ResidentOptions {
  /** Precision of frozen weights and matrix products (default float32). */
  readonly precision?: Precision;
  /** In a graph, elementwise work on tensors of at least this size is compiled into kernels (default 32768). */
  readonly fuseFrom?: number;
  /**
   * In a graph: `whole` compiles the step into one function, the fastest, in up to a minute; `clusters` only the
   * elementwise work. `auto`, the default, is `whole` on a GPU for runs that are long enough.
   */
  readonly graph?: "auto" | "whole" | "clusters";
  /** Steps that are to come, for `auto` (default: many). */
  readonly steps?: number;
  /** In a graph: how batches get there, `words` past tfjs as a GPU wants them, `tensors` as a CPU does (default `auto`). */
  readonly feed?: "auto" | "words" | "tensors";
  /** Told in a line that a compilation has begun which may take a minute. */
  readonly onCompile?: (line: string) => void;
  /** Told in a line why the step is not run as one graph where it could be. */
  readonly onFallback?: (line: string) => void;
}

/**
 * Names and types of a batch, and what of it stays: a step is prepared once for each.
 *
 * @param batch The batch
 * @param staying What of it comes with every step
 */
export function batchSignature(batch: Params, staying: Params): string {
  return Object.entries(batch)
    .map(([name, { shape, dtype }]) => `${name} ${dtype} ${shape}${name in staying ? " stays" : ""}`).join("|");
}
