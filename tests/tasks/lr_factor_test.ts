import { assert, assertAlmostEquals, assertEquals, assertNotEquals, assertRejects, assertThrows } from "@std/assert";
import * as tf from "@tensorflow/tfjs-core";
import { adamw, OneloraError, type Params, startResident, useBackend } from "../../dsl/mod.ts";
import { type ClassificationSettings, imageClassification, type Run, runTask, trainStep } from "../../tasks/mod.ts";
import { readLrFactors } from "../../tasks/trainer/lr_factor.ts";
import { available } from "../support/available.ts";
import { smallCifar } from "../support/command.ts";

const folder = await Deno.makeTempDir();
const data = await smallCifar(`${folder}/cifar`);
globalThis.addEventListener("unload", () => Deno.removeSync(folder, { recursive: true }));

const start = (): Params => ({ a: tf.tensor1d([1, -2, 3]), b: tf.tensor2d([[0.5, 4]]), c: tf.scalar(-1) });
const origins = (): Params => ({ b: tf.tensor2d([[2, -2]]) });

/** Three compiled steps of AdamW on a quadratic, and the parameters then. */
async function moved(some: readonly string[], rate: number, factorOf?: (path: string) => number) {
  const trained = Object.fromEntries(Object.entries(start()).filter(([path]) => some.includes(path)));
  const optimiser = adamw({ weightDecay: 0.1, origins: origins(), factorOf });
  const step = trainStep((params) => {
    const squares = Object.values(params).map((tensor) => tf.sum(tf.square(tf.sub(tensor, 0.25))));
    return { loss: tf.addN(squares) as tf.Scalar, metrics: {} };
  }, optimiser);
  const resident = startResident(step, { frozen: {}, trained, optimiser: optimiser.init(trained) });
  for (let i = 0; i < 3; i++) await resident.step({ rate: tf.scalar(rate), momentum: tf.scalar(0.85 + 0.01 * i) });
  const { trained: reached } = resident.read();
  resident.dispose();
  return Object.fromEntries(Object.entries(reached).map(([path, tensor]) => [path, [...tensor.dataSync()]]));
}

for (const backend of await available("cpu", "wasm", "tensorflow")) {
  Deno.test(`parts of a model learn at factors of the rate as optimisers of their own do, on ${backend}`, async () => {
    await useBackend(backend);
    const factors: Readonly<Record<string, number>> = { a: 0.5, b: 0.25 };
    const together = await moved(["a", "b", "c"], 0.5, (path) => factors[path] ?? 1);
    // Powers of two scale without rounding: the same bits.
    assertEquals(together.a, (await moved(["a"], 0.25)).a);
    assertEquals(together.b, (await moved(["b"], 0.125)).b);
    assertEquals(together.c, (await moved(["c"], 0.5)).c);
    assertNotEquals(together.a, (await moved(["a"], 0.5)).a);
  });
}

const run: Run<ClassificationSettings> = {
  ...{ model: "tests/fixtures/vit-rgb", data, adapter: "1lora", target: "all-linear" },
  ...{ steps: 3, batchSize: 4, lr: 1e-2, weightDecay: 0.1, schedule: "constant", warmup: 0, clip: 1, seed: 0 },
  ...{ shuffle: true, own: { augment: false }, strict: true, evalEvery: 0, checkpointEvery: 0 },
};

/** A run's parameters, and what it said. */
async function trained(own: Partial<Run>) {
  const [lines, found]: [string[], Record<string, Float32Array>] = [[], {}];
  const reporter = {
    line: (text: string) => void lines.push(text),
    start: () => {},
    progress: () => {},
    finish: () => {},
  };
  await runTask(imageClassification, { ...run, ...own }, {
    reporter,
    save: async ({ params }) => {
      for (const [path, tensor] of Object.entries(params)) found[path] = await tensor.data<"float32">();
    },
  });
  return { lines, found };
}

Deno.test("a run takes factors by path patterns", async () => {
  await useBackend("wasm");
  const { found: halved } = await trained({ lr: 2e-2, lrFactor: "**=0.5" });
  assertEquals(halved, (await trained({})).found);
  const head = "classifier.bias";
  const [slow, plain, before] = [
    await trained({ steps: 1, weightDecay: 0, lrFactor: "classifier.**=0.25,**=1" }),
    await trained({ steps: 1, weightDecay: 0 }),
    await trained({ adapter: "none" }),
  ].map(({ found }) => found);
  const change = (params: typeof slow) => params[head].map((value, i) => value - before[head][i]);
  change(plain).forEach((value, i) => assertAlmostEquals(change(slow)[i], value / 4, 1e-7));
  assert(change(plain).some((value) => Math.abs(value) > 1e-3));
  const others = Object.keys(plain).filter((path) => !path.startsWith("classifier."));
  for (const path of others) assertEquals(slow[path], plain[path], path);
});

Deno.test("a pattern that matches nothing is refused, one without effect is named", async () => {
  const refused = async (lrFactor: string, part: string) => {
    const error = await assertRejects(() => trained({ lrFactor }), OneloraError);
    assert(error.exitCode === 2 && error.message.includes(part), error.message);
  };
  await refused("backbone.**=0.02", '"backbone.**", which matches no parameter');
  const { lines } = await trained({ adapter: "head", lrFactor: "**.query.**=0.5" });
  assert(
    lines.includes("note: the rate's factor 0.5 for **.query.** has no effect: nothing is trained there"),
    `${lines}`,
  );
  for (const wrong of ["", "a", "a=", "a=0", "a=-1", "a=x", "=1", "a=1,", "a=1,,b=2", "a=Infinity"]) {
    assertThrows(() => readLrFactors(wrong), OneloraError, "PATTERN=FACTOR");
  }
});
