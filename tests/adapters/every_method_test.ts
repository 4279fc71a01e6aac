/**
 * The laws for every method of `adapters/methods.ts`, so that one that is added is held to them at once: it starts as its
 * base model, its gradients are the loss's slopes, a step moves all that it trains and nothing else, merged it computes the
 * same, and unmerged it is the base again. What each computes is compared with PyTorch's in `laws_test.ts`.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import * as tf from "@tensorflow/tfjs-core";
import { adapt, mergeParams, methodNames, parameterCounts } from "../../adapters/mod.ts";
import {
  apply,
  combine,
  defineLayer,
  gaussian,
  gelu,
  init,
  isTrainable,
  key,
  type Layer,
  layerNormLayer,
  linear,
  mapTree,
  mse,
  parameter,
  type Params,
  partition,
  serial,
  specs,
  useBackend,
} from "../../dsl/mod.ts";
import type { ValueType } from "../../dsl/compile/program.ts";
import { trace } from "../../dsl/compile/trace.ts";
import { drawsAnything, type ParamSpec } from "../../dsl/layer.ts";
import { normal } from "../../dsl/random.ts";
import { sizeOf } from "../../dsl/tree.ts";
import { assertClose, gradients, withoutLeaks } from "../support/compare.ts";

const act = defineLayer({ kind: "activation", params: {}, parts: {}, forward: (_, x: tf.Tensor) => gelu(x) });
const labels = defineLayer({
  kind: "embedding",
  role: "labels",
  params: { weight: parameter([1, 12], gaussian(1)) },
  parts: {},
  forward: (self, x: tf.Tensor) => tf.add(x, self.param("weight")),
});

/** A model that has something for every method: layers that widen and narrow, a norm, a table of labels, a head. */
const model: Layer = serial({
  ...{ up: linear(8, 12), labels, norm: layerNormLayer(12, 1e-5), act },
  ...{ down: linear(12, 6), last: linear(6, 6), head: linear(6, 3, { role: "head" }) },
});

/** Gradients in which a method holds something constant, as it was published, are no slopes. */
const HELD: Readonly<Record<string, RegExp>> = { dora: /dora\.[AB]$/ };

/** Parameters that differ from the first ones, by as much as these are large. */
function moved(params: Params): Params {
  const away = ({ size, shape }: tf.Tensor, path: string) =>
    tf.tensor(normal(key(path.length), size).map((x) => 0.3 * x), shape);
  return mapTree((tensor: tf.Tensor, path) => tf.add(tensor, away(tensor, path)))(params);
}

/** Trained parameters on a layer of k = 8 inputs and d = 12 outputs, by their formulas. */
const COUNTS: Readonly<Record<string, number>> = {
  "1lora": 12,
  "1lora:compression=random": 12,
  "lora:rank=3,alpha=2": 3 * (8 + 12),
  "rslora:rank=3": 3 * (8 + 12),
  "dora:rank=2": 2 * (8 + 12) + 12,
  "vera:rank=3": 12 + 3,
  "miss:rank=1": 12,
  "miss:rank=2": 2 * 12,
  "miss:rank=3": 3 * 12,
  // r^ = int(sqrt(d) + 0.5), rounded down to an even number where pairs are rotated; in the reference d is r (k + d).
  "mora1": 3 ** 2,
  "mora6": 2 ** 2,
  "mora1:size=reference,rank=2": 6 ** 2,
  "mora6:size=reference,rank=1": 4 ** 2,
  "bitfit": 12,
  "scale": 12,
  "difffit": 2 * 12,
  "ia3": 12,
};

Deno.test("methods train as many parameters of a layer as their formulas say", () => {
  const found = Object.keys(COUNTS).map((name) =>
    [name, parameterCounts(adapt(name)(serial({ only: linear(8, 12) }))).adapter] as const
  );
  assertEquals(Object.fromEntries(found), COUNTS);
});

Deno.test("the parts train what their names say", () => {
  const trains = (name: string) => {
    const tree = specs(adapt(name)(model));
    return Object.keys(tree).filter((path) => tree[path].trainable).sort();
  };
  assertEquals(trains("norms"), ["norm.bias", "norm.weight"]);
  assertEquals(trains("head"), ["head.bias", "head.weight"]);
  assertEquals(trains("labels"), ["labels.weight"]);
  assertEquals(trains("all"), Object.keys(specs(model)).filter((path) => !path.startsWith("head.")).sort());
});

Deno.test("a training step draws random numbers only where some are dropped out", () => {
  for (const name of methodNames) assert(!drawsAnything(adapt(name)(model)), name);
  for (const name of ["lora:dropout=0.1", "rslora:dropout=0.1", "dora:dropout=0.1"]) {
    assert(drawsAnything(adapt(name)(model)), name);
  }
});

