/**
 * The recipes that published models are trained by, field by field as their papers and code have them.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { taskKind } from "../../tasks/kinds.ts";
import { depthProtocols } from "../../tasks/depth/dataset.ts";
import { resolveRun } from "../../tasks/trainer/settings.ts";

/** Some settings of what a model is trained by unless others are given. */
function recipe(task: string, model: string, data: string, ...names: readonly string[]): readonly unknown[] {
  const { own, ...run } = resolveRun(taskKind(task), model, data, {});
  const all: Readonly<Record<string, unknown>> = { ...run, ...own };
  return names.map((name) => all[name]);
}

Deno.test("ViT's is the paper's of section 4.4", () => {
  const fields = ["batchSize", "lr", "weightDecay", "augment"];
  assertEquals(recipe("image-classification", "vit-base", "cifar10:DIR", ...fields), [10, 2e-5, 0.01, true]);
});

Deno.test("depth's is that of Depth Anything's metric training, its encoder at a fiftieth of the rate", () => {
  const fields = ["epochs", "batchSize", "lr", "weightDecay", "schedule", "warmup", "clip", "lrFactor"];
  assertEquals(
    recipe("depth", "depth-anything-large-outdoor", "kitti:DIR", ...fields),
    [5, 16, 1.61e-4, 0.01, "one-cycle-flat", 0.7, 0.1, "backbone.**=0.02"],
  );
  const { nyu, kitti, diodeIndoor, diodeOutdoor } = depthProtocols;
  assertEquals(nyu, { minDepth: 1e-3, maxDepth: 10, crop: "eigen", brightness: [0.75, 1.25] });
  assertEquals(kitti, { minDepth: 1e-3, maxDepth: 80, crop: "garg", brightness: [0.9, 1.1] });
  assertEquals([diodeOutdoor, diodeIndoor.crop, diodeIndoor.maxDepth], [kitti, "none", 80]);
});

Deno.test("reasoning's is MoRA's, which the paper takes over", () => {
  const fields = ["epochs", "batchSize", "lr", "weightDecay", "schedule", "warmup", "clip", "precision", "length"];
  for (const model of ["llama-2-7b", "hf:meta-llama/Llama-2-13b-hf"]) {
    assertEquals(
      recipe("reasoning", model, "metamath:FILE", ...fields),
      [3, 128, 3e-4, 0, "cosine", 0.03, 1, "bf16", 512],
    );
  }
});

Deno.test("generation's is DiT's, adapters at ten times its rate", () => {
  const fields = ["lr", "weightDecay", "schedule", "ema", "guidance", "samplingSteps", "augment"];
  assertEquals(
    recipe("generation", "dit-xl-2", "food101:DIR", ...fields),
    [1e-3, 0, "constant", 0.9999, 1.5, 250, true],
  );
});
