/** Models of many blocks, one row of which is read by one compiled function, and products cut in pieces. */
import * as tf from "@tensorflow/tfjs-core";
import { assert, assertEquals } from "@std/assert";
import { startRecurrent } from "../../dsl/compile/mod.ts";
import { inPieces } from "../../dsl/compile/tensorflow/pieces.ts";
import { blocksOf } from "../../dsl/compile/tensorflow/repeated.ts";
import { simplify } from "../../dsl/compile/passes.ts";
import { trace } from "../../dsl/compile/trace.ts";
import { init, key, useBackend } from "../../dsl/mod.ts";
import { llama, llamaPresets } from "../../models/mod.ts";
import { openDecoder } from "../../models/llama/decoder.ts";
import { apply } from "../../dsl/apply.ts";
import { available } from "../support/available.ts";
import { assertClose, withoutLeaks } from "../support/compare.ts";

const config = {
  ...llamaPresets["llama-micro"],
  ...{ layers: 9, vocabulary: 60, hidden: 16, intermediate: 24, heads: 2, keyValueHeads: 1, headSize: 8 },
};

Deno.test("blocks are what a program repeats with other weights, and nothing else", async () => {
  await useBackend("cpu");
  const block = (x: tf.Tensor, weight: tf.Tensor) =>
    Array.from({ length: 4 }).reduce<tf.Tensor>((x, _) => tf.tanh(tf.add(tf.relu(tf.matMul(x, weight)), 1)), x);
  const weights = Array.from({ length: 5 }, () => ({ shape: [4, 4], dtype: "float32" as const }));
  const program = simplify(trace(([x, ...weights]) => {
    const first = tf.cos(tf.mul(x, 3));
    return [tf.sum(tf.exp(weights.reduce(block, first)))];
  }, [{ shape: [2, 4], dtype: "float32" }, ...weights]));
  const found = blocksOf(program);
  assertEquals(found.map(({ length }) => length), Array(5).fill(16));
  assertEquals(found.flat(), Array.from({ length: 80 }, (_, i) => found[0][0] + i));
  assertEquals(program.calls[found[0][0]].kernel, "BatchMatMul");
  assertEquals(blocksOf({ ...program, calls: program.calls.slice(0, 20) }), []);
});

for (const backend of await available("tensorflow", "cpu")) {
  Deno.test(`one row by compiled blocks gives the logits of the whole text (${backend})`, async () => {
    await useBackend(backend);
    await withoutLeaks(async () => {
      const layer = llama(config);
      const params = init(layer, key(3));
      const decoder = openDecoder(layer, params);
      const text = [5, 1, 7];
      let logits = await decoder.begin([text], 4);
      for (const token of [9, 2, 33]) {
        text.push(token);
        logits = await decoder.next([token]);
      }
      decoder.dispose();
      const expected = tf.tidy(() =>
        tf.squeeze(tf.slice(apply(layer, params)(tf.tensor2d([text], undefined, "int32")), [0, 5, 0], [1, 1, -1]))
      );
      const found = tf.tensor1d(logits);
      assertClose(found, expected, 1e-5, "logits");
      tf.dispose([found, expected, params]);
    });
  });
}

for (const backend of await available("tensorflow")) {
  Deno.test(`some rows times a large matrix in pieces (${backend})`, async () => {
    await useBackend(backend);
    await withoutLeaks(async () => {
      const [x, table] = [
        tf.randomNormal([6, 40], 0, 1, "float32", 1),
        tf.randomNormal([105001, 40], 0, 1, "float32", 2),
      ];
      const product = startRecurrent((params, _, { x }) => [{ y: tf.matMul(x, params.table, false, true) }, {}], {
        table,
      }, { ownProducts: false });
      const { y } = product.call({ x }, 0);
      await y.data();
      const expected = tf.tidy(() => tf.matMul(x, table, false, true));
      assertClose(y, expected, 1e-6, "product");
      product.dispose();
      tf.dispose([x, table, y, expected]);
    });
  });
}

Deno.test("pieces cover a matrix, which is read as it is where rows are few or many", async () => {
  await useBackend("cpu");
  const programOf = (rows: number) =>
    inPieces(trace(([x, table]) => [tf.matMul(x, table, false, true)], [
      { shape: [rows, 40], dtype: "float32" },
      { shape: [105001, 40], dtype: "float32" },
    ]));
  const { calls, types, outputs } = programOf(8);
  const split = calls.find(({ kernel }) => kernel === "SplitV")!;
  assertEquals(split.outputs.reduce((sum, value) => sum + types[value].shape[0], 0), 105001);
  assert(split.outputs.length > 3);
  assertEquals(types[outputs[0]].shape, [8, 105001]);
  for (const rows of [1, 17]) assert(!programOf(rows).calls.some(({ kernel }) => kernel === "SplitV"));
});
