/**
 * What an adapter is and how it is placed. An adapter is a pure function: fitted to a linear layer's shape it declares
 * parameters and says, given their values, how the layer's form changes. Placing it maps a model to a model.
 *
 * @module
 */
import type { Tensor, Tensor1D, Tensor2D } from "@tensorflow/tfjs-core";
import { nearest, OneloraError } from "../dsl/error.ts";
import type { Initialiser } from "../dsl/initialise.ts";
import { type AnyLayer, parameter, type ParamSpec, transform, walk } from "../dsl/layer.ts";
import { adaptLinear, type Fitted, isLinear, type LinearLayer, type LinearShape } from "../dsl/linear.ts";
import { evaluate, formOf } from "../dsl/linear_form.ts";
import { unchanged } from "../dsl/linear_change.ts";
import { glob, type Path } from "../dsl/tree.ts";
import { updateWeight, type WeightUpdate } from "./weight_update.ts";

/** A method for linear layers, before it knows their shapes. */
export interface Adapter {
  /** Its name; its parameters live under `<layer>.<name>`. */
  readonly name: string;
  /**
   * Fits it to one layer.
   *
   * @param shape The layer's dimensions
   * @param all Dimensions of every layer it is placed on (VeRA shares projections of the largest)
   */
  fit(shape: LinearShape, all: readonly LinearShape[]): Fitted;
  /** Fits it to a layer of another kind (an embedding, a convolution), or undefined if it does not go on such. */
  readonly fitWeight?: (layer: AnyLayer) => WeightUpdate | undefined;
}

/** Order in which adapters act on a linear layer, whatever the order in which they were placed. */
export const stage = { update: 0, rows: 1, bias: 2, output: 3 } as const;

/**
 * Declares a parameter that training changes.
 *
 * @param shape Dimensions
 * @param init First value
 */
export function trainable(shape: readonly number[], init: Initialiser): ParamSpec {
  return { ...parameter(shape, init), trainable: true };
}

/** Which linear layers an adapter goes on. */
export type Placement = (layer: LinearLayer, path: Path) => boolean;

/** Layers that keep their weights with every method: task heads and embedders (the paper's placement rules). */
const UNADAPTED = new Set(["head", "embedder"]);

/** Every linear layer except task heads and embedders: the paper's placement, `at(everyLinear, oneLora())`. */
export function everyLinear(layer: LinearLayer): boolean {
  return !UNADAPTED.has(layer.role ?? "");
}

/** The attention's query, key and value projections, fused or split. */
export function queryKeyValue(layer: LinearLayer): boolean {
  return layer.role === "qkv";
}

/**
 * A placement by name or path pattern.
 *
 * @param target `all-linear`, `qkv`, or a pattern such as `**.attention.*` (see {@linkcode glob})
 */
export function placement(target: string): Placement {
  if (target === "all-linear") return everyLinear;
  if (target === "qkv") return queryKeyValue;
  const matches = glob(target);
  return (_, path) => matches(path);
}

/**
 * The embeddings and convolutions that a target means: those that it names by their whole path, as no pattern means them.
 * One that the adapter does not go on is an error.
 */
function weightsAt(
  where: Placement | string,
  { name, fitWeight }: Adapter,
  model: AnyLayer,
): ReadonlyMap<Path, WeightUpdate> {
  const named = new Set(typeof where === "string" ? where.split(",").map((each) => each.trim()) : []);
  const layers = [...walk(model)].filter(([path, { params }]) => named.has(path) && params.weight !== undefined);
  return new Map(
    layers.filter(([, layer]) => !isLinear(layer)).map(([path, layer]) => {
      const update = fitWeight?.(layer);
      if (update !== undefined) return [path, update];
      const found = `"${path}", which is a layer of kind "${layer.kind}"`;
      throw new OneloraError({ attempted: `placing adapter "${name}"`, found, allowed: "linear layers" }, {
        exitCode: 2,
      });
    }),
  );
}

