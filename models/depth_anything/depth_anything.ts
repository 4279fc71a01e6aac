/**
 * Depth Anything (Yang et al. 2024): monocular depth by a DINOv2 backbone and the neck and head of DPT (Ranftl et al. 2021),
 * as published under `LiheYoung/depth-anything-large-hf`. Parameter paths are the checkpoint's keys. Feature maps are NHWC.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { serial } from "../../dsl/compose.ts";
import { type AnyLayer, defineLayer, type Layer } from "../../dsl/layer.ts";
import { convLayer, convTransposeLayer } from "../../dsl/layers.ts";
import { relu } from "../../dsl/ops/activation.ts";
import { interpolate } from "../../dsl/ops/interpolate.ts";
import { type DepthAnythingConfig, depthAnythingPresets, readDepthAnything, writeDepthAnything } from "./config.ts";
import { dinov2 } from "../dinov2/backbone.ts";
import { dinov2Fusion, dinov2Modules, dinov2Originals } from "../dinov2/keys.ts";
import { type Family, family } from "../family.ts";
import type { Rename } from "../checkpoint/keys.ts";
import { dinov2Settings } from "../dinov2/settings.ts";
import { depthAnythingSettings } from "./settings.ts";

/** Bilinear resampling that keeps the corners' centres in place, as everything in DPT does. */
function resize(x: tf.Tensor, size: readonly [height: number, width: number]): tf.Tensor {
  return interpolate(x, { size }, { mode: "bilinear", alignCorners: true });
}

/** Height and width of a map [B, H, W, C]. */
function sizeOfMap({ shape: [, height, width] }: tf.Tensor): readonly [number, number] {
  return [height!, width!];
}

/** Feature map k at its own width and scale, [B, h, w, D] -> [B, factor h, factor w, C_k]. */
function reassemble({ backbone, neck, factors }: DepthAnythingConfig, k: number): Layer<readonly [tf.Tensor]> {
  const [channels, factor] = [neck[k], factors[k]];
  const down = { stride: Math.trunc(1 / factor), padding: 1 };
  const resized: Readonly<Record<string, AnyLayer>> = factor > 1
    ? { resize: convTransposeLayer(channels, channels, factor, { stride: factor }) }
    : factor < 1
    ? { resize: convLayer(channels, channels, 3, down) }
    : {};
  return serial({ projection: convLayer(backbone.hidden, channels, 1), ...resized });
}

/** x + convolution2(relu(convolution1(relu x))), [B, H, W, C] -> [B, H, W, C]. */
function residualUnit(channels: number): Layer {
  const convolution = convLayer(channels, channels, 3, { padding: 1 });
  return defineLayer({
    kind: "residual unit",
    params: {},
    parts: { convolution1: convolution, convolution2: convolution },
    forward: (self, x) => {
      const inner = self.call<tf.Tensor>("convolution1", relu(x));
      return tf.add(x, self.call("convolution2", relu(inner)));
    },
  });
}

/**
 * Adds a finer map to what was fused so far and brings it to a size: (x, finer or undefined, [H, W]) -> [B, H, W, C]. The
 * first fusion has no finer map; its residual_layer1 exists in checkpoints, unused.
 */
function fusion(
  channels: number,
): Layer<readonly [x: tf.Tensor, finer: tf.Tensor | undefined, size: readonly [number, number]]> {
  return defineLayer({
    kind: "fusion",
    params: {},
    parts: {
      projection: convLayer(channels, channels, 1),
      residual_layer1: residualUnit(channels),
      residual_layer2: residualUnit(channels),
    },
    forward: (self, x, finer, size) => {
      const sum = finer === undefined ? x : tf.add(x, self.call<tf.Tensor>("residual_layer1", finer));
      // The published order is resampling, then projection. Acting on pixels and on channels, they commute, and before it
      // the projection has fewer pixels.
      return resize(self.call("projection", self.call("residual_layer2", sum)), size);
    },
  });
}

/** Layers by numbered name. */
function numbered(name: string, count: number, layer: (index: number) => AnyLayer): Readonly<Record<string, AnyLayer>> {
  return Object.fromEntries(Array.from({ length: count }, (_, index) => [`${name}.${index}`, layer(index)]));
}

/** Feature maps [B, h, w, D] -> fused maps [B, H, W, C], coarsest first. */
function neck(config: DepthAnythingConfig): Layer<readonly [readonly tf.Tensor[]], readonly tf.Tensor[]> {
  const { neck: widths, fusion: fused } = config;
  const [reassembly, convolution, fusionStage] = ["reassemble_stage.layers", "convs", "fusion_stage.layers"];
  return defineLayer({
    kind: "neck",
    params: {},
    parts: {
      ...numbered(reassembly, widths.length, (k) => reassemble(config, k)),
      ...numbered(convolution, widths.length, (k) => convLayer(widths[k], fused, 3, { padding: 1, bias: false })),
      ...numbered(fusionStage, widths.length, () => fusion(fused)),
    },
    forward: (self, maps) => {
      const finestFirst = maps.map((map, k) =>
        self.call<tf.Tensor>(`${convolution}.${k}`, self.call(`${reassembly}.${k}`, map))
      );
      const pyramid = finestFirst.reverse();
      return pyramid.reduce<readonly tf.Tensor[]>((done, map, j) => {
        const next = pyramid[j + 1];
        const [height, width] = sizeOfMap(next ?? map);
        const size = next === undefined ? [2 * height, 2 * width] : [height, width];
        const inputs = j === 0 ? [map, undefined] : [done[j - 1], map];
        return [...done, self.call<tf.Tensor>(`${fusionStage}.${j}`, ...inputs, size)];
      }, []);
    },
  });
}

