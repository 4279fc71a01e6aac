import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import * as tf from "@tensorflow/tfjs-core";
import { linear, OneloraError, useBackend } from "../../dsl/mod.ts";
import { namedForward, openModel, type Signature } from "../../models/mod.ts";
import { checkInputs, checkValues } from "../../models/checkpoint/signature.ts";

const signature: Signature = {
  inputs: [
    { name: "input_ids", kind: "integer", shape: ["batch", "length"] },
    { name: "latents", kind: "float", shape: ["batch", 4, 8, 8] },
    { name: "attention_mask", kind: "integer", shape: ["batch", "length"], optional: true },
  ],
  outputs: ["logits"],
};
const ids = { dtype: "I64", shape: [2, 5] } as const;
const latents = { dtype: "BF16", shape: [2, 4, 8, 8] } as const;
const mask = { dtype: "I32", shape: [2, 5] } as const;

Deno.test("inputs of the declared names, types and shapes pass, optional ones or not", () => {
  checkInputs(signature, { input_ids: ids, latents }, "reading");
  checkInputs(signature, { attention_mask: mask, input_ids: ids, latents }, "reading");
});

Deno.test("inputs of other names, types and shapes are named with what is allowed", () => {
  const cases: readonly (readonly [found: Parameters<typeof checkInputs>[1], line: string])[] = [
    [
      { input_id: ids, latents },
      'reading: found tensor "input_id" (did you mean "input_ids"?); allowed: input_ids, latents, attention_mask',
    ],
    [{ latents }, 'reading: found no tensor "input_ids"; allowed: "input_ids" of I64, '],
    [{ input_ids: { ...ids, dtype: "F32" }, latents }, 'found "input_ids" of F32 and shape [2, 5]; allowed: '],
    [{ input_ids: ids, latents: { ...latents, dtype: "I32" } }, 'found "latents" of I32 and shape [2, 4, 8, 8]; '],
    [{ input_ids: { ...ids, shape: [10] }, latents }, "shape [10]; "],
    [{ input_ids: { ...ids, shape: [2, 0] }, latents }, "shape [2, 0]; "],
    [{ input_ids: ids, latents: { ...latents, shape: [2, 4, 8, 9] } }, "and shape [batch, 4, 8, 8], batch 2"],
    [{ input_ids: ids, latents: { ...latents, shape: [3, 4, 8, 8] } }, "and shape [batch, 4, 8, 8], batch 2"],
    [
      { input_ids: ids, latents, attention_mask: { ...mask, shape: [2, 6] } },
      "and shape [batch, length], batch 2, length 5",
    ],
  ];
  for (const [found, line] of cases) assertThrows(() => checkInputs(signature, found, "reading"), OneloraError, line);
});

Deno.test("integers that choose no row of their table are named", async () => {
  await useBackend("cpu");
  const { signature } = await openModel("llama-micro");
  const ids = (...values: number[]) => ({ input_ids: tf.tensor2d([values], undefined, "int32") });
  const [good, high, low] = [ids(0, 511), ids(3, 512), ids(-1, 0)];
  await checkValues(signature, good, "reading");
  for (const [inputs, found] of [[high, '512 in "input_ids"'], [low, '-1 in "input_ids"']] as const) {
    await assertRejects(() => checkValues(signature, inputs, "reading"), OneloraError, `${found}; allowed: 0 to 511`);
  }
  tf.dispose([good, high, low]);
});

Deno.test("a model runs on inputs by name and gives outputs by name", async () => {
  await useBackend("cpu");
  const before = tf.memory().numTensors;
  const params = { weight: tf.tensor2d([[1, 2]]), bias: tf.tensor1d([3]) };
  const inputs = { x: tf.tensor2d([[10, 100]]) };
  const layer = linear(2, 1);
  const outputs = namedForward(
    { inputs: [{ name: "x", kind: "float", shape: ["batch", 2] }], outputs: ["y"] },
    layer,
    params,
  )(inputs);
  assertEquals(Object.keys(outputs), ["y"]);
  assertEquals(await outputs.y.array(), [[213]]);
  tf.dispose([params, inputs, outputs]);
  assertEquals(tf.memory().numTensors, before);
});

Deno.test("a model name that is nearly a preset's gets the preset named", async () => {
  const error = await assertRejects(() => openModel("vit-bas"), OneloraError, '(did you mean "vit-base"?)');
  assert(error.exitCode === 2);
});