/**
 * Places an adapter: model -> model. Data-last, for `pipe`.
 *
 * @param where Which linear layers: a predicate, or a target as for {@linkcode placement}; LoRA also goes on embeddings and
 *   convolutions that a target names by their whole path
 * @param adapter The method
 * @throws OneloraError (exit code 2) if no layer matches
 *
 * @example
 * ```ts
 * import { pipe } from "fp-ts/function";
 * import { at, everyLinear, oneLora } from "@onelora/onelora/adapters";
 * import { linear, serial, specs } from "@onelora/onelora/dsl";
 * import { assertEquals } from "@std/assert";
 * const model = pipe(serial({ up: linear(4, 8), down: linear(8, 4) }), at(everyLinear, oneLora()));
 * assertEquals(specs(model)["up.1lora.b"].shape, [8]);
 * ```
 */
export function at(
  where: Placement | string,
  adapter: Adapter,
): <Model extends AnyLayer>(model: Model) => Model {
  const chosen = typeof where === "string" ? placement(where) : where;
  return (model) => {
    const linears = [...walk(model)].flatMap(([path, layer]) => isLinear(layer) ? [[path, layer] as const] : []);
    const shapes = linears.filter(([path, layer]) => chosen(layer, path)).map(([, layer]) => layer.shape);
    const weights = weightsAt(where, adapter, model);
    if (shapes.length === 0 && weights.size === 0) {
      const ends = linears.map(([path]) => path.slice(path.lastIndexOf(".") + 1));
      const others = ["all-linear", "qkv"].filter((name) => name !== where);
      const near = typeof where === "string" ? nearest(where, [...others, ...ends]) : undefined;
      const hint = near === undefined ? "" : ` (did you mean "${near}"?)`;
      throw new OneloraError({
        attempted: `placing adapter "${adapter.name}"`,
        found: `no linear layer for target ${typeof where === "string" ? `"${where}"` : "predicate"}${hint}`,
        allowed: `${others.join(", ")}, or a pattern matching e.g. ${
          linears.slice(0, 6).map(([path]) => path).join(", ")
        }`,
      }, { exitCode: 2 });
    }
    return transform((layer, path) => {
      if (isLinear(layer) && chosen(layer, path)) {
        return adaptLinear(layer, adapter.fit(layer.shape, shapes)) as AnyLayer;
      }
      const update = weights.get(path);
      return update === undefined ? layer : updateWeight(layer, update);
    })(model);
  };
}

/** The tensors of one adapted linear layer. */
export interface AdaptedParams {
  /** W0, [d, k]. */
  readonly weight: Tensor;
  /** b0, [d]. */
  readonly bias?: Tensor;
  /** The adapter's own parameters by name. */
  readonly [name: string]: Tensor | undefined;
}

/**
 * The adapter as a bare function `(params, x) -> y` of one linear layer, for use outside any model.
 *
 * @param adapter The method
 * @param params W0, b0 and the adapter's parameters, e.g. `{weight, bias, b}` for 1LoRA
 * @param x [..., k]
 * @returns y, [..., d]
 *
 * @example
 * ```ts
 * import { adapted, oneLora } from "@onelora/onelora/adapters";
 * import { useBackend } from "@onelora/onelora/dsl";
 * import { assertEquals } from "@std/assert";
 * import * as tf from "@tensorflow/tfjs-core";
 * await useBackend("cpu");
 * const y = adapted(oneLora(), { weight: tf.eye(2), b: tf.tensor1d([1, 0]) }, tf.tensor2d([[2, 3]]));
 * assertEquals(await y.array(), [[7, 3]]); // W0 x + b * (2 + 3)
 * ```
 */
export function adapted(adapter: Adapter, params: AdaptedParams, x: Tensor): Tensor {
  const [outFeatures, inFeatures] = params.weight.shape;
  const shape = { inFeatures, outFeatures, bias: params.bias !== undefined };
  const base = { weight: params.weight as Tensor2D, bias: params.bias as Tensor1D | undefined };
  const change = adapter.fit(shape, [shape]).reform((name) => params[name]!)(unchanged);
  return evaluate(formOf(base, change))(x);
}
