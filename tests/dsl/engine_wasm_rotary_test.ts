import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import * as tf from "@tensorflow/tfjs-core";
import { compile } from "../../dsl/compile/mod.ts";
import { useBackend } from "../../dsl/engine/mod.ts";
import { rotary } from "../../dsl/mod.ts";
import { call, onCpu, random, testKernels } from "../support/wasm_kernels.ts";

testKernels("rotary positions and an exchange of axes in one pass are the two one after the other", () => {
  for (const [batch, positions, heads, size] of [[2, 5, 3, 24], [1, 1, 4, 8], [3, 7, 1, 6], [2, 4, 2, 22]]) {
    for (const back of [false, true]) {
      tf.tidy(() => {
        const [cos, sin] = [random([positions, size], 1), random([positions, size], 2)];
        const given = random([batch, positions, heads, size], 3);
        const turned = random([batch, heads, positions, size], 4);
        const exchanged = (x: tf.Tensor) => tf.transpose(x, [0, 2, 1, 3]);
        const [after] = call("RotaryMoved", { x: given, cos, sin }, { back, axis: 1 });
        const [afterwards] = call("Rotary", { x: exchanged(given), cos, sin }, { back });
        const [before] = call("RotaryMoved", { x: turned, cos, sin }, { back, axis: 2 });
        const beforehand = exchanged(call("Rotary", { x: turned, cos, sin }, { back })[0]);
        for (const [found, expected] of [[after, afterwards], [before, beforehand]]) {
          assertEquals(found.shape, expected.shape);
          assertEquals(found.dataSync(), expected.dataSync());
        }
      });
    }
  }
});

/** Queries whose heads come first, turned by their positions, and what else is made of them. */
function turned(x: tf.Tensor, cos: tf.Tensor, sin: tf.Tensor): tf.Tensor {
  return rotary(tf.transpose(x, [0, 2, 1, 3]), cos, sin);
}

Deno.test("a program on wasm has no exchange of axes beside a rotation, there and back", async () => {
  await useBackend("wasm");
  const inputs = () => [random([2, 5, 3, 8], 1), random([5, 8], 2), random([5, 8], 3)] as const;
  const loss = (x: tf.Tensor, cos: tf.Tensor, sin: tf.Tensor): tf.Tensor => {
    const weights = tf.mul(turned(x, cos, sin), random([2, 3, 5, 8], 4));
    return tf.sum(tf.square(weights));
  };
  const gradient = (x: tf.Tensor, cos: tf.Tensor, sin: tf.Tensor) =>
    tf.grads((x: tf.Tensor) => loss(x, cos, sin))([x])[0];
  const [x, cos, sin] = inputs();
  const compiled = compile(gradient);
  const kernels = compiled.program(x, cos, sin).calls.map(({ kernel }) => kernel);
  assertEquals(kernels.filter((kernel) => kernel === "RotaryMoved").length, 2, kernels.join());
  assert(!kernels.includes("Transpose") && !kernels.includes("Rotary"), kernels.join());
  const found = compiled(x, cos, sin);
  assertEquals(found.shape, [2, 5, 3, 8]);
  const values = found.dataSync();
  compiled.dispose();
  tf.dispose([found, x, cos, sin]);
  const expected = await onCpu(() => gradient(...inputs()));
  values.forEach((value, i) => assertAlmostEquals(value, expected[i], 1e-4));
});

Deno.test("an exchange of axes that something else reads stays", async () => {
  await useBackend("wasm");
  const compiled = compile((x: tf.Tensor, cos: tf.Tensor, sin: tf.Tensor) => {
    const moved = tf.transpose(x, [0, 2, 1, 3]);
    return [moved, rotary(moved, cos, sin)];
  });
  const inputs = [random([2, 5, 3, 8], 1), random([5, 8], 2), random([5, 8], 3)] as const;
  const kernels = compiled.program(...inputs).calls.map(({ kernel }) => kernel);
  assertEquals(kernels, ["Transpose", "Rotary"]);
  compiled.dispose();
  tf.dispose([...inputs]);
});
