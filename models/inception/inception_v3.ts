/**
 * InceptionV3 (Szegedy et al. 2015) as the Fréchet Inception Distance takes it: the network that Heusel et al. 2017 measure
 * with, in PyTorch's names (pytorch-fid's `pt_inception`, torchvision's names). It differs from torchvision's own: average
 * pools leave the padding out of their means, as TensorFlow's do, and the last block's pool takes maxima. Activations are
 * NHWC inside.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { between, ones, zeros } from "../../dsl/initialise.ts";
import { type AnyLayer, defineLayer, type Layer, parameter } from "../../dsl/layer.ts";
import { conv2d } from "../../dsl/ops/conv.ts";
import { interpolate } from "../../dsl/ops/interpolate.ts";
import { type Family, family } from "../family.ts";

/** Its only size, published as such. */
export interface InceptionConfig {
  /** Side that pictures are resized to. */
  readonly size: number;
}

type Kernel = number | readonly [height: number, width: number];

/** relu(batch norm(convolution without bias)), the norm by its running statistics, folded into the convolution. */
function unit(inChannels: number, outChannels: number, kernel: Kernel, padding: Kernel = 0, stride = 1): Layer {
  const [height, width] = typeof kernel === "number" ? [kernel, kernel] : kernel;
  const [down, across] = typeof padding === "number" ? [padding, padding] : padding;
  const each = (init: typeof zeros) => parameter([outChannels], init);
  return defineLayer({
    kind: "convolution",
    params: {
      "conv.weight": parameter(
        [outChannels, inChannels, height, width],
        between(1 / Math.sqrt(inChannels * height * width)),
      ),
      "bn.weight": each(ones),
      "bn.bias": each(zeros),
      "bn.running_mean": each(zeros),
      "bn.running_var": each(ones),
    },
    parts: {},
    forward: (self, x) => {
      const scale = tf.div(self.param("bn.weight"), tf.sqrt(tf.add(self.param("bn.running_var"), 1e-3)));
      const weight = tf.mul(self.param("conv.weight"), tf.reshape(scale, [-1, 1, 1, 1]));
      const bias = tf.sub(self.param("bn.bias"), tf.mul(self.param("bn.running_mean"), scale));
      return tf.relu(conv2d(x, weight, bias, { stride, padding: [[down, down], [across, across]] }));
    },
  });
}

/** Mean of the 3x3 places around each that are inside. */
function average(x: tf.Tensor): tf.Tensor {
  return tf.avgPool(x as tf.Tensor4D, 3, 1, "same");
}

function largest(x: tf.Tensor, stride: number, pad: "same" | "valid"): tf.Tensor {
  return tf.maxPool(x as tf.Tensor4D, 3, stride, pad);
}

/** Branches side by side, each units in a row, and a pool with units after it. */
function mixed(
  parts: Readonly<Record<string, AnyLayer>>,
  branches: (go: (x: tf.Tensor, ...names: readonly string[]) => tf.Tensor, x: tf.Tensor) => readonly tf.Tensor[],
): Layer {
  return defineLayer({
    kind: "inception",
    params: {},
    parts,
    forward: (self, x) =>
      tf.concat([...branches((from, ...names) => names.reduce((y, name) => self.call(name, y), from), x)], 3),
  });
}

function blockA(channels: number, pooled: number): Layer {
  return mixed({
    branch1x1: unit(channels, 64, 1),
    branch5x5_1: unit(channels, 48, 1),
    branch5x5_2: unit(48, 64, 5, 2),
    branch3x3dbl_1: unit(channels, 64, 1),
    branch3x3dbl_2: unit(64, 96, 3, 1),
    branch3x3dbl_3: unit(96, 96, 3, 1),
    branch_pool: unit(channels, pooled, 1),
  }, (go, x) => [
    go(x, "branch1x1"),
    go(x, "branch5x5_1", "branch5x5_2"),
    go(x, "branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3"),
    go(average(x), "branch_pool"),
  ]);
}

function blockB(channels: number): Layer {
  return mixed({
    branch3x3: unit(channels, 384, 3, 0, 2),
    branch3x3dbl_1: unit(channels, 64, 1),
    branch3x3dbl_2: unit(64, 96, 3, 1),
    branch3x3dbl_3: unit(96, 96, 3, 0, 2),
  }, (go, x) => [
    go(x, "branch3x3"),
    go(x, "branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3"),
    largest(x, 2, "valid"),
  ]);
}

const ROW = { kernel: [1, 7], padding: [0, 3] } as const;
const COLUMN = { kernel: [7, 1], padding: [3, 0] } as const;

function blockC(channels: number, inner: number): Layer {
  const row = (from: number, to: number) => unit(from, to, ROW.kernel, ROW.padding);
  const column = (from: number, to: number) => unit(from, to, COLUMN.kernel, COLUMN.padding);
  return mixed({
    branch1x1: unit(channels, 192, 1),
    branch7x7_1: unit(channels, inner, 1),
    branch7x7_2: row(inner, inner),
    branch7x7_3: column(inner, 192),
    branch7x7dbl_1: unit(channels, inner, 1),
    branch7x7dbl_2: column(inner, inner),
    branch7x7dbl_3: row(inner, inner),
    branch7x7dbl_4: column(inner, inner),
    branch7x7dbl_5: row(inner, 192),
    branch_pool: unit(channels, 192, 1),
  }, (go, x) => [
    go(x, "branch1x1"),
    go(x, "branch7x7_1", "branch7x7_2", "branch7x7_3"),
    go(x, "branch7x7dbl_1", "branch7x7dbl_2", "branch7x7dbl_3", "branch7x7dbl_4", "branch7x7dbl_5"),
    go(average(x), "branch_pool"),
  ]);
}

