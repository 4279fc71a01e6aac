/**
 * Methods where more is trained than they add: W0 itself beside them, and weights that are no linear layer's. Outputs are the
 * formulas', and what reaches a parameter is the slope.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import * as tf from "@tensorflow/tfjs-core";
import { adapt, at, lora, mergeParams } from "../../adapters/mod.ts";
import {
  type AnyLayer,
  apply,
  combine,
  convLayer,
  embeddingLayer,
  init,
  isTrainable,
  key,
  linear,
  mapTree,
  type Params,
  partition,
  serial,
  useBackend,
} from "../../dsl/mod.ts";
import { assertClose, gradients, relativeError, withoutLeaks } from "../support/compare.ts";

let seed = 0;
const noise = (shape: readonly number[], deviation = 1) => tf.randomNormal([...shape], 0, deviation, "float32", ++seed);

/** First parameters, each moved a little. */
const moved = (layer: AnyLayer): Params =>
  mapTree((tensor: tf.Tensor) => tf.add(tensor, noise(tensor.shape, 0.3)))(init(layer, key(1)));

/** Asserts that every gradient is the slope of the loss along a direction that is not its own. */
function assertSlopes(layer: AnyLayer, params: Params, x: tf.Tensor, paths: readonly string[]): void {
  const { kept, rest } = partition<tf.Tensor>(isTrainable(layer))(params);
  assertEquals(paths.filter((path) => kept[path] === undefined), []);
  const run = (trained: Params) => apply(layer as never, combine(trained, rest))(x) as tf.Tensor;
  const target = noise(run(kept).shape);
  const loss = (trained: Params) => tf.mean(tf.squaredDifference(run(trained), target)) as tf.Scalar;
  const found = gradients(loss, kept);
  for (const path of paths) {
    const way = noise(kept[path].shape);
    const along = (step: number) => loss({ ...kept, [path]: tf.add(kept[path], tf.mul(way, step)) }).dataSync()[0];
    const slope = (along(1e-2) - along(-1e-2)) / 2e-2;
    const expected = tf.sum(tf.mul(found[path], way)).dataSync()[0];
    assert(Math.abs(expected) > 1e-3, `${path}: a slope of ${expected} says nothing`);
    assert(Math.abs(slope - expected) <= 1e-2 * Math.abs(expected), `${path}: slope ${slope}, gradient ${expected}`);
  }
}

for (const backend of ["cpu", "wasm"] as const) {
  for (const spec of ["1lora", "lora:rank=2", "vera:rank=2", "miss:rank=2", "mora1", "bitfit", "scale"]) {
    Deno.test(`W0 trained beside ${spec}: every gradient is the loss's slope (${backend})`, async () => {
      await useBackend(backend);
      await withoutLeaks(() => {
        const layer = adapt(`all+${spec}`)(serial({ only: linear(6, 4) }));
        const params = moved(layer);
        const trained = Object.keys(params).filter(isTrainable(layer));
        assert(trained.includes("only.weight") && trained.length > 2);
        assertSlopes(layer, params, noise([9, 6]), trained);
        return Promise.resolve();
      });
    });
  }

  Deno.test(`DoRA beside a W0 that is trained: the norms are those of W0 as it is now (${backend})`, async () => {
    await useBackend(backend);
    await withoutLeaks(() => {
      const layer = adapt("all+dora:rank=2,alpha=6")(serial({ only: linear(6, 4) }));
      const params = moved(layer);
      const [W, b, A, B, m] = ["weight", "bias", "dora.A", "dora.B", "dora.m"].map((name) => params[`only.${name}`]);
      const sum = tf.add(W, tf.mul(tf.matMul(B as tf.Tensor2D, A as tf.Tensor2D), 3)) as tf.Tensor2D;
      const x = noise([9, 6]) as tf.Tensor2D;
      const gain = tf.div(m, tf.norm(sum, 2, 1));
      const expected = tf.add(tf.mul(tf.matMul(x, sum, false, true), gain), b);
      assertClose(apply(layer, params)(x), expected, 1e-5, "y");
      assertSlopes(layer, params, x, ["only.dora.m", "only.bias"]);
      return Promise.resolve();
    });
  });

  Deno.test(`LoRA on an embedding and on a convolution: its gradients are the loss's slopes (${backend})`, async () => {
    await useBackend(backend);
    await withoutLeaks(() => {
      const table = at("table", lora({ rank: 2, alpha: 6 }))(serial({ table: embeddingLayer(7, 5) }));
      const ids = tf.tensor2d([[0, 3, 6], [3, 3, 1]], [2, 3], "int32");
      assertSlopes(table, moved(table), ids, ["table.lora.embedding_A", "table.lora.embedding_B"]);
      const conv = at("conv", lora({ rank: 2, alpha: 6 }))(serial({ conv: convLayer(2, 3, 3, {}) }));
      assertSlopes(conv, moved(conv), noise([2, 5, 5, 2]), ["conv.lora.A", "conv.lora.B"]);
      return Promise.resolve();
    });
  });
  Deno.test(`LoRA on an embedding and on a convolution: merged equal to unmerged, and the base again (${backend})`, async () => {
    await useBackend(backend);
    await withoutLeaks(() => {
      const cases = [
        [serial({ one: embeddingLayer(7, 5) }), tf.tensor2d([[0, 3, 6], [3, 3, 1]], [2, 3], "int32")],
        [serial({ one: convLayer(2, 3, 3, {}) }), noise([2, 5, 5, 2])],
      ] as const;
      for (const [base, x] of cases) {
        const model = at("one", lora({ rank: 2, alpha: 6 }))(base);
        const params = moved(model);
        const merged = mergeParams(model, params);
        assertClose(apply(base, merged.params)(x), apply(model, params)(x), 1e-5, "merged");
        assert(relativeError(apply(base, params)(x), apply(model, params)(x)) > 1e-2, "nothing was merged");
        assertClose(merged.unmerge()["one.weight"], params["one.weight"], 1e-5, "unmerged");
      }
      return Promise.resolve();
    });
  });
}
