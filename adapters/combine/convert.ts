/**
 * An adapter's updates in the form of another method.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import type { Matrix } from "ml-matrix";
import { OneloraError } from "../../dsl/error.ts";
import type { AnyLayer } from "../../dsl/layer.ts";
import { targetOf } from "../exchange/modules.ts";
import { missMethod } from "../miss.ts";
import { oneLoraMethod } from "../one_lora.ts";
import { adapt } from "../spec.ts";
import { type Factors, updatesOf } from "./factors.ts";
import { wholeOf } from "./stack.ts";
import { type CombinedAdapter, completed, copied, linearPaths } from "./combined.ts";
import { combineAdapters, type DescribedAdapter } from "./weighted.ts";

/** Share of the largest element by which elements may differ that are to be equal. */
const ROUNDING = 1e-6;

/** ΔW's first r columns, if all others repeat them. */
function shardsOf({ up, down }: Factors, rank: number): Matrix | undefined {
  const delta = up.mmul(down);
  const largest = Math.max(Math.abs(delta.max()), Math.abs(delta.min()));
  for (let row = 0; row < delta.rows; row++) {
    for (let column = rank; column < delta.columns; column++) {
      const difference = delta.get(row, column) - delta.get(row, column % rank);
      if (Math.abs(difference) > ROUNDING * largest) return undefined;
    }
  }
  return delta.subMatrix(0, delta.rows - 1, 0, rank - 1);
}

/**
 * An adapter's updates in the form of MiSS, 1LoRA if one shard is enough: ΔW's columns repeat after r of them.
 *
 * @param model The model before it is adapted
 * @param adapter Placed on it
 * @throws OneloraError for an update that is not of this form, naming its layer
 */
export async function asMiss(model: AnyLayer, adapter: DescribedAdapter): Promise<CombinedAdapter> {
  const attempted = `writing ${adapter.name} as MiSS`;
  const whole = await wholeOf(attempted, [adapter]);
  const updates = updatesOf(attempted, adapter);
  const most = Math.max(...[...updates.values()].map(({ rank }) => rank));
  const ranks = Array.from({ length: most }, (_, i) => i + 1);
  const rank = ranks.find((r) => [...updates.values()].every(({ factors }) => shardsOf(factors(), r) !== undefined));
  if (rank === undefined) {
    const [path] = [...updates].find(([, { factors }]) => shardsOf(factors(), most) === undefined)!;
    throw new OneloraError({
      attempted,
      found: `an update of ${path} whose columns do not repeat after ${most}`,
      allowed: "1lora, miss, and LoRA made of them: ΔW[i, j] = ΔW[i, j mod r]",
    });
  }
  const target = targetOf(model, linearPaths(model, new Set(updates.keys())));
  const isSum = rank === 1;
  const { name } = isSum ? oneLoraMethod : missMethod;
  const spec = completed(model, name, isSum ? { target } : { rank, target }, whole);
  const own = [...updates].map(([path, { factors }]) => {
    const shards = shardsOf(factors(), rank)!;
    const values = Float32Array.from(shards.transpose().to1DArray());
    return isSum
      ? [`${path}.${name}.b`, tf.tensor1d(values)] as const
      : [`${path}.${name}.D`, tf.tensor2d(values, [rank, shards.rows])] as const;
  });
  return { spec, layer: adapt(spec.adapter, spec)(model), params: { ...copied(whole), ...Object.fromEntries(own) } };
}

/**
 * An adapter as LoRA: B = up, A = down of each update, s = 1. 1LoRA's A is a row of ones.
 *
 * @param model The model before it is adapted
 * @param adapter Placed on it
 * @throws OneloraError for what is no low-rank sum
 */
export function asLoraAdapter(model: AnyLayer, adapter: DescribedAdapter): Promise<CombinedAdapter> {
  return combineAdapters(model, [adapter], { combination: "cat" });
}
