/**
 * The linear layer and its algebra. What a linear layer computes, adapted or not, is one value, a {@linkcode LinearForm}:
 *
 *     y = gain * ((W + sum of ΔW) x) + bias
 *
 * An adapter is a pure function from form to form. Evaluation, merging and unmerging are defined once, here, for every
 * method and every combination, so they cannot disagree.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { OneloraError } from "./error.ts";
import { between, type Initialiser, zeros } from "./initialise.ts";
import { type AnyLayer, type Layer, parameter, type ParamSpec, type Self } from "./layer.ts";
import {
  cheaper,
  type Evaluation,
  type LowRank,
  lowRankMatrix,
  lowRankProduct,
  scaledLowRankProduct,
} from "./ops/low_rank.ts";

/** ΔW that is not a product of thin matrices but has a cheap way to act on rows (MoRA). */
export interface RowOperator {
  /** ΔW x for every row: [n, k] -> [n, d]. */
  readonly apply: (x: tf.Tensor2D) => tf.Tensor2D;
  /** ΔW itself, [d, k]. */
  readonly matrix: () => tf.Tensor2D;
}

/** What a linear layer computes: y = gain * ((W + sum of lowRank + sum of operators) x) + bias. */
export interface LinearForm {
  /** W0, [d, k]. */
  readonly weight: tf.Tensor2D;
  /** Whether W0 itself is trained. */
  readonly trainsWeight: boolean;
  /** Low-rank ΔW. */
  readonly lowRank: readonly LowRank[];
  /** Other ΔW. */
  readonly operators: readonly RowOperator[];
  /** [d]; ones if absent. */
  readonly gain?: tf.Tensor1D;
  /** [d]; zeros if absent. */
  readonly bias?: tf.Tensor1D;
}

/** A pure change of what a linear layer computes. */
export type Reform = (form: LinearForm) => LinearForm;

/**
 * Adds ΔW = scale * up diag(mid) down.
 *
 * @param update The factors
 */
export function addLowRank(update: LowRank): Reform {
  return (form) => ({ ...form, lowRank: [...form.lowRank, update] });
}

/**
 * Adds a ΔW given by its action.
 *
 * @param operator The action and the matrix
 */
export function addOperator(operator: RowOperator): Reform {
  return (form) => ({ ...form, operators: [...form.operators, operator] });
}

/**
 * y -> y + beta.
 *
 * @param beta [d]
 */
export function addBias(beta: tf.Tensor1D): Reform {
  return (form) => ({ ...form, bias: form.bias === undefined ? beta : tf.add(form.bias, beta) });
}

/**
 * y -> gamma * y, bias included.
 *
 * @param gamma [d]
 */
export function scaleOutput(gamma: tf.Tensor1D): Reform {
  return (form) => ({
    ...form,
    gain: form.gain === undefined ? gamma : tf.mul(form.gain, gamma),
    bias: form.bias === undefined ? undefined : tf.mul(form.bias, gamma),
  });
}

/**
 * W -> diag(gain) W, bias excluded.
 *
 * @param gain [d]
 */
export function scaleRows(gain: tf.Tensor1D): Reform {
  return (form) => ({ ...form, gain: form.gain === undefined ? gain : tf.mul(form.gain, gain) });
}

/**
 * y = gain * ((W + ΔW) x) + bias.
 *
 * @param form What to compute
 * @returns A function of x [..., k] giving [..., d]
 */
export function evaluate(form: LinearForm): (x: tf.Tensor) => tf.Tensor {
  return (x) => {
    const [outFeatures, inFeatures] = form.weight.shape;
    const rows = x.size / inFeatures;
    const flat = tf.reshape(x, [rows, inFeatures]) as tf.Tensor2D;
    const rank = form.lowRank.reduce((sum, { up }) => sum + up.shape[1]!, 0);
    const { gain, bias } = form;
    const evaluation = cheaper(rows, outFeatures, inFeatures, rank);
    const isFoldable = !form.trainsWeight && form.operators.length === 0 && evaluation === "merged";
    const y = gain !== undefined && isFoldable
      ? scaledLowRankProduct(flat, form.weight, form.lowRank, { gain, bias })
      : affine(unscaled(form, flat, evaluation), form);
    return tf.reshape(y, [...x.shape.slice(0, -1), outFeatures]);
  };
}

