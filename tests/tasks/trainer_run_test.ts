import { assertAlmostEquals, assertEquals, assertNotEquals, assertRejects } from "@std/assert";
import * as tf from "@tensorflow/tfjs-core";
import { OneloraError, useBackend } from "../../dsl/mod.ts";
import { turn } from "../../dsl/turn.ts";
import { type ClassificationSettings, imageClassification, type Run, runTask } from "../../tasks/mod.ts";
import { available } from "../support/available.ts";
import { smallCifar } from "../support/command.ts";

const folder = await Deno.makeTempDir();
const data = await smallCifar(`${folder}/cifar`);
globalThis.addEventListener("unload", () => Deno.removeSync(folder, { recursive: true }));

const run: Run<ClassificationSettings> = {
  model: "tests/fixtures/vit-rgb",
  data,
  adapter: "1lora",
  target: "all-linear",
  steps: 12,
  batchSize: 4,
  lr: 1e-2,
  weightDecay: 0,
  schedule: "constant",
  warmup: 0,
  clip: 0,
  seed: 0,
  shuffle: true,
  own: { augment: false },
  strict: true,
  evalEvery: 2,
  checkpointEvery: 0,
};

/** What a run said, and the parameters it saved. */
interface Heard {
  readonly lines: string[];
  bias?: Float32Array;
}

function surroundings(out: string | undefined, heard: Heard) {
  return {
    out,
    reporter: {
      line: (text: string) => void heard.lines.push(text),
      start: () => {},
      progress: () => {},
      finish: () => {},
    },
    ready: async () => {
      if (out !== undefined) await Deno.mkdir(`${out}/checkpoint`, { recursive: true });
    },
    save: async ({ params }: { readonly params: Readonly<Record<string, tf.Tensor>> }) => {
      heard.bias = await params["classifier.bias"].data<"float32">();
    },
  };
}

/** Image classification whose evaluations find given values in turn. */
function judgedBy(
  values: readonly number[],
  seen: Float32Array[] = [],
  during: (evaluation: number) => void = () => {},
): typeof imageClassification {
  let next = 0;
  return {
    ...imageClassification,
    open: async (...opened) => {
      const prepared = await imageClassification.open(...opened);
      return {
        ...prepared,
        training: {
          ...prepared.training,
          evaluate: async (params) => {
            seen.push(await params["classifier.bias"].data<"float32">());
            during(next);
            await turn();
            return { accuracy: values[next++] };
          },
        },
      };
    },
  };
}

Deno.test("epochs are whole batches of the data, and a share of warm-up is rounded to whole steps", async () => {
  await useBackend("wasm");
  const rates: number[] = [];
  const { steps: _, ...timeless } = run;
  const settings = { ...timeless, epochs: 2.5, limit: 10, warmup: 0.3, evalEvery: 0 };
  const { steps } = await runTask(judgedBy([0.5]), settings, {
    ...surroundings(undefined, { lines: [] }),
    observers: [{ onStep: ({ lr }) => void rates.push(lr) }],
  });
  // Three batches of ten examples an epoch: 7.5 steps, 8; of which 2.4 warm up, 2.
  assertEquals([steps, rates.length], [8, 8]);
  assertEquals(rates, [0, 0.005, ...Array.from({ length: 6 }, () => 0.01)]);
});

Deno.test("evaluations come every so many steps, or every share of all steps", async () => {
  await useBackend("wasm");
  const steps = async (evalEvery: number) => {
    const found: number[] = [];
    await runTask(judgedBy(Array.from({ length: 12 }, (_, i) => i / 12)), { ...run, evalEvery, limit: 4 }, {
      ...surroundings(undefined, { lines: [] }),
      observers: [{ onEvaluation: ({ step }) => void found.push(step) }],
    });
    return found;
  };
  assertEquals(await steps(5), [5, 10, 12]);
  // 0.3 of 12 steps are 3.6; any share is a step at least.
  assertEquals(await steps(0.3), [4, 8, 12]);
  assertEquals((await steps(0.001)).length, 12);
  assertEquals(await steps(0), [12]);
});

