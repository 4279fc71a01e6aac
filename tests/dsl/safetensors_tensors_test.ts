import { assertEquals, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import * as tf from "@tensorflow/tfjs-core";
import { useBackend } from "../../dsl/engine/mod.ts";
import { OneloraError } from "../../dsl/error.ts";
import { release } from "../../dsl/release.ts";
import {
  fromTensor,
  type HostTensor,
  openSafetensors,
  sourceOf,
  toTensor,
  writeSafetensors,
} from "../../dsl/safetensors/mod.ts";

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

Deno.test("what is read of a tensor is the caller's own, on whichever engine it is", async () => {
  await useBackend("cpu");
  const elsewhere = tf.tensor1d([1, 2, 3]);
  for (const backend of ["cpu", "wasm"] as const) {
    await useBackend(backend);
    const here = tf.tensor1d([4, 5, 6]);
    for (const [tensor, values] of [[here, [4, 5, 6]], [elsewhere, [1, 2, 3]]] as const) {
      for (let i = 0; i < 2; i++) {
        const { data } = await fromTensor(tensor);
        assertEquals([...data as Float32Array], [...values], backend);
        (data as Float32Array).fill(9);
        release(data);
      }
    }
    here.dispose();
  }
  elsewhere.dispose();
});

Deno.test("arrays that were made for a file go when they are written, others stay", async () => {
  await useBackend("cpu");
  const path = `${await Deno.makeTempDir()}/x.safetensors`;
  const [own, other] = [Float32Array.of(1, 2), Float32Array.of(3, 4)];
  await writeSafetensors(path, [
    ["own", { dtype: "F32", shape: [2], data: () => own, passing: true }],
    ["other", { dtype: "F32", shape: [2], data: () => other }],
  ]);
  assertEquals([own.length, other.length], [0, 2]);
  await using file = await openSafetensors(path);
  assertEquals((await file.read("own")).data, Float32Array.of(1, 2));
  const tensor = tf.tensor1d([5, 6]);
  for (let i = 0; i < 2; i++) await writeSafetensors(path, [["x", sourceOf(tensor)]]);
  assertEquals([...tensor.dataSync()], [5, 6]);
  tensor.dispose();
});

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
