/**
 * What a training step of a model takes, foretold without its weights.
 *
 * @module
 */
import { type PlanOptions, planStep, type StepPlan, typesOf, type ValueType } from "../../dsl/compile/mod.ts";
import type { Objective } from "../../dsl/differentiate.ts";
import { OneloraError } from "../../dsl/error.ts";
import { isTrainable, type Layer, type ParamSpec, specs } from "../../dsl/layer.ts";
import { adamw, type Optimiser } from "../../dsl/optimise/mod.ts";
import { rematerialiseBlocks } from "../../dsl/rematerialise.ts";
import { mapTree, type Params, partition, type Tree } from "../../dsl/tree.ts";
import { asConditionalDiffusion, asLanguageModel, type Model } from "../../models/mod.ts";
import { depthProtocols } from "../depth/dataset.ts";
import { depthObjective } from "../depth/estimator.ts";
import { diffusionInput, generationObjective } from "../generation/objective.ts";
import type { DiffusionCoefficients } from "../generation/schedule.ts";
import { classificationObjective } from "../image_classification/classifier.ts";
import { reasoningObjective } from "../reasoning/objective.ts";
import { trainStep } from "./step.ts";

/** How much a step is given. */
export interface BatchSize {
  /** Examples. */
  readonly batch: number;
  /** Tokens of each, for language models. */
  readonly length: number;
}

/** What a step of a task reads, and what it descends. */
export interface TaskStep {
  /** Types of a batch's tensors, without the learning rate. */
  readonly batch: Tree<ValueType>;
  /** The task's loss. */
  readonly objective: (params: Params, batch: Params) => Objective;
}

function floats(...shape: number[]): ValueType {
  return { shape, dtype: "float32" };
}

function integers(...shape: number[]): ValueType {
  return { shape, dtype: "int32" };
}

/** [C, H, W] of what a model takes. */
function imageShape({ image }: Model): readonly [number, number, number] {
  const { channels, height, width } = image!;
  return [channels, height, width];
}

/** The task that the models of each family are trained on. */
const TASKS: Readonly<Record<string, (model: Model, layer: Layer, size: BatchSize) => TaskStep>> = {
  vit: (model, layer, { batch }) => ({
    batch: { pixels: floats(batch, ...imageShape(model)), labels: integers(batch) },
    objective: classificationObjective(layer),
  }),
  depth_anything: (model, layer, { batch }) => {
    const [channels, height, width] = imageShape(model);
    return {
      batch: { pixels: floats(batch, channels, height, width), depth: floats(batch, height, width) },
      objective: depthObjective(layer, depthProtocols.nyu),
    };
  },
  dit: (model, layer, { batch }) => {
    const { shape: latents } = diffusionInput(model);
    const each = floats(batch, 1, 1, 1);
    const coefficients: Readonly<Record<keyof DiffusionCoefficients, ValueType>> = {
      signal: each,
      spread: each,
      drift: each,
      smallest: each,
      largest: each,
      first: each,
    };
    return {
      batch: {
        clean: floats(batch, ...latents),
        noise: floats(batch, ...latents),
        timesteps: integers(batch),
        labels: integers(batch),
        ...coefficients,
      },
      objective: generationObjective(asConditionalDiffusion(model, layer)),
    };
  },
  llama: (model, layer, { batch, length }) => ({
    batch: { ids: integers(batch, length), labels: integers(batch, length), weight: floats() },
    objective: reasoningObjective(asLanguageModel(model, layer)),
  }),
};

/**
 * The step that models of a family are trained by: cross entropy for ViT, SILog for Depth Anything, the diffusion loss for
 * DiT, the response's cross entropy for LLaMA.
 *
 * @param model The model
 * @param layer Its layer, adapted or not
 * @param size How much a step is given
 * @throws OneloraError (exit code 2) for a family that no task trains
 */
export function taskStep(model: Model, layer: Layer, size: BatchSize): TaskStep {
  const task = TASKS[model.family];
  if (task !== undefined) return task(model, layer, size);
  throw new OneloraError({
    attempted: `planning to train ${model.name}`,
    found: `a ${model.family} model`,
    allowed: Object.keys(TASKS).join(", "),
  }, { exitCode: 2 });
}

/** Settings of {@linkcode planTraining}. */
export interface TrainingPlanOptions extends BatchSize, Pick<PlanOptions, "backend" | "precision"> {
  /** Keep only each block's inputs for the backward pass and compute the rest again (default false). */
  readonly gradientCheckpointing?: boolean;
  /** The optimiser (default AdamW). */
  readonly optimiser?: Optimiser;
}

/**
 * Foretells what a training step of a model takes; no weights are allocated.
 *
 * @param model The model
 * @param layer Its layer with a method on it
 * @param options See {@linkcode TrainingPlanOptions}
 *
 * @example
 * ```ts
 * import { adapt } from "@onelora/onelora/adapters";
 * import { useBackend } from "@onelora/onelora/dsl";
 * import { openModel } from "@onelora/onelora/models";
 * import { planTraining } from "@onelora/onelora/tasks";
 * import { assertEquals } from "@std/assert";
 * await useBackend("cpu");
 * const model = await openModel("vit-base");
 * const { trained } = planTraining(model, adapt("1lora")(model.layer), { batch: 10, length: 0 });
 * assertEquals(trained, 82_944 * 4);
 * ```
 */
export function planTraining(model: Model, layer: Layer, options: TrainingPlanOptions): StepPlan {
  const { backend, precision, gradientCheckpointing = false, optimiser = adamw() } = options;
  const { batch, objective } = taskStep(model, gradientCheckpointing ? rematerialiseBlocks(layer) : layer, options);
  const parameters = mapTree<ParamSpec, ValueType>(({ shape }) => ({ shape, dtype: "float32" }))(specs(layer));
  const { kept: trained, rest: frozen } = partition<ValueType>(isTrainable(layer))(parameters);
  let gradients: Params = {};
  const step = trainStep(objective, {
    ...optimiser,
    update: (found, state, params, rate) => optimiser.update(gradients = found, state, params, rate),
  });
  const state = { frozen, trained, optimiser: typesOf((params) => optimiser.init(params), trained) };
  const types = { ...state, batch: { ...batch, rate: floats() } };
  return planStep(step, types, { backend, precision, gradients: () => gradients });
}
