/**
 * Mathematical reasoning (paper, section 4.2) as a task of the trainer.
 *
 * @module
 */
import { dispose, type Tensor } from "@tensorflow/tfjs-core";
import { writeWhole } from "../../dsl/files/write.ts";
import { isTrainable, type Layer, specs } from "../../dsl/layer.ts";
import { key } from "../../dsl/random.ts";
import { type Params, partition, type Path, type Tree } from "../../dsl/tree.ts";
import { asLanguageModel, type CausalLanguageModel, loadParams, type Model } from "../../models/mod.ts";
import { methodOn, NO_METHOD, underRun } from "../trainer/method.ts";
import type { Reporter } from "../trainer/observe.ts";
import { staysOnDevice } from "../trainer/on_device.ts";
import type { EvaluationReport, Opened, PreparedTask, TaskKind, TaskStep } from "../trainer/task.ts";
import type { EvaluationRun, Run } from "../trainer/run_settings.ts";
import type { BatchSize, Needs } from "../trainer/needs.ts";
import type { TrainedModel } from "../trainer/prediction.ts";
import { forwardNeeds } from "../trainer/room.ts";
import type { TrainingTask } from "../trainer/training.ts";
import { continuing } from "./continue.ts";
import { evaluateReasoning, reasoningObjective } from "./objective.ts";
import { holdOutQuestions, openReasoningData, type ReasoningData, reasoningDataForms } from "./open.ts";
import { isPromptPair, ownPairs, type PromptPair } from "./own.ts";
import { LENGTH, type ModelQuestions, openQuestions, tokenizerOf } from "./questions.ts";
import { tokenizerBytes } from "../../models/llama/tokenizer_bytes.ts";
import { recipeFor } from "./recipe.ts";
import { decodingNeeds } from "./room.ts";
import { alpacaPrompt } from "./template.ts";
import { encodeOpen } from "./encode.ts";
import { answersReport } from "./report.ts";
import { evaluateExactMatch, respond, type Responded, type RespondOptions } from "./respond.ts";
import { type ReasoningSettings, reasoningSettings } from "./settings.ts";
import { lengthMultiple, longestRow, tokenBatches, TOKENS_ONLY } from "./training.ts";

/** Questions at a time in an evaluation. */
const EVALUATION_BATCH = 32;
/** Questions in the report for people. */
const SHOWN = 20;

/**
 * How answers are generated, in an evaluation and wherever they are to be the same.
 *
 * @param questions The questions
 */
export function answering(
  { answerTokens, evalBatch }: Pick<ModelQuestions, "answerTokens" | "evalBatch">,
): RespondOptions {
  return { maxTokens: answerTokens, batchSize: evalBatch ?? EVALUATION_BATCH };
}

/** What a model makes of the validation questions. */
interface Judged {
  /** Loss, perplexity and exact match. */
  readonly metrics: Tree<number>;
  /** Its answers. */
  readonly responses: readonly Responded[];
}

async function judge(layer: CausalLanguageModel, params: Params, questions: ModelQuestions): Promise<Judged> {
  const { tokenizer, validation, asked, evalBatch = EVALUATION_BATCH } = questions;
  const { loss, perplexity } = await evaluateReasoning(
    layer,
    params,
    validation,
    evalBatch,
    lengthMultiple(questions.train, validation),
  );
  if (asked.length === 0) return { metrics: { loss, perplexity }, responses: [] };
  const { exactMatch, responses } = await evaluateExactMatch(layer, params, tokenizer, asked, answering(questions));
  return { metrics: { loss, perplexity, exactMatch }, responses };
}

/**
 * The task for the trainer.
 *
 * @param layer The model
 * @param questions What it learns from, and what it is judged on
 * @param run Examples a step, parts, seed and order
 * @param judged Told what was answered in each evaluation
 */
