/**
 * timm's ViTs by name: `architecture` of its `config.json` stands for arguments of its class `VisionTransformer`, as in timm
 * 1.0.31, with whose numbers of parameters a test compares this table.
 *
 * @module
 */
import { nearest, OneloraError } from "../../dsl/error.ts";
import { show } from "../../dsl/files/json.ts";
import type { Json } from "../config.ts";

/** `patch_size embed_dim depth num_heads`, other arguments (`norm_eps` is that of `norm_layer`), and architectures that have them. */
const READ = `
16 768 12 12: vit_base_patch16_224 vit_base_patch16_384 deit_base_patch16_224 deit_base_patch16_384
32 768 12 12: vit_base_patch32_224 vit_base_patch32_384
8 768 12 12: vit_base_patch8_224
14 1280 32 16: vit_huge_patch14_224
14 1024 24 16: vit_large_patch14_224
16 1024 24 16: vit_large_patch16_224 vit_large_patch16_384
32 1024 24 16: vit_large_patch32_224 vit_large_patch32_384
16 384 12 6: vit_small_patch16_224 vit_small_patch16_384 deit_small_patch16_224
32 384 12 6: vit_small_patch32_224 vit_small_patch32_384
8 384 12 6: vit_small_patch8_224
16 192 12 3: vit_tiny_patch16_224 vit_tiny_patch16_384 deit_tiny_patch16_224
16 768 12 12 pre_norm=true norm_eps=1e-5: vit_base_patch16_clip_224 vit_base_patch16_clip_384
16 896 12 14 pre_norm=true norm_eps=1e-5: vit_base_patch16_plus_clip_240
32 768 12 12 pre_norm=true norm_eps=1e-5: vit_base_patch32_clip_224 vit_base_patch32_clip_256
  vit_base_patch32_clip_384 vit_base_patch32_clip_448
32 640 12 10 pre_norm=true norm_eps=1e-5: vit_betwixt_patch32_clip_224
14 1280 32 16 pre_norm=true norm_eps=1e-5: vit_huge_patch14_clip_224 vit_huge_patch14_clip_336
  vit_huge_patch14_clip_378
14 1024 24 16 pre_norm=true norm_eps=1e-5: vit_large_patch14_clip_224 vit_large_patch14_clip_336
16 512 12 8 pre_norm=true norm_eps=1e-5: vit_medium_patch16_clip_224
32 512 12 8 pre_norm=true norm_eps=1e-5: vit_medium_patch32_clip_224
16 256 10 4 pre_norm=true norm_eps=1e-5: vit_xsmall_patch16_clip_224
16 768 12 16 class_token=false global_pool=avg fc_norm=false: vit_base_patch16_gap_224
16 768 12 12 class_token=false global_pool=avg fc_norm=false: vit_base_patch16_siglip_gap_224
  vit_base_patch16_siglip_gap_256 vit_base_patch16_siglip_gap_384 vit_base_patch16_siglip_gap_512
14 1280 32 16 class_token=false global_pool=avg fc_norm=false: vit_huge_patch14_gap_224
16 1280 32 16 class_token=false global_pool=avg fc_norm=false: vit_huge_patch16_gap_448
16 1024 24 16 class_token=false global_pool=avg fc_norm=false: vit_large_patch16_siglip_gap_256
  vit_large_patch16_siglip_gap_384
16 768 12 12 no_embed_class=true init_values=1e-6: deit3_base_patch16_224 deit3_base_patch16_384
14 1280 32 16 no_embed_class=true init_values=1e-6: deit3_huge_patch14_224
16 1024 24 16 no_embed_class=true init_values=1e-6: deit3_large_patch16_224 deit3_large_patch16_384
16 512 12 8 no_embed_class=true init_values=1e-6: deit3_medium_patch16_224
16 384 12 6 no_embed_class=true init_values=1e-6: deit3_small_patch16_224 deit3_small_patch16_384
14 768 12 12 init_values=1e-5: vit_base_patch14_dinov2
16 896 12 14 init_values=1e-5: vit_base_patch16_plus_240
32 896 12 14 init_values=1e-5: vit_base_patch32_plus_256
14 1024 24 16 init_values=1e-5: vit_large_patch14_dinov2
14 384 12 6 init_values=1e-5: vit_small_patch14_dinov2
16 384 36 6 init_values=1e-5: vit_small_patch16_36x1_224
16 768 12 12 pre_norm=true act_layer=quick_gelu norm_eps=1e-5: vit_base_patch16_clip_quickgelu_224
32 768 12 12 pre_norm=true act_layer=quick_gelu norm_eps=1e-5: vit_base_patch32_clip_quickgelu_224
14 1280 32 16 pre_norm=true act_layer=quick_gelu norm_eps=1e-5: vit_huge_patch14_clip_quickgelu_224
  vit_huge_patch14_clip_quickgelu_378
14 1024 24 16 pre_norm=true act_layer=quick_gelu norm_eps=1e-5: vit_large_patch14_clip_quickgelu_224
  vit_large_patch14_clip_quickgelu_336
16 640 12 10 class_token=false global_pool=avg reg_tokens=4 no_embed_class=true init_values=1e-5:
  vit_betwixt_patch16_reg4_gap_256 vit_betwixt_patch16_reg4_gap_384
16 512 12 8 class_token=false global_pool=avg reg_tokens=4 no_embed_class=true init_values=1e-5:
  vit_medium_patch16_reg4_gap_256
16 512 20 8 class_token=false global_pool=avg reg_tokens=4 no_embed_class=true init_values=1e-5:
  vit_mediumd_patch16_reg4_gap_256 vit_mediumd_patch16_reg4_gap_384
14 1152 27 16 class_token=false global_pool=avg fc_norm=false mlp_ratio=3.7362: vit_so400m_patch14_siglip_gap_224
  vit_so400m_patch14_siglip_gap_378 vit_so400m_patch14_siglip_gap_384 vit_so400m_patch14_siglip_gap_448
  vit_so400m_patch14_siglip_gap_896
32 768 12 12 class_token=false global_pool=avg fc_norm=false act_layer=gelu_tanh: vit_base_patch32_siglip_gap_256
16 1536 40 16 class_token=false global_pool=avg fc_norm=false act_layer=gelu_tanh: vit_giantopt_patch16_siglip_gap_256
  vit_giantopt_patch16_siglip_gap_384
16 1024 24 16 class_token=false global_pool=avg fc_norm=false act_layer=gelu_tanh: vit_large_patch16_siglip_gap_512
16 640 12 10 class_token=false global_pool=avg fc_norm=false init_values=1e-6 qkv_bias=false:
  vit_betwixt_patch16_gap_256
16 512 12 8 class_token=false global_pool=avg fc_norm=false init_values=1e-6 qkv_bias=false:
  vit_medium_patch16_gap_240 vit_medium_patch16_gap_256 vit_medium_patch16_gap_384
16 768 12 12 no_embed_class=true: flexivit_base
16 1024 24 16 no_embed_class=true: flexivit_large
16 384 12 6 no_embed_class=true: flexivit_small
14 768 12 12 reg_tokens=4 no_embed_class=true init_values=1e-5: vit_base_patch14_reg4_dinov2
14 1024 24 16 reg_tokens=4 no_embed_class=true init_values=1e-5: vit_large_patch14_reg4_dinov2
14 384 12 6 reg_tokens=4 no_embed_class=true init_values=1e-5: vit_small_patch14_reg4_dinov2
16 832 21 13 class_token=false global_pool=avg reg_tokens=1 init_values=1e-5 mlp_ratio=2.6153846153846154
  qkv_bias=false: vit_so150m2_patch16_reg1_gap_256 vit_so150m2_patch16_reg1_gap_384 vit_so150m2_patch16_reg1_gap_448
16 1152 27 16 class_token=false global_pool=avg fc_norm=false mlp_ratio=3.7362 act_layer=gelu_tanh:
  vit_so400m_patch16_siglip_gap_256 vit_so400m_patch16_siglip_gap_384 vit_so400m_patch16_siglip_gap_512
14 1024 24 16 global_pool=avg: eva_large_patch14_196 eva_large_patch14_336
14 768 12 12 reg_tokens=1 no_embed_class=true init_values=1.0: vit_base_patch14_reg1_tipsv2
14 1024 24 16 reg_tokens=1 no_embed_class=true init_values=1.0: vit_large_patch14_reg1_tipsv2
16 768 12 12 final_norm=false reg_tokens=7 no_embed_class=true init_values=1e-5 img_size=512:
  vit_base_patch16_radio_v3
16 1024 24 16 final_norm=false reg_tokens=7 no_embed_class=true init_values=1e-5 img_size=512:
  vit_large_patch16_radio_v3
16 640 12 10 class_token=false global_pool=avg reg_tokens=1 no_embed_class=true init_values=1e-5:
  vit_betwixt_patch16_reg1_gap_256
16 512 12 8 class_token=false global_pool=avg reg_tokens=1 no_embed_class=true init_values=1e-5:
  vit_medium_patch16_reg1_gap_256
16 1536 40 24 final_norm=false reg_tokens=7 no_embed_class=true img_size=512: vit_giant_patch16_radio_v3
16 1280 32 16 final_norm=false reg_tokens=7 no_embed_class=true img_size=512: vit_huge_patch16_radio_v3
14 1664 48 16 pre_norm=true mlp_ratio=4.923076923076923 norm_eps=1e-5: vit_gigantic_patch14_clip_224
  vit_gigantic_patch14_clip_378
16 896 18 14 class_token=false global_pool=avg fc_norm=false reg_tokens=4 mlp_ratio=2.572:
  vit_so150m_patch16_reg4_gap_256 vit_so150m_patch16_reg4_gap_384
16 64 6 2 mlp_ratio=3: test_vit
16 64 8 2 class_token=false global_pool=avg reg_tokens=1 init_values=1e-5 mlp_ratio=3: test_vit2
16 768 12 12 qkv_bias=false: vit_base_patch16_224_miil
16 768 12 12 class_token=false global_pool=avg reg_tokens=4 no_embed_class=true: vit_base_patch16_reg4_gap_256
14 1408 40 16 mlp_ratio=4.363636363636363: vit_giant_patch14_224
14 1408 40 16 pre_norm=true mlp_ratio=4.363636363636363 norm_eps=1e-5: vit_giant_patch14_clip_224
16 1408 40 16 class_token=false global_pool=avg fc_norm=false mlp_ratio=4.363636363636363: vit_giant_patch16_gap_224
14 1664 48 16 mlp_ratio=4.923076923076923: vit_gigantic_patch14_224
14 1664 48 16 pre_norm=true mlp_ratio=4.923076923076923 act_layer=quick_gelu norm_eps=1e-5:
  vit_gigantic_patch14_clip_quickgelu_224
16 1280 32 16 final_norm=false reg_tokens=9 no_embed_class=true img_size=512: vit_huge_patch16_radio_v4
14 1024 24 16 final_norm=false init_values=0.1: vit_intern300m_patch14_448
16 320 14 5 class_token=false global_pool=avg reg_tokens=1 no_embed_class=true init_values=1e-5 mlp_ratio=5.6:
  vit_little_patch16_reg1_gap_256
16 320 14 5 class_token=false global_pool=avg reg_tokens=4 no_embed_class=true init_values=1e-5 mlp_ratio=5.6:
  vit_little_patch16_reg4_gap_256
14 1152 27 16 reg_tokens=1 no_embed_class=true init_values=1.0 mlp_ratio=3.736111111111111:
  vit_so400m_patch14_reg1_tipsv2
16 1152 27 16 final_norm=false reg_tokens=9 no_embed_class=true mlp_ratio=3.736111111111111 img_size=512:
  vit_so400m_patch16_radio_v4
16 256 14 4 class_token=false global_pool=avg reg_tokens=1 no_embed_class=true init_values=1e-5 mlp_ratio=5:
  vit_wee_patch16_reg1_gap_256
`;

