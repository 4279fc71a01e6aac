/**
 * `deno task generate`: goes on with a text, as it comes, or samples pictures.
 *
 * @module
 */
import { useBackend } from "../../dsl/mod.ts";
import { openModel } from "../../models/mod.ts";
import { attempt } from "../cli/attempt.ts";
import { type Flag, integer, kebab, main, number, required, text } from "../cli/mod.ts";
import { samplePicturesTo } from "./generate/pictures.ts";
import { continueText } from "./generate/text.ts";
import { openNoting } from "../cli/opened.ts";
import { backendFlag, ownFlags, trainedFlags, usage } from "../cli/options.ts";

const textFlags = {
  prompt: text({ help: "LLaMA: text to go on with" }),
  maxTokens: integer({ help: "LLaMA: most tokens to add", min: 1, default: 128 }),
  temperature: number({ help: "LLaMA: the logits' divisor; 0 takes the likeliest token", min: 0, default: 0 }),
  topP: number({
    help: "LLaMA: sample among the likeliest tokens of this probability together",
    above: 0,
    max: 1,
    default: 1,
  }),
};

const pictureFlags = {
  label: text({ help: "DiT: name or number of a class (default: every class in turn)" }),
  count: integer({ help: "DiT: pictures", min: 1, default: 16 }),
  output: text({ help: "DiT: the grid of pictures", value: "FILE.png", default: "samples.png" }),
  steps: integer({ help: "DiT: steps of a sample (default: 250, dit-micro 25); below 100 by DDIM", min: 2 }),
  guidance: number({ help: "DiT: scale of classifier-free guidance (default 1.5); 1 for none", min: 0 }),
  vae: ownFlags().vae as Flag<string | undefined>,
};

const flags = {
  ...trainedFlags,
  model: required(
    text({
      help: "A LLaMA with its tokenizer.json, or a DiT: preset, Hugging Face folder or hf:ORG/NAME",
      value: "NAME|DIR",
    }),
  ),
  ...textFlags,
  ...pictureFlags,
  seed: integer({ help: "Seed of the sampling", min: 0, default: 0 }),
  ...backendFlag,
};

await main(
  { name: "generate", summary: "Goes on with a text, as it comes, or samples pictures of classes.", flags },
  attempt(async ({ options, given }) => {
    const { model: name, adapter, prompt, backend } = options;
    const described = await openModel(name);
    const isDiffusion = described.family === "dit";
    const foreign = Object.keys(isDiffusion ? textFlags : pictureFlags).find((flag) =>
      given.has(flag as keyof typeof flags)
    );
    if (foreign !== undefined) {
      throw usage(`generating with ${name}`, `--${kebab(foreign)} for a ${described.family} model`, "its own flags");
    }
    let chosen = "";
    const open = async () => {
      ({ chosen } = await useBackend(backend));
      return await openNoting(described.name, adapter);
    };
    if (isDiffusion) {
      const done = await samplePicturesTo(described, open, options);
      console.error(`${done} (${chosen})`);
      console.log(options.output);
      return;
    }
    if (described.family === "llama" && prompt === undefined) {
      throw usage("reading the command line", "no --prompt", "--prompt TEXT");
    }
    const done = await continueText(described, open, { ...options, prompt: prompt ?? "" });
    console.error(`${done} (${chosen})`);
  }),
);