export function reasoningTask(
  layer: CausalLanguageModel,
  questions: ModelQuestions,
  run: Pick<Run, "batchSize" | "accumulate" | "seed" | "shuffle">,
  judged?: (responses: Judged["responses"]) => void,
): TrainingTask {
  return {
    deciding: { metric: "loss", better: "lower" },
    evaluate: async (params) => {
      const { metrics, responses } = await judge(layer, params, questions);
      judged?.(responses);
      return metrics;
    },
    batches: tokenBatches(questions.train, run, lengthMultiple(questions.train, questions.validation)),
  };
}

/** Writes what the model says before and after, side by side, for people to read; after, if that is known, as it is. */
async function show(
  { model, layer, params }: TrainedModel,
  questions: ModelQuestions,
  { seed, adapter, precision, quantise }: Run,
  folder: string,
  known: Judged["responses"] | undefined,
): Promise<void> {
  const asked = questions.asked.slice(0, SHOWN);
  if (asked.length === 0) return;
  const queries = asked.map(({ query }) => query);
  const answer = (by: CausalLanguageModel, of: Params) =>
    respond(by, of, questions.tokenizer, queries, answering(questions));
  // What was not trained is what was published, and is there.
  const own = specs(model.layer);
  const isPublished = (path: Path) => path in own && !isTrainable(layer)(path);
  const { kept: shared } = partition<Tensor>(isPublished)(params);
  const { params: published } = await loadParams(model, key(seed), model.layer, { precision, quantise }, shared);
  try {
    const before = await answer(asLanguageModel(model, model.layer), published);
    const after = known?.map(({ response }) => response) ?? await answer(asLanguageModel(model, layer), params);
    const report = answersReport(asked.map(({ query, response: truth }, i) => ({
      query,
      truth,
      answers: { unadapted: before[i], ...(adapter === NO_METHOD ? {} : { [adapter]: after[i] }) },
    })));
    await writeWhole(`${folder}/answers.md`, report);
  } finally {
    dispose(partition<Tensor>(isPublished)(published).rest as Record<string, Tensor>);
  }
}

function step(model: Model, layer: Layer, { batch, length }: BatchSize): TaskStep {
  return {
    batch: {
      ids: { shape: [batch, length], dtype: "int32" },
      labels: { shape: [batch, length], dtype: "int32" },
      weight: { shape: [], dtype: "float32" },
    },
    objective: reasoningObjective(asLanguageModel(model, layer)),
  };
}

async function open(
  run: Run<ReasoningSettings>,
  { model, data }: Opened<ReasoningData>,
  reporter: Reporter,
): Promise<PreparedTask> {
  staysOnDevice(run, TOKENS_ONLY);
  const questions = await openQuestions(run.scratch ? { ...model, folder: undefined } : model, data, run);
  questions.notes.forEach((line) => reporter.line(`note: ${line}`));
  const layer = asLanguageModel(model, methodOn(model, run));
  let last: Judged["responses"] | undefined;
  return {
    model,
    layer,
    objective: reasoningObjective(underRun(layer, run)),
    examples: questions.train.length,
    longest: longestRow(questions.train, lengthMultiple(questions.train, questions.validation)),
    evaluations: (evalBatch) => judgingNeeds(model, { ...questions, evalBatch }),
    training: reasoningTask(layer, questions, run, (responses) => last = responses),
    show: (params, folder, isEvaluated) =>
      show({ model, layer, params }, questions, run, folder, isEvaluated ? last : undefined),
  };
}

async function evaluate(
  { model, layer, params }: TrainedModel,
  data: ReasoningData,
  run: EvaluationRun<ReasoningSettings>,
): Promise<EvaluationReport> {
  const questions = await openQuestions(model, data, run);
  const { metrics, responses } = await judge(asLanguageModel(model, layer), params, questions);
  return { metrics, details: { ...metrics, responses }, notes: questions.notes };
}

/** What answering the first questions of validation takes. */
async function answerNeeds(
  model: Model,
  data: ReasoningData,
  run: EvaluationRun<ReasoningSettings>,
): Promise<Needs> {
  return await needsOfAnswers(model, await openQuestions(model, data, run));
}

