/**
 * Texts made ready for a model: split, and encoded by its own tokenizer and template.
 *
 * @module
 */
import { OneloraError } from "../../dsl/error.ts";
import { requireLanguageModel } from "../../models/llama/language_model.ts";
import { type Model, openChatTemplate } from "../../models/mod.ts";
import { IGNORED_LABEL } from "../reasoning/encode.ts";
import { checkIds, tokenizerOf } from "../reasoning/questions.ts";
import type { EvaluationRun } from "../trainer/run_settings.ts";
import { encodeChoices, type EncodedText, encodeText, type Prompt, promptOf, type TextEncoding } from "./encode.ts";
import { holdOut, type TextExample } from "./example.ts";
import type { TextData } from "./open.ts";
import { packTexts } from "./pack.ts";
import type { TextSettings } from "./settings.ts";

/** Tokens of an example at most where nothing is said. */
export const LENGTH = 512;
/** Examples answered where nothing is said. */
const ASKED = 4;
/** Examples held out where nothing is said. */
const HELD_OUT = 0.1;

/** A question with encoded answers. */
export interface EncodedChoices {
  /** The answers. */
  readonly encoded: readonly EncodedText[];
  /** Characters of each. */
  readonly lengths: readonly number[];
  /** Which is right. */
  readonly answer: number;
}

/** Texts for a model. */
export interface ModelTexts {
  /** How they became tokens. */
  readonly encoding: TextEncoding;
  /** To learn from. */
  readonly train: readonly EncodedText[];
  /** To be judged by. */
  readonly validation: readonly EncodedText[];
  /** Questions with choices among those. */
  readonly choices: readonly EncodedChoices[];
  /** The first of those, to be answered. */
  readonly asked: readonly Prompt[];
  /** What was left out, a line each. */
  readonly notes: readonly string[];
}

/** Which of the data's parts judges: while training, or in the end. */
export type Judging = "validation" | "test";

function encodeAll(encoding: TextEncoding, examples: readonly TextExample[]): readonly EncodedText[] {
  const encoded = examples.flatMap((example) => encodeText(encoding, example) ?? []);
  if (encoded.length > 0) return encoded;
  throw new OneloraError({
    attempted: "encoding texts",
    found: `${examples.length} of which the first ${encoding.length} tokens have nothing to learn`,
    allowed: "a larger --length, or shorter prompts",
  });
}

/** What an encoding needs of a model. */
export async function encodingFor(model: Model, own: Partial<TextSettings>): Promise<TextEncoding> {
  const { length = LENGTH, template = "auto", learn = "answers" } = own;
  const missing = () =>
    new OneloraError({
      attempted: "writing chats",
      found: `the preset ${model.name}`,
      allowed: "a folder with a chat template",
    });
  const chat = model.folder === undefined ? missing() : await openChatTemplate(model.folder).catch((error) => {
    if (error instanceof OneloraError) return error;
    throw error;
  });
  return { tokenizer: await tokenizerOf(model), chat, length, template, learn };
}

function split(data: TextData, judging: Judging, seed: number, share: number) {
  const given = judging === "test" ? data.test ?? data.validation : data.validation;
  if (given !== undefined) return { train: data.train, held: given };
  if (data.train.length >= 2) return holdOut(data.train, seed, share);
  const allowed = "at least two, or a file to validate with";
  throw new OneloraError({ attempted: `reading ${data.name}`, found: "one example", allowed });
}

/** Whether answers end: a model that never learns to end goes on for ever. */
function endNote({ tokenizer }: TextEncoding, encoded: readonly EncodedText[]): readonly string[] {
  const ends = tokenizer.ends ?? [];
  const some = encoded.slice(0, 100);
  if (some.some(({ labels }) => labels.some((label) => label !== IGNORED_LABEL && ends.includes(label)))) return [];
  return ["no answer ends with a token that ends the model's texts: it will not learn where to stop"];
}

/** Whether prompts are learned in another form than a chat with the model will have. */
function formNote({ chat, template }: TextEncoding, examples: readonly TextExample[]): readonly string[] {
  const isPlain = template === "auto" && examples.some((each) => each.kind === "pair" && !each.asked);
  if (!isPlain || chat instanceof OneloraError) return [];
  return [
    "prompts and completions are learned as they are, without the model's chat template; --template chat writes chats",
  ];
}

/**
 * Makes texts ready for a model.
 *
 * @param model A language model
 * @param data The texts
 * @param run Seed, own settings and numbers of examples
 * @param judging Which part judges
 * @throws OneloraError for data, a tokenizer, a template or a model that cannot be used
 */
export async function prepareTexts(
  model: Model,
  data: TextData,
  run: Pick<EvaluationRun<TextSettings>, "limit" | "seed" | "own">,
  judging: Judging,
): Promise<ModelTexts> {
  requireLanguageModel(model, "learning from texts");
  const { limit = Infinity, own } = run;
  const { samples = ASKED, heldOut = HELD_OUT, pack = false } = own;
  const encoding = await encodingFor(model, own);
  const parts = split(data, judging, run.seed ?? 0, heldOut);
  const [train, held] = [parts.train.slice(0, limit), parts.held.slice(0, limit)];
  const encoded = encodeAll(encoding, train);
  const validation = encodeAll(encoding, held);
  checkIds(model, [...encoded, ...validation]);
  const choices = held.flatMap((example) => {
    if (example.kind !== "choice") return [];
    const lengths = example.choices.map((choice) => choice.length);
    return [{ encoded: encodeChoices(encoding, example), lengths, answer: example.answer }];
  });
  const asked = held.flatMap((example) => promptOf(encoding, example) ?? []).slice(0, samples);
  const gone = train.length + held.length - encoded.length - validation.length;
  const cut = [...encoded, ...validation].filter(({ ids }) => ids.length === encoding.length).length;
  return {
    encoding,
    train: pack ? packTexts(encoded, encoding.length) : encoded,
    validation,
    choices,
    asked,
    notes: [
      ...data.skipped > 0 ? [`${data.skipped} rows of ${data.name} left out, the first ${data.why}`] : [],
      ...gone > 0 ? [`${gone} examples left out: nothing to learn in their first ${encoding.length} tokens`] : [],
      ...cut > 0 ? [`${cut} examples cut at ${encoding.length} tokens (--length)`] : [],
      ...endNote(encoding, encoded),
      ...formNote(encoding, train),
    ],
  };
}
