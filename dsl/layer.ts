/**
 * The language of layers. A layer is data: its parameters (shape and initialiser), its named parts and a pure function.
 * It holds no tensors: `init` makes its parameters, `apply` computes with them (`apply.ts`). Because parts are data, a layer anywhere inside a model can be replaced by its path with {@linkcode transform}: that is how adapters
 * reach a model without touching its file.
 *
 * @module
 */
import type * as tf from "@tensorflow/tfjs-core";
import type { Draw } from "./draw.ts";
import type { Initialiser } from "./initialise.ts";
import { join, type Params, type Path, type Tree } from "./tree.ts";

/** A parameter, declared. */
export interface ParamSpec {
  /** Dimensions. */
  readonly shape: readonly number[];
  /** First value when no checkpoint gives one. */
  readonly init: Initialiser;
  /** Whether training changes it. */
  readonly trainable: boolean;
  /** Absolute path if several layers share it (VeRA's projections); otherwise it lives under its layer. */
  readonly shared?: Path;
  /** Which adapter added it, if one did. */
  readonly adapter?: string;
  /** Name of the layer's parameter of which it is a change, if it is one: weight decay acts on their sum. */
  readonly changeOf?: string;
}

/**
 * Declares a frozen parameter; {@linkcode unfreeze} and adapters make parameters trainable.
 *
 * @param shape Dimensions
 * @param init First value when no checkpoint gives one
 */
export function parameter(shape: readonly number[], init: Initialiser): ParamSpec {
  return { shape, init, trainable: false };
}

/** What a layer's function sees of itself while it runs. */
export interface Self<Param extends string = string, Part extends string = string> {
  /** Where the layer lives. */
  readonly path: Path;
  /** The tensor of one of its own parameters. */
  param(name: Param): tf.Tensor;
  /** Whether training changes that parameter. */
  trainable(name: Param): boolean;
  /** A source of random numbers, in a training step. */
  draw(name: string): Draw | undefined;
  /** Trainable parameters of the layer and all its parts, by path. */
  trained(): Params;
  /** The same layer with other tensors at some paths. */
  withParams(others: Params): Self<Param, Part>;
  /** Runs a part. */
  call<Output = tf.Tensor>(part: Part, ...inputs: readonly unknown[]): Output;
}

/** A layer: parameters, parts and a pure function of them and its inputs. */
export interface Layer<Inputs extends readonly unknown[] = readonly [tf.Tensor], Output = tf.Tensor> {
  /** What it is: `linear`, `norm`, `serial`, ... */
  readonly kind: string;
  /** What it is for, where that matters to placement: `qkv`, `head`, `embedder`, ... */
  readonly role?: string;
  /** Its own parameters. */
  readonly params: Readonly<Record<string, ParamSpec>>;
  /** Its parts by name. */
  readonly parts: Readonly<Record<string, AnyLayer>>;
  /** Whether its function draws random numbers in a training step. */
  readonly draws?: boolean;
  /** The function: `forward(self, ...inputs)`. */
  readonly forward: (self: Self, ...inputs: Inputs) => Output;
}

/** A layer of any signature. */
export type AnyLayer = Layer<never, unknown>;

/** The names in a record, whichever of several shapes it has. */
export type NamesIn<Declared> = Declared extends unknown ? Extract<keyof Declared, string> : never;

/** A layer as it is declared: its function sees the names of its own parameters and parts, and no others. */
export interface LayerDeclaration<
  Own extends Readonly<Record<string, ParamSpec>>,
  Parts extends Readonly<Record<string, AnyLayer>>,
  Inputs extends readonly unknown[],
  Output,
> extends Pick<Layer<Inputs, Output>, "kind" | "role"> {
  /** Its own parameters. */
  readonly params: Own;
  /** Its parts by name. */
  readonly parts: Parts;
  /** The function: `forward(self, ...inputs)`. */
  readonly forward: (self: Self<NamesIn<Own>, NamesIn<Parts>>, ...inputs: Inputs) => Output;
}

