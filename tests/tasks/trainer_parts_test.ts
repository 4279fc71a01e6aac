import { assert, assertAlmostEquals, assertEquals, assertNotEquals } from "@std/assert";
import { dispose, mul, type Tensor } from "@tensorflow/tfjs-core";
import {
  accumulate,
  adamw,
  type BackendName,
  chain,
  clipByGlobalNorm,
  isTrainable,
  key,
  mapTree,
  type Optimiser,
  partition,
  sgd,
  useBackend,
} from "../../dsl/mod.ts";
import type { Ranks } from "../../dsl/ranks.ts";
import { loadParams, openModel } from "../../models/mod.ts";
import { type Run, taskKind, train, trainStep } from "../../tasks/mod.ts";
import { drawingTask } from "../../tasks/trainer/draws.ts";
import { partsOf } from "../../tasks/trainer/shares.ts";
import { stepHalves } from "../../tasks/trainer/step.ts";
import { available } from "../support/available.ts";
import { smallCifar } from "../support/command.ts";
import { ranksInMemory } from "../support/ranks.ts";
import { withoutLeaks } from "../support/compare.ts";

const folder = await Deno.makeTempDir();
globalThis.addEventListener("unload", () => Deno.removeSync(folder, { recursive: true }));

const shared = {
  adapter: "lora",
  rank: 2,
  target: "all-linear",
  // 10 examples in batches of 6: every other step has 4.
  batchSize: 6,
  limit: 10,
  steps: 4,
  weightDecay: 0,
  schedule: "constant",
  warmup: 0,
  clip: 0,
  seed: 0,
  shuffle: true,
  strict: true,
  evalEvery: 0,
  checkpointEvery: 0,
  workers: 0,
};

/** A short run of every task, whose parts weigh differently: tokens and valid pixels are no two examples' the same. */
const runs: Readonly<Record<string, Run>> = {
  "image-classification": {
    ...shared,
    model: "tests/fixtures/vit-rgb",
    data: await smallCifar(`${folder}/cifar`),
    lr: 0.1,
    own: { augment: false },
  },
  depth: { ...shared, model: "dpt-micro", data: "scenes-driving", lr: 1e-3, own: { augment: false, samples: 1 } },
  generation: { ...shared, model: "dit-micro", data: "mnist", lr: 0.1, own: { augment: false, samples: 1 } },
  reasoning: { ...shared, model: "llama-micro", data: "word-problems-b", lr: 0.1, own: { length: 64, samples: 1 } },
};

const quiet = { line: () => {}, start: () => {}, progress: () => {}, finish: () => {} };

/** The task, ready to train. */
async function opened(task: string, run: Run) {
  const kind = taskKind(task);
  const data = await kind.openData(run.data, run);
  const prepared = await kind.open(run, { model: await openModel(run.model), data }, quiet);
  return drawingTask(prepared, prepared.layer, run.seed);
}

/** How a run is taken, where not as `descend` does it by itself. */
interface Way {
  /** Plain gradient descent by default: what it moves by is the gradient. */
  readonly optimiser?: Optimiser;
  /** Steps (default 4). */
  readonly steps?: number;
  /** What the first parameters are multiplied by (default 1). */
  readonly factor?: number;
  /** Processes that share the batches (default: none beside this). */
  readonly ranks?: Ranks;
  /** Whether sums over a batch are made share by share, as a run has them (default false). */
  readonly inShares?: boolean;
  /** Whether what they come to does not depend on how many there are (default false). */
  readonly isInvariant?: boolean;
}

