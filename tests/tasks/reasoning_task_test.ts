import { assert, assertAlmostEquals, assertEquals, assertLess, assertRejects, assertStringIncludes } from "@std/assert";
import { fileOf } from "../../dsl/files/path.ts";
import { key, OneloraError, type Params, useBackend } from "../../dsl/mod.ts";
import { asLanguageModel, generateAll, loadParams, openModel, openTokenizer } from "../../models/mod.ts";
import {
  alpacaPrompt,
  encodeExamples,
  evaluateReasoning,
  isSameAnswer,
  openReasoningData,
  type Run,
  type RunSurroundings,
  runTask,
  splitExamples,
  taskKind,
} from "../../tasks/mod.ts";
import { linesOf } from "../support/command.ts";
import { withoutLeaks } from "../support/compare.ts";
import { writeSmallLlama } from "../support/small_llama.ts";

const folder = await Deno.makeTempDir();
globalThis.addEventListener("unload", () => Deno.removeSync(folder, { recursive: true }));
const reasoning = taskKind("reasoning");
let made: Promise<void> | undefined;

const settings: Run = {
  model: folder,
  data: "word-problems-b",
  adapter: "all",
  target: "all-linear",
  steps: 8,
  batchSize: 8,
  lr: 1e-2,
  weightDecay: 0,
  schedule: "cosine",
  warmup: 0,
  clip: 0,
  seed: 3,
  shuffle: true,
  strict: true,
  evalEvery: 0,
  checkpointEvery: 0,
  // 20 are two batches and a half.
  limit: 20,
  own: { length: 64, samples: 2 },
};

const quiet = { line: () => {}, start: () => {}, progress: () => {}, finish: () => {} };

async function run(changes: Partial<Run> = {}, surroundings: Partial<RunSurroundings> = {}) {
  await useBackend("wasm");
  made ??= writeSmallLlama(folder);
  await made;
  return await runTask(reasoning, { ...settings, ...changes }, { reporter: quiet, ...surroundings });
}

const copied = (params: Params) =>
  Object.fromEntries(Object.entries(params).map(([path, tensor]) => [path, tensor.dataSync().slice()]));

Deno.test("a few steps lower the validation loss, answers are shown side by side, and nothing leaks", async () => {
  await run({ steps: 1 });
  await withoutLeaks(async () => {
    const out = await Deno.makeTempDir();
    try {
      await Deno.mkdir(`${out}/checkpoint`);
      const before = await run({ adapter: "none" });
      const after = await run({}, { out });
      assertEquals(after.deciding, { metric: "loss", better: "lower" });
      assertLess(after.metrics.loss, before.metrics.loss - 0.3);
      assertAlmostEquals(after.metrics.perplexity, Math.exp(after.metrics.loss), 1e-9);
      const losses = (await linesOf(`${out}/metrics.jsonl`)).map((line) => JSON.parse(line).loss);
      assertEquals(losses.length, 8);
      assertLess(losses.at(-1)!, losses[0]);
      const shown = await Deno.readTextFile(`${out}/pictures/answers.md`);
      assertStringIncludes(shown, "- unadapted: 0 of 2 right\n- all: 0 of 2 right");
    } finally {
      await Deno.remove(out, { recursive: true });
    }
  });
});

Deno.test("two parts a step lead where whole batches do, one that is half empty included", async () => {
  const reached: Record<string, ReturnType<typeof copied>> = {};
  for (const [name, accumulate] of [["whole", 1], ["parts", 2]] as const) {
    const save = ({ params }: { readonly params: Params }) => {
      reached[name] = copied(params);
      return Promise.resolve();
    };
    const { metrics } = await run({ steps: 4, accumulate, adapter: "1lora" }, { save });
    assert(Number.isFinite(metrics.loss));
  }
  const { whole, parts } = reached;
  let moved = 0;
  for (const [path, values] of Object.entries(whole)) {
    values.forEach((value, i) => assertAlmostEquals(value, parts[path][i], 1e-5, `${path}[${i}]`));
    if (path.includes("lora")) values.forEach((value) => moved = Math.max(moved, Math.abs(value)));
  }
  assert(moved > 1e-3, `nothing moved: ${Object.keys(whole)}`);
});

Deno.test("metrics are the loss and the answers of the seed's validation questions, by hand", async () => {
  await useBackend("wasm");
  await withoutLeaks(async () => {
    const model = await openModel("llama-micro");
    assert(model.folder !== undefined);
    const { params } = await loadParams(model, key(0));
    const data = "word-problems-a";
    const report = await reasoning.evaluate(
      { model, layer: model.layer, params },
      await openReasoningData(data),
      { data, seed: 4, limit: 40, own: { samples: 6, length: 64 } },
      quiet,
    );

    const tokenizer = await openTokenizer(model.folder);
    const layer = asLanguageModel(model, model.layer);
    const questions = splitExamples((await openReasoningData(data)).examples, 4).validation.slice(0, 40);
    const { loss } = await evaluateReasoning(layer, params, encodeExamples(tokenizer, questions).encoded, 40);
    assertAlmostEquals(report.metrics.loss, loss, 1e-5);
    let right = 0;
    const answers: string[] = [];
    for (const { query, response } of questions.slice(0, 6)) {
      const prompt = tokenizer.encode(alpacaPrompt(query));
      const end = [tokenizer.end!];
      const [ids] = await generateAll(layer, params, [prompt], { maxTokens: 64, end, key: key(0) });
      answers.push(tokenizer.decode(ids).trim());
      if (isSameAnswer(response, answers.at(-1)!)) right++;
    }
    assertEquals(report.metrics.exactMatch, right / 6);
    // What it was pretrained on, it can do.
    assert(right >= 4, `${right} of 6`);
    const { responses } = report.details as { readonly responses: readonly { readonly response: string }[] };
    assertEquals(responses.map(({ response }) => response), answers);
    assertEquals(report.notes, []);
    assertStringIncludes(reasoning.inWords(report.metrics), "exact match");
  });
});

Deno.test("what cannot be used is refused in a line", async () => {
  await run({ steps: 1 });
  const fails = async (changes: Partial<Run>, part: string) => {
    const error = await assertRejects(() => run(changes), OneloraError);
    assertStringIncludes(error.message, part);
    assertEquals(error.message.includes("\n"), false);
  };
  await fails({ model: "vit-micro" }, "llama");
  await fails({ own: { length: 8 } }, "fewer than 8 tokens");
  await fails({ data: "word-problems-c" }, "word-problems-");
  await fails({ model: fileOf(new URL("../fixtures/llama-tied", import.meta.url)) }, "tokenizer.json");
});
