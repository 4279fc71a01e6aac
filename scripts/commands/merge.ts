/**
 * `deno task merge`: a model with an adapter's changes in its own weights, as a plain Hugging Face folder.
 *
 * @module
 */
import { dispose, type Tensor } from "@tensorflow/tfjs-core";
import { OneloraError, useBackend } from "../../dsl/mod.ts";
import { saveModel } from "../../models/mod.ts";
import { copyCompanions } from "../../models/companions/files.ts";
import { mergeOpened } from "../../tasks/mod.ts";
import { attempt } from "../cli/attempt.ts";
import { main, required, text } from "../cli/mod.ts";
import { openNoting } from "../cli/opened.ts";
import { quantiseFlag, trainedFlags } from "../cli/options.ts";

const flags = {
  model: required(trainedFlags.model),
  adapter: required(trainedFlags.adapter),
  ...quantiseFlag,
  out: required(text({ help: "Folder of the merged model, new or empty", value: "DIR" })),
};

/** Refuses a folder with anything in it, so that no model is ever written over, least of all the one that is read. */
async function newOrEmpty(folder: string): Promise<void> {
  const refuse = (found: string, cause?: unknown) =>
    new OneloraError({ attempted: `merging into ${folder}`, found, allowed: "a new or empty folder" }, { cause });
  try {
    for await (const { name } of Deno.readDir(folder)) throw refuse(`"${name}" in it`);
  } catch (cause) {
    if (cause instanceof Deno.errors.NotFound) return;
    throw cause instanceof OneloraError ? cause : refuse((cause as Error).message, cause);
  }
}

await main(
  { name: "merge", summary: "Folds an adapter into its model's weights, as a plain Hugging Face folder.", flags },
  attempt(async ({ options: { model: name, adapter, out, quantise } }) => {
    await newOrEmpty(out);
    // Plain memory rather than an engine's: a model and its merged weights may be more than wasm can address.
    await useBackend("cpu");
    const opened = await openNoting(name, adapter, undefined, { quantise });
    if (opened.model.folder === undefined) {
      throw new OneloraError({
        attempted: `merging into ${name}`,
        found: "no weights",
        allowed: "a model with weights",
      });
    }
    const merged = await mergeOpened(opened);
    await saveModel(merged.model, merged.params, out);
    await copyCompanions(opened.model.folder, out);
    dispose([opened.params, merged.params] as Record<string, Tensor>[]);
    console.log(`merged model: ${out}`);
  }),
);