/** A fused map -> depth at full resolution: ([B, H, W, C], [p h, p w]) -> [B, p h, p w]. */
function head(
  { fusion: fused, headHidden, metric, maxDepth }: DepthAnythingConfig,
): Layer<readonly [tf.Tensor, readonly [number, number]]> {
  return defineLayer({
    kind: "depth head",
    params: {},
    parts: {
      conv1: convLayer(fused, Math.trunc(fused / 2), 3, { padding: 1 }),
      conv2: convLayer(Math.trunc(fused / 2), headHidden, 3, { padding: 1 }),
      conv3: convLayer(headHidden, 1, 1),
    },
    forward: (self, map, size) => {
      const features = resize(self.call("conv1", map), size);
      const y = self.call<tf.Tensor>("conv3", relu(self.call("conv2", features)));
      const depth = metric ? tf.sigmoid(y) : relu(y);
      return tf.squeeze(maxDepth === 1 ? depth : tf.mul(depth, maxDepth), [3]);
    },
  });
}

/**
 * The depth model: pixels [B, 3, p h, p w] -> depth [B, p h, p w]. Relative models give inverse depth up to scale and shift,
 * at least 0; metric ones give metres, maxDepth * sigmoid(y).
 *
 * @param config Sizes
 *
 * @example
 * ```ts
 * import { apply, init, key, useBackend } from "@onelora/onelora/dsl";
 * import { depthAnything, depthAnythingPresets } from "@onelora/onelora/models";
 * import { assertEquals } from "@std/assert";
 * import * as tf from "@tensorflow/tfjs-core";
 * await useBackend("cpu");
 * const model = depthAnything(depthAnythingPresets["dpt-micro"]);
 * const depth = apply(model, init(model, key(0)))(tf.zeros([1, 3, 28, 42]));
 * assertEquals(depth.shape, [1, 28, 42]);
 * ```
 */
export function depthAnything(config: DepthAnythingConfig): Layer {
  return defineLayer({
    kind: "depth_anything",
    params: {},
    parts: { backbone: dinov2(config.backbone), neck: neck(config), head: head(config) },
    forward: (self, pixels) => {
      const [, , height, width] = pixels.shape;
      const fused = self.call<readonly tf.Tensor[]>("neck", self.call("backbone", pixels));
      const { patch } = config.backbone;
      const seen = [height!, width!].map((side) => Math.floor(side / patch) * patch);
      return self.call("head", fused.at(config.headIndex), seen);
    },
  });
}

/** How the original repository's files call the parameters. */
const ORIGINALS: readonly Rename[] = [
  ...dinov2Originals("backbone.", "pretrained."),
  ["neck.reassemble_stage.layers.*.projection", "depth_head.projects.*"],
  ["neck.reassemble_stage.layers.*.resize", "depth_head.resize_layers.*"],
  // Counted from one, and the fusions from the finest.
  ...[0, 1, 2, 3].flatMap((k): readonly Rename[] => {
    const [here, there] = [`neck.fusion_stage.layers.${3 - k}`, `depth_head.scratch.refinenet${k + 1}`];
    return [
      [`neck.convs.${k}`, `depth_head.scratch.layer${k + 1}_rn`],
      [`${here}.projection`, `${there}.out_conv`],
      ...[1, 2].flatMap((unit) =>
        [1, 2].map((layer): Rename => [
          `${here}.residual_layer${unit}.convolution${layer}`,
          `${there}.resConfUnit${unit}.conv${layer}`,
        ])
      ),
    ];
  }),
  ["head.conv1", "depth_head.scratch.output_conv1"],
  ["head.conv2", "depth_head.scratch.output_conv2.0"],
  ["head.conv3", "depth_head.scratch.output_conv2.2"],
];

/** Parameters of the metric bins that ZoeDepth puts on top of the model. */
const BINS = ["conv2", "seed_bin_regressor", "seed_projector", "projectors", "attractors", "conditional_log_binomial"];

/** Depth Anything as a family of checkpoints. */
export const depthAnythingFamily: Family = family<DepthAnythingConfig>({
  name: "depth_anything",
  presets: depthAnythingPresets,
  build: depthAnything,
  readConfig: readDepthAnything,
  settings: depthAnythingSettings,
  nestedSettings: { backbone_config: dinov2Settings },
  writeConfig: writeDepthAnything,
  keys: () => ({
    prefix: "",
    unprefixed: [],
    ignored: [],
    unused: {
      patterns: BINS.map((name) => `${name}.**`),
      why: "ZoeDepth's metric bins, which add to what the model's own head gives",
    },
    modules: dinov2Modules("backbone."),
    // The metric files wrap the model twice.
    originals: [...ORIGINALS, ...ORIGINALS.map(([here, there]): Rename => [here, `core.core.${there}`])],
    fusions: [dinov2Fusion("backbone.")],
  }),
  signature: ({ backbone }) => ({
    inputs: [{ name: "pixel_values", kind: "float", shape: ["batch", backbone.channels, "height", "width"] }],
    outputs: ["predicted_depth"],
  }),
  withBiases: (config) => ({ ...config, backbone: { ...config.backbone, qkvBias: true } }),
  withQkv: (config, qkv) => ({ ...config, backbone: { ...config.backbone, fusedQkv: qkv === "fused" } }),
  image: ({ backbone: { image, channels, patch } }) => ({
    height: image,
    width: image,
    multipleOf: patch,
    channels,
    // ImageNet's
    mean: [0.485, 0.456, 0.406],
    std: [0.229, 0.224, 0.225],
    preparation: {
      resize: { kind: "proportional", height: image, width: image, multipleOf: patch },
      resample: "bicubic",
      rescale: 1 / 255,
    },
  }),
});
