/**
 * Sizes of DiT models, and their `config.json` in diffusers' words.
 *
 * @module
 */
import {
  booleanField,
  choiceField,
  type Json,
  labelNames,
  labelsField,
  numberField,
  wholeField,
  wrongField,
} from "../config.ts";

/** Sizes of a DiT. */
export interface DitConfig {
  /** Width D, a multiple of 4. */
  readonly hidden: number;
  /** Transformer blocks. */
  readonly layers: number;
  /** Attention heads. */
  readonly heads: number;
  /** Height and width of the latents. */
  readonly sample: number;
  /** Height and width of a patch. */
  readonly patch: number;
  /** Channels of the latents. */
  readonly channels: number;
  /** Channels of the output: those of the latents, or twice as many if it learns the variance. */
  readonly outChannels: number;
  /** Names of the classes; the label table has one more row, for no class. */
  readonly labels: readonly string[];
  /** Added to the variance in the layer norm before the MLP; 1e-6 in all other places. */
  readonly mlpEps: number;
  /** Timestep frequency i is 10000^(-i / (128 - shift)): 0 in DiT's own code, 1 in diffusers. Outputs differ by about 2 %. */
  readonly frequencyShift: 0 | 1;
  /** Whether query, key and value have biases. */
  readonly qkvBias: boolean;
  /** One projection for query, key and value, as in DiT's own code and the paper's counts, or three, as in diffusers. */
  readonly fusedQkv: boolean;
}

const xl: DitConfig = {
  hidden: 1152,
  layers: 28,
  heads: 16,
  sample: 32,
  patch: 2,
  channels: 4,
  outChannels: 8,
  labels: labelNames(1000),
  mlpEps: 1e-6,
  frequencyShift: 0,
  qkvBias: true,
  fusedQkv: true,
};

/** Names of presets. */
export type DitPreset = "dit-micro" | "dit-s-2" | "dit-b-2" | "dit-l-2" | "dit-xl-2" | "dit-xl-2-512";

/** Configurations by preset name. The latents of `dit-micro` are grey images of 28x28 pixels themselves. */
export const ditPresets: Readonly<Record<DitPreset, DitConfig>> = {
  "dit-micro": {
    ...xl,
    hidden: 128,
    layers: 4,
    heads: 4,
    sample: 28,
    patch: 4,
    channels: 1,
    outChannels: 2,
    labels: labelNames(10),
  },
  "dit-s-2": { ...xl, hidden: 384, layers: 12, heads: 6 },
  "dit-b-2": { ...xl, hidden: 768, layers: 12, heads: 12 },
  "dit-l-2": { ...xl, hidden: 1024, layers: 24, heads: 16 },
  "dit-xl-2": xl,
  "dit-xl-2-512": { ...xl, sample: 64 },
};

/** Class names: `id2label`, which this package adds, or as many nameless ones as `num_embeds_ada_norm` says. */
function classNames(json: Json): readonly string[] {
  const count = wholeField(json, "num_embeds_ada_norm", 1000);
  if ((json.id2label ?? undefined) === undefined) return labelNames(count);
  const labels = labelsField(json);
  if (labels.length !== count) throw wrongField("id2label", json.id2label, `names of ${count} classes`);
  return labels;
}

/**
 * From `config.json`; absent fields have the defaults of diffusers' DiTTransformer2DModel. `downscale_freq_shift`,
 * `fused_qkv` and `id2label` are this package's.
 *
 * @param json The configuration
 */
export function readDitConfig(json: Json): DitConfig {
  const heads = wholeField(json, "num_attention_heads", 16);
  const headSize = wholeField(json, "attention_head_dim", 72);
  if (heads * headSize % 4 !== 0) {
    throw wrongField("attention_head_dim", headSize, "a size that makes the width a multiple of 4");
  }
  const [sample, patch] = [wholeField(json, "sample_size", 32), wholeField(json, "patch_size", 2)];
  if (sample % patch !== 0) throw wrongField("sample_size", sample, `a multiple of the patch size, ${patch}`);
  choiceField(json, "norm_type", ["ada_norm_zero"], "ada_norm_zero");
  choiceField(json, "activation_fn", ["gelu-approximate"], "gelu-approximate");
  if (booleanField(json, "norm_elementwise_affine", false)) throw wrongField("norm_elementwise_affine", true, "false");
  const shift = json.downscale_freq_shift ?? 1;
  if (shift !== 0 && shift !== 1) throw wrongField("downscale_freq_shift", shift, "0 or 1");
  const channels = wholeField(json, "in_channels", 4);
  return {
    hidden: heads * headSize,
    layers: wholeField(json, "num_layers", 28),
    heads,
    sample,
    patch,
    channels,
    outChannels: wholeField(json, "out_channels", channels),
    labels: classNames(json),
    mlpEps: numberField(json, "norm_eps", 1e-5),
    frequencyShift: shift,
    qkvBias: booleanField(json, "attention_bias", true),
    fusedQkv: booleanField(json, "fused_qkv", false),
  };
}

/**
 * To `config.json`, for diffusers, with this package's own fields where they say something that diffusers takes for granted.
 *
 * @param config The sizes
 */
export function writeDitConfig(config: DitConfig): Json {
  const { labels } = config;
  const nameless = `${labels}` === `${labelNames(labels.length)}`;
  return {
    _class_name: "DiTTransformer2DModel",
    activation_fn: "gelu-approximate",
    attention_bias: config.qkvBias,
    attention_head_dim: config.hidden / config.heads,
    in_channels: config.channels,
    norm_elementwise_affine: false,
    norm_eps: config.mlpEps,
    norm_type: "ada_norm_zero",
    num_attention_heads: config.heads,
    num_embeds_ada_norm: labels.length,
    num_layers: config.layers,
    out_channels: config.outChannels,
    patch_size: config.patch,
    sample_size: config.sample,
    ...(config.frequencyShift === 1 ? {} : { downscale_freq_shift: config.frequencyShift }),
    ...(config.fusedQkv ? { fused_qkv: true } : {}),
    ...(nameless ? {} : { id2label: Object.fromEntries(labels.map((label, i) => [`${i}`, label])) }),
  };
}
