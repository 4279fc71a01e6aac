/** What an engine rounds where its numbers are. @module */
import { assertEquals } from "@std/assert";
import * as tf from "@tensorflow/tfjs-core";
import { useBackend } from "../../dsl/mod.ts";
import { engineInUse } from "../../dsl/engine/mod.ts";
import { storedForm } from "../../dsl/engine/stored.ts";
import { widened } from "../../dsl/hold.ts";
import { fromBfloat16, toBfloat16 } from "../../dsl/safetensors/dtype.ts";
import { available } from "../support/available.ts";
import { withoutLeaks } from "../support/compare.ts";

for (const backend of await available("tensorflow")) {
  Deno.test(`numbers are rounded to bfloat16 in the engine as they are outside of it (${backend})`, async () => {
    await useBackend(backend);
    // All upper halves, each with nothing, just under half, half, and just over half of the last kept place below.
    const below = [0, 0x7fff, 0x8000, 0x8001];
    const bits = Uint32Array.from({ length: 2 ** 18 }, (_, i) => (i >> 2) * 2 ** 16 + below[i & 3]);
    const values = new Float32Array(bits.buffer).filter((value) => !Number.isNaN(value));
    await withoutLeaks(async () => {
      const given = tf.tensor(values);
      const made = engineInUse().narrowed!(given);
      const numbers = widened(made);
      const [found, expected] = [await numbers.data<"float32">(), fromBfloat16(toBfloat16(values))];
      assertEquals(new Uint32Array(found.buffer), new Uint32Array(expected.buffer));
      assertEquals(storedForm(made), "bf16");
      tf.dispose([given, made, numbers]);
    });
  });
}
