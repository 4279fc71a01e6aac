/**
 * What a training step of a model takes, computed without its weights.
 *
 * @module
 */
import { type PlanOptions, planStep, type StepPlan, typesOf, type ValueType } from "../../dsl/compile/mod.ts";
import { drawsAnything, isTrainable, type Layer, type ParamSpec, specs } from "../../dsl/layer.ts";
import { adamw, type Optimiser } from "../../dsl/optimise/mod.ts";
import { mapTree, type Params, partition, type Tree } from "../../dsl/tree.ts";
import { engineInUse } from "../../dsl/engine/mod.ts";
import { engineKind } from "../../dsl/engine/kinds.ts";
import { formsOf } from "../../models/checkpoint/load.ts";
import type { Model } from "../../models/mod.ts";
import { drawingObjective, DRAWS } from "./draws.ts";
import { underRun } from "./method.ts";
import { trainStep } from "./step.ts";
import type { BatchSize, TaskKind } from "./task.ts";

/** Settings of a plan. */
export interface TrainingPlanOptions extends BatchSize, Pick<PlanOptions, "backend" | "precision" | "forms"> {
  /** What frozen weights of linear layers are kept as, where the task keeps them in other forms than float32. */
  readonly quantise?: "int8" | "nf4";
  /** Keep only each block's inputs for the backward pass and compute the rest again (default false). */
  readonly gradientCheckpointing?: boolean;
  /** The optimiser (default AdamW). */
  readonly optimiser?: Optimiser;
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
  const { backend, precision, optimiser = adamw() } = options;
  const planned = kind.step(model, underRun(layer, options), options);
  const words: Tree<ValueType> = drawsAnything(layer) ? { [DRAWS]: { shape: [2], dtype: "int32" } } : {};
  const batch = { ...planned.batch, ...words };
  const parameters = mapTree<ParamSpec, ValueType>(({ shape }) => ({ shape, dtype: "float32" }))(specs(layer));
  const { kept: trained, rest: frozen } = partition<ValueType>(isTrainable(layer))(parameters);
  let gradients: Params = {};
  const step = trainStep(drawingObjective(planned.objective), {
    ...optimiser,
    update: (found, state, params, rate) => optimiser.update(gradients = found, state, params, rate),
  });
  const state = { frozen, trained, optimiser: typesOf((params) => optimiser.init(params), trained) };
  const rate: ValueType = { shape: [], dtype: "float32" };
  const keeps = kind.compact === true &&
    (backend === undefined ? engineInUse() : engineKind(backend)).hold !== undefined;
  const forms = keeps ? options.forms ?? formsOf(layer, options) : undefined;
  const settings = { backend, precision, forms, gradients: () => gradients };
  return planStep(step, { ...state, batch: { ...batch, rate } }, settings);
}
