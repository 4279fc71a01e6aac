/**
 * DINOv2, the vision transformer (Oquab et al. 2023), as the backbone of dense prediction models. Parameter paths are the
 * keys of transformers' `Dinov2Backbone`.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { gaussian, zeros } from "../../dsl/initialise.ts";
import { residual, sequence, serial, stack } from "../../dsl/compose.ts";
import { defineLayer, type Layer, parameter } from "../../dsl/layer.ts";
import { activationLayer, layerNormLayer, patchEmbedLayer, selfAttention } from "../../dsl/layers.ts";
import { linear } from "../../dsl/linear.ts";
import { interpolate, type Target } from "../../dsl/ops/interpolate.ts";
import { forEach } from "../../dsl/ops/repeat.ts";
import { layerScale } from "../layer_scale.ts";

/** Sizes of a DINOv2. */
export interface Dinov2Config {
  /** Width D. */
  readonly hidden: number;
  /** Transformer blocks. */
  readonly layers: number;
  /** Attention heads. */
  readonly heads: number;
  /** Width of the MLP over D. */
  readonly mlpRatio: number;
  /** Side in pixels of the square images it was trained on: its position embeddings are a grid of (side / patch)². */
  readonly image: number;
  /** Side of a patch in pixels. */
  readonly patch: number;
  /** Image channels. */
  readonly channels: number;
  /** Added to the variance in layer norms. */
  readonly eps: number;
  /** MLP activation. */
  readonly activation: string;
  /** Whether query, key, value have biases. */
  readonly qkvBias: boolean;
  /** One qkv projection of 3 D outputs, as in the original code, instead of three. */
  readonly fusedQkv: boolean;
  /** Whether the checkpoint has a mask token; only pre-training uses it. */
  readonly maskToken: boolean;
  /** After which blocks the feature maps are taken; 0 is before the first. */
  readonly outputs: readonly number[];
  /** Whether the final norm is applied to every feature map. */
  readonly normalised: boolean;
  /**
   * How position embeddings are resampled for another grid h x w. Without: to the size h x w, as transformers does. With:
   * by the factors (h + offset) / side of the grid, as the original code does (0.1), which shifts the samples slightly.
   */
  readonly interpolateOffset?: number;
  /** Whether a smaller grid's position embeddings mix all those that go into them (default false). */
  readonly antialias?: boolean;
  /** Tokens between the class token and the patches that stand for nothing of the picture (default 0). */
  readonly registers?: number;
}

/** The position embeddings of a grid of patches: [1, 1 + side², D] -> [1, 1 + h w, D], the class token's first. */
function positionsFor(
  embeddings: tf.Tensor,
  { image, patch, hidden, interpolateOffset, antialias }: Dinov2Config,
  grid: readonly [height: number, width: number],
): tf.Tensor {
  const side = Math.floor(image / patch);
  if (grid.every((length) => length === side)) return embeddings;
  const factor = (length: number) => (length + interpolateOffset!) / side;
  const target: Target = interpolateOffset === undefined
    ? { size: grid }
    : { scaleFactor: [factor(grid[0]), factor(grid[1])] };
  const patches = tf.reshape(tf.slice(embeddings, [0, 1, 0], [1, side * side, hidden]), [1, side, side, hidden]);
  const resampled = tf.reshape(interpolate(patches, target, { mode: "bicubic", antialias }), [
    1,
    grid[0] * grid[1],
    hidden,
  ]);
  return tf.concat([tf.slice(embeddings, [0, 0, 0], [1, 1, hidden]), resampled], 1);
}

/**
 * Class token, registers, patches, positions of all but the registers: pixels [B, C, p h, p w] -> tokens [B, 1 + registers + h w, D].
 *
 * @param config Sizes
 */
