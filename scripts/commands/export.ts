/**
 * `deno task export`: a model, with an adapter's changes in its weights, or an adapter alone, as another program's file.
 *
 * @module
 */
import { dispose, type Tensor } from "@tensorflow/tfjs-core";
import { readAdapterConfig, saveAdapter } from "../../adapters/mod.ts";
import { OneloraError, openSafetensors, specs, useBackend } from "../../dsl/mod.ts";
import { collectingGarbage } from "../../dsl/garbage.ts";
import { toFloat32 } from "../../dsl/safetensors/dtype.ts";
import { readJsonFile } from "../../dsl/files/python_json.ts";
import { requirePlace } from "../../dsl/files/write.ts";
import { ggufAdapter, ggufLanguage } from "../../models/gguf/language.ts";
import { type GgufType, writeGguf } from "../../models/gguf/file.ts";
import { ggufVocabulary } from "../../models/gguf/vocabulary.ts";
import { tokenizerBytes } from "../../models/llama/tokenizer_bytes.ts";
import { openModel } from "../../models/mod.ts";
import { openConverted } from "../../tasks/combine.ts";
import type { OpenedModel } from "../../tasks/mod.ts";
import { mergeAway } from "../../tasks/open.ts";
import { adapterFolder } from "../../tasks/place.ts";
import { planLoading, planRewriting } from "../../tasks/trainer/plan.ts";
import type { Use } from "../../tasks/trainer/room.ts";
import { attempt } from "../cli/attempt.ts";
import { boolean, choice, main, required, text } from "../cli/mod.ts";
import { fetched } from "../cli/fetched.ts";
import { newOrEmpty } from "../cli/new_folder.ts";
import { modelMeant, openNoting } from "../cli/opened.ts";
import { trainedFlags, usage } from "../cli/options.ts";
import { placesIn } from "../cli/places.ts";

const flags = {
  model: trainedFlags.model,
  adapter: trainedFlags.adapter,
  to: choice({
    help: "The other program's format: gguf of a model, or an adapter as another method of PEFT",
    allowed: ["gguf", "peft-lora", "peft-miss"] as const,
    default: "gguf",
  }),
  out: required(text({ help: "The file, or folder of an adapter, which must not exist yet", value: "FILE|DIR" })),
  dtype: choice({
    help: "Type that weights are stored in; norms and biases are float32",
    allowed: ["f32", "f16", "bf16", "q8_0"] as readonly GgufType[],
    default: "f16" as GgufType,
  }),
  adapterAlone: boolean({ help: "Write the adapter alone, as LoRA: 1lora and lora" }),
};

async function refuseExisting(path: string): Promise<void> {
  const isThere = await Deno.lstat(path).then(() => true, () => false);
  if (!isThere) return;
  throw new OneloraError({ attempted: `writing ${path}`, found: "a file there", allowed: "a new file" });
}

/** The folder of an opened model. */
function folderOf({ model }: OpenedModel): string {
  if (model.folder !== undefined) return model.folder;
  const allowed = "a model with weights and a tokenizer";
  throw new OneloraError({ attempted: `exporting ${model.name}`, found: "no weights", allowed });
}

async function exportModel(opened: OpenedModel, out: string, dtype: GgufType): Promise<readonly string[]> {
  const folder = folderOf(opened);
  const merged = await mergeAway(opened);
  try {
    const { model, params } = merged;
    const { metadata, notes, tensor, extra } = ggufLanguage(model, dtype);
    const size = params["model.embed_tokens.weight"].shape[0]!;
    const vocabulary = await ggufVocabulary(folder, size);
    const givesWay = collectingGarbage();
    const numbersOf = (path: string) => {
      givesWay(4 * params[path].size);
      return params[path].data<"float32">();
    };
    const tensors = Object.keys(specs(model.layer)).map((path) =>
      tensor(path, params[path].shape, dtype, () => numbersOf(path))
    );
    await writeGguf(out, [...metadata, ...vocabulary], [...tensors, ...extra]);
    return notes;
  } finally {
    dispose(merged.params as Record<string, Tensor>);
  }
}

