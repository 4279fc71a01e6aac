/**
 * Sizes of a DINOv2 in `config.json`.
 *
 * @module
 */
import { activations } from "../../dsl/ops/activation.ts";
import { booleanField, choiceField, headsField, type Json, numberField, wholeField, wrongField } from "../config.ts";
import type { Dinov2Config } from "./backbone.ts";

/**
 * From `config.json`; absent fields have transformers' defaults. All feature maps but the last are left out.
 *
 * @param json The configuration
 * @param defaults Other defaults
 */
export function readDinov2(json: Json, defaults: Readonly<Record<string, number>> = {}): Dinov2Config {
  const whole = (name: string, fallback: number) => wholeField(json, name, defaults[name] ?? fallback);
  if (booleanField(json, "use_swiglu_ffn", false)) throw wrongField("use_swiglu_ffn", true, "false");
  const layers = whole("num_hidden_layers", 12);
  const image = whole("image_size", 224);
  const patch = whole("patch_size", 14);
  if (image < patch) throw wrongField("image_size", image, `at least the patch size ${patch}`);
  const { hidden_size: hidden = 768, num_attention_heads: heads = 12 } = defaults;
  return {
    ...headsField(json, { hidden, heads }),
    layers,
    mlpRatio: numberField(json, "mlp_ratio", 4),
    image,
    patch,
    channels: whole("num_channels", 3),
    eps: numberField(json, "layer_norm_eps", 1e-6),
    activation: choiceField(json, "hidden_act", Object.keys(activations), "gelu"),
    qkvBias: booleanField(json, "qkv_bias", true),
    fusedQkv: booleanField(json, "fused_qkv", false),
    maskToken: booleanField(json, "use_mask_token", true),
    outputs: [layers],
    normalised: true,
  };
}

/**
 * To `config.json`.
 *
 * @param config The sizes
 */
export function writeDinov2(config: Dinov2Config): Json {
  return {
    model_type: "dinov2",
    hidden_size: config.hidden,
    num_hidden_layers: config.layers,
    num_attention_heads: config.heads,
    mlp_ratio: config.mlpRatio,
    image_size: config.image,
    patch_size: config.patch,
    num_channels: config.channels,
    layer_norm_eps: config.eps,
    hidden_act: config.activation,
    qkv_bias: config.qkvBias,
    use_mask_token: config.maskToken,
    ...(config.fusedQkv ? { fused_qkv: true } : {}),
  };
}
