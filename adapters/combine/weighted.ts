/**
 * Adapters weighted into one, as PEFT's `add_weighted_adapter` does it.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import type { Matrix } from "ml-matrix";
import { OneloraError } from "../../dsl/error.ts";
import { type AnyLayer, specs, walk } from "../../dsl/layer.ts";
import { isLinear } from "../../dsl/linear.ts";
import { mapTree, type Params, type Path } from "../../dsl/tree.ts";
import type { AdapterSpec } from "../exchange/config.ts";
import { methodsOfWhole } from "../exchange/format.ts";
import { targetOf } from "../exchange/modules.ts";
import { loraMethod } from "../lora.ts";
import { adapt, joinMethods, methods, parseMethods } from "../spec.ts";
import { type Factors, factorsOf, joined, padded, truncated } from "./factors.ts";
import { type PlacedAdapter, wholeOf } from "./stack.ts";

/**
 * `linear`: the weighted sum of parameters; of LoRA's two factors each gets the root of its weight, which is PEFT's
 * approximation. `cat`: the factors side by side, exactly the weighted sum of updates. `svd`: that sum, to a rank.
 */
export type Combination = "linear" | "cat" | "svd";
/** All of them. */
export const combinations: readonly Combination[] = ["linear", "cat", "svd"];

/** An adapter to combine. */
export interface DescribedAdapter extends PlacedAdapter {
  /** Its methods. */
  readonly spec: AdapterSpec;
}

/** How to combine adapters. */
export interface CombineOptions {
  /** A weight for each (default 1). */
  readonly weights?: readonly number[];
  /** How (default `svd` with a rank, else `linear`). */
  readonly combination?: Combination;
  /** Rank of `svd` (default: the largest of the adapters'). */
  readonly rank?: number;
}

/** An adapter that was made of others: what `saveAdapter` takes of it. */
export interface CombinedAdapter {
  /** Its methods. */
  readonly spec: AdapterSpec;
  /** The adapted model. */
  readonly layer: AnyLayer;
  /** Its tensors by path, all of them new, to be disposed by the caller. */
  readonly params: Params;
}

const ATTEMPTED = "combining adapters";

function refuse(found: string, allowed: string): OneloraError {
  return new OneloraError({ attempted: ATTEMPTED, found, allowed }, { exitCode: 2 });
}

/** The methods of a specification that adapt layers, without those that train layers whole. */
function adapting(spec: AdapterSpec): readonly { readonly name: string; readonly options: object }[] {
  const isWhole = (name: string) => methods.find((each) => each.name === name)?.savedWhole !== undefined;
  return parseMethods(spec.adapter, spec).filter(({ name }) => !isWhole(name));
}

/**
 * Linear layers in the order of the model.
 *
 * @param model The model
 * @param paths Which of them
 */
export function linearPaths(model: AnyLayer, paths: ReadonlySet<Path>): readonly Path[] {
  return [...walk(model)].flatMap(([path, layer]) => isLinear(layer) && paths.has(path) ? [path] : []);
}

/**
 * A specification with the layers that were trained whole.
 *
 * @param model The model before it is adapted
 * @param adapter The method
 * @param spec Its settings
 * @param whole What was trained whole
 */
export function completed(
  model: AnyLayer,
  adapter: string,
  spec: Omit<AdapterSpec, "adapter">,
  whole: Params,
): AdapterSpec {
  const owners = new Set(
    [...walk(model)].filter(([path, { params }]) =>
      Object.entries(params).some(([name, { shared }]) => (shared ?? (path === "" ? name : `${path}.${name}`)) in whole)
    ).map(([path]) => path),
  );
  const { methods: names, others } = methodsOfWhole(model, owners);
  return { ...spec, adapter: joinMethods(adapter, names), ...others.length > 0 && { whole: others } };
}

/** Factors by layer as an adapter's tensors. */
function tensorsOf(factors: ReadonlyMap<Path, Factors>, name: string): Params {
  const tensor = (matrix: Matrix) => tf.tensor2d(Float32Array.from(matrix.to1DArray()), [matrix.rows, matrix.columns]);
  return Object.fromEntries(
    [...factors].flatMap(([path, { up, down }]) => [
      [`${path}.${name}.A`, tensor(down)],
      [`${path}.${name}.B`, tensor(up)],
    ]),
  );
}

