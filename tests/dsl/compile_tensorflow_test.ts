import { assert, assertEquals, assertLess, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import * as tf from "@tensorflow/tfjs-core";
import { fileOf } from "../../dsl/files/path.ts";
import { adapt } from "../../adapters/mod.ts";
import {
  adamw,
  apply,
  compile,
  crossEntropy,
  init,
  isTrainable,
  key,
  OneloraError,
  type Optimiser,
  type Params,
  partition,
  type ResidentOptions,
  sgd,
  startResident,
  type StepState,
  useBackend,
} from "../../dsl/mod.ts";
import { loadParams, openModel } from "../../models/mod.ts";
import { type BatchTensors, trainStep } from "../../tasks/mod.ts";
import { available } from "../support/available.ts";
import { assertClose, fixture, withoutLeaks } from "../support/compare.ts";
import { joinedStep } from "../support/joined_methods.ts";

const root = fileOf(new URL("../fixtures", import.meta.url));
const ignore = (await available("tensorflow")).length === 0;
if (ignore) console.log("compile_tensorflow_test: ignored, no tensorflow backend (`deno task native` provides it)");

/** The training step of a method on the fixtures' ViT, with a state and a batch. */
async function stepOf(spec: string, optimiser: Optimiser = adamw({ weightDecay: 0.01 })) {
  const model = await openModel(`${root}/vit-rgb`);
  const { params: base } = await loadParams(model, key(0));
  const layer = adapt(`${spec}+head`)(model.layer);
  const { kept: trained, rest: frozen } = partition<tf.Tensor>(isTrainable(layer))(init(layer, key(0), base));
  const { pixel_values: pixels, labels } = await fixture(`${root}/vit-rgb/expected.safetensors`);
  const step = trainStep(
    (params, batch) => ({ loss: crossEntropy(apply(layer, params)(batch.pixels), batch.labels) as tf.Scalar }),
    optimiser,
  );
  const state: StepState = { frozen, trained, optimiser: optimiser.init(trained) };
  const batch: BatchTensors = { pixels, labels, rate: tf.scalar(0.01) };
  return { step, state, batch };
}

function copyOf(tree: Params): Params {
  return Object.fromEntries(Object.entries(tree).map(([path, tensor]) => [path, tf.clone(tensor)]));
}

/** A copy that a resident step may take over. */
function copy({ frozen, trained, optimiser }: StepState): StepState {
  return { frozen: copyOf(frozen), trained: copyOf(trained), optimiser: copyOf(optimiser) };
}

function free({ frozen, trained, optimiser }: StepState): void {
  tf.dispose([frozen, trained, optimiser] as unknown as tf.TensorContainer);
}

/** Nothing compiled. */
const plain: ResidentOptions = { fuseFrom: Infinity };

/** What is done on a GPU, here by XLA for the CPU. */
const asOnCards: ResidentOptions = { graph: "whole", feed: "words" };

/** Refuses to be anything but a graph. */
const strict = { onFallback: (line: string) => assert(false, line) };

function assertSame(found: StepState, expected: StepState, tolerance: number, what: string): void {
  for (const part of ["trained", "optimiser"] as const) {
    assertEquals(Object.keys(found[part]), Object.keys(expected[part]));
    for (const [path, tensor] of Object.entries(expected[part])) {
      assertClose(found[part][path], tensor, tolerance, `${what}: ${path}`);
    }
  }
}

// Steps of SGD are as exact as gradients; AdamW's are where no gradient is nothing but rounding. Graphs take longest to build:
// every method is there in one of small models, and on a ViT those whose graphs differ most.
const adam = adamw({ weightDecay: 0.01 });
for (
  const [what, make, settings] of [
    ["every method as a TensorFlow graph", () => Promise.resolve(joinedStep()), plain],
    ["1lora by AdamW as a TensorFlow graph", () => stepOf("1lora", adam), plain],
    ["1lora by AdamW as one function", () => stepOf("1lora", adam), asOnCards],
    ...["1lora", "dora:rank=2", "all"].map((spec) =>
      [`${spec} in compiled clusters`, () => stepOf(spec, sgd({ momentum: 0.9 })), { ...plain, fuseFrom: 1 }] as const
    ),
  ] as const
) {
  Deno.test({
    name: `a step of ${what} equals the replayed and the eager one`,
    ignore,
    fn: async () => {
      await useBackend("tensorflow");
      await withoutLeaks(async () => {
        const { step, state, batch } = await make();
        const graph = startResident(step, copy(state), { ...strict, ...settings });
        const compiled = compile(step);
        let [eager, replayed] = [state, state];
        for (let i = 0; i < 3; i++) {
          const numbers = await graph.step(batch);
          const [nextEager, eagerNumbers] = step(eager, batch);
          const [nextReplayed, replayedNumbers] = compiled(replayed, batch);
          assertEquals(Object.keys(numbers).sort(), Object.keys(eagerNumbers).sort());
          for (const [name, number] of Object.entries(numbers)) {
            assertClose(tf.scalar(number), eagerNumbers[name], 1e-5, `${name} of step ${i}`);
            assertClose(tf.scalar(number), replayedNumbers[name], 1e-5, `${name} of step ${i}, replayed`);
          }
          [eager, replayed] = [nextEager, nextReplayed];
          const found = graph.read();
          assertSame(found, eager, 1e-5, `step ${i}, eager`);
          assertSame(found, replayed, 1e-5, `step ${i}, replayed`);
          for (const [path, tensor] of Object.entries(state.frozen)) assertClose(found.frozen[path], tensor, 0, path);
          free(found);
        }
        graph.dispose();
        compiled.dispose();
      });
    },
  });
}

Deno.test({
  name: "a graph's state survives a step whose loss is not finite, and goes on",
  ignore,
  fn: async () => {
    await useBackend("tensorflow");
    await withoutLeaks(async () => {
      const { step, state, batch } = await stepOf("1lora");
      const graph = startResident(step, copy(state), strict);
      const first = await graph.step(batch);
      const before = graph.read();
      const { loss } = await graph.step({ ...batch, pixels: tf.mul(batch.pixels, NaN) });
      assert(Number.isNaN(loss));
      const after = graph.read();
      assertSame(after, before, 0, "after NaN");
      const next = await graph.step(batch);
      assertLess(next.loss, first.loss);
      [before, after].forEach(free);
      graph.dispose();
    });
  },
});

for (const [spec, what] of [["1lora", "most of a model frozen"], ["all", "nothing frozen"]]) {
  Deno.test({
    name: `batches of other sizes take over the state, and back: ${what}`,
    ignore,
    fn: async () => {
      await useBackend("tensorflow");
      await withoutLeaks(async () => {
        const { step, state, batch } = await stepOf(spec, spec === "all" ? sgd({ momentum: 0.9 }) : undefined);
        const smaller = {
          ...batch,
          pixels: tf.slice(batch.pixels, [0, 0, 0, 0], [1, -1, -1, -1]),
          labels: tf.slice(batch.labels, [0], [1]),
        };
        const graph = startResident(step, copy(state), strict);
        let eager = state;
        for (const each of [batch, smaller, batch, smaller]) {
          await graph.step(each);
          [eager] = step(eager, each);
        }
        const found = graph.read();
        assertSame(found, eager, 1e-4, "after four steps");
        free(found);
        graph.dispose();
      });
    },
  });
}

Deno.test({
  name: "500 steps of a graph leave tensors and memory alone",
  ignore,
  fn: async () => {
    await useBackend("tensorflow");
    await withoutLeaks(async () => {
      const { step, state, batch } = await stepOf("1lora");
      const graph = startResident(step, copy(state), strict);
      const count = () => [tf.memory().numTensors, tf.backend().numDataIds()];
      let [counts, rss]: [number[], number] = [[], 0];
      for (let i = 0; i < 500; i++) {
        await graph.step(batch);
        if (i === 99) [counts, rss] = [count(), Deno.memoryUsage().rss];
      }
      assertEquals(count(), counts);
      // A step's own tensors are some 300 KB; 400 steps that kept any part of them would show.
      assertLess(Deno.memoryUsage().rss - rss, 2 ** 24);
      graph.dispose();
    });
  },
});

Deno.test({
  name: "the state can be read before the first step, and a graph that never ran is freed",
  ignore,
  fn: async () => {
    await useBackend("tensorflow");
    await withoutLeaks(async () => {
      const { step, state } = await stepOf("1lora");
      const graph = startResident(step, copy(state), strict);
      const found = graph.read();
      assertSame(found, state, 0, "at the start");
      free(found);
      graph.dispose();
      await Promise.resolve();
    });
  },
});

/** w <- w + sum((x - 1) / 2): a step with a kernel that has no rule in graphs. */
const odd = ({ frozen, trained, optimiser }: StepState, { x }: Params) => {
  const loss = tf.sum(
    tf.batchNorm(tf.reshape(x, [1, 1, 2, 1]), tf.tensor1d([1]), tf.tensor1d([4]), undefined, undefined, 0),
  );
  return [{ frozen, trained: { w: tf.add(trained.w, loss) }, optimiser }, { loss: loss as tf.Scalar }] as const;
};

Deno.test({
  name: "a step that cannot be a graph is replayed, with a line that says why; in bf16 it is refused",
  ignore,
  fn: async () => {
    await useBackend("tensorflow");
    await withoutLeaks(async () => {
      const lines: string[] = [];
      const start = () => ({ frozen: {}, trained: { w: tf.scalar(1) }, optimiser: {} });
      const x = tf.tensor1d([1, -2]);
      const replayed = startResident(odd, start(), { onFallback: (line) => lines.push(line) });
      assertEquals(await replayed.step({ x }), { loss: -1.5 });
      assertEquals(await replayed.step({ x }), { loss: -1.5 });
      const state = replayed.read();
      assertEquals(state.trained.w.dataSync()[0], -2);
      free(state);
      replayed.dispose();
      assertEquals(lines.length, 1);
      assertStringIncludes(lines[0], "kernel by kernel: ");
      assertStringIncludes(lines[0], "FusedBatchNorm");
      const refused = startResident(odd, start(), { precision: "bf16" });
      await assertRejects(() => refused.step({ x }), OneloraError, "FusedBatchNorm");
      refused.dispose();
    });
  },
});

Deno.test("on other backends the step is replayed, and bf16 is refused with the backend that has it", async () => {
  await useBackend("cpu");
  await withoutLeaks(async () => {
    const start = () => ({ frozen: {}, trained: { w: tf.scalar(1) }, optimiser: {} });
    const x = tf.tensor1d([1, -2]);
    const replayed = startResident(odd, start(), strict);
    assertEquals(await replayed.step({ x }), { loss: -1.5 });
    assertEquals(await replayed.step({ x: tf.mul(x, NaN) }), { loss: NaN });
    const state = replayed.read();
    assertEquals(state.trained.w.dataSync()[0], -0.5);
    free(state);
    replayed.dispose();
    assertThrows(() => startResident(odd, start(), { precision: "bf16" }), OneloraError, "the tensorflow backend");
  });
});
