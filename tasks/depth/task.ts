/**
 * Monocular depth as a task of the trainer.
 *
 * @module
 */
import { isSentToCard } from "../../dsl/compile/mod.ts";
import { OneloraError } from "../../dsl/error.ts";
import { writeWhole } from "../../dsl/files/write.ts";
import type { Layer } from "../../dsl/layer.ts";
import { oneCycleMomentum } from "../../dsl/optimise/mod.ts";
import type { Params } from "../../dsl/tree.ts";
import { Interruption } from "../../dsl/turn.ts";
import type { Model } from "../../models/mod.ts";
import { type ImageSource, readColourImage } from "../data/own.ts";
import { splitTraining } from "../data/validation.ts";
import { methodOn, NO_METHOD, underRun } from "../trainer/method.ts";
import { staysOnDevice } from "../trainer/on_device.ts";
import type { EvaluationReport, Opened, PreparedTask, TaskKind, TaskStep } from "../trainer/task.ts";
import type { EvaluationRun, Run } from "../trainer/run_settings.ts";
import type { TrainedModel } from "../trainer/prediction.ts";
import type { BatchSize, Needs } from "../trainer/needs.ts";
import { forwardNeeds } from "../trainer/room.ts";
import type { Reporter } from "../trainer/observe.ts";
import { depthProtocols, type DepthSplits } from "./dataset.ts";
import {
  type DepthEvaluation,
  depthPredictions,
  evaluateDepth,
  evaluationRows,
  inputOf,
  metricInput,
} from "./estimator.ts";
import { depthDataForms, openDepthData } from "./open.ts";
import { type DepthMap, type DepthPair, isDepthPair, ownDepth } from "./own.ts";
import { depthPicture } from "./pictures.ts";
import { predictDepth } from "./predict.ts";
import { depthOfPictures } from "./predict_files.ts";
import { unfitDepth } from "./fit.ts";
import { depthRecipe } from "./recipe.ts";
import { type DepthSettings, depthSettings } from "./settings.ts";
import { depthObjective, depthTask, depthWholeStep, heldDepthSize } from "./training.ts";

/** Pictures shown where no number is given. */
const SHOWN = 4;

/** Writes input, truth, prediction and error of some test pictures, `depth-INDEX.png` each. */
async function show(
  layer: Layer,
  params: Params,
  folder: string,
  evaluation: DepthEvaluation,
  reporter: Reporter,
): Promise<void> {
  try {
    for await (const { index, prediction } of depthPredictions(layer, params, evaluation)) {
      const path = `${folder}/depth-${index}.png`;
      await writeWhole(path, await depthPicture(await evaluation.dataset.get(index), prediction));
    }
  } catch (error) {
    // Pictures are an extra: without the encoder a run is as good.
    if (!(error instanceof OneloraError) || error instanceof Interruption) throw error;
    reporter.line(`no pictures: ${error.message}`);
  }
}

function step(model: Model, layer: Layer, { batch, picture }: BatchSize): TaskStep {
  const { channels } = model.image!;
  const { height, width } = picture ?? model.image!;
  return {
    batch: {
      pixels: { shape: [batch, channels, height, width], dtype: "float32" },
      depth: { shape: [batch, height, width], dtype: "float32" },
    },
    objective: depthObjective(layer, depthProtocols.nyu),
  };
}

