/**
 * Several adapters on one model at once: y = (W0 + sum of ΔW) x + b0 + sum of Δb, as PEFT's `set_adapter([...])` has it.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { OneloraError } from "../../dsl/error.ts";
import { type AnyLayer, transform, walk } from "../../dsl/layer.ts";
import { adaptLinear, type Fitted, isLinear } from "../../dsl/linear.ts";
import { unchanged } from "../../dsl/linear_change.ts";
import { join, type Params, type Path } from "../../dsl/tree.ts";
import { isUpdated, updateWeight, type WeightUpdate } from "../weight_update.ts";

/** An adapter, placed on a model. */
export interface PlacedAdapter {
  /** What it is called in messages: its folder or name. */
  readonly name: string;
  /** The adapted model. */
  readonly layer: AnyLayer;
  /** The adapter's own tensors by path, layers that were trained whole among them. */
  readonly params: Params;
}

/** Adapters on one model. */
export interface Stack<Model extends AnyLayer> {
  /** The model with all of them. */
  readonly layer: Model;
  /** Their tensors by path, to be laid over the model's. */
  readonly params: Params;
}

/** Names and paths of the n-th adapter, so that several of one method are apart. */
const numbered = (name: string, n: number): string => `${name}~${n + 1}`;

/** Where a placed adapter's own parameters are among those of the stack. */
function places(layer: AnyLayer, n: number): ReadonlyMap<Path, Path> {
  return new Map(
    [...walk(layer)].flatMap(([path, { params, ...rest }]) => {
      const inStack = (adapter: string, own: string) =>
        isUpdated(rest as AnyLayer)
          ? join(path, `stack.${numbered(adapter, n)}.${own}`)
          : join(path, `${numbered(adapter, n)}.${own}`);
      return Object.entries(params).flatMap(([name, { adapter, shared }]) => {
        if (adapter === undefined) return [];
        const own = name.slice(adapter.length + 1);
        return [
          [shared ?? join(path, name), shared === undefined ? inStack(adapter, own) : numbered(shared, n)] as const,
        ];
      });
    }),
  );
}

/** A linear layer's adapter under a name of its own. */
function renamed(fitted: Fitted, n: number): Fitted {
  const params = Object.entries(fitted.params).map(([name, spec]) =>
    [name, spec.shared === undefined ? spec : { ...spec, shared: numbered(spec.shared, n) }] as const
  );
  return { ...fitted, name: numbered(fitted.name, n), params: Object.fromEntries(params) };
}

/** Updates of one weight as one. */
function summed(updates: readonly WeightUpdate[]): WeightUpdate {
  const within = (name: string, param: (name: string) => tf.Tensor) => (own: string) => param(`${name}.${own}`);
  const rows = updates.every((update) => update.rows !== undefined);
  return {
    name: "stack",
    params: Object.fromEntries(
      updates.flatMap(({ name, params }) => Object.entries(params).map(([own, spec]) => [`${name}.${own}`, spec])),
    ),
    delta: (param) =>
      updates.map(({ name, delta }) => delta(within(name, param))).reduce((sum, each) => tf.add(sum, each)),
    ...rows && {
      rows: (param, ids) =>
        updates.map(({ name, rows }) => rows!(within(name, param), ids)).reduce((sum, each) => tf.add(sum, each)),
    },
  };
}

/** Refuses adapters that do not add: what several factors make of each other is no sum of updates. */
function requireSum({ name, layer, params }: PlacedAdapter): void {
  for (const [path, inner] of walk(layer)) {
    for (const { name: method, reform, params: own } of isLinear(inner) ? inner.adapters : []) {
      const param = (each: string) => params[own[each].shared ?? join(path, `${method}.${each}`)];
      // DoRA's norms are of the model's weights, and in no file.
      const isWhole = Object.keys(own).every((each) => param(each) !== undefined);
      const adds = isWhole && tf.tidy(() => {
        const { gain, inputScale, bias } = reform(param)(unchanged);
        return gain === undefined && inputScale === undefined && bias.every((step) => "add" in step);
      });
      if (adds) continue;
      throw new OneloraError({
        attempted: `stacking ${name}`,
        found: `${method} in it, which scales what the model computes`,
        allowed: "adapters that add to weights and biases: 1lora, lora, vera, mora, miss, bitfit",
      });
    }
  }
}

async function isEqual(a: tf.Tensor, b: tf.Tensor): Promise<boolean> {
  if (`${a.shape}` !== `${b.shape}`) return false;
  const [left, right] = [await a.data(), await b.data()];
  return left.every((value, i) => value === right[i]);
}

/**
 * The layers that adapters trained whole. Two may not have the same one, unless it is equal in both.
 *
 * @param attempted What this is for
 * @param adapters The adapters
 * @throws OneloraError naming the layer
 */
export async function wholeOf(attempted: string, adapters: readonly PlacedAdapter[]): Promise<Params> {
  const whole: Record<Path, { readonly from: string; readonly tensor: tf.Tensor }> = {};
  for (const { name, layer, params } of adapters) {
    const own = places(layer, 0);
    for (const [path, tensor] of Object.entries(params)) {
      if (own.has(path)) continue;
      const before = whole[path];
      if (before !== undefined && !await isEqual(before.tensor, tensor)) {
        const found = `"${path}", trained whole by ${before.from} and by ${name}`;
        throw new OneloraError({
          attempted,
          found,
          allowed: "one adapter that trained it, or the same values in both",
        });
      }
      whole[path] ??= { from: name, tensor };
    }
  }
  return Object.fromEntries(Object.entries(whole).map(([path, { tensor }]) => [path, tensor]));
}

/**
 * Puts adapters on a model together. Nothing is copied: their tensors are those that were given.
 *
 * @param model The model before it is adapted
 * @param adapters Each placed on it
 * @throws OneloraError for methods that scale (DoRA, IA3, DiffFit), and layers that two adapters trained whole
 */
export async function stackAdapters<Model extends AnyLayer>(
  model: Model,
  adapters: readonly PlacedAdapter[],
): Promise<Stack<Model>> {
  adapters.forEach(requireSum);
  const params: Record<Path, tf.Tensor> = { ...await wholeOf("stacking adapters", adapters) };
  for (const [n, { layer, params: own }] of adapters.entries()) {
    for (const [from, to] of places(layer, n)) params[to] = own[from];
  }
  const layers = adapters.map(({ layer }) => new Map(walk(layer)));
  const layer = transform((layer, path) => {
    const adapted = layers.map((each) => each.get(path));
    if (isLinear(layer)) {
      const fitted = adapted.flatMap((each, n) =>
        each !== undefined && isLinear(each) ? each.adapters.map((one) => renamed(one, n)) : []
      );
      return fitted.reduce(adaptLinear, layer) as AnyLayer;
    }
    const updates = adapted.flatMap((each, n) =>
      each !== undefined && isUpdated(each) ? [{ ...each.update, name: numbered(each.update.name, n) }] : []
    );
    return updates.length === 0 ? layer : updateWeight(layer, summed(updates));
  })(model);
  return { layer, params };
}
