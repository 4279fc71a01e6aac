/**
 * Updates of weights that are no matrices of a linear layer: embedding tables and convolution kernels. A linear layer's
 * updates are forms, see `dsl/linear.ts`; these run the layer with W + ΔW in place of W.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import type { AnyLayer, Layer, ParamSpec, Self } from "../dsl/layer.ts";
import { dropOut } from "../dsl/ops/dropout.ts";
import { embedding } from "../dsl/ops/embedding.ts";
import { join, type Params } from "../dsl/tree.ts";

/** A ΔW, as it sits on one layer. */
export interface WeightUpdate {
  /** The adapter's name, which prefixes its parameters. */
  readonly name: string;
  /** Its parameters by name. */
  readonly params: Readonly<Record<string, ParamSpec>>;
  /** ΔW, of the weight's shape. */
  readonly delta: (param: (name: string) => tf.Tensor) => tf.Tensor;
  /** Share of the inputs' numbers that a training step drops out before ΔW, of layers that are linear in their weight. */
  readonly dropout?: number;
  /** Rows of ΔW by their index, [...] -> [..., D], where that is cheaper than all of it (embeddings). */
  readonly rows?: (param: (name: string) => tf.Tensor, ids: tf.Tensor) => tf.Tensor;
}

/** A layer whose weight an adapter updates. */
export interface UpdatedLayer extends Layer {
  /** The update. */
  readonly update: WeightUpdate;
}

/**
 * Is this a layer whose weight an adapter updates?
 *
 * @param layer Any layer
 */
export function isUpdated(layer: AnyLayer): layer is AnyLayer & Pick<UpdatedLayer, "update"> {
  return "update" in layer;
}

/** An update's parameters as its layer sees them. */
function ownParams({ name }: WeightUpdate, param: (name: string) => tf.Tensor): (name: string) => tf.Tensor {
  return (own) => param(`${name}.${own}`);
}

/**
 * ΔW of an updated layer.
 *
 * @param update The update
 * @param param The layer's parameters by name
 */
export function deltaOf(update: WeightUpdate, param: (name: string) => tf.Tensor): tf.Tensor {
  return update.delta(ownParams(update, param));
}

/** The layer's own function, run with W + ΔW. */
function updatedForward(layer: AnyLayer, update: WeightUpdate): Layer<readonly unknown[], unknown>["forward"] {
  const base = layer.forward as Layer<readonly unknown[], unknown>["forward"];
  return (self, ...inputs) => {
    if (update.rows !== undefined) {
      const [ids] = inputs as [tf.Tensor];
      return tf.add(base(self, ids) as tf.Tensor, update.rows(ownParams(update, self.param), ids));
    }
    const delta = deltaOf(update, self.param);
    const at = (name: string) => join(self.path, name);
    const within = (params: Params): Self => ({
      ...self.withParams(params),
      // Whatever is trained, the gradient must reach the sum.
      trainable: (name) => name === "weight" || self.trainable(name),
    });
    const { dropout: rate = 0 } = update;
    const draw = rate > 0 ? self.draw(update.name) : undefined;
    if (draw === undefined) {
      return base(within({ [at("weight")]: tf.add(self.param("weight"), delta) }), ...inputs);
    }
    const [x, ...others] = inputs as [tf.Tensor];
    const noBias = layer.params.bias === undefined ? {} : { [at("bias")]: tf.zeros([...layer.params.bias.shape]) };
    const change = base(within({ [at("weight")]: delta, ...noBias }), dropOut(x, { rate, draw }), ...others);
    return tf.add(base(self, ...inputs) as tf.Tensor, change as tf.Tensor);
  };
}

/**
 * The layer with an update of its weight; the update's parameters live under `<layer>.<adapter>.<name>`.
 *
 * @param layer A layer with a parameter `weight` of its own
 * @param update The update
 */
export function updateWeight(layer: AnyLayer, update: WeightUpdate): AnyLayer {
  const added = Object.entries(update.params).map(([name, spec]) =>
    [`${update.name}.${name}`, { ...spec, adapter: update.name }] as const
  );
  const updated = {
    ...layer,
    params: { ...layer.params, ...Object.fromEntries(added) },
    forward: updatedForward(layer, update),
    draws: (update.dropout ?? 0) > 0,
    update,
  };
  return updated as AnyLayer;
}

/**
 * Rows of s (B A)^T by their index: s * (A^T)[ids] B^T.
 *
 * @param ids int32, [...]
 * @param down A, [r, V]
 * @param up B, [D, r]
 * @param scale s
 * @returns [..., D]
 */
export function lowRankRows(ids: tf.Tensor, down: tf.Tensor, up: tf.Tensor, scale: number): tf.Tensor {
  const [features, rank] = up.shape as [number, number];
  const rows = tf.reshape(embedding(ids, tf.transpose(down)), [ids.size, rank]) as tf.Tensor2D;
  return tf.reshape(tf.mul(tf.matMul(rows, up as tf.Tensor2D, false, true), scale), [...ids.shape, features]);
}