async function open(
  run: Run<DepthSettings>,
  { model, data }: Opened<DepthSplits>,
  reporter: Reporter,
): Promise<PreparedTask> {
  const { augment, flip, samples = SHOWN } = run.own;
  if (typeof augment !== "boolean") {
    throw new OneloraError({
      attempted: "augmenting depth",
      found: "crops and mirroring of classes' images",
      allowed: "true, false",
    }, { exitCode: 2 });
  }
  for (const note of data.notes ?? []) reporter.line(`note: ${note}`);
  const input = metricInput(model);
  const { limit = samples, workers, evalBatch } = run;
  const layer = methodOn(model, run);
  const { dataOnDevice: asked = "auto" } = run;
  const isAsked = asked === "yes" || asked === "auto" && isSentToCard();
  const stays = isAsked && staysOnDevice(
    run,
    augment
      ? "pictures that are turned, mirrored and coloured anew in every pass (`augment`)"
      : await heldDepthSize(data, input, run.limit),
  );
  const shown: DepthEvaluation = {
    ...{ dataset: data.test, input, flip, workers, evalBatch },
    limit: Math.min(samples, limit),
  };
  return {
    model,
    layer,
    objective: depthObjective(underRun(layer, run), data.protocol, input),
    whole: depthWholeStep(layer, data.protocol, input),
    training: depthTask(layer, input, data, {
      ...run,
      augment,
      flip,
      onDevice: stays ? asked : "no",
      onSkip: (line) => reporter.line(`skipped: ${line}`),
      onTotal: reporter.line,
      onLine: reporter.line,
    }),
    examples: data.train.size,
    picture: input,
    evaluations: (rows) => evaluationNeeds(model, data, { ...run, evalBatch: rows }),
    momentum: run.schedule.startsWith("one-cycle")
      ? ({ steps, warmup }) => oneCycleMomentum({ steps, rise: warmup > 0 ? warmup / steps : undefined })
      : undefined,
    show: samples === 0 ? undefined : (params, folder) => show(layer, params, folder, shown, reporter),
  };
}

async function evaluate(
  { model, layer, params }: TrainedModel,
  { test, protocol, notes = [] }: DepthSplits,
  { limit, workers, evalBatch, own: { flip } }: EvaluationRun<DepthSettings>,
): Promise<EvaluationReport> {
  const input = metricInput(model);
  const metrics = await evaluateDepth(
    layer,
    params,
    { dataset: test, input, flip, limit, workers, evalBatch },
    protocol,
  );
  const { empty } = metrics;
  return {
    metrics: { ...metrics },
    details: { ...metrics, protocol, flip: flip ?? false, input: [input.height, input.width] },
    notes: [...notes, ...empty > 0 ? [`${empty} pictures without a pixel that counts are left out`] : []],
  };
}

/** What an evaluation takes: a batch of pictures. */
function evaluationNeeds(
  model: Model,
  { test }: DepthSplits,
  { limit = Infinity, evalBatch }: Pick<EvaluationRun, "limit" | "evalBatch">,
): Promise<Needs> {
  const picture = metricInput(model);
  const batch = Math.min(evaluationRows(picture, evalBatch), test.size, limit);
  return Promise.resolve(forwardNeeds(monocularDepth as TaskKind, model, { batch, length: 0, picture }));
}

/** Paper, section 4.1. */
export const monocularDepth: TaskKind<DepthSettings, DepthSplits, DepthPair, ImageSource, DepthMap> = {
  name: "depth",
  summary: "the depth of every pixel in metres, by root mean squared error",
  model: "dpt-micro",
  data: "scenes-driving",
  dataForms: depthDataForms,
  settings: depthSettings,
  hub: { pipeline: "depth-estimation", python: "transformers.AutoModelForDepthEstimation" },
  baseline: { adapter: NO_METHOD, name: "unadapted" },
  unfit: unfitDepth,
  models: "a model of depth",
  trains: ({ image, signature: { outputs } }) => image !== undefined && `${outputs}` === "predicted_depth",
  besides: () => [],
  recipe: depthRecipe,
  step,
  sizeInWords: ({ batch }) => `batch ${batch}`,
  openData: (spec, { strict, own = {} }) =>
    openDepthData(spec, {}, { strict, scale: own.depthScale, maxDepth: own.maxDepth }),
  exampleForm: "{ image, depth }",
  takes: isDepthPair,
  ownData: ownDepth,
  holdOut: (data, count) => {
    const { held, kept } = splitTraining(data.train, count);
    return { training: { ...data, train: kept, test: held }, testing: { ...data, train: kept } };
  },
  dataFacts: ({ train, test }) => ({ examples: { train: train.size, test: test.size } }),
  open,
  evaluationNeeds,
  evaluationRows: ({ image }) => evaluationRows(inputOf(image!)),
  evaluate,
  predict: async ({ model, layer, params }, image) => {
    const { height, width, ...picture } = await readColourImage(image);
    return { data: await predictDepth(layer, params, model.image!, { ...picture, height, width }), height, width };
  },
  pictures: depthOfPictures,
  inWords: ({ absRel, rmse, delta1 }) =>
    `AbsRel ${absRel.toFixed(4)}  RMSE ${rmse.toFixed(3)} m  delta1 ${(delta1 * 100).toFixed(2)} %`,
};