/** Losses of each step and the trained parameters. */
async function descend(
  task: string,
  run: Run,
  { optimiser: kind = sgd(), steps = 4, factor = 1, ranks, inShares = false, isInvariant = false }: Way = {},
) {
  const prepared = await opened(task, run);
  try {
    const { params } = await loadParams(prepared.model, key(1), prepared.layer);
    const { kept, rest: frozen } = partition<Tensor>(isTrainable(prepared.layer))(params);
    const trained = factor === 1 ? kept : mapTree((tensor: Tensor) => mul(tensor, factor))(kept);
    if (factor !== 1) dispose(kept);
    const parts = ranks === undefined ? run.accumulate ?? 1 : 1;
    const optimiser = accumulate(parts)(kind);
    const known = inShares ? run : undefined;
    const losses: number[] = [];
    const { state } = await train(
      { ...prepared.training, evaluate: () => Promise.resolve({ [prepared.training.deciding.metric]: 0 }) },
      trainStep(prepared.objective, optimiser, prepared.whole?.measure, known),
      { frozen, trained, optimiser: optimiser.init(trained) },
      {
        steps,
        schedule: () => run.lr,
        evalEvery: 0,
        checkpointEvery: 0,
        inParts: parts > 1,
        join: prepared.whole?.join,
        shared: ranks && {
          ranks,
          halves: stepHalves(prepared.objective, optimiser, prepared.whole?.measure, known),
          isInvariant,
        },
        reporter: { ...quiet, progress: (_, { loss }) => void losses.push(loss) },
      },
    );
    const reached = Object.fromEntries(Object.entries(state.trained).map(([path, t]) => [path, [...t.dataSync()]]));
    for (const tree of [state.frozen, state.trained, state.optimiser]) {
      for (const tensor of Object.values(tree)) tensor.dispose();
    }
    return { losses, reached };
  } finally {
    await prepared.close?.();
  }
}

// How a batch is cut is no task's affair, what its parts weigh is: one task shows every size, the others one of parts and shares.
for (const backend of await available("wasm", "tensorflow")) {
  for (const [task, run] of Object.entries(runs)) {
    const everySize = task === "image-classification";
    // Steps as graphs are the engine's affair: one task shows them, for each shape takes seconds to build.
    if (backend === "tensorflow" && task !== "image-classification") continue;
    Deno.test(`${task}: a step in parts of any size is the whole step, loss and parameters (${backend})`, async () => {
      const { engine } = await useBackend(backend);
      await withoutLeaks(async () => {
        // A whole epoch, and the first step of the next one.
        const steps = 3;
        const whole = await descend(task, run, { steps });
        assertEquals(whole.losses.length, steps);
        assert(whole.losses[0] !== whole.losses[2], "the parameters move");
        // Parts of 3, 2 and 1 examples. Where steps are graphs, one is built for every shape, which takes a while.
        const alone: Record<number, Awaited<ReturnType<typeof descend>>> = {};
        for (const accumulate of engine.resident ? [4] : everySize ? [2, 3, 100] : [3]) {
          alone[accumulate] = await descend(task, { ...run, accumulate }, { steps });
          const { losses, reached } = alone[accumulate];
          losses.forEach((loss, i) => {
            const what = `loss ${i} in ${accumulate} parts`;
            assertAlmostEquals(loss, whole.losses[i], 1e-6 * Math.max(1, whole.losses[i]), what);
          });
          for (const [path, values] of Object.entries(whole.reached)) {
            const scale = values.reduce((most, value) => Math.max(most, Math.abs(value)), 1);
            values.forEach((value, i) => assertAlmostEquals(reached[path][i], value, 1e-6 * scale, `${path}[${i}]`));
          }
        }
        // Of three processes one has no share of every other batch.
        for (const size of engine.resident || !everySize ? [3] : [2, 3]) {
          const inParts = { ...run, accumulate: size };
          const [first, ...others] = await Promise.all(
            ranksInMemory(size).map((ranks) => descend(task, inParts, { ranks, steps })),
          );
          for (const other of others) assertEquals(other, first);
          // Halves are other graphs than a step, which may be fused otherwise.
          if (engine.resident === undefined) assertEquals(first, alone[size]);
          first.losses.forEach((loss, i) => assertAlmostEquals(loss, whole.losses[i], 1e-6 * Math.max(1, loss)));
          for (const [path, values] of Object.entries(whole.reached)) {
            const scale = values.reduce((most, value) => Math.max(most, Math.abs(value)), 1);
            values.forEach((value, i) =>
              assertAlmostEquals(first.reached[path][i], value, 1e-6 * scale, `${path}[${i}]`)
            );
          }
        }
      });
    });
  }
}

