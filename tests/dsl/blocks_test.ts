import { assert, assertEquals, assertThrows } from "@std/assert";
import * as tf from "@tensorflow/tfjs-core";
import { fileOf } from "../../dsl/files/path.ts";
import { type BlockForm, BLOCKS } from "../../dsl/blocks.ts";
import { fromBlocks, toQ8Blocks } from "../../dsl/block_conversion.ts";
import { compile } from "../../dsl/compile/mod.ts";
import { OneloraError } from "../../dsl/error.ts";
import { heldQuantised, widened } from "../../dsl/hold.ts";
import { useBackend } from "../../dsl/mod.ts";
import { dequantised } from "../../dsl/quantise.ts";
import { openSafetensors } from "../../dsl/safetensors/mod.ts";
import { available } from "../support/available.ts";
import { withoutLeaks } from "../support/compare.ts";

/** What `scripts/tools/reference/blocks.py` wrote. */
const path = fileOf(new URL("../fixtures/blocks.safetensors", import.meta.url));
const shape = [8, 512];
const forms = Object.keys(BLOCKS) as BlockForm[];
const [engine] = await available("tensorflow");

interface Fixture {
  readonly file: Uint8Array<ArrayBuffer>;
  readonly values: Float32Array;
}

const checkpoint = await openSafetensors(path);
const fixtures = new Map<BlockForm, Fixture>();
for (const form of forms) {
  const read = async (name: string) => (await checkpoint.read(`${form}.${name}`)).data;
  fixtures.set(form, {
    file: await read("bytes") as Uint8Array<ArrayBuffer>,
    values: await read("values") as Float32Array,
  });
}
await checkpoint.close();

/** Largest difference, as a share of the largest number. */
function furthest(found: Float32Array, expected: Float32Array): number {
  assertEquals(found.length, expected.length);
  const scale = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  return found.reduce((most, value, i) => Math.max(most, Math.abs(value - expected[i])), 0) / scale;
}

for (const form of forms) {
  const { file, values } = fixtures.get(form)!;

  Deno.test(`${form} is ggml's own, number by number`, () => {
    assertEquals(furthest(dequantised({ form, shape, bytes: file }), values), 0);
  });

  Deno.test({
    name: `${form} in TensorFlow: all of it, and rows looked up`,
    ignore: engine === undefined,
    fn: async () => {
      await useBackend("tensorflow");
      await withoutLeaks(() => {
        const tensor = heldQuantised({ form, shape, bytes: file });
        const wide = widened(tensor);
        assert(furthest(wide.dataSync<"float32">(), values) < 1e-6);
        const rows = [7, 0, 3, 4, 7];
        const ids = tf.tensor1d(rows, "int32");
        const look = compile((table: tf.Tensor, ids: tf.Tensor) => tf.gather(table, ids), { graph: true });
        const found = look(tensor, ids);
        const expected = Float32Array.from(rows.flatMap((row) => [...values.slice(row * 512, (row + 1) * 512)]));
        assert(furthest(found.dataSync<"float32">(), expected) < 1e-6);
        tf.dispose([tensor, wide, ids, found]);
        look.dispose();
        return Promise.resolve();
      });
    },
  });
}

Deno.test("q8_0 is written as ggml writes it, byte for byte", async () => {
  await using checkpoint = await openSafetensors(path);
  const { data } = await checkpoint.read("weight");
  assertEquals(toQ8Blocks(shape, data as Float32Array), fixtures.get("q8_0")!.file);
});

Deno.test("what is no whole block is refused", () => {
  assertThrows(() => fromBlocks("q8_0", [2, 48], new Uint8Array(102)), OneloraError, "rows of 32 in q8_0");
  assertThrows(() => fromBlocks("q4_k", [1, 256], new Uint8Array(143)), OneloraError, "143 bytes");
});
