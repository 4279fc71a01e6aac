/**
 * From layers to tensors: {@linkcode init} makes a layer's parameters, {@linkcode apply} computes with them.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { drawAt } from "./draw.ts";
import { engineInUse } from "./engine/in_use.ts";
import { OneloraError } from "./error.ts";
import { readable } from "./hold.ts";
import { draw } from "./initialise.ts";
import { type AnyLayer, type Layer, type Self, walk } from "./layer.ts";
import { fold, type Key } from "./random.ts";
import { join, type Params, type Path } from "./tree.ts";

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