function blockD(channels: number): Layer {
  return mixed({
    branch3x3_1: unit(channels, 192, 1),
    branch3x3_2: unit(192, 320, 3, 0, 2),
    branch7x7x3_1: unit(channels, 192, 1),
    branch7x7x3_2: unit(192, 192, ROW.kernel, ROW.padding),
    branch7x7x3_3: unit(192, 192, COLUMN.kernel, COLUMN.padding),
    branch7x7x3_4: unit(192, 192, 3, 0, 2),
  }, (go, x) => [
    go(x, "branch3x3_1", "branch3x3_2"),
    go(x, "branch7x7x3_1", "branch7x7x3_2", "branch7x7x3_3", "branch7x7x3_4"),
    largest(x, 2, "valid"),
  ]);
}

function blockE(channels: number, pool: (x: tf.Tensor) => tf.Tensor): Layer {
  return mixed({
    branch1x1: unit(channels, 320, 1),
    branch3x3_1: unit(channels, 384, 1),
    branch3x3_2a: unit(384, 384, [1, 3], [0, 1]),
    branch3x3_2b: unit(384, 384, [3, 1], [1, 0]),
    branch3x3dbl_1: unit(channels, 448, 1),
    branch3x3dbl_2: unit(448, 384, 3, 1),
    branch3x3dbl_3a: unit(384, 384, [1, 3], [0, 1]),
    branch3x3dbl_3b: unit(384, 384, [3, 1], [1, 0]),
    branch_pool: unit(channels, 192, 1),
  }, (go, x) => {
    const single = go(x, "branch3x3_1");
    const twice = go(x, "branch3x3dbl_1", "branch3x3dbl_2");
    return [
      go(x, "branch1x1"),
      go(single, "branch3x3_2a"),
      go(single, "branch3x3_2b"),
      go(twice, "branch3x3dbl_3a"),
      go(twice, "branch3x3dbl_3b"),
      go(pool(x), "branch_pool"),
    ];
  });
}

const MIXED = {
  Mixed_5b: blockA(192, 32),
  Mixed_5c: blockA(256, 64),
  Mixed_5d: blockA(288, 64),
  Mixed_6a: blockB(288),
  Mixed_6b: blockC(768, 128),
  Mixed_6c: blockC(768, 160),
  Mixed_6d: blockC(768, 160),
  Mixed_6e: blockC(768, 192),
  Mixed_7a: blockD(768),
  Mixed_7b: blockE(1280, average),
  Mixed_7c: blockE(2048, (x) => largest(x, 1, "same")),
};

const mixedNames = Object.keys(MIXED) as (keyof typeof MIXED)[];

/**
 * Pixels [B, 3, H, W] from -1 to 1 -> the last average pool's features, [B, 2048]. Pictures are resized to 299x299 by the
 * bilinear filter, without smoothing where they shrink, as in pytorch-fid.
 *
 * @param config Sizes
 */
export function inceptionV3({ size }: InceptionConfig): Layer {
  const parts = {
    Conv2d_1a_3x3: unit(3, 32, 3, 0, 2),
    Conv2d_2a_3x3: unit(32, 32, 3),
    Conv2d_2b_3x3: unit(32, 64, 3, 1),
    Conv2d_3b_1x1: unit(64, 80, 1),
    Conv2d_4a_3x3: unit(80, 192, 3),
    ...MIXED,
  };
  return defineLayer({
    kind: "inception v3",
    params: {},
    parts,
    forward: (self, pixels) => {
      const go = (x: tf.Tensor, ...names: readonly (keyof typeof parts)[]) =>
        names.reduce((y, name) => self.call<tf.Tensor>(name, y), x);
      const resized = interpolate(tf.transpose(pixels, [0, 2, 3, 1]), { size: [size, size] }, { mode: "bilinear" });
      const stem = largest(go(resized, "Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3"), 2, "valid");
      const base = largest(go(stem, "Conv2d_3b_1x1", "Conv2d_4a_3x3"), 2, "valid");
      return tf.mean(go(base, ...mixedNames), [1, 2]);
    },
  });
}

/** InceptionV3 for FID as a family of checkpoints. */
export const inceptionFamily: Family = family<InceptionConfig>({
  name: "inception_v3",
  presets: { "inception-v3-fid": { size: 299 } },
  build: inceptionV3,
  readConfig: () => ({ size: 299 }),
  writeConfig: () => ({ model_type: "inception_v3" }),
  keys: () => ({
    prefix: "",
    unprefixed: [],
    ignored: ["fc.**", "AuxLogits.**", "**.num_batches_tracked"],
    modules: [],
  }),
  signature: () => ({
    inputs: [{ name: "pixel_values", kind: "float", shape: ["batch", 3, "height", "width"] }],
    outputs: ["features"],
  }),
});
