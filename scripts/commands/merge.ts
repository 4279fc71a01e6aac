/**
 * `deno task merge`: a model with an adapter's changes in its own weights, as a plain Hugging Face folder; or several adapters
 * as one.
 *
 * @module
 */
import { dispose, type Tensor } from "@tensorflow/tfjs-core";
import { combinations } from "../../adapters/combine/weighted.ts";
import { OneloraError, useBackend } from "../../dsl/mod.ts";
import { openModel, saveModel } from "../../models/mod.ts";
import { copyCompanions } from "../../models/companions/files.ts";
import { openCombined } from "../../tasks/combine.ts";
import type { OpenedModel } from "../../tasks/mod.ts";
import { mergeAway } from "../../tasks/open.ts";
import { planRewriting } from "../../tasks/trainer/plan.ts";
import { attempt } from "../cli/attempt.ts";
import { fetched } from "../cli/fetched.ts";
import { boolean, choice, integer, list, main, type Options, required, text } from "../cli/mod.ts";
import { newOrEmpty } from "../cli/new_folder.ts";
import { modelMeant, openNoting } from "../cli/opened.ts";
import { quantiseFlag, trainedFlags, usage } from "../cli/options.ts";
import { placesIn } from "../cli/places.ts";

const flags = {
  model: trainedFlags.model,
  adapter: required(trainedFlags.adapter),
  weights: list({ help: "A weight for each adapter; without any, updates are summed", value: "X,X" }),
  combination: choice({
    help: "How weights apply, as in PEFT's add_weighted_adapter: linear weights parameters, which for LoRA is an " +
      "approximation, cat is the exact sum of updates, svd that sum to a rank (default: linear, svd with --svd-rank)",
    allowed: combinations,
  }),
  svdRank: integer({ help: "Rank that the weighted sum is reduced to, by singular values", min: 1 }),
  adapterAlone: boolean({ help: "Write one adapter made of those, instead of a model" }),
  ...quantiseFlag,
  out: required(text({ help: "Folder of the merged model or adapter, new or empty", value: "DIR" })),
};

/** The weights of a command line. */
function weightsOf(written: string): readonly number[] {
  return written.split(",").map((each) => {
    const weight = each.trim() === "" ? NaN : Number(each);
    if (Number.isFinite(weight)) return weight;
    throw usage("reading --weights", JSON.stringify(each), "numbers with commas between, one for each adapter");
  });
}

/** A model with the adapters weighted, or summed. */
async function opened(
  name: string,
  { adapter, weights, combination, svdRank: rank, adapterAlone, quantise }: Options<typeof flags>,
): Promise<OpenedModel & { readonly save?: (folder: string) => Promise<void> }> {
  if (weights === undefined && combination === undefined && rank === undefined && !adapterAlone) {
    const use = { attempted: `merging into ${name}`, needs: () => planRewriting };
    return await openNoting(name, adapter, { holding: { quantise, reading: "passes" }, use });
  }
  if (quantise !== undefined) throw usage(`--quantise ${quantise}`, "weighted adapters", "one of the two");
  const how = combination ?? (rank === undefined ? weights === undefined ? "cat" : "linear" : "svd");
  const folders = await placesIn(adapter);
  return await openCombined(await openModel(await fetched(name)), folders, {
    weights: weights === undefined ? undefined : weightsOf(weights),
    combination: how,
    rank,
  }, !adapterAlone);
}

await main(
  {
    name: "merge",
    summary:
      "Folds adapters into their model's weights, as a plain Hugging Face folder, or makes one adapter of several.",
    flags,
  },
  attempt(async ({ options }) => {
    const { model, out, adapterAlone } = options;
    const name = await modelMeant(model, options.adapter);
    await newOrEmpty(`merging into ${out}`, out);
    // Plain memory rather than an engine's: a model and its merged weights may be more than wasm can address.
    await useBackend("cpu");
    const { save, ...found } = await opened(name, options);
    if (adapterAlone) {
      await save!(out);
      dispose(found.params as Record<string, Tensor>);
      console.log(`merged adapter: ${out}`);
      return;
    }
    if (found.model.folder === undefined) {
      throw new OneloraError({
        attempted: `merging into ${name}`,
        found: "no weights",
        allowed: "a model with weights",
      });
    }
    // As they are written.
    const merged = await mergeAway(found, true);
    await saveModel(merged.model, merged.params, out);
    await copyCompanions(found.model.folder, out);
    dispose(merged.params as Record<string, Tensor>);
    console.log(`merged model: ${out}`);
  }),
);