/** gain * z + bias. */
function affine(z: tf.Tensor, { gain, bias }: LinearForm): tf.Tensor {
  const scaled = gain === undefined ? z : tf.mul(z, gain);
  return bias === undefined ? scaled : tf.add(scaled, bias);
}

/** (W + ΔW) x. */
function unscaled(form: LinearForm, x: tf.Tensor2D, evaluation: Evaluation): tf.Tensor {
  const product = form.trainsWeight
    ? form.lowRank.reduce(
      (sum, update) => tf.add(sum, tf.matMul(x, lowRankMatrix(update, x.shape[1]) as tf.Tensor2D, false, true)),
      tf.matMul(x, form.weight, false, true) as tf.Tensor,
    )
    : lowRankProduct(x, form.weight, form.lowRank, form.lowRank.length === 0 ? "factored" : evaluation);
  return form.operators.reduce((sum, { apply }) => tf.add(sum, apply(x)), product);
}

/** A plain linear layer that computes what an adapted one did. */
export interface Merged {
  /** diag(gain) (W + ΔW), [d, k]. */
  readonly weight: tf.Tensor2D;
  /** [d] */
  readonly bias?: tf.Tensor1D;
  /** [d]; what the rows were scaled by, which {@linkcode unmerge} divides out again. */
  readonly gain?: tf.Tensor1D;
}

/** W + sum of all ΔW. */
function updated(weight: tf.Tensor2D, form: LinearForm, sign: 1 | -1): tf.Tensor2D {
  const matrices = [
    ...form.lowRank.map((update) => lowRankMatrix(update, weight.shape[1])),
    ...form.operators.map(({ matrix }) => matrix()),
  ];
  return matrices.reduce<tf.Tensor2D>((sum, matrix) => sign === 1 ? tf.add(sum, matrix) : tf.sub(sum, matrix), weight);
}

/**
 * Folds everything into one weight and one bias.
 *
 * @param form What the layer computes
 */
export function merge(form: LinearForm): Merged {
  const weight = updated(form.weight, form, 1);
  return {
    weight: form.gain === undefined ? weight : tf.mul(weight, tf.expandDims(form.gain, 1)),
    bias: form.bias,
    gain: form.gain,
  };
}

/**
 * The inverse of {@linkcode merge}: W0 = W / gain - ΔW, and the bias by solving its affine change.
 *
 * @param merged What merge returned
 * @param reform The change that was merged
 * @param hadBias Whether the layer had a bias before
 */
export function unmerge(
  merged: Merged,
  reform: Reform,
  hadBias: boolean,
): { readonly weight: tf.Tensor2D; readonly bias?: tf.Tensor1D } {
  const probe = (bias: tf.Tensor1D): LinearForm => reform({ ...plain(merged.weight), bias });
  const features = merged.weight.shape[0];
  const atZero = probe(tf.zeros([features]));
  const weight = merged.gain === undefined ? merged.weight : tf.div(merged.weight, tf.expandDims(merged.gain, 1));
  return {
    weight: updated(weight as tf.Tensor2D, atZero, -1),
    bias: hadBias && merged.bias !== undefined
      ? tf.div(tf.sub(merged.bias, atZero.bias!), tf.sub(probe(tf.ones([features])).bias!, atZero.bias!))
      : undefined,
  };
}

/**
 * The form of an unadapted layer.
 *
 * @param weight [d, k]
 * @param bias [d]
 */
export function plain(weight: tf.Tensor2D, bias?: tf.Tensor1D): LinearForm {
  return { weight, bias, trainsWeight: false, lowRank: [], operators: [] };
}

/** Dimensions of a linear layer. */
export interface LinearShape {
  /** k */
  readonly inFeatures: number;
  /** d */
  readonly outFeatures: number;
  /** Whether it has a bias b0. */
  readonly bias: boolean;
}

