/**
 * Monocular depth as a task of the trainer.
 *
 * @module
 */
import { adapt } from "../../adapters/mod.ts";
import { OneloraError } from "../../dsl/error.ts";
import { writeWhole } from "../../dsl/files/write.ts";
import type { Layer } from "../../dsl/layer.ts";
import { oneCycleMomentum } from "../../dsl/optimise/mod.ts";
import type { Params } from "../../dsl/tree.ts";
import { openModel } from "../../models/mod.ts";
import { NO_METHOD, underRun } from "../trainer/run.ts";
import type { EvaluationReport, EvaluationRun, PreparedTask, Run, TaskKind, TrainedModel } from "../trainer/task.ts";
import type { Reporter } from "../trainer/train.ts";
import {
  type DepthEvaluation,
  depthObjective,
  depthPredictions,
  depthTask,
  depthWholeStep,
  evaluateDepth,
  metricInput,
} from "./estimator.ts";
import { depthDataForms, openDepthData } from "./open.ts";
import { depthPicture } from "./pictures.ts";
import { depthRecipe } from "./recipe.ts";

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
    if (!(error instanceof OneloraError)) throw error;
    reporter.line(`no pictures: ${error.message}`);
  }
}

async function open(run: Run, reporter: Reporter): Promise<PreparedTask> {
  if (typeof run.augment !== "boolean") {
    throw new OneloraError({
      attempted: "augmenting depth",
      found: "crops and mirroring of classes' images",
      allowed: "true, false",
    }, { exitCode: 2 });
  }
  const model = await openModel(run.model);
  const input = metricInput(model);
  const data = await openDepthData(run.data);
  const { rank, alpha, target, adapter, samples = SHOWN, limit = samples, flip, workers } = run;
  const layer = adapter === NO_METHOD ? model.layer : adapt(adapter, { rank, alpha, target })(model.layer);
  const shown: DepthEvaluation = { dataset: data.test, input, flip, workers, limit: Math.min(samples, limit) };
  return {
    model,
    layer,
    objective: depthObjective(underRun(layer, run), data.protocol),
    whole: depthWholeStep(layer, data.protocol),
    training: depthTask(layer, input, data, {
      ...run,
      augment: run.augment,
      onSkip: (line) => reporter.line(`skipped: ${line}`),
      onTotal: reporter.line,
    }),
    examples: data.train.size,
    momentum: run.schedule.startsWith("one-cycle")
      ? ({ steps, warmup }) => oneCycleMomentum({ steps, rise: warmup > 0 ? warmup / steps : undefined })
      : undefined,
    show: (params, folder) => show(layer, params, folder, shown, reporter),
  };
}

async function evaluate({ model, layer, params }: TrainedModel, run: EvaluationRun): Promise<EvaluationReport> {
  const input = metricInput(model);
  const { test, protocol } = await openDepthData(run.data);
  const { flip, limit } = run;
  const metrics = await evaluateDepth(layer, params, { dataset: test, input, flip, limit }, protocol);
  const { empty } = metrics;
  return {
    metrics: { ...metrics },
    details: { ...metrics, protocol, flip: flip ?? false, input: [input.height, input.width] },
    notes: empty > 0 ? [`${empty} pictures without a pixel that counts are left out`] : [],
  };
}

/** Paper, section 4.1. */
export const monocularDepth: TaskKind = {
  summary: "metres to every pixel of a picture, by root mean squared error",
  model: "dpt-micro",
  data: "scenes-driving",
  dataForms: depthDataForms,
  recipe: depthRecipe,
  open,
  evaluate,
  inWords: ({ absRel, rmse, delta1 }) =>
    `AbsRel ${absRel.toFixed(4)}  RMSE ${rmse.toFixed(3)} m  delta1 ${(delta1 * 100).toFixed(2)} %`,
};
