/**
 * Batches that are sent while the step before computes, as on a card: runs come to the same bytes.
 *
 * @module
 */
import { assert, assertEquals, assertRejects } from "@std/assert";
import * as tf from "@tensorflow/tfjs-core";
import { accumulate, adamw, type Params, startResident, useBackend } from "../../dsl/mod.ts";
import type { PureStep, ResidentOptions } from "../../dsl/compile/mod.ts";
import type { Ranks } from "../../dsl/ranks.ts";
import { train, trainStep } from "../../tasks/mod.ts";
import { partSpans, type TaskBatch } from "../../tasks/trainer/parts.ts";
import { stepHalves } from "../../tasks/trainer/step.ts";
import type { TrainingTask } from "../../tasks/trainer/training.ts";
import { available } from "../support/available.ts";
import { withoutLeaks } from "../support/compare.ts";
import { ranksInMemory } from "../support/ranks.ts";

const ignore = (await available("tensorflow")).length === 0;
if (ignore) console.log("feed_ahead_test: ignored, no tensorflow backend (`deno task native` provides it)");

const asTensors = { graph: "clusters", feed: "tensors" } as const;
const asWords = { graph: "clusters", feed: "words" } as const;
const wholeTensors = { graph: "whole", feed: "tensors" } as const;
const wholeWords = { graph: "whole", feed: "words" } as const;

/** What is asked of TensorFlow's sessions while something is done: outputs of every run. */
async function asked(body: () => Promise<void>): Promise<readonly string[]> {
  type Run = (session: number, inputs: readonly number[], names: string, outputs: string) => unknown;
  const backend = tf.backend() as unknown as { binding: { readonly runSavedModel: Run } };
  const { binding } = backend;
  const seen: string[] = [];
  const runSavedModel: Run = (session, inputs, names, outputs) => {
    seen.push(outputs);
    return binding.runSavedModel(session, inputs, names, outputs);
  };
  backend.binding = Object.create(binding, { runSavedModel: { value: runSavedModel } });
  try {
    await body();
  } finally {
    backend.binding = binding;
  }
  return seen;
}

/** Examples in all, and in a batch: the last one of every pass has 2. */
const [COUNT, BATCH, WIDTH] = [10, 4, 600];

/** Numbers that are no two examples' the same. */
function numbers(example: number, epoch: number): Float32Array {
  return Float32Array.from({ length: WIDTH }, (_, i) => Math.sin(1 + example * 31 + epoch * 7 + i));
}

/** Pictures of `WIDTH` numbers and classes of 3; `parts` of a batch where gradients are accumulated. */
function task(parts: number, evaluate: TrainingTask["evaluate"]): TrainingTask {
  return {
    deciding: { metric: "score", better: "higher" } as TrainingTask["deciding"],
    evaluate,
    batches: async function* ({ epoch, offset }): AsyncGenerator<TaskBatch, void, void> {
      for (;;) {
        const end = Math.min(COUNT, offset + BATCH);
        const examples = Array.from({ length: end - offset }, (_, i) => offset + i);
        const now = epoch;
        [epoch, offset] = end === COUNT ? [epoch + 1, 0] : [epoch, end];
        await Promise.resolve();
        yield {
          next: { epoch, offset },
          parts: partSpans(examples.length, Math.ceil(BATCH / parts)).map(([begin, stop]) => {
            const own = examples.slice(begin, stop);
            return {
              counted: own.length,
              tensors: () => ({
                x: tf.tensor2d(Float32Array.from(own.flatMap((each) => [...numbers(each, now)])), [own.length, WIDTH]),
                y: tf.tensor1d(own.map((each) => each % 3), "int32"),
              }),
            };
          }),
        };
      }
    },
  };
}

