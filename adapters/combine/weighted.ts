/**
 * Adapters weighted into one, as PEFT's `add_weighted_adapter` does it.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { OneloraError } from "../../dsl/error.ts";
import { type AnyLayer, specs, walk } from "../../dsl/layer.ts";
import { isLinear } from "../../dsl/linear.ts";
import type { Params, Path } from "../../dsl/tree.ts";
import type { AdapterSpec } from "../exchange/config.ts";
import { targetOf } from "../exchange/modules.ts";
import { loraMethod } from "../lora.ts";
import { adapt, methods, parseMethods } from "../spec.ts";
import { asLora, type CombinedAdapter, completed, copied, linearPaths } from "./combined.ts";
import { type Factors, joined, truncated, type Update, updatesOf } from "./factors.ts";
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

const ATTEMPTED = "combining adapters";

function refuse(found: string, allowed: string): OneloraError {
  return new OneloraError({ attempted: ATTEMPTED, found, allowed }, { exitCode: 2 });
}

/** The methods of a specification that adapt layers, without those that train layers whole. */
function adapting(spec: AdapterSpec): readonly { readonly name: string; readonly options: object }[] {
  const isWhole = (name: string) => methods.find((each) => each.name === name)?.savedWhole !== undefined;
  return parseMethods(spec.adapter, spec).filter(({ name }) => !isWhole(name));
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
): { readonly factors: ReadonlyMap<Path, () => Factors>; readonly rank: number } {
  const all = adapters.map((adapter) => updatesOf(ATTEMPTED, adapter));
  const factors = new Map<Path, () => Factors>();
  let most = 0;
  for (const path of pathsOf(all)) {
    const terms = all.flatMap((each, i) => {
      const update = each.get(path);
      if (update === undefined) return [];
      const scale = scaleAt(adapters[i], path);
      // A has the scale in it already.
      const total = weights[i] * scale;
      const root = Math.sqrt(Math.abs(total));
      const scaled = () => {
        const { up, down } = update.factors();
        return { up: up.mul(root), down: down.mul(Math.sign(total) * root / scale) };
      };
      return [{ rank: update.rank, scaled }];
    });
    const ranks = new Set(terms.map(({ rank }) => rank));
    if (ranks.size > 1) {
      throw refuse(
        `ranks ${[...ranks].join(" and ")} at ${path}`,
        "one rank for `combination: linear`; cat and svd take several",
      );
    }
    most = Math.max(most, ...ranks);
    factors.set(path, () =>
      terms.map(({ scaled }) => scaled()).reduce((sum, each) => ({
        up: sum.up.add(each.up),
        down: sum.down.add(each.down),
      })));
  }
  return { factors, rank: most };
}

/** The layers that any of several adapters has. */
function pathsOf(all: readonly ReadonlyMap<Path, Update>[]): ReadonlySet<Path> {
  return new Set(all.flatMap((each) => [...each.keys()]));
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
    return asLora(model, sums.factors, sums.rank, whole);
  }
  const all = adapters.map((adapter) => updatesOf(ATTEMPTED, adapter));
  const sums = new Map([...pathsOf(all)].map((path) => {
    const terms = all.flatMap((each, i) => {
      const update = each.get(path);
      return update === undefined ? [] : [{ update, weight: weights[i] }];
    });
    const factors = () =>
      joined(terms.map(({ update, weight }) => {
        const { up, down } = update.factors();
        return { up, down: down.mul(weight) };
      }));
    const [{ update: { shape } }] = terms;
    return [path, { shape, rank: terms.reduce((sum, { update }) => sum + update.rank, 0), factors }] as const;
  }));
  if (combination === "cat") {
    const most = Math.max(...[...sums.values()].map((each) => each.rank));
    return asLora(model, mapped(sums, ({ factors }) => factors), most, whole);
  }
  const wanted = rank ?? Math.max(...all.flatMap((each) => [...each.values()].map((update) => update.rank)));
  const small = [...sums].find(([, { shape }]) => wanted > Math.min(...shape));
  if (small !== undefined) {
    throw refuse(`rank ${wanted}`, `at most ${Math.min(...small[1].shape)}, all that ${small[0]} has`);
  }
  return asLora(model, mapped(sums, ({ factors }) => () => truncated(factors(), wanted)), wanted, whole);
}

/** A map with other values. */
function mapped<From, To>(all: ReadonlyMap<Path, From>, f: (value: From) => To): ReadonlyMap<Path, To> {
  return new Map([...all].map(([path, value]) => [path, f(value)]));
}