for (const task of ["image-classification", "depth"]) {
  Deno.test(`${task}: with dropout, every part draws its own, and processes draw what one that accumulates does`, async () => {
    await useBackend("wasm");
    await withoutLeaks(async () => {
      const run = { ...runs[task], dropout: 0.5, accumulate: 2 };
      const way = { steps: 2 };
      const found = await descend(task, run, way);
      assertEquals(await descend(task, run, way), found);
      const [first] = await Promise.all(ranksInMemory(2).map((ranks) => descend(task, run, { ...way, ranks })));
      assertEquals(first, found);
      // What losses are made of is the task's affair: one shows what is drawn.
      if (task === "depth") return;
      for (const other of [{ ...run, seed: 1 }, { ...run, dropout: 0 }, { ...run, dropout: 0.4 }]) {
        assertNotEquals((await descend(task, other, way)).reached, found.reached);
      }
    });
  });
}

/** Tensors that are not the same, with how many of their numbers. */
function differing(one: Readonly<Record<string, readonly number[]>>, other: typeof one): readonly string[] {
  assertEquals(Object.keys(one), Object.keys(other));
  return Object.entries(one).flatMap(([path, values]) => {
    const count = values.filter((value, i) => value !== other[path][i]).length;
    return count === 0 ? [] : [`${path}: ${count} of ${values.length}`];
  });
}

// AdamW makes a step of the last bit of a tiny gradient: only equal bytes stay equal. Batches of 6 and 4 are no multiples of
// four shares, nor does every part weigh the same. Sums over a batch are made by layers and know no task: adapters and numbers of
// processes are shown on one, and with all its weights trained every model has a gradient of each of its layers.
for (const [task, run] of Object.entries(runs)) {
  for (const adapter of task === "image-classification" ? ["1lora", "lora", "all"] : ["all"]) {
    const sizes = task === "image-classification" ? [2, 4] : [2];
    Deno.test(`${task}, ${adapter}: ${sizes} processes come to the bytes of one with the whole batch`, async () => {
      await useBackend("wasm");
      await withoutLeaks(async () => {
        const plain = { ...run, adapter, lr: 1e-3, rank: undefined, own: { ...run.own, augment: true } };
        const optimiser = chain(clipByGlobalNorm(1))(adamw({ weightDecay: 0.01 }));
        // A batch of 6 and one of 4; what the second comes to rests on what the first did.
        const way = { optimiser, steps: 2, inShares: true };
        const whole = await descend(task, plain, way);
        for (const size of sizes) {
          const inParts = { ...plain, accumulate: size };
          const [first] = await Promise.all(
            ranksInMemory(size).map((ranks) => descend(task, inParts, { ...way, ranks })),
          );
          assertEquals(first.losses, whole.losses, `${size} processes`);
          assertEquals(differing(first.reached, whole.reached), [], `${size} processes`);
        }
      });
    });
  }
}

// Whatever an engine's kernels do with few examples: none sees how many processes there are. Epochs' last batches have 4 examples
// for 4 and for 6 parts; where each shape takes seconds to build, most have one. Every process builds its own: where that takes
// longest there are two, and other numbers of them on the smallest model and on wasm.
const even = { batchSize: 4, limit: 8 };
const invariant: readonly (readonly [backend: string, task: string, run: Partial<Run>, sizes: readonly number[]])[] = [
  ["tensorflow", "image-classification", { adapter: "all" }, [3]],
  ["tensorflow", "depth", { ...even, adapter: "lora", dropout: 0.5 }, [2]],
  ["tensorflow", "generation", { ...even, adapter: "all" }, [2]],
  ["tensorflow", "reasoning", { ...even, adapter: "all" }, [2]],
  ["wasm", "image-classification", { adapter: "lora", dropout: 0.5, accumulate: 6 }, [2, 3, 4, 5]],
  ["wasm", "depth", { adapter: "lora", dropout: 0.5 }, [3]],
  ["wasm", "generation", { adapter: "all" }, [2]],
  ["wasm", "reasoning", { adapter: "1lora", accumulate: 3 }, [2]],
];
const there: readonly string[] = await available("wasm", "tensorflow");