function objective({ w }: Params, { x, y, share }: Params) {
  const logits = tf.tanh(tf.matMul(x as tf.Tensor2D, w as tf.Tensor2D));
  const errors = tf.squaredDifference(logits, tf.oneHot(y as tf.Tensor1D, 3));
  const loss = tf.mean(errors) as tf.Scalar;
  return { loss: share === undefined ? loss : tf.mul(loss, share) as tf.Scalar };
}

/** A loss that needs to know something of the whole step first. */
const whole = {
  measure: (_: Params, { x }: Params) => ({ most: tf.max(x) as tf.Scalar }),
  join: (parts: readonly Readonly<Record<string, number>>[]) => ({ share: Math.max(...parts.map(({ most }) => most)) }),
};

/** How a run is taken. */
interface Way {
  readonly running: Pick<ResidentOptions, "feed" | "graph">;
  readonly steps?: number;
  readonly parts?: number;
  readonly isJoined?: boolean;
  readonly ranks?: Ranks;
  readonly evalEvery?: number;
  readonly patience?: number;
  readonly out?: string;
  readonly signal?: AbortSignal;
  /** Told every step. */
  readonly onStep?: (step: number) => void;
}

/** Losses of a run, what was evaluated, and everything that moved. */
async function descend(
  { running, steps = 7, parts = 1, isJoined = false, ranks, evalEvery = 0, patience, out, signal, onStep }: Way,
) {
  const seen: number[] = [];
  const losses: number[] = [];
  const evaluate = async ({ w }: Params) => {
    seen.push((await w.data())[0]);
    return { score: -seen.length };
  };
  const inParts = ranks === undefined ? parts : 1;
  const optimiser = accumulate(inParts)(adamw({ weightDecay: 0.01 }));
  const trained = {
    w: tf.keep(tf.tensor2d(Float32Array.from({ length: 3 * WIDTH }, (_, i) => Math.cos(i)), [WIDTH, 3])),
  };
  const { state } = await train(
    task(parts, evaluate),
    trainStep(objective, optimiser, whole.measure),
    { frozen: {}, trained, optimiser: optimiser.init(trained) },
    {
      running,
      steps,
      schedule: (step) => 0.01 / (1 + step),
      evalEvery,
      checkpointEvery: out === undefined ? 0 : 2,
      patience,
      out,
      resume: out !== undefined,
      signal,
      inParts: inParts > 1,
      join: isJoined ? whole.join : undefined,
      shared: ranks && { ranks, halves: stepHalves(objective, optimiser, whole.measure) },
      reporter: {
        line: () => {},
        start: () => {},
        finish: () => {},
        progress: (step, { loss }) => {
          losses.push(loss);
          onStep?.(step);
        },
      },
    },
  );
  const moved = Object.entries({ ...state.trained, ...state.optimiser })
    .map(([path, tensor]) => [path, new Uint32Array(tensor.dataSync().slice().buffer)]);
  for (const tree of [state.frozen, state.trained, state.optimiser]) tf.dispose(Object.values(tree));
  return { losses, seen, moved };
}

/** Both ways of feeding, without leaks; how many steps were sent their batch ahead. */
async function agree(way: Omit<Way, "running">, kinds = [asTensors, asWords] as const): Promise<number> {
  await useBackend("tensorflow");
  let rode = 0;
  await withoutLeaks(async () => {
    const expected = await descend({ ...way, running: kinds[0] });
    assert(expected.losses[0] !== expected.losses[3], "the parameters move");
    const runs = await asked(async () => {
      assertEquals(await descend({ ...way, running: kinds[1] }), expected);
    });
    rode = runs.filter((outputs) => outputs.includes("_ahead")).length;
  });
  return rode;
}

Deno.test({
  name: "runs whose batches are sent ahead come to the same bytes, an epoch's last batch being smaller",
  ignore,
  // Batches of 4, 4, 2, 4, 4, 2, 4: two of them come after one of their own size.
  fn: async () => assertEquals(await agree({}), 2),
});

