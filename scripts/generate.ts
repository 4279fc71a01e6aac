/**
 * `deno task generate`: goes on with a text, as it comes.
 *
 * @module
 */
import { key, OneloraError, useBackend } from "../dsl/mod.ts";
import { asLanguageModel, generate, openModel, openTokenizer, settledText } from "../models/mod.ts";
import { attempt } from "./cli/attempt.ts";
import { integer, main, number, required, text } from "./cli/mod.ts";
import { openNoting } from "./opened.ts";
import { backendFlag, trainedFlags } from "./options.ts";

const flags = {
  ...trainedFlags,
  model: required(
    text({ help: "A LLaMA with its tokenizer.json: Hugging Face folder or hf:ORG/NAME", value: "NAME|DIR" }),
  ),
  prompt: required(text({ help: "Text to go on with" })),
  maxTokens: integer({ help: "Most tokens to add", min: 1, default: 128 }),
  temperature: number({ help: "The logits' divisor; 0 takes the likeliest token", min: 0, default: 0 }),
  topP: number({
    help: "Sample among the likeliest tokens of this probability together",
    above: 0,
    max: 1,
    default: 1,
  }),
  seed: integer({ help: "Seed of the sampling", min: 0, default: 0 }),
  ...backendFlag,
};

/** Ids after which a text ends: the configuration's, and the tokenizer's. */
function endIds(configured: unknown, end: number | undefined): readonly number[] {
  return [configured, end].flat().filter((id) => typeof id === "number");
}

await main(
  { name: "generate", summary: "Goes on with a text, as it comes.", flags },
  attempt(async ({ options }) => {
    const { model: name, adapter, prompt, maxTokens, temperature, topP, seed, backend } = options;
    const { family, layer: plain, folder, name: pinned } = await openModel(name);
    asLanguageModel({ family }, plain);
    if (folder === undefined) {
      const allowed = "a folder with tokenizer.json";
      throw new OneloraError({ attempted: "opening a tokenizer", found: `the preset ${name}`, allowed }, {
        exitCode: 2,
      });
    }
    const tokenizer = await openTokenizer(folder);
    const { chosen } = await useBackend(backend);
    const { model, layer, params } = await openNoting(pinned, adapter);
    const ids = [...tokenizer.encode(prompt)];
    const end = endIds(model.config.eos_token_id, tokenizer.end);

    const output = new TextEncoder();
    let printed = tokenizer.decode(ids).length;
    const print = (whole: string) => {
      for (let rest = output.encode(whole.slice(printed)); rest.length > 0;) {
        rest = rest.subarray(Deno.stdout.writeSync(rest));
      }
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
    console.error(`${count} tokens, ${(count / seconds).toPrecision(3)} a second (${chosen})`);
  }),
);
