/**
 * The paper's tasks: data, loss, metrics, and the trainer they share. {@linkcode fineTune} does it all in one call,
 * {@linkcode load} opens what it saved; the rest are its parts.
 *
 * @example A model, a method, a training step
 * ```ts
 * import { pipe } from "fp-ts/function";
 * import * as tf from "@tensorflow/tfjs-core";
 * import { assert } from "@std/assert";
 * import { at, everyLinear, loadParams, methods, openModel, useBackend } from "@onelora/onelora";
 * import { adamw, apply, compile, crossEntropy, init, isTrainable, key, partition } from "@onelora/onelora/dsl";
 * import { trainStep } from "@onelora/onelora/tasks";
 *
 * await useBackend("wasm");
 * const vit = await openModel("vit-micro");
 * const { params: pretrained } = await loadParams(vit, key(0));
 * const model = pipe(vit.layer, at(everyLinear, methods.oneLora()), methods.head);
 * const params = init(model, key(0), pretrained);
 * const { kept: trained, rest: frozen } = partition<tf.Tensor>(isTrainable(model))(params);
 *
 * const optimiser = adamw({ weightDecay: 0.01 });
 * const step = compile(trainStep(
 *   (params, { pixels, labels }) => ({ loss: crossEntropy(apply(model, params)(pixels), labels) as tf.Scalar }),
 *   optimiser,
 * ));
 * const batch = {
 *   pixels: tf.randomNormal([4, 1, 28, 28], 0, 1, "float32", 1),
 *   labels: tf.tensor1d([0, 1, 2, 3], "int32"),
 *   rate: tf.scalar(0.01),
 * };
 * const [next, first] = step({ frozen, trained, optimiser: optimiser.init(trained) }, batch);
 * const [, second] = step(next, batch);
 * assert((await second.loss.data())[0] < (await first.loss.data())[0]);
 * ```
 *
 * @module
 */
