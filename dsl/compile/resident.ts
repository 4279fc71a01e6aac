/**
 * Steps with a state of their own: a pure step `(state, batch) -> [state, metrics]` and the state it has reached. On the
 * tensorflow backend the state lives inside a TensorFlow session and a step is one call; elsewhere the step is replayed
 * kernel by kernel.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { OneloraError } from "../error.ts";
import type { Params } from "../tree.ts";
import { compile } from "./compile.ts";
import type { Precision } from "../engine/precision.ts";
import { startGraph } from "./tensorflow/resident.ts";

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
) => readonly [StepState, Readonly<Record<string, tf.Scalar>>];

/** A step and the state it has reached. */
export interface Resident<Batch extends Params = Params> {
  /** Takes a step and returns its metrics. The state moves on only if the loss is finite. The batch stays the caller's. */
  readonly step: (batch: Batch) => Promise<Readonly<Record<string, number>>>;
  /** The state as tensors of the caller's. */
  readonly read: () => StepState;
  /** Frees the state. */
  readonly dispose: () => void;
}

/** Settings of {@linkcode startResident}. */
export interface ResidentOptions {
  /** Precision of frozen weights and matrix products (default float32). */
  readonly precision?: Precision;
  /** In a graph, elementwise work on tensors of at least this size is compiled into kernels (default 32768). */
  readonly fuseFrom?: number;
  /** Told in a line why the step is not run as one graph where it could be. */
  readonly onFallback?: (line: string) => void;
}

/**
 * Starts a step at a state.
 *
 * @param step The pure step
 * @param state Where it starts; its tensors are no longer the caller's
 * @param options See {@linkcode ResidentOptions}
 * @throws OneloraError for bf16 on a backend without it
 *
 * @example
 * ```ts
 * import { startResident, useBackend } from "@onelora/onelora/dsl";
 * import { assertEquals } from "@std/assert";
 * import * as tf from "@tensorflow/tfjs-core";
 * await useBackend("cpu");
 * const resident = startResident(
 *   ({ frozen, trained, optimiser }, { x }) => [
 *     { frozen, trained: { w: tf.add(trained.w, x) }, optimiser },
 *     { loss: tf.sum(x) as tf.Scalar },
 *   ],
 *   { frozen: {}, trained: { w: tf.tensor1d([1, 2]) }, optimiser: {} },
 * );
 * const x = tf.tensor1d([10, 20]);
 * assertEquals(await resident.step({ x }), { loss: 30 });
 * assertEquals([...resident.read().trained.w.dataSync()], [11, 22]);
 * resident.dispose();
 * ```
 */
export function startResident<Batch extends Params>(
  step: PureStep<Batch>,
  state: StepState,
  options: ResidentOptions = {},
): Resident<Batch> {
  if (tf.getBackend() === "tensorflow") return startGraph(step, state, options, replayed);
  const { precision = "float32" } = options;
  if (precision !== "float32") {
    tf.dispose([state.frozen, state.trained, state.optimiser]);
    throw new OneloraError({
      attempted: `computing in ${precision}`,
      found: `the ${tf.getBackend()} backend`,
      allowed: "the tensorflow backend, or --precision float32",
    });
  }
  return replayed(step, state);
}

/** Frees the tensors of one tree that the other does not hold. */
function release(old: Params, kept: Params): void {
  const alive = new Set(Object.values(kept));
  for (const tensor of Object.values(old)) if (!alive.has(tensor)) tensor.dispose();
}

function copied(tree: Params): Params {
  return Object.fromEntries(Object.entries(tree).map(([path, tensor]) => [path, tf.keep(tf.clone(tensor))]));
}

/** The step replayed kernel by kernel. */
function replayed<Batch extends Params>(step: PureStep<Batch>, initial: StepState): Resident<Batch> {
  const compiled = compile(step);
  let state = initial;
  return {
    step: async (batch) => {
      const [next, metrics] = tf.tidy(() => compiled(state, batch) as unknown as tf.TensorContainer) as unknown as [
        StepState,
        Readonly<Record<string, tf.Scalar>>,
      ];
      const numbers: Record<string, number> = {};
      for (const [name, metric] of Object.entries(metrics)) {
        numbers[name] = (await metric.data())[0];
        metric.dispose();
      }
      const [old, kept] = Number.isFinite(numbers.loss) ? [state, next] : [next, state];
      release(old.trained, kept.trained);
      release(old.optimiser, kept.optimiser);
      state = kept;
      return numbers;
    },
    read: () => ({
      frozen: copied(state.frozen),
      trained: copied(state.trained),
      optimiser: copied(state.optimiser),
    }),
    dispose: () => {
      compiled.dispose();
      for (const tree of [state.frozen, state.trained, state.optimiser]) release(tree, {});
    },
  };
}
