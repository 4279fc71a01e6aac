/** What merging, combining and writing weights take by plan. @module */
import { assert, assertEquals } from "@std/assert";
import { adapt } from "../../adapters/mod.ts";
import { useBackend } from "../../dsl/mod.ts";
import type { StoredForm } from "../../dsl/engine/stored.ts";
import { specs } from "../../dsl/layer.ts";
import { sizeOf } from "../../dsl/tree.ts";
import { openModel } from "../../models/mod.ts";
import { parameterBytes, planLoading, planRewriting } from "../../tasks/trainer/plan.ts";
import { samplingNeeds } from "../../tasks/generation/needs.ts";

Deno.test("weights that are merged stay in halves, or are planned as the float32 that they become", async () => {
  await useBackend("cpu");
  const { layer: plain } = await openModel("vit-micro");
  const layer = adapt("lora")(plain);
  const forms = new Map<string, StoredForm>(
    Object.entries(specs(layer)).flatMap(([path, { shape, adapter }]) =>
      shape.length > 1 && adapter === undefined ? [[path, "bf16"] as const] : []
    ),
  );
  const kept = { backend: "cpu", forms } as const;
  const half = planRewriting(layer, kept) - planLoading(layer, kept);
  assertEquals(planRewriting(layer, { backend: "cpu" }) - planLoading(layer, { backend: "cpu" }), half);
  // Without an adapter nothing changes but that the largest is made into numbers to be written.
  const largest = Math.max(...[...forms.keys()].map((path) => 4 * sizeOf(specs(layer)[path].shape)));
  assertEquals(planRewriting(plain, kept, false) - planRewriting(plain, kept), largest);
  const linear = Object.entries(specs(layer)).filter(([path]) =>
    `${path.replace(/weight$/, "lora.A")}` in specs(layer)
  );
  const numbers = linear.filter(([path]) => path.endsWith("weight")).reduce(
    (sum, [, { shape }]) => sum + sizeOf(shape),
    0,
  );
  assert(numbers > 0);
  const more = planRewriting(layer, kept, false) - planRewriting(layer, kept);
  // Four bytes for each number instead of two, beside the largest that is read or written.
  assert(more >= 2 * numbers && more <= 2 * numbers + 2 * largest, `${more}, ${numbers} numbers`);
});

Deno.test("a plan of judged samples has the model that judges them, and its own pass", async () => {
  await useBackend("cpu");
  const model = await openModel("dit-micro");
  const judge = await openModel("vit-micro");
  const sizes = { count: 64, guidance: 5 };
  const bytes = async (features?: string) => {
    const needs = await samplingNeeds(model, { ...sizes, features: () => features, images: 100 });
    return needs(model.layer, { backend: "tensorflow" });
  };
  const [alone, judged] = [await bytes(), await bytes("vit-micro")];
  assert(judged - alone >= parameterBytes(judge.layer, undefined), `${judged - alone}`);
  // Of many pictures at a time the judge's own pass is what takes most.
  const needs = (images: number) => samplingNeeds(model, { ...sizes, features: () => "vit-micro", images });
  const [few, many] = await Promise.all([needs(100), needs(5000)]);
  assert(many(model.layer, { backend: "cpu" }) > few(model.layer, { backend: "cpu" }));
});
