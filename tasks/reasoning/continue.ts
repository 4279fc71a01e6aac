/**
 * Going on with a text, as it comes.
 *
 * @module
 */
import { OneloraError } from "../../dsl/error.ts";
import { key } from "../../dsl/random.ts";
import { asLanguageModel, generate, openChatTemplate, settledText } from "../../models/mod.ts";
import { boolean, integer, number, text } from "../trainer/setting.ts";
import type { Making } from "../trainer/task.ts";
import { encodeOpen } from "./encode.ts";
import { tokenizerOf } from "./questions.ts";

/** How a text is continued. */
export interface ContinueSettings {
  /** Text to go on with, or what a user says in a chat. */
  readonly prompt?: string;
  /** Answer the prompt as a user's message, by the model's own chat template. */
  readonly chat?: boolean;
  /** Most tokens to add. */
  readonly maxTokens: number;
  /** The logits' divisor; 0 takes the likeliest token. */
  readonly temperature: number;
  /** Sample among the likeliest tokens of this probability together. */
  readonly topP: number;
}

function refused(attempted: string, found: string, allowed: string): OneloraError {
  return new OneloraError({ attempted, found, allowed }, { exitCode: 2 });
}

/** A text that goes on, written as it comes. */
export const continuing: Making<ContinueSettings> = {
  summary: "goes on with a text, as it comes",
  settings: {
    prompt: text({ help: "text to go on with" }),
    chat: boolean({ help: "answer the prompt as a user's message, by the model's own chat template" }),
    maxTokens: integer({ help: "most tokens to add", min: 1, default: 128 }),
    temperature: number({ help: "the logits' divisor; 0 takes the likeliest token", min: 0, default: 0 }),
    topP: number({
      help: "sample among the likeliest tokens of this probability together",
      above: 0,
      max: 1,
      default: 1,
    }),
  },
  make: async (described, open, { prompt, chat, maxTokens, temperature, topP, seed }, write) => {
    asLanguageModel(described, described.layer);
    if (prompt === undefined) throw refused("going on with a text", "no `prompt`", "`prompt: TEXT`");
    const { folder, name } = described;
    if (folder === undefined) {
      throw refused("opening a tokenizer", `the preset ${name}`, "a folder with tokenizer.json");
    }
    const tokenizer = await tokenizerOf(described);
    const chatted = chat ? (await openChatTemplate(folder))([{ role: "user", content: prompt }]) : undefined;
    const { model, layer, params } = await open();
    // A template writes the tokens that begin a text itself.
    const ids = [
      ...chatted === undefined ? encodeOpen(tokenizer, prompt) : tokenizer.encode(chatted, { special: false }),
    ];
    const end = tokenizer.ends;

    let printed = tokenizer.decode(ids).length;
    const print = (whole: string) => {
      write(whole.slice(printed));
      printed = Math.max(printed, whole.length);
    };
    const began = performance.now();
    let count = 0;
    const settings = { maxTokens, temperature, topP, end, key: key(seed) };
    for await (const [token] of generate(asLanguageModel(model, layer), params, [ids], settings)) {
      ids.push(token!);
      count++;
      print(settledText(tokenizer, ids));
    }
    print(`${tokenizer.decode(ids)}\n`);
    const seconds = (performance.now() - began) / 1000;
    return { said: `${count} tokens, ${(count / seconds).toPrecision(3)} a second` };
  },
};
