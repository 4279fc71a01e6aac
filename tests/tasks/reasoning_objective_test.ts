import { assert, assertAlmostEquals, assertEquals, assertRejects } from "@std/assert";
import * as tf from "@tensorflow/tfjs-core";
import { fileOf } from "../../dsl/files/path.ts";
import {
  adamw,
  apply,
  compile,
  init,
  key,
  OneloraError,
  type Params,
  unfreeze,
  valueAndGradients,
} from "../../dsl/mod.ts";
import { useBackend } from "../../dsl/engine/mod.ts";
import { type CausalLanguageModel, llama, llamaPresets, loadParams, openModel } from "../../models/mod.ts";
import {
  type BatchTensors,
  characterTokenizer,
  encodeExamples,
  evaluateExactMatch,
  evaluateReasoning,
  isSameAnswer,
  padExamples,
  respond,
  responseLoss,
  trainStep,
  wordProblems,
} from "../../tasks/mod.ts";
import { microBatches } from "../../tasks/reasoning/encode.ts";
import { reasoningObjective, tokenTensors } from "../../tasks/reasoning/objective.ts";
import { available } from "../support/available.ts";
import { assertClose, fixture, gradients, withoutLeaks } from "../support/compare.ts";

const backends = await available("wasm", "cpu", "tensorflow");
const folder = (name: string) => fileOf(new URL(`../fixtures/${name}`, import.meta.url));

async function opened(name: string): Promise<{ readonly layer: CausalLanguageModel; readonly params: Params }> {
  const model = await openModel(folder(name));
  const { params } = await loadParams(model, key(0));
  return { layer: unfreeze(() => true)(model.layer) as CausalLanguageModel, params };
}

for (const backend of backends) {
  for (const name of ["llama-grouped", "llama-tied"]) {
    Deno.test(`the loss on ${name}'s responses equals transformers', every gradient too (${backend})`, async () => {
      await useBackend(backend);
      await withoutLeaks(async () => {
        const { layer, params } = await opened(name);
        const { input_ids: ids, labels, loss, ...expected } = await fixture(folder(`reasoning/${name}.safetensors`));
        const ours = (p: Params) => responseLoss(apply(layer, p)(ids), labels);
        assertClose(ours(params), loss, 1e-6, "loss");
        const found = gradients(ours, params);
        assertEquals(Object.keys(found).map((path) => `grad.${path}`).toSorted(), Object.keys(expected).toSorted());
        for (const [path, gradient] of Object.entries(found)) {
          assertClose(gradient, expected[`grad.${path}`], 1e-5, `gradient of ${path}`);
        }
      });
    });
  }

  Deno.test(`pieces of a batch add up to the whole: loss and gradients (${backend})`, async () => {
    await useBackend(backend);
    await withoutLeaks(async () => {
      const { layer, params } = await opened("llama-grouped");
      const encoded = [[4, 1], [17, 9], [9, 8], [30, 3], [6, 2]].map(([length, start]) => {
        return { ids: Int32Array.from({ length }, (_, i) => 3 + (i * i + length) % 30), start };
      });
      const batch = padExamples(encoded);
      const pieces = microBatches(batch, 2);
      const objective = reasoningObjective(layer);
      const of = (part: typeof batch) => {
        const tensors = tokenTensors(part);
        return valueAndGradients((p) => objective(p, tensors))(params);
      };
      const whole = of(batch);
      const parts = pieces.map(of);
      const losses = parts.map(({ loss }) => loss.dataSync()[0]);
      assertAlmostEquals(losses.reduce((a, b) => a + b), whole.loss.dataSync()[0], 1e-5);
      for (const [path, gradient] of Object.entries(whole.gradients)) {
        assertClose(tf.addN(parts.map(({ gradients }) => gradients[path])), gradient, 1e-5, path);
      }
      // Equal weights would not: the pieces have different numbers of tokens.
      const mean = pieces.reduce((sum, { weight }, i) => sum + losses[i] / weight, 0) / pieces.length;
      assert(Math.abs(mean - whole.loss.dataSync()[0]) > 1e-3);

      const metrics = await evaluateReasoning(layer, params, encoded, 2);
      assertAlmostEquals(metrics.loss, whole.loss.dataSync()[0], 1e-5);
      assertAlmostEquals(metrics.perplexity, Math.exp(metrics.loss), 1e-9);
      assertEquals(metrics.tokens, 3 + 8 + 1 + 27 + 4);
    });
  });
}

