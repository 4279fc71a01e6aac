/**
 * What an optimiser is: a pair of pure functions. Its state is a flat tree of tensors, so that it is saved and restored
 * like parameters, and `update` is a pure function of tensors, so that a whole training step can be compiled.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { combine, type Params } from "../tree.ts";

/** What one update makes. */
export type Update = {
  /** The new parameters; new tensors, the old ones are left alone. */
  readonly params: Params;
  /** The new state; new tensors. */
  readonly state: Params;
};

/** What a gradient is where a step is computed in parts, see `accumulate`. */
export type GradientPart = {
  /** Its weight beside the others', 1 where all count the same; []. */
  readonly weight: tf.Scalar;
  /** 1 for the step's last part, else 0; []. */
  readonly last: tf.Scalar;
};

/** A rule that turns gradients into new parameters. */
export interface Optimiser {
  /**
   * The state before the first step.
   *
   * @param params The trainable parameters
   */
  init(params: Params): Params;
  /**
   * One step.
   *
   * @param gradients A gradient for every parameter, by the same paths
   * @param state What the last update (or `init`) returned
   * @param params The trainable parameters
   * @param rate Learning rate
   * @param momentum Replaces the configured momentum (AdamW: beta1) in this step, for one-cycle schedules
   * @param part Which part of a step the gradients are of; only an optimiser that accumulates reads it
   */
  update(
    gradients: Params,
    state: Params,
    params: Params,
    rate: tf.Scalar,
    momentum?: tf.Scalar,
    part?: GradientPart,
  ): Update;
}

/** Gradients made from gradients, with the state that this needs. */
export type Transformed = {
  /** The new gradients. */
  readonly gradients: Params;
  /** The new state. */
  readonly state: Params;
};

/** A change of the gradients before the optimiser sees them. */
export interface Transform {
  /**
   * The state before the first step.
   *
   * @param params The trainable parameters
   */
  init(params: Params): Params;
  /**
   * One step.
   *
   * @param gradients Gradients by path
   * @param state A tree that holds, among others, what the last update (or `init`) returned
   * @param params The trainable parameters
   */
  update(gradients: Params, state: Params, params: Params): Transformed;
}

/**
 * Puts transforms, first one first, before an optimiser. Their states are joined with its state.
 *
 * @param transforms Transforms with distinct state paths
 *
 * @example
 * ```ts
 * import { adamw, chain, clipByGlobalNorm, type Optimiser } from "@onelora/onelora/dsl";
 * import { pipe } from "fp-ts/function";
 * import { assertEquals } from "@std/assert";
 * const optimiser: Optimiser = pipe(adamw(), chain(clipByGlobalNorm(1)));
 * assertEquals(Object.keys(optimiser), ["init", "update"]);
 * ```
 */
export function chain(...transforms: readonly Transform[]): (optimiser: Optimiser) => Optimiser {
  return (optimiser) => ({
    init: (params) => combine(...transforms.map((transform) => transform.init(params)), optimiser.init(params)),
    update: (gradients, state, params, rate, momentum) =>
      tf.tidy(() => {
        const states: Params[] = [];
        const changed = transforms.reduce((current, transform) => {
          const result = transform.update(current, state, params);
          states.push(result.state);
          return result.gradients;
        }, gradients);
        const update = optimiser.update(changed, state, params, rate, momentum);
        return { params: update.params, state: combine(...states, update.state) };
      }),
  });
}