Deno.test("clipping bounds the gradients' norm, and with an average of parameters that is what counts", async () => {
  await useBackend("wasm");
  const evaluated = async (own: Partial<Run>) => {
    const seen: Float32Array[] = [];
    const heard: Heard = { lines: [] };
    const settings = { ...run, steps: 4, evalEvery: 1, ...own };
    await runTask(judgedBy([0.1, 0.2, 0.3, 0.4], seen), settings, surroundings(undefined, heard));
    assertEquals(heard.bias, seen[3]);
    return seen;
  };
  const plain = await evaluated({});
  const averages = await evaluated({ ema: 0.75 });
  for (let step = 1; step < 4; step++) {
    averages[step].forEach((value, i) =>
      assertAlmostEquals(value, 0.75 * averages[step - 1][i] + 0.25 * plain[step][i], 1e-6)
    );
  }
  assertNotEquals(averages[3], plain[3]);
  // AdamW takes the same step at any scale of all gradients; clipped ones weigh the same at every step.
  assertEquals(await evaluated({ clip: 1e6 }), plain);
  assertNotEquals(await evaluated({ clip: 1e-2 }), plain);
});

Deno.test("patience ends a run, and the best evaluation's parameters can be kept", async () => {
  await useBackend("wasm");
  const before = tf.memory().numTensors;
  const patient = { ...run, patience: 2 };
  const [heard, seen]: [Heard, Float32Array[]] = [{ lines: [] }, []];
  const last = await runTask(judgedBy([0.2, 0.5, 0.4, 0.5, 0.9], seen), patient, surroundings(`${folder}/last`, heard));
  assertEquals([last.steps, last.best, last.metrics], [8, { value: 0.5, step: 4 }, { accuracy: 0.5 }]);
  assertEquals(heard.bias, seen[3]);
  assertEquals(heard.lines.at(-1), "stopped after step 8: 2 evaluations without a better accuracy");

  const kept: Heard = { lines: [] };
  const best = await runTask(
    judgedBy([0.2, 0.5, 0.4, 0.3]),
    { ...patient, keep: "best" },
    surroundings(`${folder}/best`, kept),
  );
  assertEquals([best.steps, best.metrics], [8, { accuracy: 0.5 }]);
  assertEquals(kept.bias, seen[1]);
  assertEquals(tf.memory().numTensors, before);

  await assertRejects(
    () => runTask(judgedBy([0.2, 0.5, 0.4, 0.3]), { ...patient, keep: "best" }, surroundings(undefined, { lines: [] })),
    OneloraError,
    "`out`",
  );
});

Deno.test("a time limit ends a run, whose result is its best evaluation's parameters", async () => {
  await useBackend("wasm");
  const [heard, seen]: [Heard, Float32Array[]] = [{ lines: [] }, []];
  const { now } = performance;
  let later = 0;
  performance.now = () => now.call(performance) + later;
  // An hour goes by in the fifth step.
  const onStep = ({ step }: { readonly step: number }) => void (later += step === 5 ? 3.6e6 : 0);
  try {
    const result = await runTask(judgedBy([0.2, 0.5, 0.4], seen), { ...run, timeLimit: 3000 }, {
      ...surroundings(`${folder}/limited`, heard),
      observers: [{ onStep }],
    });
    assertEquals([result.steps, result.best, result.metrics], [5, { value: 0.5, step: 4 }, { accuracy: 0.5 }]);
    assertEquals(result.bestSeconds! < 3000 && result.seconds > 3600, true);
  } finally {
    performance.now = now;
  }
  assertEquals(heard.bias, seen[1]);
  assertEquals(heard.lines.slice(-2), [
    "stopped after step 5: the time limit of 3000 s is reached",
    "the result is what was best until then: that of step 4",
  ]);
  const nowhere = surroundings(undefined, { lines: [] });
  await assertRejects(() => runTask(judgedBy([0.2]), { ...run, timeLimit: 3000 }, nowhere), OneloraError, "`out`");
});

