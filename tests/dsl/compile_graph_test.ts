/** Functions compiled into one TensorFlow graph. @module */
import { assertEquals } from "@std/assert";
import * as tf from "@tensorflow/tfjs-core";
import { fileOf } from "../../dsl/files/path.ts";
import { adapt } from "../../adapters/mod.ts";
import { apply, compile, init, key, type Params, type PureStep, startResident, useBackend } from "../../dsl/mod.ts";
import { feedOf } from "../../dsl/compile/tensorflow/feed.ts";
import { ELEMENT, graphBuilder } from "../../dsl/engine/tensorflow_graph/graph.ts";
import { loadParams, openModel } from "../../models/mod.ts";
import { available } from "../support/available.ts";
import { assertClose, fixture, withoutLeaks } from "../support/compare.ts";

const root = fileOf(new URL("../fixtures", import.meta.url));
const ignore = (await available("tensorflow")).length === 0;
if (ignore) console.log("compile_graph_test: ignored, no tensorflow backend (`deno task native` provides it)");

Deno.test({
  name: "a forward pass as one graph equals the eager one, for each batch size, and frees what it made",
  ignore,
  fn: async () => {
    await useBackend("tensorflow");
    for (const spec of ["head", "1lora+head", "dora+head", "mora6+bias+head"]) {
      await withoutLeaks(async () => {
        const model = await openModel(`${root}/vit-rgb`);
        const { params: base } = await loadParams(model, key(0));
        const layer = adapt(spec)(model.layer);
        const params = init(layer, key(0), base);
        const { pixel_values: pixels } = await fixture(`${root}/vit-rgb/expected.safetensors`);
        const forward = compile((all: Params, x: tf.Tensor) => apply(layer, all)(x), { graph: true });
        const one = tf.slice(pixels, [0, 0, 0, 0], [1, -1, -1, -1]);
        for (const x of [pixels, one, pixels]) {
          const count = tf.memory().numTensors;
          const found = forward(params, x);
          assertEquals(tf.memory().numTensors, count + 1);
          assertClose(found, apply(layer, params)(x), 1e-5, spec);
        }
        const kernels = forward.program(params, pixels).calls.map(({ kernel }) => kernel);
        // What is replayed kernel by kernel has its biases fused in.
        assertEquals(kernels.includes("_FusedMatMul"), false);
        forward.dispose();
      });
    }
  },
});

Deno.test({
  name: "graphs hand inputs through, close over tensors, and return integers and the same value twice",
  ignore,
  fn: async () => {
    await useBackend("tensorflow");
    await withoutLeaks(() => {
      const offset = tf.tensor1d([10, 20, 30]);
      const f = compile((x: tf.Tensor) => {
        const y = tf.add(x, offset);
        return { x, y, again: y, largest: tf.argMax(y), offset };
      }, { graph: true });
      for (const values of [[3, 1, 2], [30, 1, 2]]) {
        const { x, y, again, largest, offset: same } = f(tf.tensor1d(values));
        const expected = values.map((value, i) => value + 10 * (i + 1));
        assertEquals([...x.dataSync()], values);
        assertEquals([...y.dataSync()], expected);
        tf.dispose(y);
        assertEquals([...again.dataSync()], expected);
        assertEquals([largest.dtype, largest.dataSync()[0]], ["int32", values[0] === 3 ? 2 : 0]);
        assertEquals([...same.dataSync()], [10, 20, 30]);
      }
      f.dispose();
      return Promise.resolve();
    });
  },
});

Deno.test("what cannot be a graph, or is on another backend, is replayed", async () => {
  for (const backend of await available("cpu", "tensorflow")) {
    await useBackend(backend);
    await withoutLeaks(() => {
      const f = compile(
        (x: tf.Tensor4D) => tf.batchNorm(x, tf.tensor1d([1]), tf.tensor1d([4]), undefined, undefined, 0),
        { graph: true },
      );
      assertEquals([...f(tf.tensor4d([1, -1], [1, 1, 2, 1])).dataSync()], [0, -1]);
      f.dispose();
      return Promise.resolve();
    });
  }
});

Deno.test("large inputs have no shape before they are fed: TensorFlow would make a tensor of it to optimise the graph", () => {
  const builder = graphBuilder();
  const [large, small] = [2 ** 14, 3].map((size, i) =>
    feedOf(builder, `given${i}`, { shape: [size], type: ELEMENT.float32 }, { asWords: false })
  );
  const nodeOf = (wanted: string) => builder.graph.nodes.find(({ name }) => name === wanted)!;
  assertEquals("shape" in nodeOf(large.node).attrs, false);
  assertEquals(nodeOf(large.value.name).attrs.shape, { shape: [2 ** 14] });
  assertEquals(nodeOf(small.node).attrs.shape, { shape: [3] });
});

Deno.test({
  name: "a step that closes over many numbers is given them, in float32 and bf16, for every size of batch",
  ignore,
  fn: async () => {
    await useBackend("tensorflow");
    const size = 2 ** 8;
    const numbers = Float32Array.from({ length: size * size }, (_, i) => (i % 5 - 2) / 2);
    for (const precision of ["float32", "bf16"] as const) {
      await withoutLeaks(async () => {
        const step: PureStep = ({ frozen, trained, optimiser }, { x }) => {
          const product = tf.matMul(x as tf.Tensor2D, tf.tensor2d(numbers, [size, size]));
          const loss: tf.Scalar = tf.mean(tf.mul(tf.add(product, trained.b), frozen.w));
          return [{ frozen, trained: { b: tf.add(trained.b, 1) }, optimiser }, { loss }];
        };
        const state = { frozen: { w: tf.fill([size], 2) }, trained: { b: tf.scalar(3) }, optimiser: {} };
        const resident = startResident(step, state, { precision });
        for (const [rows, b] of [[16, 3], [32, 4], [16, 5]]) {
          const x = tf.fill([rows, size], 0.5);
          const { loss } = await resident.step({ x });
          // The mean of 0.5 times the numbers' sums over rows, plus b, times 2.
          const sum = numbers.reduce((total, each) => total + each, 0) / size;
          assertEquals(Math.abs(loss - 2 * (0.5 * sum + b)) < 1e-2, true, `${precision} ${rows}: ${loss}`);
          x.dispose();
        }
        resident.dispose();
      });
    }
  },
});
