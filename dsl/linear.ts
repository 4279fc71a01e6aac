/**
 * The linear layer, whose function is a {@linkcode LinearForm} that adapters change.
 *
 * @module
 */
import type * as tf from "@tensorflow/tfjs-core";
import type { Draw } from "./draw.ts";
import { OneloraError } from "./error.ts";
import { between, type Initialiser, zeros } from "./initialise.ts";
import { type AnyLayer, type Layer, parameter, type ParamSpec, type Self } from "./layer.ts";
import { evaluate, formOf } from "./linear_form.ts";
import { type LinearBase, type LinearChange, type Reform, unchanged } from "./linear_change.ts";

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
  /** What it does, given its parameters and, in a training step, a source of random numbers. */
  readonly reform: (param: (name: string) => tf.Tensor, draw?: Draw) => Reform;
  /** Whether it draws random numbers in a training step. */
  readonly draws?: boolean;
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
    forward: (self, x) => evaluate(formOf(baseOf(self, bias)))(x),
  };
}

function baseOf(self: Self, bias: boolean): LinearBase {
  return {
    weight: self.param("weight") as tf.Tensor2D,
    bias: bias ? self.param("bias") as tf.Tensor1D : undefined,
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
 * @param draw Sources of random numbers by adapter, in a training step
 */
export function changeOf(
  adapters: readonly Fitted[],
  param: (name: string) => tf.Tensor,
  draw: (name: string) => Draw | undefined = () => undefined,
): LinearChange {
  return adapters.reduce(
    (change, { name, reform }) => reform((own) => param(`${name}.${own}`), draw(name))(change),
    unchanged,
  );
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
    draws: adapters.some(({ draws }) => draws === true),
    params: { ...layer.params, ...Object.fromEntries(added) },
    forward: (self, x) =>
      evaluate(formOf(baseOf(self, layer.shape.bias), changeOf(adapters, self.param, self.draw)))(x),
  };
}