Deno.test("a step in parts ends where a step in one does", async () => {
  await useBackend("wasm");
  const [whole, parts]: [Heard, Heard] = [{ lines: [] }, { lines: [] }];
  const short = { ...run, steps: 4, evalEvery: 0 };
  const one = await runTask(imageClassification, short, surroundings(undefined, whole));
  const two = await runTask(imageClassification, { ...short, accumulate: 2 }, surroundings(undefined, parts));
  assertEquals(Math.abs(one.metrics.loss - two.metrics.loss) < 1e-5, true);
  whole.bias!.forEach((value, i) => assertEquals(Math.abs(value - parts.bias![i]) < 1e-5, true));
});

Deno.test("no method only evaluates", async () => {
  await useBackend("wasm");
  const heard: Heard = { lines: [] };
  const { steps, parameters } = await runTask(
    imageClassification,
    { ...run, adapter: "none" },
    surroundings(undefined, heard),
  );
  assertEquals([steps, parameters.adapter], [0, 0]);
});

Deno.test("a run that is interrupted in any of its evaluations goes on to the same log and parameters", async () => {
  await useBackend("wasm");
  const values = [0.2, 0.5, 0.4];
  const settings = { ...run, steps: 6, weightDecay: 0.1 };
  const logOf = async (out: string) =>
    (await Deno.readTextFile(`${out}/metrics.jsonl`)).trimEnd().split("\n")
      .map((line) => ({ ...JSON.parse(line), seconds: 0 }));
  const whole: Heard = { lines: [] };
  await runTask(judgedBy(values), settings, surroundings(`${folder}/evaluated`, whole));
  const before = tf.memory().numTensors;
  for (const evaluation of [0, 1, 2]) {
    const [out, heard]: [string, Heard] = [`${folder}/evaluated-${evaluation}`, { lines: [] }];
    const controller = new AbortController();
    const kind = judgedBy(values, [], (now) => now === evaluation && controller.abort());
    await assertRejects(
      () => runTask(kind, settings, { ...surroundings(out, heard), signal: controller.signal }),
      OneloraError,
      `an interrupt after step ${2 * evaluation + 2}; allowed: continuing with \`resume: ${out}\``,
    );
    assertEquals((await logOf(out)).length, 2 * evaluation + 1);
    // As of a session that went on, logged the evaluation and was killed before it kept its state.
    const logged = (await Deno.readTextFile(`${folder}/evaluated/metrics.jsonl`)).split("\n")[2 * evaluation + 1];
    await Deno.writeTextFile(`${out}/metrics.jsonl`, `${logged}\n`, { append: true });
    const rest = judgedBy(values.slice(evaluation));
    await runTask(rest, settings, { ...surroundings(out, heard), resume: true });
    assertEquals(heard.bias, whole.bias);
    assertEquals(await logOf(out), await logOf(`${folder}/evaluated`));
  }
  assertEquals(tf.memory().numTensors, before);
});

for (const backend of await available("wasm", "tensorflow", "cpu")) {
  Deno.test(`steps and evaluations leave no tensor and no buffer of the engine behind (${backend})`, async () => {
    await useBackend(backend);
    const held = () => [tf.memory().numTensors, tf.memory().numDataBuffers, tf.backend().numDataIds()];
    const before = held();
    const seen: (readonly number[])[] = [];
    await runTask(imageClassification, { ...run, steps: 60, evalEvery: 10, limit: 4, checkpointEvery: 7 }, {
      ...surroundings(`${folder}/held-${backend}`, { lines: [] }),
      observers: [{ onStep: () => void seen.push(held()) }],
    });
    assertEquals(seen.length, 60);
    // A checkpoint on the way is written while the next step is taken.
    for (const [i, each] of seen.entries()) if (i > 1 && i % 7 !== 0) assertEquals(each, seen[1], `step ${i + 1}`);
    assertEquals(held(), before);
  });
}
