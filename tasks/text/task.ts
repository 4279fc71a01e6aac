/**
 * Learning from texts of one's own, chats above all, as a task of the trainer.
 *
 * @module
 */
import { OneloraError } from "../../dsl/error.ts";
import { writeWhole } from "../../dsl/files/write.ts";
import type { Params, Tree } from "../../dsl/tree.ts";
import { asLanguageModel, type CausalLanguageModel, type Model } from "../../models/mod.ts";
import { tokenizerBytes } from "../../models/llama/tokenizer_bytes.ts";
import type { OwnDataOptions } from "../data/own.ts";
import { reasoning } from "../reasoning/task.ts";
import { evaluateReasoning, reasoningObjective } from "../reasoning/objective.ts";
import { answersReport } from "../reasoning/report.ts";
import { decodingNeeds } from "../reasoning/room.ts";
import { respondTo } from "../reasoning/respond.ts";
import { lengthMultiple, longestRow, tokenBatches, TOKENS_ONLY } from "../reasoning/training.ts";
import { methodOn, NO_METHOD, underRun } from "../trainer/method.ts";
import type { Needs } from "../trainer/needs.ts";
import type { Reporter } from "../trainer/observe.ts";
import { staysOnDevice } from "../trainer/on_device.ts";
import type { TrainedModel } from "../trainer/prediction.ts";
import { forwardNeeds } from "../trainer/room.ts";
import type { EvaluationReport, Opened, PreparedTask, TaskKind } from "../trainer/task.ts";
import type { EvaluationRun, Run, RunRecipe } from "../trainer/run_settings.ts";
import { answersPage } from "./answers.ts";
import type { TextExample, TextRow } from "./example.ts";
import { chooseAnswers } from "./likelihood.ts";
import { holdOutTexts, openTextData, type TextData, textDataForms, textFacts } from "./open.ts";
import { refuseStretched } from "./pack.ts";
import { encodingFor, LENGTH, type ModelTexts, prepareTexts } from "./prepare.ts";
import { promptOf } from "./encode.ts";
import { previews } from "./preview.ts";
import { type TextSettings, textSettings } from "./settings.ts";
import { isTextRow, shapeReader } from "./shapes.ts";

/** Examples at a time in an evaluation. */
const EVALUATION_BATCH = 8;
/** Tokens of an answer at most. */
const ANSWER = 256;
/** Examples shown where nothing is said. */
const PREVIEWS = 3;

/** An answer of the model's beside the true one. */
interface TextResponse {
  readonly query: string;
  readonly truth: string;
  readonly response: string;
}

async function answers(
  layer: CausalLanguageModel,
  params: Params,
  texts: ModelTexts,
  batchSize: number = EVALUATION_BATCH,
): Promise<readonly TextResponse[]> {
  const { asked, encoding: { tokenizer, length } } = texts;
  if (asked.length === 0) return [];
  const settings = { maxTokens: Math.min(length, ANSWER), batchSize };
  const responses = await respondTo(layer, params, tokenizer, asked.map(({ ids }) => ids), settings);
  return asked.map(({ query, truth }, i) => ({ query, truth, response: responses[i] }));
}

async function judge(layer: CausalLanguageModel, params: Params, texts: ModelTexts, rows: number = EVALUATION_BATCH) {
  const multiple = lengthMultiple(texts.train, texts.validation);
  const { validation, choices } = texts;
  const { loss, perplexity } = await evaluateReasoning(layer, params, validation, rows, multiple);
  const chosen = choices.length === 0 ? {} : await chooseAnswers(layer, params, choices, rows, multiple);
  const responses = await answers(layer, params, texts, rows);
  const right = responses.filter(({ truth, response }) => truth === response).length;
  const metrics: Tree<number> = {
    loss,
    perplexity,
    ...chosen,
    ...(responses.length === 0 ? {} : { exactMatch: right / responses.length }),
  };
  return { metrics, responses };
}