/** Copies of tensors. */
export const copied: (tensors: Params) => Params = mapTree((tensor: tf.Tensor) => tensor.clone());

/** Factors as LoRA of a rank, s = 1. */
function asLora(model: AnyLayer, factors: ReadonlyMap<Path, Factors>, rank: number, whole: Params): CombinedAdapter {
  const even = new Map([...factors].map(([path, each]) => [path, padded(each, rank)]));
  const target = targetOf(model, linearPaths(model, new Set(factors.keys())));
  const spec = completed(model, loraMethod.name, { rank, alpha: rank, target }, whole);
  return {
    spec,
    layer: adapt(spec.adapter, spec)(model),
    params: { ...copied(whole), ...tensorsOf(even, loraMethod.name) },
  };
}

/** The weighted sum of the parameters of adapters that are linear in them. */
async function summed(
  model: AnyLayer,
  adapters: readonly DescribedAdapter[],
  weights: readonly number[],
  whole: Params,
): Promise<CombinedAdapter> {
  const adapted = new Set(
    adapters.flatMap(({ layer }) =>
      [...walk(layer)].flatMap(([path, each]) => isLinear(each) && each.adapters.length > 0 ? [path] : [])
    ),
  );
  const [{ spec: { adapter, rank, alpha } }] = adapters;
  const own = adapting({ adapter, rank, alpha }).map(({ name }) => name);
  const plain = adapter.split("+").filter((part) => own.includes(parseMethods(part)[0].name)).join("+");
  const target = targetOf(model, linearPaths(model, adapted));
  const spec = completed(model, plain, { rank, alpha, target }, whole);
  const layer = adapt(spec.adapter, spec)(model);
  const made: Record<Path, tf.Tensor> = { ...copied(whole) };
  for (const [path, { adapter: method, trainable }] of Object.entries(specs(layer))) {
    if (method === undefined) continue;
    const held = adapters.flatMap(({ name, params }, i) =>
      params[path] === undefined ? [] : [{ name, tensor: params[path], weight: weights[i] }]
    );
    const [first, ...others] = held;
    const odd = others.find(({ tensor }) => `${tensor.shape}` !== `${first.tensor.shape}`);
    if (odd !== undefined) {
      throw refuse(
        `"${path}" of shape [${odd.tensor.shape}] in ${odd.name}`,
        `[${first.tensor.shape}], as in ${first.name}`,
      );
    }
    if (trainable) {
      made[path] = tf.tidy(() =>
        held.map(({ tensor, weight }) => tf.mul(tensor, weight)).reduce((sum, each) => tf.add(sum, each))
      );
      continue;
    }
    const values = await first.tensor.data();
    for (const { name, tensor } of others) {
      const theirs = await tensor.data();
      if (values.some((value, i) => value !== theirs[i])) {
        throw refuse(`another fixed "${path}" in ${name} than in ${first.name}`, "the same, or `combination: cat`");
      }
    }
    made[path] = first.tensor.clone();
  }
  return { spec, layer, params: made };
}

/** PEFT's `linear` of LoRA: A = sum of sign(w s) sqrt|w s| A_i, B = sum of sqrt|w s| B_i. */
function summedFactors(
  adapters: readonly DescribedAdapter[],
  weights: readonly number[],
): ReadonlyMap<Path, Factors> {
  const all = adapters.map((adapter) => factorsOf(ATTEMPTED, adapter));
  const sums = new Map<Path, Factors>();
  for (const path of new Set(all.flatMap((each) => [...each.keys()]))) {
    const terms = all.flatMap((each, i) => {
      const factors = each.get(path);
      if (factors === undefined) return [];
      const scale = scaleAt(adapters[i], path);
      // A has the scale in it already.
      const total = weights[i] * scale;
      const root = Math.sqrt(Math.abs(total));
      return [{ up: factors.up.clone().mul(root), down: factors.down.clone().mul(Math.sign(total) * root / scale) }];
    });
    const ranks = new Set(terms.map(({ up }) => up.columns));
    if (ranks.size > 1) {
      throw refuse(
        `ranks ${[...ranks].join(" and ")} at ${path}`,
        "one rank for `combination: linear`; cat and svd take several",
      );
    }
    sums.set(path, terms.reduce(({ up, down }, each) => ({ up: up.add(each.up), down: down.add(each.down) })));
  }
  return sums;
}

