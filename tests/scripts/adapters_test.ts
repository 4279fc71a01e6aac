/**
 * Several adapters on the command line.
 *
 * @module
 */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { useBackend } from "../../dsl/mod.ts";
import { loadParams, openModel } from "../../models/mod.ts";
import { key } from "../../dsl/random.ts";
import { failure, output } from "../support/command.ts";
import { root } from "../support/adapter_folders.ts";
import { assertClose, fixture } from "../support/compare.ts";
import { dispose, tidy } from "@tensorflow/tfjs-core";
import { apply } from "../../dsl/apply.ts";
import { withFolder } from "../support/data_folder.ts";

const model = `${root}/vit-rgb`;
const [a, b, c] = ["a", "b", "c"].map((name) => `${root}/peft-products/${name}`);
const batch = async () => (await fixture(`${model}/expected.safetensors`)).pixel_values;

function inFolder(body: (folder: string) => Promise<void>): Promise<void> {
  return withFolder({}, async (folder) => {
    await useBackend("cpu");
    await body(folder);
  });
}

/** Logits of a plain model of a folder. */
async function logitsOf(folder: string) {
  const opened = await openModel(folder);
  const { params } = await loadParams(opened, key(0));
  const images = await batch();
  const found = tidy(() => apply(opened.layer, params)(images));
  dispose(params as Record<string, never>);
  return found;
}

Deno.test("merge folds the sum of two adapters, or one weighted by singular values, into a model", async () => {
  await inFolder(async (folder) => {
    await output("merge", "--model", model, "--adapter", a, "--adapter", b, "--out", `${folder}/sum`);
    assertClose(
      await logitsOf(`${folder}/sum`),
      (await fixture(`${root}/peft-products/stacked.safetensors`))["a+b"],
      1e-5,
      "sum",
    );
    const weighted = ["--weights", "0.7,0.3", "--svd-rank", "3"];
    await output("merge", "--model", model, "--adapter", `${a},${c}`, ...weighted, "--out", `${folder}/svd`);
    const { logits } = await fixture(`${root}/peft-products/svd/expected.safetensors`);
    assertClose(await logitsOf(`${folder}/svd`), logits, 1e-5, "svd");
  });
});

Deno.test("merge --adapter-alone writes one adapter of several, which opens as any other", async () => {
  await inFolder(async (folder) => {
    const args = ["--model", model, "--adapter", `${a},${b}`, "--weights", "0.7,-0.4", "--adapter-alone"];
    assertStringIncludes(await output("merge", ...args, "--out", `${folder}/one`), "merged adapter");
    const theirs = await fixture(`${root}/peft-products/linear-negative/adapter_model.safetensors`);
    const ours = await fixture(`${folder}/one/adapter_model.safetensors`);
    for (const [name, tensor] of Object.entries(theirs)) assertClose(ours[name], tensor, 1e-6, name);
    const config = JSON.parse(await Deno.readTextFile(`${folder}/one/adapter_config.json`));
    assertEquals([config.peft_type, config.r, config.lora_alpha, config.base_model_name_or_path], [
      "LORA",
      2,
      2,
      "vit-rgb",
    ]);
  });
});

Deno.test("wrong weights and formats are refused in a line", async () => {
  const merge = ["--model", model, "--adapter", `${a},${b}`, "--out", "/tmp/never"];
  assertEquals(await failure("merge", ...merge, "--weights", "1,x"), [
    2,
    'reading --weights: found "x"; allowed: numbers with commas between, one for each adapter',
  ]);
  const [code, line] = await failure(
    "export",
    "--model",
    model,
    "--adapter",
    `${a},${b}`,
    "--to",
    "peft-miss",
    "--out",
    "/tmp/never",
  );
  assert(code === 2 && line.includes("2 of them"), line);
});
