/**
 * Adapters as products: stacked, weighted into one and converted, as PEFT's `set_adapter`, `add_weighted_adapter` and layers
 * have it (scripts/tools/reference/peft_products.py).
 *
 * @module
 */
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { dispose, memory, type Tensor } from "@tensorflow/tfjs-core";
import { adapt, combineAdapters, loadAdapter, saveAdapter } from "../../adapters/mod.ts";
import { updateSizes, updatesOf } from "../../adapters/combine/factors.ts";
import type { Combination } from "../../adapters/combine/weighted.ts";
import { apply, key, OneloraError, useBackend } from "../../dsl/mod.ts";
import { openModel } from "../../models/mod.ts";
import { mergeOpened, openTrained } from "../../tasks/mod.ts";
import { openCombined, openConverted } from "../../tasks/combine.ts";
import { adapted, pixels, root, saving, withFolder } from "../support/adapter_folders.ts";
import { assertClose, fixture, withoutLeaks } from "../support/compare.ts";

const products = `${root}/peft-products`;
const base = `${root}/vit-rgb`;
const folder = (name: string) => `${products}/${name}`;
const names = (...all: readonly string[]) => all.map(folder);
const free = (params: object) => dispose(params as Record<string, Tensor>);
const expected = async (name: string) => (await fixture(`${folder(name)}/expected.safetensors`)).logits;

Deno.test("two adapters stacked compute what PEFT's two active adapters do, merged too, and leave nothing behind", async () => {
  for (const backend of ["cpu", "wasm"] as const) {
    await useBackend(backend);
    await withoutLeaks(async () => {
      const opened = await openTrained(base, { adapter: names("a", "b"), key: key(0) });
      const images = await pixels();
      const logits = (await fixture(`${products}/stacked.safetensors`))["a+b"];
      assertClose(apply(opened.layer, opened.params)(images), logits, 1e-5, backend);
      const merged = await mergeOpened(opened);
      assertClose(apply(merged.model.layer, merged.params)(images), logits, 1e-5, `${backend}, merged`);
      free(opened.params);
      free(merged.params);
    });
  }
});

Deno.test("adapters of several kinds stack: the merged weights change by the sum of their changes", async () => {
  await withFolder(async (scratch) => {
    const kinds = {
      one: "1lora",
      vera: "vera:rank=2",
      twice: "vera:rank=3",
      mora: "mora6",
      bias: "bitfit",
      miss: "miss:rank=4",
    };
    for (const [name, adapter] of Object.entries(kinds)) {
      const made = await adapted({ adapter });
      // No head: it would be trained whole by each of them.
      await saveAdapter(`${scratch}/${name}`, {
        ...saving(made, { adapter }),
        layer: adapt(adapter)(made.model.layer),
      });
    }
    const path = "vit.encoder.layer.1.intermediate.dense";
    const change = async (adapter: readonly string[]) => {
      const opened = await openTrained(base, { adapter: adapter.map((each) => `${scratch}/${each}`), key: key(0) });
      const merged = await mergeOpened(opened);
      const at = Object.keys(merged.params).find((each) =>
        path.endsWith(each.replace(/\.weight$/, "")) && each.endsWith("weight")
      )!;
      return [merged.params[at].dataSync(), merged.params[at.replace(/weight$/, "bias")].dataSync()].map((
        each,
      ) => [...each]);
    };
    const plain = await change([]);
    const alone = await Promise.all(Object.keys(kinds).map((name) => change([name])));
    const together = await change(Object.keys(kinds));
    for (const [i, each] of alone.entries()) {
      assert(`${each}` !== `${plain}`, `${Object.keys(kinds)[i]} changes nothing`);
    }
    for (const part of [0, 1]) {
      const sum = plain[part].map((value, i) => alone.reduce((total, each) => total + each[part][i] - value, value));
      const off = Math.max(...sum.map((value, i) => Math.abs(value - together[part][i])));
      assert(off < 1e-5, `part ${part} differs by ${off}`);
    }
  });
});

