/**
 * Adapter folders of LLaMA, whose modules have the names of the published keys: PEFT's give PEFT's logits, and what is
 * written has PEFT's keys and bits.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { loadAdapter, saveAdapter } from "../adapters/mod.ts";
import { apply, init, key, openSafetensors, type Params } from "../dsl/mod.ts";
import { asLanguageModel, loadParams, openModel } from "../models/mod.ts";
import { readJson, root, withFolder } from "./adapter_folders.ts";
import { assertClose, fixture } from "./compare.ts";
import { whereReal } from "./language.ts";

const expected: Readonly<Record<string, readonly unknown[]>> = {
  lora: ["lora", 2, 8, "all-linear"],
  "lora-qkv": ["lora", 1, 2, "qkv"],
  dora: ["dora", 1, 1, "all-linear"],
  vera: ["vera", 2, undefined, "all-linear"],
  miss: ["1lora", undefined, undefined, "all-linear"],
};
const base = `${root}/llama-grouped`;

async function tensorsOf(folder: string): Promise<Readonly<Record<string, unknown>>> {
  await using file = await openSafetensors(`${folder}/adapter_model.safetensors`);
  const entries = await Promise.all(file.names.map(async (name) => [name, await file.read(name)] as const));
  return Object.fromEntries(entries.map(([name, { shape, data }]) => [name, { shape, data }]));
}

for (const [name, [adapter, rank, alpha, target]] of Object.entries(expected)) {
  const source = `${root}/llama-peft/${name}`;

  Deno.test(`${name} from PEFT on LLaMA gives PEFT's logits, and is written as PEFT writes it`, async () => {
    await withFolder(async (folder) => {
      const model = await openModel(base);
      const { params: plain } = await loadParams(model, key(0));
      const { config, layer, params: read } = await loadAdapter(source, model.layer, model.modules);
      assertEquals([config.adapter, config.rank, config.alpha, config.target], [adapter, rank, alpha, target]);
      const params: Params = init(layer, key(1), { ...plain, ...read });
      const { input_ids: ids, attention_mask: mask } = await fixture(`${base}/expected.safetensors`);
      const { logits } = await fixture(`${source}/expected.safetensors`);
      assertClose(whereReal(apply(asLanguageModel(model, layer), params)(ids, mask), mask), logits, 1e-5, "logits");

      await saveAdapter(folder, { layer, params, spec: config, names: model.modules, baseModel: "llama-grouped" });
      assertEquals(await tensorsOf(folder), await tensorsOf(source));
      const [written, theirs] = [await readJson(folder), await readJson(source)];
      for (const field of ["peft_type", "r", "lora_alpha", "use_dora", "modules_to_save"]) {
        assertEquals(written[field] ?? null, theirs[field] ?? null, field);
      }
      // PEFT lists whole names for "all-linear"; the last of each says the same.
      const last = (names: unknown) => [...new Set((names as string[]).map((each) => each.split(".").pop()))].sort();
      assertEquals(last(written.target_modules), last(theirs.target_modules));
    });
  });
}
