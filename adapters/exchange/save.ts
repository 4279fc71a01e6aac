/**
 * Writes adapter folders.
 *
 * @module
 */
import type { Tensor } from "@tensorflow/tfjs-core";
import { OneloraError } from "../../dsl/error.ts";
import { type AnyLayer, parameter } from "../../dsl/layer.ts";
import { ones } from "../../dsl/initialise.ts";
import { isLinear } from "../../dsl/linear.ts";
import { guarded } from "../../dsl/files/file.ts";
import { makeFolder, writeJson } from "../../dsl/files/write.ts";
import { fromTensor, type HostData, type NamedSource, writeSafetensors } from "../../dsl/safetensors/mod.ts";
import { join, type ModuleNames, type Params } from "../../dsl/tree.ts";
import { loraMethod } from "../lora.ts";
import { joinMethods } from "../spec.ts";
import type { BaseSample } from "./base.ts";
import { type AdapterSpec, formatConfig, VERSION } from "./config.ts";
import { methodsOfWhole, OWN_LAYOUT, peftMethodOf, type Slot, slots, stored } from "./format.ts";

/** What to save, and how. */
export interface SaveAdapterOptions {
  /** The adapted model. */
  readonly layer: AnyLayer;
  /** Its parameters. */
  readonly params: Params;
  /** The methods it was adapted with. */
  readonly spec: AdapterSpec;
  /** The model's names in Python. */
  readonly names: ModuleNames;
  /** What to record as the model it was trained on. */
  readonly baseModel: string;
  /** Names of the classes that a trained head is for, for {@linkcode readAdapterHeader}. */
  readonly labels?: readonly string[];
  /** What they are to an image, `problem_type` of the model's configuration, likewise. */
  readonly problem?: string;
  /** Some of the base model's weights, by which it is known again: {@linkcode sampleBase}. */
  readonly base?: BaseSample;
  /** `lora` writes 1LoRA as LoRA of rank one (A of ones, B = b), which every LoRA loader takes. */
  readonly as?: "lora";
}

/** A tensor to write. */
interface Source {
  readonly slot: Slot;
  readonly values: () => Promise<HostData>;
}

function sourceOf(folder: string, params: Params): (slot: Slot) => Source {
  return (slot) => {
    const tensor: Tensor | undefined = params[slot.path];
    if (tensor === undefined || `${tensor.shape}` !== `${slot.spec.shape}`) {
      const found = tensor === undefined ? `no parameter "${slot.path}"` : `"${slot.path}" of shape [${tensor.shape}]`;
      const allowed = `the adapted model's parameters, here of shape [${slot.spec.shape}]`;
      throw new OneloraError({ attempted: `writing ${folder}`, found, allowed });
    }
    return { slot, values: async () => (await fromTensor(tensor)).data };
  };
}

/** ΔW = b 1^T as LoRA's B A: b [d] -> `B` [d, 1] and `A` of ones [1, k]. */
function asRankOne(source: Source, name: string): readonly Source[] {
  const { slot } = source;
  if (slot.name !== name || !isLinear(slot.layer)) return [source];
  const { inFeatures, outFeatures } = slot.layer.shape;
  const named = (own: string, shape: readonly number[]): Slot => ({
    ...slot,
    path: join(slot.owner, `${loraMethod.name}.${own}`),
    name: `${loraMethod.name}.${own}`,
    spec: { ...parameter(shape, ones), trainable: true, adapter: loraMethod.name },
  });
  return [
    { slot: named("A", [1, inFeatures]), values: () => Promise.resolve(new Float32Array(inFeatures).fill(1)) },
    { slot: named("B", [outFeatures, 1]), values: source.values },
  ];
}