Deno.test("a small model learns four problems by heart and answers them, and only them, rightly", async () => {
  await useBackend("wasm");
  await withoutLeaks(async () => {
    const tokenizer = characterTokenizer();
    const config = { ...llamaPresets["llama-micro"], vocabulary: tokenizer.vocabulary, hidden: 48, intermediate: 96 };
    const layer = unfreeze(() => true)(llama({ ...config, layers: 2, headSize: 12 })) as CausalLanguageModel;
    const questions = [["2 + 2", "4"], ["3 + 4", "7"], ["5 + 1", "6"], ["6\nminus 1", "5"]].map(([query, result]) => {
      return { query, response: `It is ${result}. The answer is: ${result}` };
    });
    const { encoded } = encodeExamples(tokenizer, questions);
    const params = init(layer, key(1));
    const optimiser = adamw();
    const step = compile(trainStep(reasoningObjective(layer), optimiser));
    const batch: BatchTensors = { ...tokenTensors(padExamples(encoded)), rate: tf.scalar(5e-3) };
    let state = { frozen: {}, trained: params, optimiser: optimiser.init(params) };
    for (let i = 0; i < 100; i++) {
      const [next, { loss }] = step(state, batch);
      loss.dispose();
      tf.dispose([...Object.values(state.trained), ...Object.values(state.optimiser)]);
      state = { ...state, ...next };
    }
    step.dispose();
    const { loss, perplexity } = await evaluateReasoning(layer, state.trained, encoded);
    assert(loss < 0.05, `loss ${loss}`);
    assertAlmostEquals(perplexity, 1, 0.06);

    const match = await evaluateExactMatch(layer, state.trained, tokenizer, questions, { maxTokens: 50, batchSize: 3 });
    assertEquals(match.exactMatch, 1);
    assertEquals(match.responses.map(({ response }) => response), questions.map(({ response }) => response));
    assertEquals(match.responses.map(({ query }) => query), questions.map(({ query }) => query));
    const others = [questions[0], { query: "3 + 4", response: "The answer is: 8" }];
    const half = await evaluateExactMatch(layer, state.trained, tokenizer, others, { maxTokens: 50 });
    assertEquals(half.exactMatch, 0.5);
    assertEquals(half.responses.map(({ correct }) => correct), [true, false]);
    // A text that is cut off before its final answer has none.
    const [short] = await respond(layer, state.trained, tokenizer, ["2 + 2"], { maxTokens: 8 });
    assertEquals(short, "It is 4.");
    assert(!isSameAnswer(questions[0].response, short));
  });
});

Deno.test("nothing to measure and values out of range are refused", async () => {
  await useBackend("wasm");
  const tokenizer = characterTokenizer();
  const layer = llama({ ...llamaPresets["llama-micro"], layers: 1, vocabulary: tokenizer.vocabulary });
  const [problem] = wordProblems("a", 1, 0);
  const measure = (examples: typeof problem[], batchSize?: number) =>
    evaluateExactMatch(layer, {}, tokenizer, examples, { batchSize });
  await assertRejects(() => measure([]), OneloraError, "no questions");
  await assertRejects(() => measure([problem], 0), OneloraError, "batch size 0");
  await assertRejects(() => evaluateReasoning(layer, {}, []), OneloraError, "batching questions");
});
