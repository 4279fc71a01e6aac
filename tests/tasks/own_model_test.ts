/**
 * A model of one's own, in one file: it trains, plans, saves, loads and merges without the trainer or a command knowing it.
 *
 * @module
 */
import { assert, assertAlmostEquals, assertEquals, assertRejects } from "@std/assert";
import { adapt, parameterCounts } from "../../adapters/mod.ts";
import { OneloraError, useBackend } from "../../dsl/mod.ts";
import { modelOf, openModel } from "../../models/mod.ts";
import { fineTune, load, planTraining } from "../../tasks/mod.ts";
import { requireTask } from "../../tasks/kinds.ts";
import { withoutLeaks } from "../support/compare.ts";
import { patchMlpFamily } from "../support/patch_mlp.ts";

const folder = await Deno.makeTempDir();
globalThis.addEventListener("unload", () => Deno.removeSync(folder, { recursive: true }));
await useBackend("wasm");

const described = modelOf(patchMlpFamily.preset("patch-mlp", {}), { name: "patch-mlp" });
const families = [patchMlpFamily];

/** Pictures of two colours, a little different each time. */
function pictures(first: string, second: string, channel: number) {
  return Array.from({ length: 24 }, (_, i) => {
    const data = Uint8Array.from(
      { length: 16 * 16 * 3 },
      (_, at) => at % 3 === channel * (i % 2) ? 180 + i : 40 + at % 17,
    );
    return { image: { data, width: 16, height: 16 }, label: i % 2 === 0 ? first : second };
  });
}

Deno.test("a model in a file of its own trains, saves, loads and merges", async () => {
  await withoutLeaks(async () => {
    const settings = { steps: 40, batchSize: 8, lr: 0.01, augment: false };
    using base = await fineTune({ model: described, data: pictures("a", "b", 1), adapter: "all", ...settings });
    assertEquals(base.metrics.accuracy, 1);
    using whole = await base.merge();
    await whole.save(`${folder}/base`);
    const known = await assertRejects(() => openModel(`${folder}/base`), OneloraError, "patch_mlp");
    assertEquals(known.exitCode, 2);

    const model = await openModel(`${folder}/base`, { families });
    const data = pictures("dog", "cat", 2);
    using tuned = await fineTune({ model, data, adapter: "1lora", ...settings, steps: 80, lr: 0.05 });
    // One number an output of both linear layers; embedders are excepted.
    const counts = { adapter: 48 + 24, head: 24 * 2 + 2 };
    assertEquals({ ...tuned.parameters, total: 0 }, { ...counts, total: 0 });
    assertEquals(tuned.metrics.accuracy, 1);
    const expected = await tuned.predict(data[3].image);
    assertEquals(expected[0].label, "cat");

    await tuned.save(`${folder}/adapter`);
    using again = await load(`${folder}/adapter`, { model });
    assertEquals(await again.predict(data[3].image), expected);

    using merged = await tuned.merge();
    await merged.save(`${folder}/merged`);
    const reopened = await openModel(`${folder}/merged`, { families });
    assertEquals(reopened.labels, ["cat", "dog"]);
    using evaluated = await fineTune({ model: reopened, data, adapter: "none", augment: false });
    const found = await evaluated.predict(data[3].image);
    found.forEach(({ label, probability }, i) => {
      assertEquals(label, expected[i].label);
      assertAlmostEquals(probability, expected[i].probability, 1e-5);
    });
  });
});

Deno.test("and its steps are planned as any other's", () => {
  const kind = requireTask(described, "planning");
  assertEquals(kind.name, "image-classification");
  const layer = adapt(`1lora+${kind.besides(described).join("+")}`)(described.layer);
  const { trained, peakBytes, weights } = planTraining(described, layer, { batch: 8, length: 0 });
  const { adapter, head, total } = parameterCounts(layer, described.headPath);
  assertEquals([trained, weights.float32], [4 * (adapter + head), 4 * (total - adapter - head)]);
  assert(peakBytes > 4 * total);
});