/**
 * Writes an adapter folder: `adapter_model.safetensors`, then `adapter_config.json`, each whole or not at all. It holds every
 * parameter that training changes (the head and norms included) and the adapter's random frozen ones.
 *
 * LoRA, rsLoRA, DoRA, VeRA and 1LoRA (as MISS of rank 1), alone or with layers that are trained whole (head, labels, norms),
 * are written as Hugging Face PEFT writes them and load there; a tensor whose module has had several names in Python is there under each. Everything else has the
 * same two files with `peft_type` ONELORA. Format: huggingface.co/docs/peft, "checkpoint format". Needs `--allow-read` and
 * `--allow-write`.
 *
 * @param folder Made if it does not exist
 * @param options See {@linkcode SaveAdapterOptions}
 * @throws OneloraError for a folder that cannot be written, a missing parameter, and `as: "lora"` of another method
 *
 * @example
 * ```ts
 * import { adapt, loadAdapter, saveAdapter } from "@onelora/onelora/adapters";
 * import { init, key, linear, serial, useBackend } from "@onelora/onelora/dsl";
 * import { assertEquals } from "@std/assert";
 * await useBackend("cpu");
 * const model = serial({ up: linear(2, 3), down: linear(3, 2) });
 * const layer = adapt("1lora")(model);
 * const names = { toModules: (path: string) => [path], toPath: (module: string) => module };
 * const folder = await Deno.makeTempDir();
 * const params = init(layer, key(0));
 * await saveAdapter(folder, { layer, params, spec: { adapter: "1lora" }, names, baseModel: "two-layers" });
 * const loaded = await loadAdapter(folder, model, names);
 * assertEquals(loaded.config.adapter, "1lora");
 * assertEquals(Object.keys(loaded.params), ["up.1lora.b", "down.1lora.b"]);
 * ```
 */
export async function saveAdapter(folder: string, options: SaveAdapterOptions): Promise<void> {
  const { layer, names } = options;
  const held = slots(layer);
  const method = peftMethodOf(held);
  const loraB = options.as === undefined ? undefined : method?.peft?.loraB;
  const trained = new Set(held.filter(({ spec }) => spec.adapter === undefined).flatMap(({ owners }) => owners));
  const saved = methodsOfWhole(layer, trained);
  const adapter = joinMethods(options.spec.adapter, saved.methods);
  const { rank, alpha, dropout, target, groups, whole } = options.spec;
  const spec: AdapterSpec = loraB === undefined
    ? { adapter, rank, alpha, dropout, target, groups, whole }
    : { adapter: joinMethods(loraMethod.name, saved.methods), rank: 1, alpha: 1, target, whole };
  const sources = held.map(sourceOf(folder, options.params))
    .flatMap((each) => loraB === undefined ? [each] : asRankOne(each, `${method?.name}.${loraB}`));
  const written = sources.map(({ slot }) => slot);
  const stores = peftMethodOf(written);
  const layout = stores?.peft?.type ?? OWN_LAYOUT;
  if (options.as === "lora" && layout !== loraMethod.peft?.type) {
    const allowed = "1lora with sum compression, or lora, alone or with head or labels";
    throw new OneloraError({ attempted: "saving as lora", found: `"${adapter}"`, allowed }, { exitCode: 2 });
  }
  const entries = sources.flatMap(({ slot, values }) => {
    const { keys, shape } = stored(slot, layout, names);
    return keys.map((key): NamedSource => [key, { dtype: "F32", shape, data: values, passing: true }]);
  });
  const config = formatConfig(stores, spec, layer, written, names, options.baseModel);
  const allowed = "a folder that can be written";
  await guarded(`writing ${folder}`, allowed, async () => {
    await makeFolder(folder);
    await writeSafetensors(`${folder}/adapter_model.safetensors`, entries, {
      metadata: {
        format: "pt",
        onelora: JSON.stringify({
          version: VERSION,
          ...spec,
          labels: options.labels,
          problem: options.problem,
          base: options.base,
        }),
      },
    });
    await writeJson(`${folder}/adapter_config.json`, config);
  });
}
