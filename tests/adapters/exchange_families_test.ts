/**
 * Adapter folders of LLaMA, whose modules have the names of the published keys, of Depth Anything, where the encoder's have
 * newer ones, and of DiT, where diffusers has several label tables: PEFT's give PEFT's output, and what is written has PEFT's
 * keys and bits.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import type { Tensor } from "@tensorflow/tfjs-core";
import { loadAdapter, saveAdapter } from "../../adapters/mod.ts";
import { apply, init, key, type Layer, openSafetensors, type Params } from "../../dsl/mod.ts";
import { asConditionalDiffusion, asLanguageModel, loadParams, type Model, openModel } from "../../models/mod.ts";
import { readJson, root, withFolder } from "../support/adapter_folders.ts";
import { assertClose, fixture } from "../support/compare.ts";
import { whereReal } from "../support/language.ts";

/** A model of the fixtures and PEFT's adapters for it. */
interface Exchange {
  readonly base: string;
  readonly folder: string;
  /** Method, rank, alpha and target by adapter. */
  readonly adapters: Readonly<Record<string, readonly unknown[]>>;
  readonly run: (model: Model, layer: Layer, params: Params, batch: Params) => Tensor;
  readonly output: string;
}

/** Keys by the names that modules had in older versions of transformers, under which everything is written too. */
const olderNames = /\.attention\.attention\.(query|key|value)\.|\.attention\.output\.dense\./;

const exchanges: readonly Exchange[] = [
  {
    base: "llama-grouped",
    folder: "llama-peft",
    adapters: {
      lora: ["lora", 2, 8, "all-linear"],
      "lora-qkv": ["lora", 1, 2, "qkv"],
      dora: ["dora", 1, 1, "all-linear"],
      vera: ["vera", 2, undefined, "all-linear"],
      miss: ["1lora", undefined, undefined, "all-linear"],
    },
    run: (model, layer, params, { input_ids: ids, attention_mask: mask }) =>
      whereReal(apply(asLanguageModel(model, layer), params)(ids, mask), mask),
    output: "logits",
  },
  {
    base: "depth-metric",
    folder: "depth-peft",
    adapters: {
      lora: ["lora", 2, 8, "all-linear"],
      dora: ["dora", 1, 1, "all-linear"],
      vera: ["vera", 2, undefined, "all-linear"],
      miss: ["1lora", undefined, undefined, "all-linear"],
    },
    run: (_, layer, params, { pixel_values: pixels }) => apply(layer, params)(pixels),
    output: "predicted_depth",
  },
  {
    base: "dit-diffusers",
    folder: "dit-peft",
    adapters: {
      lora: ["lora+labels", 2, 8, "all-linear"],
      "lora-qkv": ["lora+labels", 1, 2, "qkv"],
      dora: ["dora+labels", 1, 1, "all-linear"],
      vera: ["vera+labels", 2, undefined, "all-linear"],
      miss: ["1lora+labels", undefined, undefined, "all-linear"],
    },
    run: (model, layer, params, { latents, timesteps, labels }) =>
      apply(asConditionalDiffusion(model, layer), params)(latents, timesteps, labels),
    output: "output",
  },
];

async function tensorsOf(folder: string): Promise<Readonly<Record<string, unknown>>> {
  await using file = await openSafetensors(`${folder}/adapter_model.safetensors`);
  const entries = await Promise.all(file.names.map(async (name) => [name, await file.read(name)] as const));
  return Object.fromEntries(entries.map(([name, { shape, data }]) => [name, { shape, data }]));
}

for (const { base, folder: group, adapters, run, output } of exchanges) {
  for (const [name, [adapter, rank, alpha, target]] of Object.entries(adapters)) {
    const source = `${root}/${group}/${name}`;

    Deno.test(`${name} from PEFT on ${base} gives PEFT's output, and is written as PEFT writes it`, async () => {
      await withFolder(async (folder) => {
        const model = await openModel(`${root}/${base}`);
        const { params: plain } = await loadParams(model, key(0));
        const { config, layer, params: read } = await loadAdapter(source, model.layer, model.modules);
        assertEquals([config.adapter, config.rank, config.alpha, config.target], [adapter, rank, alpha, target]);
        const params: Params = init(layer, key(1), { ...plain, ...read });
        const batch = await fixture(`${root}/${base}/expected.safetensors`);
        const expected = await fixture(`${source}/expected.safetensors`);
        assertClose(run(model, layer, params, batch), expected[output], 1e-5, output);

        await saveAdapter(folder, { layer, params, spec: config, names: model.modules, baseModel: base });
        const [mine, peft] = [await tensorsOf(folder), await tensorsOf(source)];
        assertEquals(Object.fromEntries(Object.keys(peft).map((name) => [name, mine[name]])), peft);
        const older = Object.keys(mine).filter((name) => peft[name] === undefined);
        assert(older.every((name) => olderNames.test(name)), `${older}`);
        const [written, theirs] = [await readJson(folder), await readJson(source)];
        for (const field of ["peft_type", "r", "lora_alpha", "use_dora", "modules_to_save"]) {
          assertEquals(written[field] ?? null, theirs[field] ?? null, field);
        }
        // PEFT lists whole names for "all-linear"; the last of each says the same.
        const last = (names: unknown) => [...new Set((names as string[]).map((each) => each.split(".").pop()!))].sort();
        const targets = last(written.target_modules).filter((name) =>
          !["query", "key", "value", "dense"].includes(name)
        );
        assertEquals(targets, last(theirs.target_modules));
      });
    });
  }
}
