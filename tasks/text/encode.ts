/**
 * Examples of text as token ids and labels.
 *
 * @module
 */
import { OneloraError } from "../../dsl/error.ts";
import type { ChatMessage, ChatTemplate, TextTokenizer } from "../../models/mod.ts";
import { type EncodedExample, encodeOpen, endOf, IGNORED_LABEL } from "../reasoning/encode.ts";
import { alpacaPrompt, alpacaText } from "../reasoning/template.ts";
import { type Chat, lastAnswer, type TextExample } from "./example.ts";
import type { TextSettings } from "./settings.ts";
import { encodeSpans, writeChat } from "./turns.ts";

/** How examples become tokens. */
export interface TextEncoding extends Required<Pick<TextSettings, "length" | "template" | "learn">> {
  /** The model's tokenizer. */
  readonly tokenizer: TextTokenizer;
  /** The model's way to write chats, or why it has none. */
  readonly chat: ChatTemplate | OneloraError;
}

/** An encoded example, all of whose learned tokens `labels` has. */
export type EncodedText = EncodedExample & Required<Pick<EncodedExample, "labels">>;

function templateOf({ chat }: TextEncoding): ChatTemplate {
  if (chat instanceof OneloraError) throw chat;
  return chat;
}

const user = (content: string): ChatMessage => ({ role: "user", content });

/** A prompt and its answer, where the example has one. */
interface Asked {
  readonly prompt: string;
  readonly answer: string;
}

/** A question and one of its answers: a space between them where the question ends with none. */
function choicePair(question: string, choice: string): Asked {
  return { prompt: question, answer: /\s$/.test(question) ? choice : ` ${choice}` };
}

/** An example as a chat, or as a prompt and its answer, or as a text alone. */
function formOf(example: TextExample, { template, chat }: TextEncoding): Chat | Asked | { readonly text: string } {
  if (example.kind === "chat") return example;
  const asChat = (asked: string, answer: string): Chat => ({
    kind: "chat",
    messages: [user(asked), { role: "assistant", content: answer }],
  });
  switch (example.kind) {
    case "text":
      return example;
    case "pair": {
      const { prompt, completion, asked = false } = example;
      const isChat = template === "chat" || (asked && template === "auto" && !(chat instanceof OneloraError));
      if (isChat) return asChat(prompt, completion);
      if (template === "alpaca") return { prompt: alpacaPrompt(prompt), answer: completion };
      return asked ? choicePair(prompt, completion) : { prompt, answer: completion };
    }
    case "instruction": {
      const { instruction, input, output } = example;
      const whole = input === "" ? instruction : `${instruction}\n${input}`;
      if (template === "chat") return asChat(input === "" ? instruction : `${instruction}\n\n${input}`, output);
      if (template === "plain") return { prompt: `${whole}\n`, answer: output };
      // The published prompt has places for both, whatever lines they have.
      return { prompt: alpacaText(instruction, input), answer: output };
    }
    case "choice": {
      const { question, choices, answer } = example;
      if (template === "chat") return asChat(question, choices[answer]);
      const pair = choicePair(question, choices[answer]);
      return template === "alpaca" ? { prompt: alpacaPrompt(question), answer: choices[answer] } : pair;
    }
  }
}

/** Refuses templates that an example cannot have. */
function checkTemplate(example: TextExample, template: TextEncoding["template"]): void {
  const fits = template === "auto" ||
    (example.kind === "chat" ? template === "chat" : example.kind !== "text" || template === "plain");
  if (fits) return;
  throw new OneloraError({
    attempted: `writing ${example.kind === "chat" ? "chats" : "plain texts"} as text`,
    found: `--template ${template}`,
    allowed: example.kind === "chat" ? "auto, chat" : "auto, plain",
  }, { exitCode: 2 });
}

/** Labels where tokens count. Nothing comes before the first, so nothing says it. */
function labelled(ids: Int32Array, counts: (at: number) => boolean, length: number): EncodedText {
  const labels = ids.map((id, at) => at > 0 && counts(at) ? id : IGNORED_LABEL);
  return { ids: ids.slice(0, length), start: 0, labels: labels.slice(0, length) };
}

/** Where the last stretch of ones begins. */
function lastStretch(counts: Uint8Array): number {
  const end = counts.lastIndexOf(1);
  return counts.subarray(0, Math.max(end, 0)).lastIndexOf(0) + 1;
}

