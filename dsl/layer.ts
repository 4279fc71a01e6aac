/**
 * The language of layers. A layer is data: its parameters (shape and initialiser), its named parts and a pure function.
 * Nothing is allocated until {@linkcode init}; {@linkcode apply} runs it on a tree of parameters. Because parts are
 * data, a layer anywhere inside a model can be replaced by its path with {@linkcode transform}: that is how adapters
 * reach a model without touching its file.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { type Draw, drawAt } from "./draw.ts";
import { OneloraError } from "./error.ts";
import { draw, type Initialiser } from "./initialise.ts";
import { engineInUse } from "./engine/in_use.ts";
import { readable } from "./hold.ts";
import { fold, type Key } from "./random.ts";
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

/** How to run a layer. */
export interface ApplyOptions {
  /** Called with each part's path and output as it is computed (for inspection and parity tests). */
  readonly tap?: (path: Path, output: unknown) => void;
}

/**
 * The layer as a function of its inputs, given parameters.
 *
 * @param layer The layer
 * @param params Its parameters by path
 * @param options See {@linkcode ApplyOptions}
 *
 * @example
 * ```ts
 * import { apply, init, key, linear, useBackend } from "@onelora/onelora/dsl";
 * import { assertEquals } from "@std/assert";
 * import * as tf from "@tensorflow/tfjs-core";
 * await useBackend("cpu");
 * const layer = linear(3, 2);
 * const y = apply(layer, init(layer, key(0)))(tf.ones([1, 3]));
 * assertEquals(y.shape, [1, 2]);
 * ```
 */
export function apply<Inputs extends readonly unknown[], Output>(
  layer: Layer<Inputs, Output>,
  params: Params,
  options: ApplyOptions = {},
): (...inputs: Inputs) => Output {
  return (...inputs) => layer.forward(selfAt(layer, params, "", options), ...inputs);
}

function selfAt(layer: AnyLayer, params: Params, path: Path, options: ApplyOptions): Self {
  return {
    path,
    param(name) {
      const spec = layer.params[name];
      const at = spec?.shared ?? join(path, name);
      const tensor = params[at];
      if (tensor === undefined) {
        throw new OneloraError({
          attempted: `running layer "${path}"`,
          found: `no parameter "${at}"`,
          allowed: "parameters made by init or read from a checkpoint",
        });
      }
      return tensor;
    },
    trainable: (name) => layer.params[name]?.trainable ?? false,
    draw: (name) => drawAt(params, join(path, name)),
    trained: () =>
      Object.fromEntries(
        [...walk(layer, path)].flatMap(([at, { params: own }]) =>
          Object.entries(own).filter(([, { trainable }]) => trainable).map(([name, { shared }]) => {
            const absolute = shared ?? join(at, name);
            return [absolute, params[absolute]];
          })
        ),
      ),
    withParams: (others) => selfAt(layer, { ...params, ...others }, path, options),
    call<Output>(part: string, ...inputs: readonly unknown[]): Output {
      const at = join(path, part);
      const inner = layer.parts[part] as Layer<readonly unknown[], Output> | undefined;
      if (inner === undefined) {
        throw new OneloraError({
          attempted: `running layer "${path}"`,
          found: `no part "${part}"`,
          allowed: Object.keys(layer.parts).join(", ") || "none: it has no parts",
        });
      }
      const output = inner.forward(selfAt(inner, params, at, options), ...inputs);
      options.tap?.(at, output);
      return output;
    },
  };
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
 * First values of all parameters that `given` does not already hold; nothing of `given` is copied.
 *
 * @param layer The layer
 * @param key The run's key
 * @param given Parameters already read from a checkpoint
 * @param kept What becomes of each that is drawn, before the next one is (default: it stays as it is)
 * @returns The complete tree
 */
export function init(
  layer: AnyLayer,
  key: Key,
  given: Params = {},
  kept: (drawn: tf.Tensor, path: Path) => tf.Tensor = (drawn) => drawn,
): Params {
  const made: Record<Path, tf.Tensor> = { ...given };
  const initial = fold(key, "init");
  const { settle } = engineInUse();
  const waiting: (() => void)[] = [];
  for (const [path, inner] of walk(layer)) {
    for (const [name, { shape, init, shared }] of Object.entries(inner.params)) {
      const at = shared ?? join(path, name);
      if (made[at] !== undefined) continue;
      if (init.kind !== "derived") {
        const drawn = draw(init, shape, initial, at);
        // Else the numbers of all parameters are in JavaScript's memory until the first step, and stay there as garbage.
        settle?.(drawn);
        made[at] = kept(drawn, at);
      } else {
        waiting.push(() =>
          made[at] = tf.tidy(() =>
            init.derive(
              ...init.from.map((source) => {
                return readable(made[inner.params[source]?.shared ?? join(path, source)]);
              }),
            )
          )
        );
      }
    }
  }
  for (const derive of waiting) derive();
  return made;
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
