/**
 * Every field of PEFT's configurations, and what becomes of it here: read, known to change nothing that an adapter
 * computes, or refused unless it is off. A field that is not listed is refused too. `docs/adapters.md` shows the same.
 *
 * @module
 */
import type { Fields } from "./fields.ts";

/** What becomes of a field. */
export type Treatment =
  /** It is read. */
  | { readonly kind: "read" }
  /** It changes nothing that the adapter computes. */
  | { readonly kind: "without effect"; readonly because: string }
  /** It must have one of some values; without any it must be off: absent, null, false, "none" or empty. */
  | { readonly kind: "fixed"; readonly because: string; readonly to?: readonly unknown[] };

const read: Treatment = { kind: "read" };
const idle = (because: string): Treatment => ({ kind: "without effect", because });
const off = (because: string): Treatment => ({ kind: "fixed", because: `it ${because}` });

/** What is the same for every method. */
const COMMON: Readonly<Record<string, Treatment>> = {
  auto_mapping: idle("names Python's classes"),
  base_model_name_or_path: read,
  inference_mode: idle("is for training"),
  modules_to_save: read,
  peft_type: read,
  peft_version: idle("says who wrote the file"),
  revision: idle("says which version of the model it was trained on"),
  target_modules: read,
  task_type: read,
};

/** What most methods have. */
const USUAL: Readonly<Record<string, Treatment>> = {
  ...COMMON,
  bias: off("trains biases of the model beside the adapter"),
  layers_pattern: read,
  layers_to_transform: read,
  r: read,
};

const transposed = off("is for weights stored transposed, which no model here has");

/** Initialisations that leave the base weights as they are. */
const INITIALISATIONS: readonly unknown[] = [true, false, "gaussian", "orthogonal", "eva"];

const LORA: Readonly<Record<string, Treatment>> = {
  ...USUAL,
  alora_invocation_tokens: off("acts on some tokens alone"),
  alpha_pattern: read,
  arrow_config: off("chooses among several adapters"),
  corda_config: idle("is for initialisation"),
  ensure_weight_tying: off("makes tied layers share an adapter"),
  eva_config: idle("is for initialisation"),
  exclude_modules: read,
  fan_in_fan_out: transposed,
  init_lora_weights: {
    kind: "fixed",
    because: "other initialisations (PiSSA, OLoRA, LoftQ, ...) change the model's own weights too; PEFT's " +
      "save_pretrained with path_initial_model_for_weight_conversion makes a plain LoRA of such an adapter",
    to: INITIALISATIONS,
  },
  kasa_config: off("changes the model's own weights"),
  layer_replication: off("repeats layers of the model"),
  loftq_config: idle("is for initialisation"),
  lora_alpha: read,
  lora_bias: read,
  lora_dropout: read,
  lora_ga_config: idle("is for initialisation"),
  megatron_config: off("is for Megatron's layers"),
  megatron_core: idle("names a Python module"),
  monteclora_config: off("samples the adapter's weights"),
  qalora_group_size: idle("belongs to use_qalora"),
  rank_pattern: read,
  runtime_config: idle("says where Python computes"),
  target_parameters: off("adapts parameters that are no layers"),
  trainable_token_indices: off("trains rows of the embeddings"),
  use_bdlora: off("makes block-diagonal factors"),
  use_dora: read,
  use_qalora: off("pools the features of quantised layers"),
  use_rslora: read,
  velora_config: idle("is for training"),
};

const VERA: Readonly<Record<string, Treatment>> = {
  ...USUAL,
  d_initial: idle("is for initialisation"),
  fan_in_fan_out: transposed,
  init_weights: idle("is for training"),
  projection_prng_key: read,
  save_projection: read,
  vera_dropout: idle("is for training"),
};

const MISS: Readonly<Record<string, Treatment>> = {
  ...USUAL,
  exclude_modules: read,
  init_weights: { kind: "fixed", because: '"bat" and "mini" are other methods', to: [true, false] },
  mini_r: idle('belongs to init_weights "mini"'),
  miss_dropout: idle("is for training"),
};

const IA3: Readonly<Record<string, Treatment>> = {
  ...COMMON,
  exclude_modules: read,
  fan_in_fan_out: transposed,
  feedforward_modules: read,
  init_ia3_weights: idle("is for training"),
};

/** What becomes of each field, by `peft_type`. */
export const treatments: Readonly<Record<string, Readonly<Record<string, Treatment>>>> = { IA3, LORA, MISS, VERA };

/** Whether a field has the value that it has when it is not used. */
export function isOff(value: unknown): boolean {
  return value === undefined || value === null || value === false || value === "none" ||
    (typeof value === "object" && Object.keys(value).length === 0);
}

/**
 * Refuses fields whose meaning is not known here.
 *
 * @param type `peft_type`
 * @param fields The file's
 * @throws OneloraError naming the first
 */
export function checkSettings(type: string, { json, wrong }: Fields): void {
  const known = treatments[type] ?? COMMON;
  for (const [name, value] of Object.entries(json)) {
    const treatment = Object.hasOwn(known, name) ? known[name] : undefined;
    if (treatment === undefined) {
      if (!isOff(value)) {
        throw wrong(name, `no such field: ${type} of PEFT 0.21 has none, and what it means is not known`);
      }
    } else if (treatment.kind === "fixed" && !isOff(value) && !treatment.to?.includes(value)) {
      const values = treatment.to === undefined ? "that field switched off" : treatment.to.join(", ");
      throw wrong(name, `${values} (${treatment.because})`);
    }
  }
}
