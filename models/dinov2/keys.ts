/**
 * How files and Python call the parameters of a DINOv2.
 *
 * @module
 */
import type { Fusion, Rename } from "../checkpoint/keys.ts";

/**
 * How the newest transformers calls the modules of a backbone in memory.
 *
 * @param at What comes before its paths, `backbone.` where it is a part
 */
export function dinov2Modules(at: string): readonly Rename[] {
  const attention = `${at}encoder.layer.*.attention`;
  return [
    [`${attention}.attention.query`, `${attention}.q_proj`],
    [`${attention}.attention.key`, `${attention}.k_proj`],
    [`${attention}.attention.value`, `${attention}.v_proj`],
    [`${attention}.output.dense`, `${attention}.o_proj`],
  ];
}

/**
 * The fused query, key and value projection of a backbone, which published files hold as three.
 *
 * @param at What comes before its paths, `backbone.` where it is a part
 */
export function dinov2Fusion(at: string): Fusion {
  const attention = `${at}encoder.layer.*.attention.attention`;
  return {
    whole: `${attention}.qkv`,
    parts: [`${attention}.query`, `${attention}.key`, `${attention}.value`],
    published: "parts",
  };
}

/**
 * How the original repository's files call a backbone's parameters.
 *
 * @param here What comes before its paths
 * @param there What comes before them in those files
 */
export function dinov2Originals(here: string, there: string): readonly Rename[] {
  const [block, original] = [`${here}encoder.layer.*`, `${there}blocks.*`];
  return [
    [`${here}embeddings.cls_token`, `${there}cls_token`],
    [`${here}embeddings.mask_token`, `${there}mask_token`],
    [`${here}embeddings.position_embeddings`, `${there}pos_embed`],
    [`${here}embeddings.patch_embeddings.projection`, `${there}patch_embed.proj`],
    [`${block}.attention.attention.qkv`, `${original}.attn.qkv`],
    [`${block}.attention.output.dense`, `${original}.attn.proj`],
    [`${block}.layer_scale1.lambda1`, `${original}.ls1.gamma`],
    [`${block}.layer_scale2.lambda1`, `${original}.ls2.gamma`],
    [block, original],
    [`${here}layernorm`, `${there}norm`],
  ];
}