async function needsOfAnswers(model: Model, questions: ModelQuestions): Promise<Needs> {
  const { asked, tokenizer } = questions;
  const { maxTokens: tokens = 0, batchSize = 1 } = answering(questions);
  const lengths = asked.map(({ query }) => encodeOpen(tokenizer, alpacaPrompt(query)).length);
  const rows = Math.min(batchSize, asked.length);
  return await decodingNeeds(model, { rows, length: Math.max(1, ...lengths), tokens });
}

/** What judging takes: the loss's or the answers' largest pass, and the tokenizer. */
async function judgingNeeds(model: Model, questions: ModelQuestions): Promise<Needs> {
  const { validation, train, asked, evalBatch = EVALUATION_BATCH } = questions;
  const loss = forwardNeeds(reasoning as TaskKind, model, {
    batch: Math.min(evalBatch, validation.length),
    length: longestRow(validation, lengthMultiple(train, validation)),
  });
  const answers = asked.length === 0 ? undefined : await needsOfAnswers(model, questions);
  const held = await tokenizerBytes(model);
  return (layer, kept) => Math.max(loss(layer, kept) + held, answers?.(layer, kept) ?? 0);
}

/**
 * A model's likeliest answers to the first questions of validation, which are a random choice; the loss over all of them is
 * not computed.
 *
 * @param trained The model
 * @param data The questions
 * @param run Seed of the split, greatest length and how many questions
 */
async function validationAnswers(
  { model, layer, params }: TrainedModel,
  data: ReasoningData,
  run: EvaluationRun<ReasoningSettings>,
): Promise<readonly Responded[]> {
  const questions = await openQuestions(model, data, run);
  const { asked, tokenizer } = questions;
  const language = asLanguageModel(model, layer);
  return (await evaluateExactMatch(language, params, tokenizer, asked, answering(questions))).responses;
}

/** Paper, section 4.2. */
export const reasoning: TaskKind<ReasoningSettings, ReasoningData, PromptPair, string, string> = {
  name: "reasoning",
  summary: "worked answers to questions, by validation loss and exact match",
  model: "llama-micro",
  data: "word-problems-b",
  dataForms: reasoningDataForms,
  settings: reasoningSettings,
  hub: { pipeline: "text-generation", python: "transformers.AutoModelForCausalLM" },
  baseline: { adapter: NO_METHOD, name: "unadapted" },
  models: "a llama model",
  compact: true,
  holds: tokenizerBytes,
  trains: ({ signature: { inputs, outputs } }) => inputs[0].name === "input_ids" && `${outputs}` === "logits",
  besides: () => [],
  recipe: recipeFor,
  step,
  sizeInWords: ({ batch, length }) => `batch ${batch} of ${length} tokens`,
  openData: (spec, { strict }) => openReasoningData(spec, { strict }),
  exampleForm: "{ prompt, response }",
  takes: isPromptPair,
  ownData: ownPairs,
  holdOut: holdOutQuestions,
  dataFacts: ({ examples }) => ({ examples: { worked: examples.length } }),
  open,
  evaluationNeeds: async (model, data, run) => await judgingNeeds(model, await openQuestions(model, data, run)),
  evaluationRows: () => EVALUATION_BATCH,
  evaluate,
  predict: async ({ model, layer, params }, prompt, { own: { answerTokens = LENGTH } }) => {
    const tokenizer = await tokenizerOf(model);
    const [answer] = await respond(asLanguageModel(model, layer), params, tokenizer, [prompt], {
      maxTokens: answerTokens,
    });
    return answer;
  },
  making: continuing,
  answering: { answers: validationAnswers, needs: answerNeeds, report: (questions) => answersReport(questions) },
  inWords: ({ loss, perplexity, exactMatch }) =>
    `loss ${loss.toFixed(4)}  perplexity ${perplexity.toPrecision(4)}${
      exactMatch === undefined ? "" : `  exact match ${(exactMatch * 100).toFixed(1)} %`
    }`,
};