/**
 * Declares a layer. A name in its function that is none of its parameters or parts is a type error.
 *
 * @param declaration Kind, parameters, parts and function
 *
 * @example
 * ```ts
 * import { apply, defineLayer, init, key, linear, ones, parameter, useBackend } from "@onelora/onelora/dsl";
 * import { assertEquals } from "@std/assert";
 * import * as tf from "@tensorflow/tfjs-core";
 * await useBackend("cpu");
 * const gated = defineLayer({
 *   kind: "gated",
 *   params: { gate: parameter([2], ones) },
 *   parts: { inner: linear(3, 2) },
 *   forward: (self, x: tf.Tensor) => tf.mul(self.call("inner", x), self.param("gate")),
 * });
 * assertEquals(apply(gated, init(gated, key(0)))(tf.ones([1, 3])).shape, [1, 2]);
 * ```
 */
export function defineLayer<
  Own extends Readonly<Record<string, ParamSpec>>,
  Parts extends Readonly<Record<string, AnyLayer>>,
  Inputs extends readonly unknown[] = readonly [tf.Tensor],
  Output = tf.Tensor,
>(declaration: LayerDeclaration<Own, Parts, Inputs, Output>): Layer<Inputs, Output> {
  return declaration;
}

/**
 * Every layer inside a layer, itself included, with its path, outermost first.
 *
 * @param layer The layer
 * @param path Where it lives
 */
export function* walk(layer: AnyLayer, path: Path = ""): Generator<readonly [Path, AnyLayer]> {
  yield [path, layer];
  for (const [name, part] of Object.entries(layer.parts)) yield* walk(part, join(path, name));
}

/**
 * All declared parameters by absolute path; a shared one occurs once.
 *
 * @param layer The layer
 */
export function specs(layer: AnyLayer): Tree<ParamSpec> {
  const tree: Record<Path, ParamSpec> = {};
  for (const [path, inner] of walk(layer)) {
    for (const [name, spec] of Object.entries(inner.params)) tree[spec.shared ?? join(path, name)] = spec;
  }
  return tree;
}

/**
 * Rebuilds a model, innermost layers first, replacing each layer by a function of it and its path.
 *
 * @param replace Returns the layer itself to leave it
 */
export function transform(
  replace: (layer: AnyLayer, path: Path) => AnyLayer,
): <Model extends AnyLayer>(model: Model) => Model {
  const rebuild = (layer: AnyLayer, path: Path): AnyLayer => {
    const parts = Object.fromEntries(
      Object.entries(layer.parts).map(([name, part]) => [name, rebuild(part, join(path, name))]),
    );
    return replace({ ...layer, parts }, path);
  };
  // A replacement keeps its layer's signature; the type system cannot see it through the path.
  return <Model extends AnyLayer>(model: Model) => rebuild(model, "") as Model;
}

/**
 * Makes the layers' own parameters trainable where the predicate holds: freezing as data. A parameter that several layers
 * share is trainable in all of them if in one.
 *
 * @param where Which layers
 */
export function unfreeze(
  where: (layer: AnyLayer, path: Path) => boolean,
): <Model extends AnyLayer>(model: Model) => Model {
  return <Model extends AnyLayer>(model: Model) => {
    const chosen = new Set(
      [...walk(model)].filter(([path, layer]) => where(layer, path))
        .flatMap(([path, { params }]) =>
          Object.entries(params).map(([name, { shared }]) => shared ?? join(path, name))
        ),
    );
    const freed = (spec: ParamSpec, at: Path) =>
      spec.adapter === undefined && chosen.has(at) ? { ...spec, trainable: true } : spec;
    return transform((layer, path) => ({
      ...layer,
      params: Object.fromEntries(
        Object.entries(layer.params).map(([name, spec]) => [name, freed(spec, spec.shared ?? join(path, name))]),
      ),
    }))(model);
  };
}

/**
 * A predicate for {@linkcode partition}: is the parameter at this path trainable in this model?
 *
 * @param model The model
 */
export function isTrainable(model: AnyLayer): (path: Path) => boolean {
  const tree = specs(model);
  return (path) => tree[path]?.trainable ?? false;
}

/**
 * Whether a training step of this model draws random numbers.
 *
 * @param model The model
 */
export function drawsAnything(model: AnyLayer): boolean {
  return [...walk(model)].some(([, { draws }]) => draws === true);
}