/** What is not computed here, and architectures that have it. */
const NOT_READ = `
gated MLPs (SwiGLU): aimv2_1b_patch14_224 aimv2_1b_patch14_336 aimv2_1b_patch14_448 aimv2_large_patch14_224
  aimv2_large_patch14_336 aimv2_large_patch14_448 aimv2_3b_patch14_224 aimv2_3b_patch14_336 aimv2_3b_patch14_448
  aimv2_huge_patch14_224 aimv2_huge_patch14_336 aimv2_huge_patch14_448 vit_giant_patch14_dinov2
  vit_giant_patch14_reg1_tipsv2 vit_giant_patch14_reg4_dinov2
attention pooling (global_pool "map"): vit_base_patch16_siglip_224 vit_base_patch16_siglip_256
  vit_base_patch16_siglip_384 vit_base_patch16_siglip_512 vit_large_patch16_siglip_256 vit_large_patch16_siglip_384
  vit_base_patch32_siglip_256 vit_giantopt_patch16_siglip_256 vit_giantopt_patch16_siglip_384
  vit_large_patch16_siglip_512 vit_so400m_patch14_siglip_224 vit_so400m_patch14_siglip_378
  vit_so400m_patch14_siglip_384 vit_so400m_patch16_siglip_256 vit_so400m_patch16_siglip_384
  vit_so400m_patch16_siglip_512 test_vit3 vit_so150m_patch16_reg4_map_256
a second head (transformers has such files, model_type "deit"): deit_base_distilled_patch16_224
  deit_base_distilled_patch16_384 deit_small_distilled_patch16_224 deit_tiny_distilled_patch16_224
norms within attention or MLP, or RMS norms: vit_base_patch16_xp_224 vit_huge_patch14_xp_224 vit_large_patch14_xp_224
  beit3_base_patch16_224 beit3_large_patch16_224 beit3_giant_patch14_224 beit3_giant_patch14_336 test_vit4
other blocks: vit_base_patch16_18x2_224 vit_small_patch16_18x2_224 vit_base_patch16_rpn_224
  vit_dpwee_patch16_reg1_gap_256 vit_pwee_patch16_reg1_gap_256
differential attention: vit_dlittle_patch16_reg1_gap_256 vit_dwee_patch16_reg1_gap_256
`;