async function open(
  run: Run<TextSettings>,
  { model, data }: Opened<TextData>,
  reporter: Reporter,
): Promise<PreparedTask> {
  staysOnDevice(run, TOKENS_ONLY);
  const start = run.scratch ? { ...model, folder: undefined } : model;
  const texts = await prepareTexts(start, data, run, "validation");
  texts.notes.forEach((line) => reporter.line(`note: ${line}`));
  previews(texts.encoding.tokenizer, texts.train, run.own.preview ?? PREVIEWS).forEach((line) => reporter.line(line));
  const multiple = lengthMultiple(texts.train, texts.validation);
  if (run.own.pack) refuseStretched(model, texts.train, multiple);
  const layer = asLanguageModel(model, methodOn(model, run));
  let last: readonly TextResponse[] | undefined;
  return {
    model,
    layer,
    objective: reasoningObjective(underRun(layer, run)),
    examples: texts.train.length,
    longest: longestRow(texts.train, multiple),
    evaluations: (rows) => judgingNeeds(model, texts, rows),
    training: {
      deciding: { metric: "loss", better: "lower" },
      evaluate: async (params) => {
        const { metrics, responses } = await judge(layer, params, texts, run.evalBatch);
        last = responses;
        return metrics;
      },
      batches: tokenBatches(texts.train, run, multiple),
    },
    show: async (params, folder, isEvaluated) => {
      const said = isEvaluated && last !== undefined ? last : await answers(layer, params, texts, run.evalBatch);
      if (said.length > 0) await writeWhole(`${folder}/answers.md`, answersPage(run.adapter, said));
    },
  };
}

async function evaluate(
  { model, layer, params }: TrainedModel,
  data: TextData,
  run: EvaluationRun<TextSettings>,
): Promise<EvaluationReport> {
  const texts = await prepareTexts(model, data, run, "test");
  const { metrics, responses } = await judge(asLanguageModel(model, layer), params, texts, run.evalBatch);
  return { metrics, details: { ...metrics, responses }, notes: texts.notes };
}

/** A model's likeliest answers to the first examples held out that have a prompt; no loss is computed. */
async function heldOutAnswers(
  { model, layer, params }: TrainedModel,
  data: TextData,
  run: EvaluationRun<TextSettings>,
): Promise<readonly TextResponse[]> {
  const texts = await prepareTexts(model, data, run, "test");
  if (texts.asked.length > 0) return await answers(asLanguageModel(model, layer), params, texts, run.evalBatch);
  const allowed = "chats, or prompts with completions, and `samples` above 0";
  throw new OneloraError({
    attempted: `asking about ${data.name}`,
    found: "no questions in what is held out",
    allowed,
  });
}

/** What judging takes: the losses', the choices' and the answers' largest pass, and the tokenizer. */
async function judgingNeeds(
  model: Model,
  { train, validation, choices, asked, encoding }: ModelTexts,
  rows: number = EVALUATION_BATCH,
): Promise<Needs> {
  const judged = [...validation, ...choices.flatMap(({ encoded }) => encoded)];
  const held = await tokenizerBytes(model);
  const loss = forwardNeeds(texts as TaskKind, model, {
    batch: Math.min(rows, judged.length),
    length: longestRow(judged, lengthMultiple(train, validation)),
  });
  if (asked.length === 0) return (layer, kept) => loss(layer, kept) + held;
  const length = Math.max(1, ...asked.map(({ ids }) => ids.length));
  const tokens = Math.min(encoding.length, ANSWER);
  const answers = await decodingNeeds(model, { rows: Math.min(rows, asked.length), length, tokens });
  return (layer, kept) => Math.max(loss(layer, kept) + held, answers(layer, kept));
}

/** Rows in memory as examples. */
function examplesOf(rows: readonly TextRow[], name: string): readonly TextExample[] {
  const exampleOf = shapeReader({});
  return rows.map((row, i) => {
    const at = `example ${i} of \`${name}\``;
    const example = exampleOf(row, at);
    if (typeof example !== "string") return example;
    throw new OneloraError({ attempted: `reading ${at}`, found: example, allowed: "an example like the first" }, {
      exitCode: 2,
    });
  });
}