Deno.test({
  name: "the same of steps compiled as one function, and of evaluations in between that end the run early",
  ignore,
  fn: async () => {
    assertEquals(await agree({}, [wholeTensors, wholeWords] as never), 2);
    assertEquals(await agree({ evalEvery: 1, patience: 4, steps: 20 }), 2);
  },
});

Deno.test({
  name: "the same of steps in parts, of losses that are measured before, and of processes that share steps",
  ignore,
  fn: async () => {
    // Parts of 2, 2 in two steps and 2 in the third: all but the first can ride.
    assertEquals(await agree({ parts: 2, steps: 3 }), 4);
    await agree({ parts: 2, isJoined: true, steps: 4 });
    await useBackend("tensorflow");
    await withoutLeaks(async () => {
      const both = await Promise.all(
        [asTensors, asWords].map((running) =>
          Promise.all(ranksInMemory(2).map((ranks) => descend({ running, ranks, parts: 2, steps: 4 })))
        ),
      );
      assertEquals(both[1], both[0]);
      assertEquals(both[0][0], both[0][1]);
    });
  },
});

Deno.test({
  name: "the same of a run that is interrupted and goes on",
  ignore,
  fn: async () => {
    await useBackend("tensorflow");
    await withoutLeaks(async () => {
      const expected = await descend({ running: asTensors, evalEvery: 3 });
      const out = await Deno.makeTempDir();
      try {
        await Deno.mkdir(`${out}/checkpoint`);
        const stop = new AbortController();
        const onStep = (step: number) => step === 4 && stop.abort();
        const way = { running: asWords, out, evalEvery: 3 };
        await assertRejects(() => descend({ ...way, signal: stop.signal, onStep }), Error, "an interrupt after step 4");
        const { losses, moved } = await descend(way);
        assertEquals(losses, expected.losses.slice(4));
        assertEquals(moved, expected.moved);
      } finally {
        await Deno.remove(out, { recursive: true });
      }
    });
  },
});

for (const options of [asWords, wholeWords]) {
  Deno.test({
    name: `a batch that was sent is used if it comes, and only then (${options.graph})`,
    ignore,
    fn: async () => {
      await useBackend("tensorflow");
      await withoutLeaks(async () => {
        const step: PureStep = ({ frozen, trained, optimiser }, { x, y, table }) => {
          const found = tf.sum(tf.gather(table, y as tf.Tensor1D));
          const loss = tf.add(tf.sum(tf.mul(x, trained.w)), found) as tf.Scalar;
          return [{ frozen, trained: { w: tf.add(trained.w, 1) }, optimiser }, { loss }];
        };
        const resident = startResident(step, { frozen: {}, trained: { w: tf.scalar(1) }, optimiser: {} }, options);
        const staying = { table: tf.tensor1d([0, 1000, 2000, 3000]) };
        const batch = (x: number, y: number, length = 3) => ({
          x: tf.fill([length], x),
          y: tf.tensor1d([y], "int32"),
        });
        const [a, b, c, small] = [batch(1, 1), batch(2, 2), batch(NaN, 3), batch(1, 1, 2)];
        const losses: number[] = [];
        const runs = await asked(async () => {
          const take = async (now: Params, next?: Params) =>
            void losses.push((await resident.step(now, staying, next && { batch: next, staying })).loss);
          await take(a, b);
          await take(b, c); // was sent
          await take(a, c); // another one was
          await take(a, small); // has no place here
          await take(small, a);
          await take(c, b); // moves nothing
          await take(b, b); // is there already
          await take(b);
        });
        // Sums of x w, w = 1, 2, 3, ..., and what is looked up.
        assertEquals(losses, [1003, 2012, 1009, 1012, 1010, NaN, 2036, 2042]);
        const rode = runs.map((outputs) => outputs.split(",").filter((name) => name.endsWith("_ahead")).length);
        const each = options.graph === "whole" ? 2 : 1;
        assertEquals(rode.filter((count) => count > 0), [each, each, each, each]);
        resident.dispose();
      });
    },
  });
}
