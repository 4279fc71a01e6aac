import { assert, assertEquals } from "@std/assert";
import * as tf from "@tensorflow/tfjs-core";
import { useBackend } from "../../dsl/engine/mod.ts";
import { fastest, type Figures, figuresOf, measureBackend } from "../../dsl/engine/measure.ts";

Deno.test("a backend is measured within a second, and nothing of it stays", async () => {
  await useBackend("wasm");
  const before = tf.memory().numTensors;
  const figures = await measureBackend();
  assert(Object.values(figures).every((seconds) => seconds > 0 && seconds < 10), JSON.stringify(figures));
  assertEquals(tf.memory().numTensors, before);
});

Deno.test("the fastest takes least for a product and the steps of small layers", () => {
  const quickSteps = { product: 0.006, step: 0.002 };
  assertEquals(fastest({ webgpu: { product: 0.001, step: 0.02 }, wasm: quickSteps }), "wasm");
  assertEquals(fastest({ webgpu: { product: 0.0002, step: 0.001 }, wasm: quickSteps }), "webgpu");
  assertEquals(fastest({ wasm: quickSteps }), "wasm");
});

Deno.test("figures are remembered for the same device, and measured again for another or where they are damaged", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const file = `${folder}/caches/backends.json`;
    const measured: string[] = [];
    const measure = (name: string): Promise<Figures> => {
      measured.push(name);
      return Promise.resolve({ product: 0.5, step: measured.length });
    };
    const devices = { webgpu: "adapter A", wasm: "2 threads" };
    const first = await figuresOf(devices, file, measure);
    assertEquals(await figuresOf(devices, file, measure), first);
    assertEquals(measured, ["webgpu", "wasm"]);
    await figuresOf({ ...devices, webgpu: "adapter B" }, file, measure);
    assertEquals(measured, ["webgpu", "wasm", "webgpu"]);
    assertEquals(await figuresOf(devices, file, measure), first);
    for (
      const damaged of [
        "",
        "[]",
        "null",
        '{"webgpu, compiled: adapter A": {"product": -1}, "wasm, compiled: 2 threads": 3}',
      ]
    ) {
      await Deno.writeTextFile(file, damaged);
      const before = measured.length;
      await figuresOf(devices, file, measure);
      assertEquals(measured.slice(before), ["webgpu", "wasm"], damaged);
    }
    // Without a place, or where none can be made, all is measured each time.
    await Deno.writeTextFile(`${folder}/taken`, "");
    for (const nowhere of [undefined, `${folder}/taken/backends.json`]) {
      const before = measured.length;
      await figuresOf(devices, nowhere, measure);
      assertEquals(measured.length, before + 2);
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
