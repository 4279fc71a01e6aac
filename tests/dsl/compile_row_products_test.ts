/** Products of a few rows with weights by the kernel that is built beside the addon, where it is. */
import * as tf from "@tensorflow/tfjs-core";
import { assert, assertEquals } from "@std/assert";
import { type RecurrentFunction, startRecurrent } from "../../dsl/compile/mod.ts";
import { rowProducts, rowWeights } from "../../dsl/compile/tensorflow/row_products.ts";
import { trace } from "../../dsl/compile/trace.ts";
import { rowProductsKernel } from "../../dsl/engine/tensorflow.ts";
import { init, key, type Layer, type Params, specs, useBackend } from "../../dsl/mod.ts";
import { held } from "../../dsl/hold.ts";
import { apply } from "../../dsl/apply.ts";
import { adapt } from "../../adapters/mod.ts";
import { llama, llamaPresets } from "../../models/mod.ts";
import { openDecoder } from "../../models/llama/decoder.ts";
import { available } from "../support/available.ts";
import { assertClose, withoutLeaks } from "../support/compare.ts";

const there = (await available("tensorflow")).length > 0;
if (there) await useBackend("tensorflow");
const isBuilt = there && rowProductsKernel() !== undefined;
if (there && !isBuilt) {
  console.log("row_products.node is not built: its tests are skipped (`deno task native`)");
}

/** The nearest numbers of bf16 towards zero. */
function cut(tensor: tf.Tensor): tf.Tensor {
  const bits = new Uint32Array(tensor.dataSync<"float32">().slice().buffer).map((each) => each & 0xffff0000);
  return tf.tensor(new Float32Array(bits.buffer), tensor.shape);
}

/** The same tensor kept in bf16; its numbers must be bf16's. */
function inHalves(tensor: tf.Tensor): tf.Tensor {
  const { shape } = tensor;
  const data = Uint16Array.from(new Uint32Array(tensor.dataSync<"float32">().slice().buffer), (each) => each >>> 16);
  return held({ dtype: "BF16", shape, data }, "bf16");
}

Deno.test("products of the same few rows with weights are one call, other products are left alone", async () => {
  await useBackend("cpu");
  const programOf = (rows: number) => {
    const program = trace(([v, w, small, x]) => [
      tf.matMul(x, v, false, true),
      tf.matMul(x, w, false, true),
      tf.matMul(x, small, false, true),
      tf.matMul(tf.matMul(x, w, false, true), w),
      tf.matMul(x, tf.neg(w), false, true),
    ], [[96, 64], [128, 64], [8, 64], [rows, 64]].map((shape) => ({ shape, dtype: "float32" as const })));
    return rowProducts(program, rowWeights(program, 3));
  };
  const few = programOf(5);
  const [made, ...others] = few.calls.filter(({ kernel }) => kernel === "RowProducts");
  assertEquals(others, []);
  assertEquals(made.inputs.slice(0, 2), [few.inputs[3], few.inputs[0]]);
  assertEquals(made.outputs.map((value) => few.types[value].shape), [[5, 96], [5, 128], [5, 128]]);
  assertEquals(few.calls.filter(({ kernel }) => kernel === "BatchMatMul").length, 3);
  assert(!programOf(65).calls.some(({ kernel }) => kernel === "RowProducts"));
});

for (const precision of ["float32", "bf16"] as const) {
  Deno.test({
    name: `rows times weights of bf16 and of float32 are what TensorFlow makes of them (${precision})`,
    ignore: !isBuilt,
    fn: async () => {
      await useBackend("tensorflow");
      // Depths that vectors do not divide, outputs that tiles do not.
      for (const [rows, depth, outputs] of [[1, 576, 200], [2, 77, 131], [11, 1001, 9], [64, 65, 80]]) {
        await withoutLeaks(async () => {
          const half = tf.tidy(() => cut(tf.randomNormal([outputs, depth], 0, 1, "float32", 1)));
          const whole = tf.randomNormal([outputs + 1, depth], 0, 1, "float32", 2);
          const kept = inHalves(half);
          const x = tf.randomNormal([rows, depth], 0, 1, "float32", 3);
          const f: RecurrentFunction = ({ half, whole }, _, { x }) => [{
            a: tf.matMul(x, half, false, true),
            b: tf.matMul(x, whole, false, true),
          }, {}];
          const product = startRecurrent(f, { half: kept, whole }, { precision });
          const made = product.call({ x }, 0);
          const again = product.call({ x }, 0);
          const expected = tf.tidy(() => ({
            a: tf.matMul(x, half as tf.Tensor2D, false, true),
            b: tf.matMul(x, whole, false, true),
          }));
          for (const name of ["a", "b"] as const) {
            assertEquals(await made[name].data(), await again[name].data());
            // Rounding of the weights is all that bf16 changes.
            assertClose(
              made[name],
              expected[name],
              precision === "bf16" && name === "b" ? 1e-2 : 1e-5,
              `${name} ${rows} x ${depth}`,
            );
          }
          product.dispose();
          tf.dispose([half, whole, kept, x, made, again, expected]);
        });
      }
    },
  });
}