/** Names after what they have, with lines that go on joined. */
function entriesOf(text: string): readonly (readonly [what: string, names: readonly string[]])[] {
  return text.trim().replaceAll("\n  ", " ").split("\n").map((line) => {
    const at = line.lastIndexOf(": ");
    return [line.slice(0, at), line.slice(at + 2).split(" ")];
  });
}

const SIZES = ["patch_size", "embed_dim", "depth", "num_heads"];

/** `16` is an argument by its place, `global_pool=avg` by its name. */
function argumentsOf(text: string): Json {
  return Object.fromEntries(
    text.split(" ").map((each, i) => {
      const [name, value] = i < SIZES.length ? [SIZES[i], each] : each.split("=");
      return [name, /^[\d.]|^true$|^false$/.test(value) ? JSON.parse(value) : value];
    }),
  );
}

/** Arguments by architecture. */
export const timmArchitectures: ReadonlyMap<string, Json> = new Map(
  entriesOf(READ).flatMap(([text, names]) => names.map((name) => [name, argumentsOf(text)] as const)),
);

/**
 * The arguments that an architecture stands for.
 *
 * @param name `architecture` of `config.json`
 * @throws OneloraError (exit code 2) for one that is not read here
 */
export function timmArguments(name: string): Json {
  const found = timmArchitectures.get(name);
  if (found !== undefined) return found;
  const [why] = entriesOf(NOT_READ).find(([, names]) => names.includes(name)) ?? [];
  const near = nearest(name, [...timmArchitectures.keys()]);
  const hint = why !== undefined ? `, which has ${why}` : near !== undefined ? ` (did you mean "${near}"?)` : "";
  throw new OneloraError({
    attempted: "opening a model of timm",
    found: `architecture ${show(name)}${hint}`,
    allowed: "timm's plain ViTs, such as vit_base_patch16_224, deit3_base_patch16_224, vit_base_patch14_dinov2",
  }, { exitCode: 2 });
}