Deno.test("weighted adapters are PEFT's add_weighted_adapter: linear, cat and svd", async () => {
  const cases: readonly (readonly [string, readonly string[], readonly number[], Combination, number?])[] = [
    ["linear", ["a", "b"], [0.7, 0.3], "linear"],
    ["linear-negative", ["a", "b"], [0.7, -0.4], "linear"],
    ["cat", ["a", "b", "c"], [0.7, 0.3, 0.5], "cat"],
    ["svd", ["a", "c"], [0.7, 0.3], "svd", 3],
  ];
  await useBackend("cpu");
  for (const [name, parts, weights, combination, rank] of cases) {
    await withoutLeaks(async () => {
      const combined = await openCombined(await openModel(base), names(...parts), { weights, combination, rank });
      assertClose(apply(combined.layer, combined.params)(await pixels()), await expected(name), 1e-5, name);
      const theirs = await fixture(`${folder(name)}/adapter_model.safetensors`);
      const scratch = await Deno.makeTempDir();
      await combined.save(scratch);
      const ours = await fixture(`${scratch}/adapter_model.safetensors`);
      for (const [tensorName, tensor] of Object.entries(theirs)) {
        assertEquals(ours[tensorName]?.shape, tensor.shape, `${name}: ${tensorName}`);
        // Signs of singular vectors are free.
        if (name !== "svd") assertClose(ours[tensorName], tensor, 1e-6, `${name}: ${tensorName}`);
      }
      const again = await openTrained(base, { adapter: scratch, key: key(0) });
      assertClose(apply(again.layer, again.params)(await pixels()), await expected(name), 1e-5, `${name}, read again`);
      free(combined.params);
      free(again.params);
      await Deno.remove(scratch, { recursive: true });
    });
  }
});

Deno.test("dimensions of updates are known before an adapter is read, and factors are made when they are asked for", async () => {
  await useBackend("cpu");
  const { layer, modules } = await openModel(base);
  for (const [name, rank] of [["a", 2], ["c", 3], ["miss-1", 1]] as const) {
    const { params, layer: adapted } = await loadAdapter(folder(name), layer, modules);
    const sizes = [...updateSizes(adapted)];
    const before = memory().numTensors;
    const updates = updatesOf("testing", { name, layer: adapted, params });
    assertEquals([...updates].map(([path, { shape, rank }]) => [path, { shape, rank }]), sizes, name);
    assert(sizes.length > 0 && sizes.every(([, each]) => each.rank === rank), name);
    for (const { shape: [d, k], factors } of updates.values()) {
      const { up, down } = factors();
      assertEquals([up.rows, up.columns, down.rows, down.columns], [d, rank, rank, k]);
    }
    assertEquals(memory().numTensors, before);
    free(params);
    // What is gone cannot be made into factors: nothing had been kept of it.
    if (name !== "miss-1") assertThrows(() => [...updates.values()][0].factors());
  }
  const ranks = [...updateSizes(adapt("vera", { rank: 5 })(layer)).values()].map(({ rank }) => rank);
  assertEquals(new Set(ranks), new Set([5]));
});

Deno.test("1LoRA weighted is the exact sum, and stays 1LoRA; another rank of it is one number", async () => {
  await useBackend("cpu");
  const model = await openModel(base);
  const combined = await openCombined(model, names("miss-1", "miss-1"), { weights: [0.75, -0.25] });
  const { params } = await loadAdapter(folder("miss-1"), model.layer, model.modules);
  for (const [path, b] of Object.entries(params)) {
    const half = [...b.dataSync()].map((value) => Math.fround(Math.fround(0.75 * value) + Math.fround(-0.25 * value)));
    assertEquals([...combined.params[path].dataSync()], half, path);
  }
  free(combined.params);
  free(params);
  const exact = await openCombined(model, names("miss-1", "a"), { weights: [0.5, 2], combination: "svd", rank: 3 });
  const sum = await openCombined(model, names("miss-1", "a"), { weights: [0.5, 2], combination: "cat" });
  const images = await pixels();
  assertClose(
    apply(exact.layer, exact.params)(images),
    apply(sum.layer, sum.params)(images),
    1e-5,
    "rank 3 is all of it",
  );
  free(exact.params);
  free(sum.params);
});

