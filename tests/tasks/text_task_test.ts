import { assert, assertAlmostEquals, assertEquals, assertLess, assertRejects, assertStringIncludes } from "@std/assert";
import * as tf from "@tensorflow/tfjs-core";
import { apply, key, mapTree, OneloraError, type Params, type StepPlan, useBackend } from "../../dsl/mod.ts";
import { asLanguageModel, loadParams, openModel } from "../../models/mod.ts";
import { fineTune, type Run, runTask, taskKind } from "../../tasks/mod.ts";
import { padExamples } from "../../tasks/reasoning/encode.ts";
import { reasoningObjective, tokenTensors } from "../../tasks/reasoning/objective.ts";
import { openTextData } from "../../tasks/text/open.ts";
import { packTexts } from "../../tasks/text/pack.ts";
import { prepareTexts } from "../../tasks/text/prepare.ts";
import { available } from "../support/available.ts";
import { withoutLeaks } from "../support/compare.ts";
import { writeSmallLlama } from "../support/small_llama.ts";

const folder = await Deno.makeTempDir();
globalThis.addEventListener("unload", () => Deno.removeSync(folder, { recursive: true }));
const text = taskKind("text");
let made: Promise<void> | undefined;

const TEMPLATE =
  "{% for m in messages %}{{ m.role + ': ' + m.content }}{{ eos_token if m.role == 'assistant' else '' }}\n" +
  "{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}";
const chats = Array.from({ length: 12 }, (_, i) => ({
  messages: [
    { role: "user", content: `What is ${i} plus 1?` },
    { role: "assistant", content: `${i + 1}` },
    { role: "user", content: "Are you sure?" },
    { role: "assistant", content: "Yes." },
  ],
}));
const questions = [
  { question: "What is 2 plus 3?", choices: ["5", "a number that is not 5"], answer: 0 },
  { question: "What is 4 plus 3?", choices: ["8", "7", "4"], answer: "B" },
];
const lines = (rows: readonly object[]) => rows.map((row) => JSON.stringify(row)).join("\n");

/** A very small random model with a chat template, and files to learn from. */
async function make(): Promise<void> {
  await useBackend("wasm");
  await writeSmallLlama(folder);
  await Deno.writeTextFile(`${folder}/chat_template.jinja`, TEMPLATE);
  await Deno.writeTextFile(`${folder}/chats.jsonl`, lines(chats));
  await Deno.writeTextFile(`${folder}/questions.jsonl`, lines(questions));
}

const settings: Run = {
  model: folder,
  data: `${folder}/chats.jsonl`,
  adapter: "1lora",
  target: "all-linear",
  steps: 6,
  batchSize: 4,
  lr: 3e-2,
  weightDecay: 0,
  schedule: "constant",
  warmup: 0,
  clip: 0,
  seed: 3,
  shuffle: true,
  strict: true,
  evalEvery: 0,
  checkpointEvery: 0,
  own: { length: 128, samples: 1, preview: 1 },
};

async function run(changes: Partial<Run> = {}, line: (text: string) => void = () => {}) {
  await (made ??= make());
  const reporter = { line, start: () => {}, progress: () => {}, finish: () => {} };
  return await runTask(text, { ...settings, ...changes }, { reporter });
}

Deno.test("a few steps on chats lower the validation loss; what is learned is shown first; nothing leaks", async () => {
  await run({ steps: 1 });
  const shown: string[] = [];
  await withoutLeaks(async () => {
    const before = await run({ adapter: "none" });
    const after = await run({}, (line) => shown.push(line));
    assertLess(after.metrics.loss, before.metrics.loss - 0.05);
    assertAlmostEquals(after.metrics.perplexity, Math.exp(after.metrics.loss), 1e-9);
    assertEquals(after.metrics.exactMatch, 0);
  });
  assertEquals(shown.filter((line) => line.startsWith("example")).length, 1);
  assertStringIncludes(shown.join("\n"), "Are you sure?\\nassistant: «Yes.</s>»");
});