/** An adapter as it sits on one linear layer. */
export interface Fitted {
  /** Its name, which prefixes its parameters. */
  readonly name: string;
  /** Order of application: additive updates (0), row scaling (1), bias (2), output scaling (3). */
  readonly stage: number;
  /** Its parameters by name. */
  readonly params: Readonly<Record<string, ParamSpec>>;
  /** What it does, given its parameters. */
  readonly reform: (param: (name: string) => tf.Tensor) => Reform;
}

/** A linear layer: y = W x + b, and whatever adapters make of it. */
export interface LinearLayer extends Layer {
  /** What tells it from other layers. */
  readonly kind: "linear";
  /** Dimensions. */
  readonly shape: LinearShape;
  /** Adapters in order of application. */
  readonly adapters: readonly Fitted[];
}

/** Options of {@linkcode linear}. */
export interface LinearOptions {
  /** Whether it has a bias (default true). */
  readonly bias?: boolean;
  /** Placement role, e.g. `qkv`, `head`. */
  readonly role?: string;
  /** Weight initialiser (default U(±1/sqrt(k)), PyTorch's). */
  readonly weight?: Initialiser;
}

/**
 * y = W x + b, [..., k] -> [..., d]; `weight` [d, k] (out, in), `bias` [d].
 *
 * @param inFeatures k
 * @param outFeatures d
 * @param options See {@linkcode LinearOptions}
 */
export function linear(inFeatures: number, outFeatures: number, options: LinearOptions = {}): LinearLayer {
  const bias = options.bias ?? true;
  return {
    kind: "linear",
    role: options.role,
    shape: { inFeatures, outFeatures, bias },
    adapters: [],
    params: {
      weight: parameter([outFeatures, inFeatures], options.weight ?? between(1 / Math.sqrt(inFeatures))),
      ...(bias ? { bias: parameter([outFeatures], zeros) } : {}),
    },
    parts: {},
    forward: (self, x) => evaluate(baseForm(self, bias))(x),
  };
}

function baseForm(self: Self, bias: boolean): LinearForm {
  return {
    ...plain(self.param("weight") as tf.Tensor2D, bias ? self.param("bias") as tf.Tensor1D : undefined),
    trainsWeight: self.trainable("weight"),
  };
}

/**
 * Is this a linear layer?
 *
 * @param layer Any layer
 */
export function isLinear(layer: AnyLayer): layer is LinearLayer {
  return layer.kind === "linear";
}

/**
 * The combined change of all adapters on a layer, in stage order.
 *
 * @param adapters The adapters
 * @param param The layer's parameters by name
 */
export function reformOf(adapters: readonly Fitted[], param: (name: string) => tf.Tensor): Reform {
  return (form) => adapters.reduce((value, { name, reform }) => reform((own) => param(`${name}.${own}`))(value), form);
}

/**
 * The layer with one more adapter on it; its parameters live under `<layer>.<adapter>.<name>`.
 *
 * @param layer A linear layer
 * @param adapter The adapter fitted to its shape
 * @throws OneloraError if it already carries that adapter
 */
export function adaptLinear(layer: LinearLayer, adapter: Fitted): LinearLayer {
  if (layer.adapters.some(({ name }) => name === adapter.name)) {
    throw new OneloraError({
      attempted: `adding adapter "${adapter.name}"`,
      found: "a layer that already has it",
      allowed: "each adapter once per layer",
    });
  }
  // Array sort is stable: equal stages keep the order in which they were added.
  const adapters = [...layer.adapters, adapter].sort((a, b) => a.stage - b.stage);
  const added = Object.entries(adapter.params).map(([name, spec]) =>
    [`${adapter.name}.${name}`, { ...spec, adapter: adapter.name }] as const
  );
  return {
    ...layer,
    adapters,
    params: { ...layer.params, ...Object.fromEntries(added) },
    forward: (self, x) => evaluate(reformOf(adapters, self.param)(baseForm(self, layer.shape.bias)))(x),
  };
}