Deno.test("counts: the adapter's, the head's where it is said to be, and the whole model's without what an adapter keeps frozen", () => {
  const small = serial({ body: linear(8, 12), head: linear(12, 3, { role: "head" }) });
  const [body, head] = [8 * 12 + 12, 12 * 3 + 3];
  for (const [name, own] of [["1lora", 12], ["1lora-random", 12], ["vera:rank=2", 12 + 2]] as const) {
    const model = adapt(`${name}+head`)(small);
    assertEquals(parameterCounts(model, "head"), { adapter: own, head, total: body + head + own }, name);
    assertEquals(parameterCounts(model), { adapter: own + head, head: 0, total: body + head + own }, name);
  }
});

Deno.test("no method's gradient writes constants as long as the batch into a step", async () => {
  await useBackend("cpu");
  const rows = 1000;
  for (const name of methodNames) {
    const layer = adapt(name)(model);
    const types = mapTree(({ shape }: ParamSpec): ValueType => ({ shape, dtype: "float32" }))(specs(layer));
    const paths = Object.keys(types);
    const trained = paths.filter(isTrainable(layer));
    const inputs: ValueType[] = [{ shape: [rows, 8], dtype: "float32" }, { shape: [1, rows * 3], dtype: "float32" }];
    const program = trace(
      ([x, weights, ...given]) => {
        const params = Object.fromEntries(paths.map((path, i) => [path, given[i]]));
        // A product, whose own gradient needs nothing but its operands.
        const loss = (all: Params) =>
          tf.reshape(
            tf.matMul(weights as tf.Tensor2D, tf.reshape(apply(layer, all)(x), [rows * 3, 1])),
            [],
          ) as tf.Scalar;
        const found = gradients(
          (some) => loss({ ...params, ...some }),
          Object.fromEntries(trained.map((path) => [path, params[path]])),
        );
        return Object.values(found);
      },
      [...inputs, ...Object.values(types)],
    );
    for (const [value, { kind }] of program.constants) {
      const size = sizeOf(program.types[value].shape);
      assert(kind !== "numbers" || size < rows, `${name}: a constant of ${program.types[value].shape}`);
    }
  }
});

for (const backend of ["cpu", "wasm"] as const) {
  for (const name of new Set([...methodNames, ...Object.keys(COUNTS)])) {
    Deno.test(`${name} obeys every law of an adapter (${backend})`, async () => {
      await useBackend(backend);
      await withoutLeaks(() => {
        const base = init(model, key(0));
        const layer = adapt(name)(model);
        const first = init(layer, key(1), base);
        const x = tf.tensor2d(normal(key(2), 5 * 8), [5, 8]);
        assertEquals(apply(layer, first)(x).dataSync(), apply(model, base)(x).dataSync());

        const { kept, rest } = partition<tf.Tensor>(isTrainable(layer))(first);
        assert(Object.keys(kept).length > 0, "nothing is trained");
        const params = { ...rest, ...moved(kept) };
        const target = tf.tensor2d(normal(key(3), 5 * 3), [5, 3]);
        const loss = (all: Params) => mse(apply(layer, all)(x), target) as tf.Scalar;
        const found = gradients((some) => loss(combine(some, rest)), moved(kept));
        for (const [path, gradient] of Object.entries(found)) {
          assert(tf.max(tf.abs(gradient)).dataSync()[0] > 0, `the loss does not depend on ${path}`);
          if (HELD[name.split(":")[0]]?.test(path)) continue;
          const along = (step: number) =>
            loss({ ...params, [path]: tf.add(params[path], tf.mul(gradient, step)) }).dataSync()[0];
          const squared = tf.sum(tf.square(gradient)).dataSync()[0];
          const step = 1e-2 / Math.sqrt(squared);
          const slope = (along(step) - along(-step)) / (2 * step);
          assert(Math.abs(slope / squared - 1) < 2e-2, `${path}: slope ${slope}, |gradient|^2 ${squared}`);
        }

        const merged = mergeParams(layer, params);
        assertEquals(Object.keys(merged.params).sort(), Object.keys(specs(model)).sort());
        assertClose(apply(model, merged.params)(x), apply(layer, params)(x), 1e-5, "merged");
        const restored = merged.unmerge();
        const own = Object.keys(specs(model)).filter((path) => merged.params[path] !== params[path]);
        for (const path of own) assertClose(restored[path], params[path], 1e-5, `unmerged ${path}`);
        return Promise.resolve();
      });
    });
  }
}
