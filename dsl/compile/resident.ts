/**
 * Steps at work: where the engine keeps their state itself, a step is one call of it; elsewhere the step is replayed kernel
 * by kernel.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { engineInUse } from "../engine/in_use.ts";
import { lacksPrecision } from "../engine/precision.ts";
import type { Params } from "../tree.ts";
import { compileMoving, type Moves } from "./compile.ts";
import type { PureStep, Resident, ResidentOptions, StepState } from "./step.ts";

/**
 * Starts a step at a state.
 *
 * @param step The pure step
 * @param state Where it starts; its tensors are no longer the caller's
 * @param options See {@linkcode ResidentOptions}
 * @throws OneloraError for a precision that the backend, or its device, does not compute in
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
  const { precision = "float32" } = options;
  const engine = engineInUse();
  if (!engine.precisions.includes(precision)) {
    tf.dispose([state.frozen, state.trained, state.optimiser]);
    const { name, device: { lacks } } = engine;
    const why = lacks?.[precision];
    throw lacksPrecision(precision, `the ${name} backend${why === undefined ? "" : `: ${why}`}`);
  }
  return engine.resident?.(step, state, options, replayed) ?? replayed(step, state);
}

/** Whether what a step is sent goes to a card of its own memory in one piece: then it had better be small. */
export function isSentToCard(): boolean {
  const { unpacks, device } = engineInUse();
  return unpacks === true && device.kind === "gpu";
}

/** Frees the tensors of one tree that the other does not hold. */
function release(old: Params, kept: Params): void {
  const alive = new Set(Object.values(kept));
  for (const tensor of Object.values(old)) if (!alive.has(tensor)) tensor.dispose();
}

function copied(tree: Params): Params {
  return Object.fromEntries(Object.entries(tree).map(([path, tensor]) => [path, tf.keep(tf.clone(tensor))]));
}

/**
 * What of a step's results comes after what of its state.
 *
 * @param given What it is given
 * @param result What it returns
 */
export function movesOf(
  [state]: readonly [StepState, ...unknown[]],
  [next, { loss }]: readonly [StepState, Readonly<Record<string, tf.Tensor>>],
): Moves {
  const pairs = (["trained", "optimiser"] as const).flatMap((part) =>
    Object.entries(state[part]).flatMap(([path, tensor]) => {
      const after: tf.Tensor | undefined = next[part][path];
      return after === undefined || after === tensor ? [] : [[tensor, after] as const];
    })
  );
  return { pairs, gate: loss };
}

/** The step replayed kernel by kernel. */
function replayed<Batch extends Params>(step: PureStep<Batch>, initial: StepState): Resident<Batch> {
  const compiled = compileMoving(step, movesOf);
  let state = initial;
  return {
    step: async (batch, staying) => {
      const given = { ...batch, ...staying };
      const [next, metrics] = tf.tidy(() => compiled(state, given) as unknown as tf.TensorContainer) as unknown as [
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
    read: (parts = ["frozen", "trained", "optimiser"]) => {
      const part = (name: keyof StepState) => parts.includes(name) ? copied(state[name]) : {};
      return { frozen: part("frozen"), trained: part("trained"), optimiser: part("optimiser") };
    },
    dispose: () => {
      compiled.dispose();
      for (const tree of [state.frozen, state.trained, state.optimiser]) release(tree, {});
    },
  };
}