export {
  align,
  type Alignment,
  type AlignOptions,
  type KindAlignment,
  type LayerAlignment,
} from "./alignment/align.ts";
export { type Components, principalComponents, type WeightUpdate } from "./alignment/components.ts";
export { type AdaptedRun, type LayerUpdate, layerUpdates } from "./alignment/updates.ts";
export {
  type Augmentation,
  type CropRanges,
  evaluationTransform,
  type ImageTransform,
  trainingTransform,
  type TrainingTransformOptions,
  type TransformOptions,
} from "./data/augment.ts";
export { openCifar } from "./data/cifar.ts";
export type { ImageDataset, ImageExample, ImageSplits } from "./data/dataset.ts";
export { openFood } from "./data/food.ts";
export { openImageTree } from "./data/image_tree.ts";
export { type Batch, batches, type BatchOptions } from "./data/loader.ts";
export { openFashionMnist, openMnist } from "./data/mnist.ts";
export { type Normalisation, normalise } from "./data/normalise.ts";
export { openImageData } from "./data/open.ts";
export {
  type Examples,
  type ImageSource,
  type LabelledImage,
  type OwnDataOptions,
  ownImages,
  type PixelData,
  readColourImage,
  readImage,
} from "./data/own.ts";
export { openParquetImages } from "./data/parquet_images.ts";
export type { DataFacts } from "./data/record.ts";
export type { HeldOut } from "./data/validation.ts";
export { resize, type ResizeFilter } from "./data/resize.ts";
export type { Position, StreamOptions } from "./data/stream.ts";
export {
  type DepthAugmentation,
  depthEvaluationTransform,
  type DepthSample,
  depthTrainingTransform,
  type DepthTransform,
  type DepthTransformOptions,
} from "./depth/augment.ts";
export {
  type DepthCrop,
  type DepthDataset,
  type DepthExample,
  type DepthProtocol,
  depthProtocols,
  type DepthSplits,
} from "./depth/dataset.ts";
export { openDiode } from "./depth/diode.ts";
export { type DepthKind, encodeDepthColours, encodeDepthPng } from "./depth/encode.ts";
export { type DepthEvaluation, evaluateDepth } from "./depth/estimator.ts";
export { openKitti } from "./depth/kitti.ts";
export { type DepthBatch, depthBatches, type DepthBatchOptions, type DepthPart } from "./depth/loader.ts";
export {
  type DepthMeasures,
  type DepthMetrics,
  depthMetrics,
  type DepthState,
  startDepth,
  updateDepth,
} from "./depth/metrics.ts";
export { openDepthData } from "./depth/open.ts";
export { type DepthMap, type DepthPair, ownDepth } from "./depth/own.ts";
export { type ColourPicture, predictDepth } from "./depth/predict.ts";
export type { SceneDomain } from "./depth/scene.ts";
export { type SceneOptions, sceneSplits } from "./depth/scenes.ts";
export type { DepthSettings } from "./depth/settings.ts";
export { silog, type SilogStep } from "./depth/silog.ts";
export { monocularDepth } from "./depth/task.ts";
export { readRunConfig, type SavedRun } from "./fine_tune/config.ts";
export { fineTune, type FineTuned } from "./fine_tune/fine_tune.ts";
export type {
  DataOf,
  ExampleOf,
  FineTuneOptions,
  FineTuneSurroundings,
  InputOf,
  OutputOf,
  OwnSettings,
} from "./fine_tune/options.ts";
export type { Served, ServeOptions, Used } from "./fine_tune/served.ts";
export { load, type LoadOptions, type Predictor, type Tuned } from "./fine_tune/tuned.ts";
export { type Autoencoder, openAutoencoder } from "./generation/autoencoder.ts";
export { type DiffusionLoss, diffusionLoss, qSample } from "./generation/diffusion.ts";
export { type FeatureExtractor, openFeatures } from "./generation/features.ts";
export { type FeatureStatistics, frechetDistance, startFeatures, updateFeatures } from "./generation/fid.ts";
export type { LatentEncoder } from "./generation/latents.ts";
export type { CleanBatch } from "./generation/objective.ts";
export { type GridOptions, imageGrid } from "./generation/pictures.ts";
export { encodePng, type Pixels } from "./data/png.ts";
export { sampleClasses } from "./generation/sample.ts";
export {
  type DdimOptions,
  ddimStep,
  ddpmStep,
  type Denoiser,
  type ImageSamplingOptions,
  keyedNoise,
  type NoiseSource,
  sampleImages,
  type StepOptions,
} from "./generation/sampling.ts";
export {
  type DiffusionCoefficients,
  type DiffusionSchedule,
  diffusionSchedule,
  linearBetas,
  respaced,
  type Spacing,
} from "./generation/schedule.ts";
export type { GenerationSettings } from "./generation/settings.ts";
export { generation } from "./generation/task.ts";
export { classificationObjective } from "./image_classification/objective.ts";
export { type ClassProbability, predictClasses } from "./image_classification/predict.ts";
export type { ClassificationSettings } from "./image_classification/settings.ts";
export { type AdaptedModel, imageClassification, openAdapted } from "./image_classification/task.ts";
export { planTraining, taskKind, taskKinds, type TaskName, taskNames, type Tasks } from "./kinds.ts";
export {
  type ClassificationMetrics,
  classificationMetrics,
  type ClassificationState,
  type ErrorBin,
  type ReliabilityBin,
  startClassification,
  updateClassification,
} from "./metrics/classification.ts";
export {
  type LabelMetrics,
  type MultiLabelBatch,
  type MultiLabelMetrics,
  multiLabelMetrics,
} from "./metrics/multi_label.ts";
export { mergeOpened, type OpenedModel, type OpenOptions, openTrained, type PlainModel } from "./open.ts";
export { extractAnswer, isSameAnswer, normaliseAnswer } from "./reasoning/answers/answer.ts";
export { type ReasoningBatch, reasoningBatches, type ReasoningBatchOptions } from "./reasoning/batches.ts";
export { type CharacterTokenizer, characterTokenizer, wordProblemTokenizer } from "./reasoning/characters.ts";
export {
  type EncodedExample,
  type EncodedExamples,
  encodeExample,
  encodeExamples,
  encodeOpen,
  padExamples,
  type TokenBatch,
} from "./reasoning/encode.ts";
export { type ReasoningExample, type ReasoningSplits, splitExamples } from "./reasoning/example.ts";
export { evaluateReasoning, type ReasoningMetrics, responseLoss } from "./reasoning/objective.ts";
export { openReasoningData, type ReasoningData, type ReasoningDataOptions } from "./reasoning/open.ts";
export { ownPairs, type PromptPair } from "./reasoning/own.ts";
export { type WordProblemFamily, wordProblems } from "./reasoning/problems.ts";
export {
  evaluateExactMatch,
  type ExactMatch,
  respond,
  type Responded,
  type RespondOptions,
} from "./reasoning/respond.ts";
export type { ReasoningSettings } from "./reasoning/settings.ts";
export { reasoning } from "./reasoning/task.ts";
export { alpacaPrompt } from "./reasoning/template.ts";
export { type Calibration, calibrationChart, type NamedCalibration } from "./report/calibration.ts";
export { type EventLog, openEvents } from "./report/events.ts";
export { writeReport } from "./report/report.ts";
export type { TextSettings } from "./text/settings.ts";
export { texts } from "./text/task.ts";
export type { Identity } from "./trainer/checkpoint.ts";
export type { LogRecord } from "./trainer/log.ts";
export type { BatchSize } from "./trainer/needs.ts";
export type { CheckpointEvent, EvaluationEvent, Observer, Reporter } from "./trainer/observe.ts";
export type { BatchPart, TaskBatch } from "./trainer/parts.ts";
export type { TrainingPlanOptions } from "./trainer/plan.ts";
export type { Deciding, Progress } from "./trainer/progress.ts";
export { runTask } from "./trainer/run.ts";
export {
  type About,
  boolean,
  type Bounds,
  choice,
  duration,
  fromRecipe,
  integer,
  number,
  required,
  type Setting,
  type Settings,
  type SettingsOf,
  text,
} from "./trainer/setting.ts";
export {
  type BatchTensors,
  type StepMetrics,
  type TrainState,
  type TrainStep,
  trainStep,
  type WholeStep,
} from "./trainer/step.ts";
export type {
  Asked,
  Baseline,
  EvaluationReport,
  Opened,
  PreparedTask,
  RunResult,
  RunSurroundings,
  TaskKind,
  TaskStep,
  Unfit,
} from "./trainer/task.ts";
export type { Answered, Answering, ComparedAnswers } from "./trainer/answering.ts";
export type {
  EssentialSetting,
  EvaluationRun,
  MethodSettings,
  Run,
  RunRecipe,
  RunSettings,
} from "./trainer/run_settings.ts";
export type {
  Made,
  Making,
  NamedPicture,
  PicturePrediction,
  PredictionRun,
  Printed,
  Terminal,
  TrainedModel,
} from "./trainer/prediction.ts";
export { train } from "./trainer/train.ts";
export type { TrainingTask, TrainResult, TrainSettings } from "./trainer/training.ts";
export { tokenizerOf } from "./reasoning/questions.ts";