for (const [backend, task, own, sizes] of invariant.filter(([backend]) => there.includes(backend))) {
  const name = `batch-invariant: ${sizes} processes come to the bytes of one (${task}, ${
    JSON.stringify(own)
  }, ${backend})`;
  Deno.test(name, async () => {
    await useBackend(backend as BackendName);
    await withoutLeaks(async () => {
      const run: Run = {
        ...runs[task],
        lr: 1e-3,
        ...own,
        batchInvariant: "on",
        rank: own.adapter === "lora" ? 2 : undefined,
      };
      const parts = { ...run, accumulate: partsOf(run, 1), own: { ...run.own, augment: true } };
      const optimiser = chain(clipByGlobalNorm(1))(adamw({ weightDecay: 0.01 }));
      const reached = (size: number) =>
        Promise.all(
          ranksInMemory(size).map((ranks) =>
            descend(task, parts, { optimiser, steps: 2, inShares: true, isInvariant: true, ranks })
          ),
        );
      const [one] = await reached(1);
      assert(one.losses[0] !== one.losses[1], "the parameters move");
      for (const size of sizes) {
        assertEquals(partsOf(run, size), parts.accumulate);
        for (const { losses, reached: found } of await reached(size)) {
          assertEquals(losses, one.losses, `${size} processes`);
          assertEquals(differing(found, one.reached), [], `${size} processes`);
        }
      }
    });
  });
}

/** The largest difference of two runs' parameters, in a tensor's scale, and in that of all. */
function apart(one: Readonly<Record<string, readonly number[]>>, other: typeof one) {
  const measured = Object.entries(one).map(([path, values]) => ({
    difference: Math.max(...values.map((value, i) => Math.abs(value - other[path][i]))),
    scale: Math.max(...values.map(Math.abs)),
  }));
  const most = (of: (each: typeof measured[number]) => number) => Math.max(...measured.map(of));
  return {
    ofTensor: most(({ difference, scale }) => scale === 0 ? 0 : difference / scale),
    ofAll: most(({ difference }) => difference) / most(({ scale }) => scale),
  };
}

// AdamW divides a gradient by its own size, and so makes the last bit of a tiny one as large as a step. With a larger epsilon it
// does not; then steps in parts stay at the whole's, with augmentation, noise and weight decay. In the runs of this seed no
// feature comes so near to a ReLU's kink that its last bit would decide.
for (const [task, run] of Object.entries(runs)) {
  Deno.test(`${task}: AdamW in parts is AdamW on the whole, but for rounding that it divides by itself`, async () => {
    await useBackend("wasm");
    await withoutLeaks(async () => {
      const real = { ...run, seed: 1, lr: 1e-3, own: { ...run.own, augment: true } };
      const optimiser = adamw({ weightDecay: 0.01, epsilon: 1e-2 });
      // A whole epoch, and the first step of the next one.
      const whole = await descend(task, real, { optimiser, steps: 3 });
      const parts = await descend(task, { ...real, accumulate: 4 }, { optimiser, steps: 3 });
      const { ofTensor, ofAll } = apart(whole.reached, parts.reached);
      assert(ofAll < 1e-6 && ofTensor < 1e-5, `${ofTensor} of a tensor, ${ofAll} of all`);
    });
  });
}

Deno.test("what parts change under AdamW's own epsilon is no more than what the last bit of the start does", async () => {
  await useBackend("wasm");
  await withoutLeaks(async () => {
    const run = { ...runs.depth, lr: 1e-3 };
    const way = { optimiser: adamw({ weightDecay: 0.01 }), steps: 8 };
    const whole = await descend("depth", run, way);
    const nudged = await descend("depth", run, { ...way, factor: 1 + 2 ** -23 });
    const parts = await descend("depth", { ...run, accumulate: 3 }, way);
    const [ours, least] = [parts, nudged].map(({ reached }) => apart(whole.reached, reached).ofTensor);
    assert(least > 0 && ours < 10 * least, `${ours}, where one bit makes ${least}`);
  });
});
