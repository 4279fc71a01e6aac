/**
 * Going on with a text, as it comes.
 *
 * @module
 */
import { precisions } from "../../dsl/engine/mod.ts";
import { OneloraError } from "../../dsl/error.ts";
import { key } from "../../dsl/random.ts";
import { asLanguageModel, type GenerationOptions, openChatTemplate } from "../../models/mod.ts";
import { openGeneration } from "../../models/companions/generation.ts";
import { type Decoder, openDecoder } from "../../models/llama/decoder.ts";
import { goOn } from "../../models/llama/generate.ts";
import { settledText } from "../../models/llama/tokenizer.ts";
import { boolean, choice, integer, number, text } from "../trainer/setting.ts";
import type { Making } from "../trainer/prediction.ts";
import { type ContinueSettings, generationOf, MOST_TOKENS } from "./continuation.ts";
import { converse } from "./converse.ts";
import { decodingNeeds } from "./room.ts";
import { encodeOpen } from "./encode.ts";
import { tokenizerOf } from "./questions.ts";

function refused(attempted: string, found: string, allowed: string): OneloraError {
  return new OneloraError({ attempted, found, allowed }, { exitCode: 2 });
}

/** Makes the programs that these settings will need, by two tokens that are thrown away. */
async function prepare(decoder: Decoder, ids: readonly number[], settings: GenerationOptions): Promise<void> {
  let count = 0;
  for await (const _ of goOn(decoder, [ids], { ...settings, end: [] })) if (++count === 2) break;
}

/** A text that is continued, written as it comes. */
export const continuing: Making<ContinueSettings> = {
  summary: "continues a text",
  settings: {
    prompt: text({ help: "text to continue" }),
    chat: boolean({
      help:
        "answer the prompt as a user's message, by the model's own chat template; without a prompt, talk: a line a " +
        "question, /reset, /quit, and Ctrl-C ends an answer",
    }),
    maxTokens: integer({ help: "most tokens to add (default: the model's own, else 128)", min: 1 }),
    temperature: number({
      help: "the logits' divisor; 0 takes the likeliest token (default: the model's own, else 0)",
      min: 0,
    }),
    topP: number({
      help: "sample among the likeliest tokens of this probability together (default: the model's own, else 1)",
      above: 0,
      max: 1,
    }),
    precision: choice({
      help: "precision of weights and matrix products; bf16 needs tensorflow, f16 is for training",
      allowed: precisions,
      default: "float32",
    }),
  },
  isConversation: ({ prompt, chat }) => chat === true && prompt === undefined,
  converse,
  needs: (model, { prompt = "", maxTokens = MOST_TOKENS }) =>
    // A token is a byte at least.
    decodingNeeds(model, { rows: 1, length: Math.max(1, prompt.length), tokens: maxTokens }),
  make: async (described, open, { prompt, chat, seed, precision, ...given }, write) => {
    asLanguageModel(described, described.layer);
    if (prompt === undefined) throw refused("continuing a text", "no `prompt`", "`prompt: TEXT`");
    const { folder, name } = described;
    if (folder === undefined) {
      throw refused("opening a tokenizer", `the preset ${name}`, "a folder with tokenizer.json");
    }
    const tokenizer = await tokenizerOf(described);
    const { defaults, notes } = await openGeneration(folder, described.config);
    const chatted = chat ? (await openChatTemplate(folder))([{ role: "user", content: prompt }]) : undefined;
    const { model, layer, params } = await open();
    // A template writes the tokens that begin a text itself.
    const ids = [
      ...chatted === undefined ? encodeOpen(tokenizer, prompt) : tokenizer.encode(chatted, { special: false }),
    ];
    const end = tokenizer.ends;

    const before = tokenizer.decode(ids).length;
    let printed = before;
    const print = (whole: string) => {
      write?.(whole.slice(printed));
      printed = Math.max(printed, whole.length);
    };
    const settings = { ...generationOf(defaults, ids, given), end, key: key(seed) };
    const decoder = openDecoder(asLanguageModel(model, layer), params, { precision });
    try {
      if (write === undefined) await prepare(decoder, ids, settings);
      const began = performance.now();
      let count = 0;
      for await (const [token] of goOn(decoder, [ids], settings)) {
        ids.push(token!);
        count++;
        // The whole text is decoded anew for each part of it that is shown.
        if (write !== undefined) print(settledText(tokenizer, ids));
      }
      const text = tokenizer.decode(ids);
      print(`${text}\n`);
      const seconds = (performance.now() - began) / 1000;
      const unused = notes.map((note) => `; note: ${note}`).join("");
      return {
        said: `${count} tokens, ${(count / seconds).toPrecision(3)} a second${unused}`,
        data: { text: text.slice(before), tokens: count, seconds },
      };
    } finally {
      decoder.dispose();
    }
  },
};