function ownTexts(
  train: readonly TextRow[],
  test: readonly TextRow[] | undefined,
  { onLine }: OwnDataOptions,
): TextData {
  const least = test === undefined ? 2 : 1;
  if (train.length < least || test?.length === 0) {
    const allowed = test === undefined ? "at least two, or `test`" : "at least one to learn from and one in `test`";
    throw new OneloraError({ attempted: "reading `data`", found: `${train.length} examples`, allowed }, {
      exitCode: 2,
    });
  }
  if (test === undefined) {
    onLine(`note: some of ${train.length} examples are held out to be judged by; \`test\` gives others`);
  }
  const validation = test === undefined ? {} : { validation: examplesOf(test, "test") };
  return { name: "own", train: examplesOf(train, "data"), ...validation, skipped: 0, paths: [] };
}

/** What fine-tuning on chats usually starts from; the rate is that of low-rank methods. */
const recipe: RunRecipe<TextSettings> = {
  epochs: 3,
  batchSize: 8,
  lr: 1e-3,
  weightDecay: 0,
  schedule: "cosine",
  warmup: 0.03,
};

/** Texts of one's own: chats, instructions, prompts and completions, plain texts, questions with choices. */
export const texts: TaskKind<TextSettings, unknown, Readonly<Record<string, unknown>>, string, string> = {
  name: "text",
  summary: "your own chats, instructions and texts, by validation loss",
  model: "llama-micro",
  data: "chats.jsonl",
  dataForms: textDataForms,
  settings: textSettings,
  hub: { pipeline: "text-generation", python: "transformers.AutoModelForCausalLM" },
  baseline: { adapter: NO_METHOD, name: "unadapted" },
  models: "a llama model",
  compact: true,
  holds: reasoning.holds,
  trains: reasoning.trains,
  besides: () => [],
  recipe: () => recipe,
  step: reasoning.step,
  sizeInWords: reasoning.sizeInWords,
  openData: openTextData,
  exampleForm: "{ messages }, { prompt, completion }, { instruction, output } or { text }",
  takes: isTextRow,
  ownData: ownTexts,
  holdOut: (data, count) => holdOutTexts(data as TextData, count),
  dataFacts: (data) => textFacts(data as TextData),
  open: (run, { model, data }, reporter) => open(run, { model, data: data as TextData }, reporter),
  evaluationNeeds: async (model, data, run) =>
    await judgingNeeds(model, await prepareTexts(model, data as TextData, run, "test"), run.evalBatch),
  evaluationRows: () => EVALUATION_BATCH,
  evaluate: (trained, data, run) => evaluate(trained, data as TextData, run),
  predict: async ({ model, layer, params }, prompt, { own }) => {
    const encoding = await encodingFor(model, own);
    const asChat = !(encoding.chat instanceof OneloraError) && own.template !== "plain" && own.template !== "alpaca";
    const asked: TextExample = asChat
      ? { kind: "chat", messages: [{ role: "user", content: prompt }, { role: "assistant", content: "" }] }
      : { kind: "pair", prompt, completion: "" };
    const { ids } = promptOf(encoding, asked)!;
    const settings = { maxTokens: own.length ?? LENGTH };
    return (await respondTo(asLanguageModel(model, layer), params, encoding.tokenizer, [ids], settings))[0];
  },
  answering: {
    answers: (trained, data, run) => heldOutAnswers(trained, data as TextData, run),
    needs: async (model, data, run) =>
      await judgingNeeds(model, await prepareTexts(model, data as TextData, run, "test"), run.evalBatch),
    splitBy: ["validationFile", "heldOut"],
    report: (questions) => answersReport(questions, (truth, answer) => truth === answer),
  },
  inWords: ({ loss, perplexity, exactMatch, accuracy }) =>
    [
      `loss ${loss.toFixed(4)}  perplexity ${perplexity.toPrecision(4)}`,
      ...exactMatch === undefined ? [] : [`exact match ${(exactMatch * 100).toFixed(1)} %`],
      ...accuracy === undefined ? [] : [`right choices ${(accuracy * 100).toFixed(1)} %`],
    ].join("  "),
};