/** LoRA's s at a layer. */
function scaleAt({ layer, params }: DescribedAdapter, path: Path): number {
  const found = new Map(walk(layer)).get(path);
  if (found === undefined || !isLinear(found)) throw new TypeError(`no linear layer at ${path}`);
  return tf.tidy(() =>
    found.adapters[0].reform((own) => params[`${path}.${found.adapters[0].name}.${own}`])({
      lowRank: [],
      operators: [],
      bias: [],
    }).lowRank[0].scale
  );
}

/**
 * Makes one adapter of several, each with a weight. What any of them trained whole is taken as it is.
 *
 * PEFT's `add_weighted_adapter` gives the same of LoRA, with `combination_type` linear, cat and svd, and an s of 1.
 *
 * @param model The model before it is adapted
 * @param adapters Each placed on it
 * @param options See {@linkcode CombineOptions}
 * @throws OneloraError for methods, ranks and weights that cannot be combined so, and layers that two adapters trained whole
 */
export async function combineAdapters(
  model: AnyLayer,
  adapters: readonly DescribedAdapter[],
  { weights = adapters.map(() => 1), rank, combination = rank === undefined ? "linear" : "svd" }: CombineOptions = {},
): Promise<CombinedAdapter> {
  if (weights.length !== adapters.length || !weights.every(Number.isFinite)) {
    throw refuse(`weights ${weights.join(", ")} for ${adapters.length} adapters`, "a number for each");
  }
  if (rank !== undefined && combination !== "svd") throw refuse(`a rank with ${combination}`, "`combination: svd`");
  const whole = await wholeOf(ATTEMPTED, adapters);
  if (combination === "linear") {
    const kinds = adapters.map(({ spec }) =>
      JSON.stringify(adapting(spec).map(({ name, options }) => [name, options]))
    );
    const own = adapters.map(({ spec }) => adapting(spec));
    const isAlike = kinds.every((kind) => kind === kinds[0]) && adapters.every(({ spec }) => spec.groups === undefined);
    const byParameters = own[0].every(({ name }) => methods.find((each) => each.name === name)?.isLinear);
    if (isAlike && byParameters) return await summed(model, adapters, weights, whole);
    const odd = own.findIndex((each) => each.length !== 1 || each[0].name !== loraMethod.name);
    if (odd >= 0) {
      const linear = methods.filter(({ isLinear }) => isLinear).map(({ name }) => name).join(", ");
      throw refuse(
        `"${adapters[odd].spec.adapter}" in ${adapters[odd].name}`,
        `for linear, lora, or one of ${linear} in all of them; \`combination: cat\` takes low-rank methods of any kind`,
      );
    }
    const sums = summedFactors(adapters, weights);
    return asLora(model, sums, Math.max(...[...sums.values()].map(({ up }) => up.columns)), whole);
  }
  const all = adapters.map((adapter) => factorsOf(ATTEMPTED, adapter));
  const paths = new Set(all.flatMap((each) => [...each.keys()]));
  const sums = new Map([...paths].map((path) => {
    const terms = all.flatMap((each, i) => {
      const factors = each.get(path);
      return factors === undefined ? [] : [{ up: factors.up, down: factors.down.clone().mul(weights[i]) }];
    });
    return [path, joined(terms)] as const;
  }));
  const ranks = all.map((each) => Math.max(...[...each.values()].map(({ up }) => up.columns)));
  if (combination === "cat") {
    return asLora(
      model,
      sums,
      Math.max(...[...sums.values()].map(({ up }) => up.columns)),
      whole,
    );
  }
  const wanted = rank ?? Math.max(...ranks);
  const small = [...sums].find(([, { up, down }]) => wanted > Math.min(up.rows, down.columns));
  if (small !== undefined) {
    throw refuse(
      `rank ${wanted}`,
      `at most ${Math.min(small[1].up.rows, small[1].down.columns)}, all that ${small[0]} has`,
    );
  }
  return asLora(model, new Map([...sums].map(([path, each]) => [path, truncated(each, wanted)])), wanted, whole);
}
