/**
 * What a training step of a model takes, or its forward pass, computed without its weights.
 *
 * @module
 */
import { planRecurrent, type RecurrentPlan } from "../../dsl/compile/plan_recurrent.ts";
import type { Ran } from "../../dsl/compile/keeping.ts";
import { planRun } from "../../dsl/compile/plan_run.ts";
import { type PlanOptions, type StepPlan, typesOf, type ValueType } from "../../dsl/compile/mod.ts";
import { drawsAnything, isTrainable, type Layer, type ParamSpec, specs, walk } from "../../dsl/layer.ts";
import { isLinear } from "../../dsl/linear.ts";
import { isHalfForm, storedBytes } from "../../dsl/engine/stored.ts";
import { adamw, type Optimiser } from "../../dsl/optimise/mod.ts";
import { join, mapTree, type Params, partition, type Path, sizeOf, type Tree } from "../../dsl/tree.ts";
import { engineInUse } from "../../dsl/engine/mod.ts";
import { engineKind, keptForms } from "../../dsl/engine/kinds.ts";
import { formsOf } from "../../models/checkpoint/forms.ts";
import type { Model } from "../../models/mod.ts";
import { holdingOf } from "./holding.ts";
import type { BatchSize, Kept } from "./needs.ts";
import { drawingObjective, DRAWS } from "./draws.ts";
import { underRun } from "./method.ts";
import { trainStep } from "./step.ts";
import type { TaskKind } from "./task.ts";

/** Settings of a plan. */
export interface TrainingPlanOptions extends BatchSize, Pick<PlanOptions, "backend" | "precision" | "forms" | "steps"> {
  /** What frozen weights of linear layers are kept as, where the task keeps them in other forms than float32. */
  readonly quantise?: "int8" | "nf4";
  /** Keep only each block's inputs for the backward pass and compute the rest again (default false). */
  readonly gradientCheckpointing?: boolean;
  /**
   * What was run before in the same process.
   *
   * @internal
   */
  readonly after?: Ran;
  /** The optimiser (default AdamW). */
  readonly optimiser?: Optimiser;
}

/**
 * Types of a layer's parameters by path, as they are declared.
 *
 * @param layer The layer
 */
export function parameterTypes(layer: Layer): Tree<ValueType> {
  return mapTree<ParamSpec, ValueType>(({ shape }) => ({ shape, dtype: "float32" }))(specs(layer));
}

/**
 * What frozen parameters are kept as, where the task and the engine keep them in other forms than float32.
 *
 * @param kind The task
 * @param layer The layer
 * @param options See {@linkcode TrainingPlanOptions}
 */
export function planForms(
  kind: Pick<TaskKind, "compact">,
  layer: Layer,
  { backend, ...options }: TrainingPlanOptions,
): PlanOptions["forms"] {
  const { name, forms } = backend === undefined ? engineInUse() : engineKind(backend);
  if (forms === undefined) return undefined;
  return keptForms(name, options.forms ?? formsOf(layer, holdingOf(kind, options)));
}

/**
 * Bytes of a layer's parameters as they are kept.
 *
 * @param layer Its layer, adapted or not
 * @param forms What they are kept as, those that are
 */
export function parameterBytes(layer: Layer, forms: Kept["forms"]): number {
  return Object.entries(specs(layer)).reduce((sum, [path, { shape }]) => sum + storedBytes(forms?.get(path), shape), 0);
}

/** Arrays that TensorFlow has copied come to so much before V8 looks for them. */
const UNCOLLECTED = 90e6;

/** What is there besides when the last parameter is there: arrays that were copied, or the largest of them. */
function besidesParameters(layer: Layer, forms: Kept["forms"], isSettled: boolean): number {
  let [largest, copied] = [0, 0];
  for (const [path, { shape }] of Object.entries(specs(layer))) {
    const form = forms?.get(path);
    // Numbers that were quantised are let go at once.
    const isCopied = isSettled && (form === undefined || isHalfForm(form));
    // Halves that are not settled are the array that was read.
    const isRead = !isSettled && form !== undefined && isHalfForm(form);
    const bytes = isCopied ? storedBytes(form, shape) : isRead ? 0 : 4 * sizeOf(shape);
    largest = Math.max(largest, bytes);
    if (isCopied) copied += bytes;
  }
  return copied > UNCOLLECTED ? Math.max(largest, UNCOLLECTED) : largest;
}

/** The most that is there while parameters are read one after the other, where the engine copies each and it goes at once. */
function copyingBytes(layer: Layer, forms: Kept["forms"]): number {
  let [there, most] = [0, 0];
  for (const [path, { shape }] of Object.entries(specs(layer))) {
    const bytes = storedBytes(forms?.get(path), shape);
    there += bytes;
    most = Math.max(most, there + bytes);
  }
  return most;
}

/**
 * What a process takes while a model's weights are loaded: all parameters as they are kept, and what was read of them: where
 * the engine does not copy it at once, the largest as numbers, or arrays that are not yet collected.
 *
 * @param layer Its layer, adapted or not
 * @param kept The engine, and what it keeps them as
 */