Deno.test("what was answered in the last evaluation is shown as it is, and other parameters are asked", async () => {
  await (made ??= make());
  await useBackend("wasm");
  const opened = { model: await openModel(folder), data: await text.openData(settings.data, settings) };
  const reporter = { line: () => {}, start: () => {}, progress: () => {}, finish: () => {} };
  const { training, show, layer, model } = await text.open({ ...settings, adapter: "none" }, opened, reporter);
  const { params } = await loadParams(model, key(0), layer);
  // Larger weights, so that it says something else.
  const others = mapTree((tensor: tf.Tensor) => tf.mul(tensor, 20))(params);
  const shown = async (params: Params, isEvaluated: boolean) => {
    await show!(params, folder, isEvaluated);
    return await Deno.readTextFile(`${folder}/answers.md`);
  };
  const own = await shown(params, true);
  await training.evaluate(params);
  assertEquals(await shown(others, true), own);
  assert(await shown(others, false) !== own);
  await training.evaluate(others);
  assert(await shown(params, true) !== own);
});

Deno.test("packed or not, the loss and its gradient are the same to 1e-5, and no text sees another", async () => {
  await (made ??= make());
  await useBackend("cpu");
  const model = await openModel(folder);
  const { params } = await loadParams(model, key(0));
  const prepared = await prepareTexts(
    model,
    await openTextData(settings.data, {}),
    { ...settings, limit: 4 },
    "validation",
  );
  const packed = packTexts(prepared.train, 256);
  assert(packed.length < prepared.train.length / 1.5);
  assertEquals(Math.max(...packed.map(({ ids }) => ids.length)) <= 256, true);
  assertEquals(packed.flatMap(({ ids }) => [...ids]).length, prepared.train.flatMap(({ ids }) => [...ids]).length);
  const layer = asLanguageModel(model, model.layer);
  const objective = reasoningObjective(layer);
  const values = (examples: typeof packed) => {
    const batch = tokenTensors(padExamples(examples));
    const loss = (all: Params) => objective(all, batch).loss;
    const { value, grads } = tf.variableGrads(() => loss(params), Object.values(variables));
    return { loss: value.dataSync()[0], gradients: Object.values(grads).map((grad) => [...grad.dataSync()]) };
  };
  // Larger weights, so that what a token sees matters.
  const variables = Object.fromEntries(
    Object.entries(params).map(([path, tensor]) => [path, tf.variable(tf.mul(tensor, 5))]),
  );
  Object.assign(params, variables);
  const [whole, rows] = [values(prepared.train), values(packed)];
  assertAlmostEquals(whole.loss, rows.loss, 1e-5);
  const largest = Math.max(...whole.gradients.flat().map(Math.abs));
  assert(largest > 0.01);
  whole.gradients.flat().forEach((value, i) => assertAlmostEquals(value, rows.gradients.flat()[i], 1e-5));
  // One that sees the text before it says something else.
  const merged = packed.map((each) => ({ ...each, segments: each.segments!.map(() => 1) }));
  const seen = tf.tidy(() => objective(params, tokenTensors(padExamples(merged))).loss.dataSync()[0]);
  assert(Math.abs(seen - whole.loss) > 1e-4);
  await useBackend("wasm");
  const trained = await run({ own: { ...settings.own, length: 256, pack: true } });
  assert(Number.isFinite(trained.metrics.loss));
});

Deno.test("rows that dynamic rotary positions would stretch are not packed", async () => {
  await (made ??= make());
  const path = `${folder}/config.json`;
  const before = await Deno.readTextFile(path);
  const dynamic = (positions: number) =>
    Deno.writeTextFile(
      path,
      JSON.stringify({
        ...JSON.parse(before),
        max_position_embeddings: positions,
        rope_parameters: { rope_type: "dynamic", factor: 2, rope_theta: 10000 },
      }),
    );
  try {
    await dynamic(200);
    const own = { ...settings.own, length: 256, pack: true };
    const error = await assertRejects(() => run({ steps: 1, own }), OneloraError, 'rope_type "dynamic"');
    assertEquals(error.exitCode, 2);
    await run({ steps: 1, own: { ...own, length: 190 } });
    await run({ steps: 1, own: { ...own, pack: false } });
  } finally {
    await Deno.writeTextFile(path, before);
  }
});