Deno.test("what cannot be combined is refused by name", async () => {
  await useBackend("cpu");
  const model = await openModel(base);
  const refused = (message: string, work: () => Promise<unknown>) => assertRejects(work, OneloraError, message);
  await withoutLeaks(async () => {
    await refused("ranks 2 and 3", () => openCombined(model, names("a", "c"), { combination: "linear" }));
    await refused(`"1lora" in ${folder("miss-1")}`, () => openCombined(model, names("a", "miss-1"), {}));
    await refused("weights 1 for 2 adapters", () => openCombined(model, names("a", "b"), { weights: [1] }));
    await refused("rank 31", () => openCombined(model, names("a", "b"), { rank: 31 }));
    await refused("a rank with cat", () => openCombined(model, names("a", "b"), { rank: 3, combination: "cat" }));
    const dora = `${root}/peft/dora`;
    await refused("dora in", () => openTrained(base, { adapter: [folder("a"), dora], key: key(0) }));
    await refused("dora in", () => openCombined(model, [folder("a"), dora], { combination: "cat" }));
    await refused(
      `"classifier.weight", trained whole by ${root}/peft/lora and by ${root}/peft/vera`,
      () => openTrained(base, { adapter: [`${root}/peft/lora`, `${root}/peft/vera`], key: key(0) }),
    );
    await refused("whose columns do not repeat after 2", () => openConverted(model, folder("a"), "peft-miss"));
    await assertRejects(() => combineAdapters(model.layer, [], {}));
  });
});

Deno.test("1LoRA, MiSS and LoRA convert into each other: what PEFT loads, with the source's logits", async () => {
  const cases: readonly (readonly [string, string, "peft-lora" | "peft-miss"])[] = [
    ["miss-1", "miss-1-as-lora", "peft-lora"],
    ["miss-5", "miss-5-as-lora", "peft-lora"],
    ["c", "c-as-lora", "peft-lora"],
    ["miss-1", "miss-1-as-miss", "peft-miss"],
    ["miss-5", "miss-5-as-miss", "peft-miss"],
    ["converted/miss-1-as-lora", "miss-1-as-miss", "peft-miss"],
    ["converted/miss-5-as-lora", "miss-5-as-miss", "peft-miss"],
  ];
  await useBackend("cpu");
  const model = await openModel(base);
  for (const [source, target, to] of cases) {
    await withoutLeaks(async () => {
      const scratch = await Deno.makeTempDir();
      const converted = await openConverted(model, folder(source), to);
      await converted.save(scratch);
      const [kept, written] = [folder(`converted/${target}`), scratch].map((at) => `${at}/adapter_model.safetensors`);
      const [theirs, ours] = [await fixture(kept), await fixture(written)];
      assertEquals(Object.keys(ours).sort(), Object.keys(theirs).sort());
      for (const [name, tensor] of Object.entries(theirs)) assertClose(ours[name], tensor, 1e-6, `${source}: ${name}`);
      const configOf = async (at: string) => JSON.parse(await Deno.readTextFile(`${at}/adapter_config.json`));
      assertEquals(await configOf(scratch), await configOf(folder(`converted/${target}`)));
      const logits = await expected(source.replace(/^converted\/(.*)-as-lora$/, "$1"));
      assertClose(apply(converted.layer, converted.params)(await pixels()), logits, 1e-5, source);
      free(converted.params);
      await Deno.remove(scratch, { recursive: true });
    });
  }
});

Deno.test("MiSS of rank 1 is 1LoRA with every initialisation but bat, which multiplies", async () => {
  const settings: Readonly<Record<string, { readonly is1Lora: boolean }>> = JSON.parse(
    await Deno.readTextFile(`${products}/miss-settings.json`),
  );
  for (const [name, { is1Lora }] of Object.entries(settings)) assertEquals(is1Lora, !name.includes("bat"), name);
});