export function planLoading(layer: Layer, { backend, forms }: Kept): number {
  const { overhead: { start }, copies, settle } = engineKind(backend);
  if (copies === true) return Math.round(copyingBytes(layer, forms) + start);
  return Math.round(parameterBytes(layer, forms) + besidesParameters(layer, forms, settle !== undefined) + start);
}

/**
 * What a process takes that loads a model, changes its weights one after the other and writes them: what gave way, and what was
 * written, is not yet collected.
 *
 * @param layer Its layer, adapted or not
 * @param kept The engine, and what it keeps them as
 * @param inHalves Whether what was in halves is again once it is changed (default yes), or stays float32 until it is written
 */
export function planRewriting(layer: Layer, kept: Kept, inHalves: boolean = true): number {
  const changed = inHalves ? new Set<Path>() : new Set(adaptedWeights(layer));
  const forms = new Map([...kept.forms ?? []].filter(([path]) => !changed.has(path)));
  const all = specs(layer);
  // Of what stays in halves one after the other is made into numbers.
  const numbers = inHalves ? 0 : Math.max(0, ...[...forms].map(([path]) => 4 * sizeOf(all[path].shape)));
  return planLoading(layer, { ...kept, forms }) + numbers + UNCOLLECTED;
}

/** Weights of linear layers that have adapters. */
function adaptedWeights(layer: Layer): readonly Path[] {
  return [...walk(layer)].flatMap(([path, each]) =>
    isLinear(each) && each.adapters.length > 0 ? [each.params.weight.shared ?? join(path, "weight")] : []
  );
}

/**
 * Plans a function of a layer's parameters and some tensors, as it is run outside of training.
 *
 * @param f The function, from all parameters and the tensors to a tree of tensors
 * @param layer The layer
 * @param input Types of the tensors
 * @param kept The engine, and what it keeps parameters as
 */
export function planPass(
  f: (params: Params, input: Params) => Params,
  layer: Layer,
  input: Tree<ValueType>,
  { backend, forms, after }: Kept,
): RecurrentPlan {
  const types = { parameters: parameterTypes(layer), kept: {}, input };
  // Numbers are computed in float32 outside of steps and decoding, whatever they are kept as.
  return planRecurrent((params, _, given) => [f(params, given), {}], types, {
    backend,
    forms,
    after,
    ownProducts: false,
  });
}

/**
 * Plans a forward pass of a task, as evaluations and predictions run it: of a batch in, and of its loss. No weights are
 * allocated.
 *
 * @param kind The task
 * @param model The model
 * @param layer Its layer, adapted or not
 * @param options See {@linkcode TrainingPlanOptions}
 */
export function planForward(kind: TaskKind, model: Model, layer: Layer, options: TrainingPlanOptions): RecurrentPlan {
  const { batch, objective } = kind.step(model, layer, options);
  return planPass((params, given) => ({ loss: objective(params, given).loss }), layer, batch, {
    backend: options.backend ?? engineInUse().name,
    forms: planForms(kind, layer, options),
    after: options.after,
  });
}

/**
 * Plans a training step of a task; no weights are allocated.
 *
 * @param kind The task
 * @param model The model
 * @param layer Its layer with a method on it
 * @param options See {@linkcode TrainingPlanOptions}
 */
export function planTask(kind: TaskKind, model: Model, layer: Layer, options: TrainingPlanOptions): StepPlan {
  return planSteps(kind, model, layer, options).plan;
}

/**
 * Plans a training step of a task, for what is planned after it in the same process too.
 *
 * @param kind The task
 * @param model The model
 * @param layer Its layer with a method on it
 * @param options See {@linkcode TrainingPlanOptions}
 */
export function planSteps(
  kind: TaskKind,
  model: Model,
  layer: Layer,
  options: TrainingPlanOptions,
): { readonly plan: StepPlan; readonly ran: Ran } {
  const { backend, precision, steps, optimiser = adamw() } = options;
  const planned = kind.step(model, underRun(layer, options), options);
  const words: Tree<ValueType> = drawsAnything(layer) ? { [DRAWS]: { shape: [2], dtype: "int32" } } : {};
  const batch = { ...planned.batch, ...words };
  const { kept: trained, rest: frozen } = partition<ValueType>(isTrainable(layer))(parameterTypes(layer));
  let gradients: Params = {};
  const step = trainStep(drawingObjective(planned.objective), {
    ...optimiser,
    update: (found, state, params, rate) => optimiser.update(gradients = found, state, params, rate),
  });
  const state = { frozen, trained, optimiser: typesOf((params) => optimiser.init(params), trained) };
  const rate: ValueType = { shape: [], dtype: "float32" };
  const settings = { backend, precision, steps, forms: planForms(kind, layer, options), gradients: () => gradients };
  return planRun(step, { ...state, batch: { ...batch, rate } }, settings);
}
