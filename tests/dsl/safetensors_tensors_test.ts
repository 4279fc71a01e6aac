import { assertEquals, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import * as tf from "@tensorflow/tfjs-core";
import { useBackend } from "../../dsl/engine/mod.ts";
import { OneloraError } from "../../dsl/error.ts";
import { fromTensor, type HostTensor, toTensor } from "../../dsl/safetensors/mod.ts";

for (const backend of ["cpu", "wasm"] as const) {
  Deno.test(`host tensors become ${backend} tensors and come back without a leak`, async () => {
    await useBackend(backend);
    const before = tf.memory().numTensors;
    const cases: readonly (readonly [HostTensor, HostTensor])[] = [
      [
        { dtype: "F32", shape: [1, 2], data: Float32Array.of(1, -0.5) },
        { dtype: "F32", shape: [1, 2], data: Float32Array.of(1, -0.5) },
      ],
      [
        { dtype: "F64", shape: [2], data: Float64Array.of(1, 0.1) },
        { dtype: "F32", shape: [2], data: Float32Array.of(1, 0.1) },
      ],
      [
        { dtype: "F16", shape: [], data: Uint16Array.of(0x3c00) },
        { dtype: "F32", shape: [], data: Float32Array.of(1) },
      ],
      [
        { dtype: "BF16", shape: [2], data: Uint16Array.of(0x3f80, 0xff80) },
        { dtype: "F32", shape: [2], data: Float32Array.of(1, -Infinity) },
      ],
      [
        { dtype: "I64", shape: [2], data: BigInt64Array.of(-(2n ** 31n), 2n ** 31n - 1n) },
        { dtype: "I32", shape: [2], data: Int32Array.of(-(2 ** 31), 2 ** 31 - 1) },
      ],
      [
        { dtype: "I32", shape: [1], data: Int32Array.of(-7) },
        { dtype: "I32", shape: [1], data: Int32Array.of(-7) },
      ],
      [
        { dtype: "U16", shape: [1], data: Uint16Array.of(65535) },
        { dtype: "I32", shape: [1], data: Int32Array.of(65535) },
      ],
      [
        { dtype: "U8", shape: [2, 0], data: Uint8Array.of() },
        { dtype: "I32", shape: [2, 0], data: Int32Array.of() },
      ],
      [
        { dtype: "BOOL", shape: [2], data: Uint8Array.of(1, 0) },
        { dtype: "BOOL", shape: [2], data: Uint8Array.of(1, 0) },
      ],
    ];
    for (const [given, expected] of cases) {
      const tensor = toTensor(given);
      assertEquals(await fromTensor(tensor), expected);
      tensor.dispose();
    }
    assertEquals(tf.memory().numTensors, before);
  });
}

Deno.test("values that the engine cannot hold are refused, without a leak", async () => {
  await useBackend("cpu");
  const before = tf.memory().numTensors;
  const refused: readonly (readonly [HostTensor, string])[] = [
    [{ dtype: "I64", shape: [1], data: BigInt64Array.of(2n ** 31n) }, "the value 2147483648"],
    [{ dtype: "I64", shape: [1], data: BigInt64Array.of(-(2n ** 31n) - 1n) }, "the value -2147483649"],
    [{ dtype: "U64", shape: [1], data: BigUint64Array.of(2n ** 64n - 1n) }, "the value 18446744073709551615"],
    [{ dtype: "U32", shape: [1], data: Uint32Array.of(2 ** 31) }, "the value 2147483648"],
    [{ dtype: "BOOL", shape: [1], data: Uint8Array.of(2) }, "the value 2"],
  ];
  for (const [host, part] of refused) {
    assertStringIncludes(assertThrows(() => toTensor(host), OneloraError).message, part);
  }
  const text = tf.tensor(["a"]);
  assertStringIncludes((await assertRejects(() => fromTensor(text), OneloraError)).message, 'dtype "string"');
  text.dispose();
  assertEquals(tf.memory().numTensors, before);
});