/**
 * Token ids of an example and labels of those that are learned: of a chat what the assistant says, of a prompt what follows it and
 * the token that ends a text, of a plain text everything. `learn` may be the last answer alone, or all tokens.
 *
 * @param encoding How
 * @param example The example
 * @returns The ids, cut to the greatest length; undefined if nothing is left to learn
 * @throws OneloraError for a model without a chat template where one is needed, or without an end token
 */
export function encodeText(encoding: TextEncoding, example: TextExample): EncodedText | undefined {
  const { tokenizer, length, template, learn } = encoding;
  checkTemplate(example, template);
  const form = formOf(example, encoding);
  const whole = (): EncodedText => {
    if ("messages" in form) {
      if (learn === "last") return lastOnly(encoding, form);
      if (learn === "all") {
        const text = templateOf(encoding)(form.messages, { tools: form.tools, open: false });
        return labelled(Int32Array.from(tokenizer.encode(text, { special: false })), () => true, length);
      }
      const { ids, counts } = encodeSpans(tokenizer, writeChat(templateOf(encoding), form));
      return labelled(ids, (at) => counts[at] === 1, length);
    }
    const end = endOf(tokenizer);
    const text = "text" in form ? form.text : form.prompt + form.answer;
    const open = encodeOpen(tokenizer, text);
    const ids = Int32Array.from(open.at(-1) === end ? open : [...open, end]);
    const start = "text" in form || learn === "all" ? 0 : encodeOpen(tokenizer, form.prompt).length;
    return labelled(ids, (at) => at >= start, length);
  };
  const encoded = whole();
  return encoded.labels.some((label) => label !== IGNORED_LABEL) ? encoded : undefined;
}

/** The last answer of a chat, whatever the template makes of those before. */
function lastOnly(encoding: TextEncoding, chat: Chat): EncodedText {
  const { tokenizer, length } = encoding;
  const template = templateOf(encoding);
  const last = chat.messages.findLastIndex(({ role }) => role === "assistant");
  const cut: Chat = { ...chat, messages: chat.messages.slice(0, last + 1), given: template.marks ? chat.given : last };
  const { ids, counts } = encodeSpans(tokenizer, writeChat(template, cut));
  const from = lastStretch(counts);
  return labelled(ids, (at) => counts[at] === 1 && at >= from, length);
}

/** A prompt in tokens, and the answer that is wanted. */
export interface Prompt {
  /** Its tokens, up to where the answer begins. */
  readonly ids: readonly number[];
  /** Its text, for people. */
  readonly query: string;
  /** The answer. */
  readonly truth: string;
}

/**
 * What a model is asked by an example; undefined for a plain text, and for an answer that is no text.
 *
 * @param encoding How
 * @param example The example
 */
export function promptOf(encoding: TextEncoding, example: TextExample): Prompt | undefined {
  const form = formOf(example, encoding);
  if ("text" in form) return undefined;
  if ("prompt" in form) {
    return { ids: encodeOpen(encoding.tokenizer, form.prompt), query: form.prompt, truth: form.answer.trim() };
  }
  const found = lastAnswer(form);
  if (found === undefined || typeof found[1].content !== "string") return undefined;
  const query = templateOf(encoding)(found[0], { tools: form.tools });
  return { ids: encoding.tokenizer.encode(query, { special: false }), query, truth: found[1].content.trim() };
}

/**
 * Every answer to a question as an example of its own: its tokens are those that count.
 *
 * @param encoding How
 * @param example The question
 * @returns The answers in order
 * @throws OneloraError for a question that leaves no room for an answer
 */
export function encodeChoices(
  encoding: TextEncoding,
  { question, choices }: Extract<TextExample, { readonly kind: "choice" }>,
): readonly EncodedText[] {
  const { tokenizer, template } = encoding;
  return choices.map((choice, answer) => {
    if (template === "auto" || template === "plain") {
      // The likelihood of the answer alone: whether a text ends after it is another question.
      const { prompt, answer: said } = choicePair(question, choice);
      const ids = Int32Array.from(encodeOpen(tokenizer, prompt + said));
      const start = encodeOpen(tokenizer, prompt).length;
      if (ids.length <= encoding.length) return labelled(ids, (at) => at >= start, encoding.length);
    } else {
      const encoded = encodeText({ ...encoding, learn: "answers" }, { kind: "choice", question, choices, answer });
      if (encoded !== undefined) return encoded;
    }
    const found = `"${question.slice(0, 40)}" of more than ${encoding.length} tokens`;
    throw new OneloraError({ attempted: "encoding a question and its choices", found, allowed: "a larger --length" });
  });
}