export function dinov2Embeddings(config: Dinov2Config): Layer {
  const { hidden, patch, image, registers = 0 } = config;
  const positions = Math.floor(image / patch) ** 2;
  return defineLayer({
    kind: "embeddings",
    params: {
      cls_token: parameter([1, 1, hidden], zeros),
      ...(config.maskToken ? { mask_token: parameter([1, hidden], zeros) } : {}),
      ...(registers === 0 ? {} : { register_tokens: parameter([1, registers, hidden], zeros) }),
      position_embeddings: parameter([1, positions + 1, hidden], gaussian(0.02)),
    },
    parts: { "patch_embeddings.projection": patchEmbedLayer(config.channels, [patch, patch], hidden) },
    forward: (self, pixels) => {
      const [batch, , height, width] = pixels.shape as [number, number, number, number];
      const grid = [Math.floor(height / patch), Math.floor(width / patch)] as const;
      // Rows and columns that no whole patch reaches are not seen, as in the reference's convolution.
      const [down, across] = [grid[0] * patch, grid[1] * patch];
      const whole = down === height && across === width;
      const read = whole ? pixels : tf.slice(pixels, [0, 0, 0, 0], [batch, config.channels, down, across]);
      const tokens = self.call<tf.Tensor>("patch_embeddings.projection", read);
      const first = forEach(self.param("cls_token"), batch);
      const placed = tf.add(
        tf.concat([first, tokens], 1),
        positionsFor(self.param("position_embeddings"), config, grid),
      );
      if (registers === 0) return placed;
      const [own, patches] = tf.split(placed, [1, grid[0] * grid[1]], 1);
      return tf.concat([own, forEach(self.param("register_tokens"), batch), patches], 1);
    },
  });
}

/**
 * Pre-norm transformer block, [B, N, D] -> [B, N, D]: x += scale1 attention(norm1 x); x += scale2 mlp(norm2 x).
 *
 * @param config Sizes
 */
export function dinov2Block(config: Dinov2Config): Layer {
  const { hidden, eps } = config;
  const wide = Math.trunc(hidden * config.mlpRatio);
  const separate = ["attention.query", "attention.key", "attention.value"] as const;
  return sequence(
    residual(serial({
      norm1: layerNormLayer(hidden, eps),
      attention: selfAttention({
        dim: hidden,
        heads: config.heads,
        qkvBias: config.qkvBias,
        names: { qkv: config.fusedQkv ? "attention.qkv" : separate, output: "output.dense" },
      }),
      layer_scale1: layerScale(hidden, "lambda1"),
    })),
    residual(serial({
      norm2: layerNormLayer(hidden, eps),
      "mlp.fc1": linear(hidden, wide, { weight: gaussian(0.02) }),
      activation: activationLayer(config.activation),
      "mlp.fc2": linear(wide, hidden, { weight: gaussian(0.02) }),
      layer_scale2: layerScale(hidden, "lambda1"),
    })),
  );
}

/** The blocks, [B, N, D] -> the tokens after each block that a feature map is taken from. Later blocks are not run. */
function encoder(config: Dinov2Config): Layer<readonly [tf.Tensor], readonly tf.Tensor[]> {
  const { outputs } = config;
  const last = Math.max(...outputs);
  return {
    ...stack(config.layers, () => dinov2Block(config)),
    forward: (self, x) => {
      const states = [x];
      for (let i = 0; i < last; i++) states.push(self.call(`${i}`, states[i]));
      return outputs.map((index) => states[index]);
    },
  };
}

/**
 * The backbone: pixels [B, C, p h, p w] -> feature maps [B, h, w, D], class token left out.
 *
 * @param config Sizes
 *
 * @example
 * ```ts
 * import { apply, init, key, useBackend } from "@onelora/onelora/dsl";
 * import { depthAnythingPresets, dinov2 } from "@onelora/onelora/models";
 * import { assertEquals } from "@std/assert";
 * import * as tf from "@tensorflow/tfjs-core";
 * await useBackend("cpu");
 * const model = dinov2(depthAnythingPresets["dpt-micro"].backbone);
 * const maps = apply(model, init(model, key(0)))(tf.zeros([1, 3, 28, 42]));
 * assertEquals(maps.map(({ shape }) => shape), Array(4).fill([1, 2, 3, 64]));
 * ```
 */
export function dinov2(config: Dinov2Config): Layer<readonly [tf.Tensor], readonly tf.Tensor[]> {
  const { hidden, patch } = config;
  return defineLayer({
    kind: "dinov2",
    params: {},
    parts: {
      embeddings: dinov2Embeddings(config),
      "encoder.layer": encoder(config),
      layernorm: layerNormLayer(hidden, config.eps),
    },
    forward: (self, pixels) => {
      const [batch, , height, width] = pixels.shape as [number, number, number, number];
      const [rows, columns] = [Math.floor(height / patch), Math.floor(width / patch)];
      const states = self.call<readonly tf.Tensor[]>("encoder.layer", self.call("embeddings", pixels));
      return states.map((tokens) => {
        // The norm acts on each token alone, so the class token can go first.
        const patches = tf.slice(tokens, [0, 1, 0], [batch, rows * columns, hidden]);
        const map = config.normalised ? self.call<tf.Tensor>("layernorm", patches) : patches;
        return tf.reshape(map, [batch, rows, columns, hidden]);
      });
    },
  });
}