/** Writes an adapter as LoRA for Python, and reads A and B of each layer. */
async function exportAdapter({ model, layer, params }: OpenedModel, adapter: string, out: string): Promise<void> {
  const config = await readAdapterConfig(adapter, model.layer, model.modules);
  const folder = await Deno.makeTempDir({ dir: out.replace(/[^/\\]*$/, "") || "." });
  try {
    const given = { layer, params, spec: config, names: model.modules, baseModel: model.name, as: "lora" } as const;
    await saveAdapter(folder, given);
    const { json } = await readJsonFile(`${folder}/adapter_config.json`);
    const { r, lora_alpha: alpha, use_rslora: isRoot, use_dora: isDora, peft_type: type } = json;
    const patterned = [json.rank_pattern, json.alpha_pattern].some((each) => Object.keys(each ?? {}).length > 0);
    await using file = await openSafetensors(`${folder}/adapter_model.safetensors`);
    const pattern = /^base_model\.model\.(.+)\.lora_([AB])\.weight$/;
    const strange = file.names.find((name) => !pattern.test(name));
    if (type !== "LORA" || isDora || patterned || strange !== undefined) {
      const found = strange === undefined || type !== "LORA" ? config.adapter : `"${strange}" in it`;
      throw new OneloraError({
        attempted: `exporting ${adapter}`,
        found,
        allowed: "1lora or lora alone, of one rank; or without --adapter-alone",
      });
    }
    const matrices: Record<string, Record<string, { readonly shape: readonly number[]; readonly data: Float32Array }>> =
      {};
    for (const name of file.names) {
      const [, path, which] = pattern.exec(name)!;
      const tensor = await file.read(name);
      (matrices[path] ??= {})[which] = { shape: tensor.shape, data: toFloat32(tensor) };
    }
    // llama.cpp divides alpha by the rank.
    const factor = Number(alpha) / (isRoot ? Math.sqrt(Number(r)) : Number(r));
    const pairs = matrices as Parameters<typeof ggufAdapter>[1];
    const { metadata, tensors } = ggufAdapter(model, pairs, factor * Number(r));
    await writeGguf(out, metadata, tensors);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

await main(
  { name: "export", summary: "Writes a model, or an adapter alone, as another program's file.", flags },
  attempt(async ({ options: { model, adapter, to, out, dtype, adapterAlone }, given }) => {
    const name = await modelMeant(model, adapter);
    const isConversion = to !== "gguf";
    if ((adapterAlone || isConversion) && adapter === undefined) {
      throw usage("exporting an adapter", "no --adapter", "--adapter DIR");
    }
    const several = adapter === undefined ? [] : await placesIn(adapter);
    if ((adapterAlone || isConversion) && several.length > 1) {
      throw usage(
        "exporting an adapter",
        `${several.length} of them`,
        "one; `deno task merge --adapter-alone` makes one",
      );
    }
    if (isConversion && given.has("dtype")) throw usage(`--dtype ${dtype}`, `--to ${to}`, "--to gguf");
    if (isConversion && adapterAlone) {
      throw usage("--adapter-alone", `--to ${to}`, `--to ${to}, which writes nothing else`);
    }
    if (adapterAlone && given.has("dtype")) {
      throw usage(`--dtype ${dtype}`, "--adapter-alone, whose file is float32", "one of the two");
    }
    if (isConversion) await newOrEmpty(`writing ${out}`, out);
    else {
      await refuseExisting(out);
      requirePlace(out);
    }
    // Plain memory rather than an engine's, as for merging.
    await useBackend("cpu");
    if (isConversion) {
      const converted = await openConverted(await openModel(await fetched(name)), several[0], to);
      try {
        await converted.save(out);
      } finally {
        dispose(converted.params as Record<string, Tensor>);
      }
      return console.log(out);
    }
    const use: Use = {
      attempted: `exporting ${name}`,
      needs: async (model) => {
        // The tokenizer goes into the file.
        const vocabulary = await tokenizerBytes(model);
        return (layer, kept) =>
          adapterAlone ? planLoading(layer, kept) : planRewriting(layer, kept, false) + vocabulary;
      },
    };
    const opened = await openNoting(name, adapter, { holding: { reading: "passes" }, use });
    try {
      if (adapterAlone) await exportAdapter(opened, await adapterFolder(several[0]), out);
      else (await exportModel(opened, out, dtype)).forEach((note) => console.error(`note: ${note}`));
      console.log(out);
    } finally {
      dispose(opened.params as Record<string, Tensor>);
    }
  }),
);
