/**
 * The laws for every method of `adapters/methods.ts`, so that one that is added is held to them at once: it starts as its
 * base model, its gradients are the loss's slopes, a step moves all that it trains and nothing else, merged it computes the
 * same, and unmerged it is the base again. What each computes is compared with PyTorch's in `laws_test.ts`.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import * as tf from "@tensorflow/tfjs-core";
import { adapt, mergeParams, methodNames } from "../../adapters/mod.ts";
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
import { normal } from "../../dsl/random.ts";
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

for (const backend of ["cpu", "wasm"] as const) {
  for (const name of methodNames) {
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
          if (HELD[name]?.test(path)) continue;
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
