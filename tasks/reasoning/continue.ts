/**
 * Going on with a text, as it comes.
 *
 * @module
 */
import { OneloraError } from "../../dsl/error.ts";
import { key } from "../../dsl/random.ts";
import { asLanguageModel, generate, openTokenizer, settledText } from "../../models/mod.ts";
import { integer, number, text } from "../trainer/setting.ts";
import type { Making } from "../trainer/task.ts";
import { encodeOpen } from "./encode.ts";

/** How a text is continued. */
export interface ContinueSettings {
  /** Text to go on with. */
  readonly prompt?: string;
  /** Most tokens to add. */
  readonly maxTokens: number;
  /** The logits' divisor; 0 takes the likeliest token. */
  readonly temperature: number;
  /** Sample among the likeliest tokens of this probability together. */
  readonly topP: number;
}

/** Ids after which a text ends: the configuration's, and the tokenizer's. */
function endIds(configured: unknown, end: number | undefined): readonly number[] {
  return [configured, end].flat().filter((id) => typeof id === "number");
}

function refused(attempted: string, found: string, allowed: string): OneloraError {
  return new OneloraError({ attempted, found, allowed }, { exitCode: 2 });
}

/** A text that goes on, written as it comes. */
export const continuing: Making<ContinueSettings> = {
  summary: "goes on with a text, as it comes",
  settings: {
    prompt: text({ help: "text to go on with" }),
    maxTokens: integer({ help: "most tokens to add", min: 1, default: 128 }),
    temperature: number({ help: "the logits' divisor; 0 takes the likeliest token", min: 0, default: 0 }),
    topP: number({
      help: "sample among the likeliest tokens of this probability together",
      above: 0,
      max: 1,
      default: 1,
    }),
  },
  make: async (described, open, { prompt, maxTokens, temperature, topP, seed }, write) => {
    asLanguageModel(described, described.layer);
    if (prompt === undefined) throw refused("going on with a text", "no `prompt`", "`prompt: TEXT`");
    const { folder, name } = described;
    if (folder === undefined) {
      throw refused("opening a tokenizer", `the preset ${name}`, "a folder with tokenizer.json");
    }
    const tokenizer = await openTokenizer(folder);
    const { model, layer, params } = await open();
    const ids = [...encodeOpen(tokenizer, prompt)];
    const end = endIds(model.config.eos_token_id, tokenizer.end);

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