Deno.test({
  name: "one row gives the same bytes alone and among others",
  ignore: !isBuilt,
  fn: async () => {
    await useBackend("tensorflow");
    await withoutLeaks(async () => {
      for (const isHalf of [true, false]) {
        const numbers = tf.tidy(() => cut(tf.randomNormal([300, 130], 0, 1, "float32", 4)));
        const w = isHalf ? inHalves(numbers) : numbers;
        const all = tf.randomNormal([11, 130], 0, 1, "float32", 5);
        const product = startRecurrent(({ w }, _, { x }) => [{ y: tf.matMul(x, w, false, true) }, {}], { w });
        const { y } = product.call({ x: all }, 0);
        const rows = await y.array() as number[][];
        for (const row of [0, 7, 10]) {
          const x = tf.slice(all, [row, 0], [1, -1]);
          const one = product.call({ x }, 0);
          assertEquals((await one.y.array() as number[][])[0], rows[row]);
          tf.dispose([x, one.y]);
        }
        product.dispose();
        tf.dispose([w, numbers, all, y]);
      }
    });
  },
});

const config = {
  ...llamaPresets["llama-micro"],
  ...{ layers: 2, vocabulary: 90, hidden: 96, intermediate: 160, heads: 4, keyValueHeads: 2, headSize: 24 },
};

/** Parameters; an adapter that does nothing yet gets numbers. Frozen matrices of bf16 are there twice: as numbers, and kept in it. */
function parametersOf(layer: Layer, isHalf: boolean): readonly [numbers: Params, kept: Params] {
  const all = specs(layer);
  const params = init(layer, key(3));
  const pairs = Object.entries(params).map(([path, tensor], i) => {
    const { trainable, shape } = all[path];
    if (trainable) {
      return [path, tf.add(tensor, tf.randomNormal([...shape], 0, 0.05, "float32", i)), undefined] as const;
    }
    const numbers = isHalf ? cut(tensor) : tf.clone(tensor);
    return [path, numbers, isHalf && shape.length === 2 ? inHalves(numbers) : undefined] as const;
  });
  tf.dispose(params as Record<string, tf.Tensor>);
  return [
    Object.fromEntries(pairs.map(([path, numbers]) => [path, numbers])),
    Object.fromEntries(pairs.map(([path, numbers, kept]) => [path, kept ?? numbers])),
  ];
}

for (
  const [method, isHalf] of [[undefined, true], ["1lora", true], ["lora:rank=2", false], ["dora:rank=2", true]] as const
) {
  Deno.test({
    name: `texts are gone on with as they are read at once: ${method ?? "no adapter"}, ${
      isHalf ? "bf16" : "float32"
    } weights`,
    ignore: !isBuilt,
    fn: async () => {
      await useBackend("tensorflow");
      await withoutLeaks(async () => {
        const base = llama(config);
        const layer = method === undefined ? base : adapt(method)(base);
        const [params, kept] = parametersOf(layer, isHalf);
        const decoder = openDecoder(layer, kept);
        const texts = method === "1lora" ? [[5, 1, 7]] : [[5, 1, 7], [2, 3, 4, 8], [11, 80]];
        let logits = await decoder.begin(texts.map((ids) => [...ids]), 4);
        for (const token of [9, 2, 33]) {
          texts.forEach((text) => text.push(token));
          logits = await decoder.next(texts.map(() => token));
        }
        decoder.dispose();
        for (const [row, text] of texts.entries()) {
          const expected = tf.tidy(() => {
            const all = apply(layer, params)(tf.tensor2d([text], undefined, "int32"));
            return tf.reshape(tf.slice(all, [0, text.length - 1, 0], [1, 1, -1]), [-1]);
          });
          const found = tf.tensor1d(logits.slice(row * config.vocabulary, (row + 1) * config.vocabulary));
          assertClose(found, expected, 1e-5, `logits of row ${row}`);
          tf.dispose([found, expected]);
        }
        tf.dispose([...Object.values(params), ...Object.values(kept)]);
      });
    },
  });
}

Deno.test({
  name: "the kernel is used where it is there, and not where it is not wanted",
  ignore: !isBuilt,
  fn: async () => {
    await useBackend("tensorflow");
    await withoutLeaks(async () => {
      const w = tf.randomNormal([200, 576], 0, 1, "float32", 6);
      const x = tf.randomNormal([1, 576], 0, 1, "float32", 7);
      const f: RecurrentFunction = ({ w }, _, { x }) => [{ y: tf.matMul(x, w, false, true) }, {}];
      const [own, theirs] = [true, false].map((ownProducts) => {
        const product = startRecurrent(f, { w }, { ownProducts });
        const { y } = product.call({ x }, 0);
        product.dispose();
        return y;
      });
      assertClose(own, theirs, 1e-5, "products");
      // Sums in another order differ in the last digits.
      assert(`${await own.data()}` !== `${await theirs.data()}`);
      tf.dispose([w, x, own, theirs]);
    });
  },
});
