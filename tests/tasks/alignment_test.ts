import { assert, assertAlmostEquals, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { saveAdapter } from "../../adapters/exchange/save.ts";
import { adapt } from "../../adapters/mod.ts";
import { useBackend } from "../../dsl/engine/mod.ts";
import { OneloraError } from "../../dsl/error.ts";
import { init } from "../../dsl/apply.ts";
import { fold, key, normal } from "../../dsl/random.ts";
import type { Params, Path } from "../../dsl/tree.ts";
import { loadParams, openModel } from "../../models/mod.ts";
import { align, byKind } from "../../tasks/alignment/align.ts";
import { alignmentChart } from "../../tasks/alignment/chart.ts";
import { leadingDirection, principalComponents } from "../../tasks/alignment/components.ts";
import { kindOfLayer, layerUpdates } from "../../tasks/alignment/updates.ts";
import * as tf from "@tensorflow/tfjs-core";
import fixture from "../fixtures/components.json" with { type: "json" };

interface Case {
  readonly shape: readonly number[];
  readonly values: readonly number[];
  readonly singular: readonly number[];
  readonly ones: readonly number[];
  readonly ramp: readonly number[];
  readonly first: readonly number[];
}

const updateOf = ({ shape: [rows, columns], values }: Case) => ({ rows, columns, values: Float64Array.from(values) });

for (const [name, expected] of Object.entries(fixture as unknown as Readonly<Record<string, Case>>)) {
  Deno.test(`principal components of the matrix "${name}" are numpy's`, () => {
    const update = updateOf(expected);
    const { singular, cosines } = principalComponents(update);
    assertEquals(singular.length, expected.singular.length);
    singular.forEach((value, i) => assertAlmostEquals(value / expected.singular[i], 1, 1e-8));
    const ramp = Array.from({ length: update.columns }, (_, i) => i + 1);
    for (const [x, values] of [[ramp.map(() => 1), expected.ones], [ramp, expected.ramp]] as const) {
      cosines(x).forEach((cosine, i) => assertAlmostEquals(cosine, values[i], 1e-8));
    }
    const first = leadingDirection(update);
    const along = first.reduce((sum, value, i) => sum + value * expected.first[i], 0);
    assertAlmostEquals(Math.abs(along), 1, 1e-8);
  });
}

Deno.test("an update that is zero or not finite has no components", () => {
  for (const value of [0, NaN, Infinity]) {
    assertThrows(
      () => principalComponents({ rows: 1, columns: 2, values: Float64Array.of(value, value) }),
      OneloraError,
      "decomposing a weight update",
    );
  }
});

Deno.test("layers are named by what they are, whatever their checkpoint calls them", () => {
  const names: Readonly<Record<string, string>> = {
    "encoder.layer.0.attention.attention.query": "q",
    "model.layers.3.self_attn.k_proj": "k",
    "blocks.1.attn.proj": "o",
    "encoder.layer.0.attention.output.dense": "o",
    "encoder.layer.0.output.dense": "fc2",
    "encoder.layer.0.intermediate.dense": "fc1",
    "blocks.1.mlp.fc2": "fc2",
    "model.layers.3.mlp.gate_proj": "gate_proj",
  };
  for (const [path, kind] of Object.entries(names)) assertEquals(kindOfLayer(path), kind, path);
});

/** Saves vit-micro with a method whose parameters are moved by `change`. */
async function saved(adapter: string, change: (path: Path, tensor: tf.Tensor) => tf.Tensor): Promise<string> {
  const model = await openModel("vit-micro");
  const layer = adapt(adapter, { rank: 1 })(model.layer);
  const { params: base } = await loadParams(model, key(0));
  const params: Params = Object.fromEntries(
    Object.entries(init(layer, key(1), base)).map(([path, tensor]) => [path, change(path, tensor)]),
  );
  const folder = await Deno.makeTempDir();
  await saveAdapter(folder, {
    layer,
    params,
    spec: { adapter },
    names: model.modules,
    labels: model.labels,
    baseModel: "vit-micro",
  });
  tf.dispose(Object.values({ ...base, ...params }));
  return folder;
}

Deno.test("a full update along the ones is aligned with summation, and with LoRA where A was learned so", async () => {
  await useBackend("cpu");
  const noise = (path: Path, tensor: tf.Tensor) => tf.tensor(normal(fold(key(2), path), tensor.size), tensor.shape);
  // Every weight moves by u 1^T, plus a hundredth of noise.
  const full = await saved("all", (path, tensor) => {
    if (tensor.rank !== 2) return tensor;
    const up = tf.tensor(normal(fold(key(3), path), tensor.shape[0]), [tensor.shape[0], 1]);
    return tf.add(tensor, tf.add(tf.mul(0.1, up), tf.mul(0.001, noise(path, tensor))));
  });
  const lora = await saved(
    "lora",
    (path, tensor) => path.endsWith(".lora.B") ? tf.mul(0.1, noise(path, tensor)) : tensor,
  );
  const one = await saved(
    "1lora",
    (path, tensor) => path.endsWith(".1lora.b") ? tf.mul(0.1, noise(path, tensor)) : tensor,
  );
  const run = (adapter: string) => ({ model: "vit-micro", adapter });
  const tensors = tf.memory().numTensors;
  try {
    const { layers, kinds } = await align({ full: run(full), lora: run(lora), adapter: run(one) });
    assertEquals(kinds.map(({ kind }) => kind).toSorted(), ["fc1", "fc2", "k", "o", "q", "v"]);
    for (const { cosines, shape } of layers) {
      assert(cosines.summation[0] > 0.99, `summation ${cosines.summation[0]}`);
      // 1LoRA's own direction is the summation vector, to the rounding of W + b 1^T in float32.
      assertAlmostEquals(cosines.adapter[0], cosines.summation[0], 1e-4);
      const chance = Math.sqrt(2 / (Math.PI * shape[1]));
      assert(cosines.random[0] < 4 * chance && cosines.lora[0] < 6 * chance, `random ${cosines.random[0]}`);
    }
    const svg = alignmentChart({ layers, kinds });
    assert(svg.startsWith("<svg") && svg.includes("summation (1LoRA)") && svg.includes("fc2"));
    // With the same run as "LoRA", the learned direction is the full update's first component.
    const self = await align({ full: run(full), lora: run(full) });
    self.layers.forEach(({ cosines }) => assertAlmostEquals(cosines.lora[0], 1, 1e-6));
    assertEquals(tf.memory().numTensors, tensors, "leaks");
    await assertRejects(
      () => align({ full: run(full), lora: { model: "other", adapter: lora } }),
      OneloraError,
      "one model",
    );
    const still = await saved("norms", (_, tensor) => tensor);
    await assertRejects(() => layerUpdates(run(still)), OneloraError, "no linear layer with another weight");
  } finally {
    for (const folder of [full, lora, one]) await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("a kind's figures: the mean with the first component and with ten of them, over its layers, and the largest", () => {
  const layer = (path: string, kind: string, cosines: readonly number[]) => {
    return { path, kind, shape: [4, 4] as const, singularValues: [], cosines: { summation: cosines } };
  };
  const falling = Array.from({ length: 12 }, (_, i) => 1 - i / 16);
  const [q, o] = byKind([
    layer("a", "q", falling),
    layer("b", "o", [0.5, 1]),
    layer("c", "q", falling.map((value) => value / 2)),
  ]);
  assertEquals(q, { kind: "q", layers: 2, cosines: { summation: { first: 0.75, firstTen: 0.5390625, most: 1 } } });
  assertEquals(o.cosines.summation, { first: 0.5, firstTen: 0.75, most: 1 });
});
