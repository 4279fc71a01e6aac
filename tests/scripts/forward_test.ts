/**
 * `deno task forward` of models with several inputs, and of one that runs both ways; adapters that learned other classes.
 *
 * @module
 */
import { assertEquals, assertStringIncludes } from "@std/assert";
import * as tf from "@tensorflow/tfjs-core";
import { adapt, saveAdapter } from "../../adapters/mod.ts";
import {
  apply,
  fromTensor,
  init,
  key,
  openSafetensors,
  type Params,
  useBackend,
  writeSafetensors,
} from "../../dsl/mod.ts";
import { asConditionalDiffusion, loadParams, openModel } from "../../models/mod.ts";
import { failure, output } from "../support/command.ts";
import { assertClose, fixture, withoutLeaks } from "../support/compare.ts";

const root = "tests/fixtures";
const wasm = ["--backend", "wasm"];

/** Some of a fixture's tensors in a file of their own. */
async function pick(source: string, file: string, ...names: readonly string[]): Promise<void> {
  await using expected = await openSafetensors(`${root}/${source}/expected.safetensors`);
  await writeSafetensors(
    file,
    await Promise.all(names.map(async (name) => [name, await expected.read(name)] as const)),
  );
}

/** Runs a test body with a folder of its own, on wasm, without leaks. */
async function inFolder(body: (folder: string) => Promise<void>): Promise<void> {
  await useBackend("wasm");
  const folder = await Deno.makeTempDir();
  try {
    await withoutLeaks(() => body(folder));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("latents, timesteps and labels lead to DiT's output", () =>
  inFolder(async (folder) => {
    const [input, found] = [`${folder}/in.safetensors`, `${folder}/out.safetensors`];
    for (const name of ["dit-original", "dit-diffusers"]) {
      await pick(name, input, "latents", "timesteps", "labels");
      await output("forward", "--model", `${root}/${name}`, "--input", input, "--output", found, ...wasm);
      const expected = await fixture(`${root}/${name}/expected.safetensors`);
      const outputs = await fixture(found);
      assertEquals(Object.keys(outputs), ["output"]);
      assertClose(outputs.output, expected.output, 1e-5, name);
    }
    await writeSafetensors(input, [
      ["latents", await fromTensor(tf.zeros([1, 2, 9, 9]))],
      ["timesteps", await fromTensor(tf.tensor1d([999.5]))],
      ["labels", await fromTensor(tf.tensor1d([4], "int32"))],
    ]);
    const wrong = ["--model", `${root}/dit-diffusers`, "--input", input, "--output", found, ...wasm];
    const [code, line] = await failure("forward", ...wrong);
    assertEquals(code, 1);
    assertStringIncludes(line, '4 in "labels"; allowed: 0 to 3');
  }));

Deno.test("pixels lead to latents, and latents to pixels", () =>
  inFolder(async (folder) => {
    const [pixels, found] = [`${folder}/pixels.safetensors`, `${folder}/found.safetensors`];
    const forward = (input: string) =>
      output("forward", "--model", `${root}/vae-old`, "--input", input, "--output", found, ...wasm);
    const { mean, logvar, decoded } = await fixture(`${root}/vae-old/expected.safetensors`);
    await pick("vae-old", pixels, "pixel_values");
    await forward(pixels);
    const encoded = await fixture(found);
    assertEquals(Object.keys(encoded).sort(), ["latents", "logvar", "mean"]);
    assertClose(encoded.mean, mean, 1e-5, "mean");
    assertClose(encoded.logvar, logvar, 1e-5, "logvar");
    assertClose(encoded.latents, tf.mul(mean, 0.18215), 1e-5, "latents");
    await pick("vae-old", pixels, "latents");
    await forward(pixels);
    assertClose((await fixture(found)).pixel_values, decoded, 1e-5, "pixel_values");
  }));

Deno.test("an adapter that learned other classes opens DiT with them, and so it is merged", () =>
  inFolder(async (folder) => {
    const [base, input] = [`${root}/dit-diffusers`, `${folder}/in.safetensors`];
    const model = await openModel(base, { labels: ["soup", "salad"] });
    const layer = adapt("1lora+labels")(model.layer);
    const { params: plain } = await loadParams(model, key(0));
    const params: Params = Object.fromEntries(
      Object.entries(init(layer, key(1), plain)).map(([path, tensor], seed) =>
        [
          path,
          path.endsWith(".1lora.b") ? tf.randomNormal(tensor.shape, 0, 0.1, "float32", seed + 1) : tensor,
        ] as const
      ),
    );
    const spec = { adapter: "1lora+labels" };
    const names = model.modules;
    await saveAdapter(`${folder}/adapter`, { layer, params, spec, names, baseModel: base, labels: model.labels });

    const { latents, timesteps } = await fixture(`${base}/expected.safetensors`);
    const labels = tf.tensor1d([0, 1, 2, 1], "int32");
    const expected = apply(asConditionalDiffusion(model, layer), params)(latents, timesteps, labels);
    const entries = Object.entries({ latents, timesteps, labels })
      .map(async ([name, tensor]) => [name, await fromTensor(tensor)] as const);
    await writeSafetensors(input, await Promise.all(entries));

    const [merged, found] = [`${folder}/merged`, `${folder}/out.safetensors`];
    const adapter = ["--adapter", `${folder}/adapter`];
    await output("merge", "--model", base, ...adapter, "--out", merged);
    for (const source of [["--model", base, ...adapter], ["--model", merged]]) {
      await output("forward", ...source, "--input", input, "--output", found, ...wasm);
      assertClose((await fixture(found)).output, expected, 1e-5, source.join(" "));
    }
    const { id2label } = JSON.parse(await Deno.readTextFile(`${merged}/config.json`));
    assertEquals(id2label, { 0: "soup", 1: "salad" });
  }));

Deno.test("params counts DiT's label table with every method", async () => {
  const counted = await output("params", "--model", "dit-xl-2", "--classes", "101", "--adapter", "1lora", "--json");
  assertEquals(JSON.parse(counted).trainable, 603_680);
});