Deno.test("choices are judged by the likelihood of their tokens, one question at a time by hand", async () => {
  await run({ steps: 1 });
  const model = await openModel(folder);
  const { params } = await loadParams(model, key(0));
  const data = { ...await openTextData(`${folder}/questions.jsonl`, {}) };
  const both = { ...data, validation: data.train };
  const report = await text.evaluate(
    { model, layer: model.layer, params },
    both,
    { data: "", own: { length: 128, samples: 0 } },
    { line: () => {}, start: () => {}, progress: () => {}, finish: () => {} },
  );
  const prepared = await prepareTexts(model, both, { own: { length: 128 } }, "validation");
  const layer = asLanguageModel(model, model.layer);
  let [right, byLength] = [0, 0];
  for (const { encoded, lengths, answer } of prepared.choices) {
    const scores = encoded.map(({ ids, labels }) => {
      const logits = apply(layer, params)(tf.tensor2d(ids, [1, ids.length], "int32"));
      const logs = tf.logSoftmax(logits).arraySync() as number[][][];
      return [...ids].reduce((sum, id, at) => labels[at] === id ? sum + logs[0][at - 1][id] : sum, 0);
    });
    if (scores.indexOf(Math.max(...scores)) === answer) right++;
    const shares = scores.map((score, i) => score / lengths[i]);
    if (shares.indexOf(Math.max(...shares)) === answer) byLength++;
  }
  assertEquals(report.metrics.accuracy, right / 2);
  assertEquals(report.metrics.accuracyByLength, byLength / 2);
  assertEquals(report.metrics.exactMatch, undefined);
  // The short answer is likelier to a model that knows nothing.
  assert(right >= 1);
});

Deno.test("chats of one's own in memory are learned, and the tuned model answers", async () => {
  await (made ??= make());
  using tuned = await fineTune({
    task: "text",
    model: folder,
    data: chats,
    steps: 2,
    batchSize: 4,
    samples: 0,
    preview: 0,
    length: 100,
    backend: "wasm",
  });
  assert(Number.isFinite(tuned.metrics.loss));
  assertEquals(typeof await tuned.predict("What is 1 plus 1?"), "string");
});

for (const backend of await available("tensorflow")) {
  Deno.test(`the plan that a run tells counts weights as they are held (${backend})`, async () => {
    await (made ??= make());
    const plans: StepPlan[] = [];
    const own = { task: "text", model: folder, data: chats, steps: 1, samples: 0, preview: 0, length: 100 } as const;
    for (const quantise of [undefined, "int8"] as const) {
      using _ = await fineTune({ ...own, backend, quantise, onPlan: (plan) => plans.push(plan) });
    }
    const [plain, quantised] = plans.map(({ weights }) => weights);
    assertEquals([plain.quantised, plain.bf16], [0, 0]);
    assert(quantised.quantised > 0 && quantised.float32 < plain.float32 - 3 * quantised.quantised + 4096);
    await useBackend("wasm");
  });
}

Deno.test("models, templates and lengths that cannot be used are refused in a line", async () => {
  const fails = async (changes: Partial<Run>, part: string) => {
    const error = await assertRejects(() => run(changes), OneloraError);
    assertStringIncludes(error.message, part);
    assertEquals(error.message.includes("\n"), false);
  };
  await fails({ model: "vit-micro" }, "llama");
  await fails({ model: "llama-micro" }, "chat template");
  await fails({ own: { length: 4 } }, "nothing to learn");
  await fails({ own: { length: 128, template: "alpaca" } }, "found --template alpaca; allowed: auto, chat");
  await fails({ data: `${folder}/nothing.jsonl` }, "no such file");
});
