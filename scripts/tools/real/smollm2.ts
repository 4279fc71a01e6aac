/**
 * The real model of `smollm2.py` here: logits and greedy answers beside transformers', a 1LoRA fine-tune on a hundred pairs,
 * and the merged model, whose answers `smollm2.py merged` compares.
 *
 * `deno run -A scripts/tools/real/smollm2.ts FOLDER [STEPS]`
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { apply, key, openSafetensors, toTensor, useBackend } from "../../../dsl/mod.ts";
import { asLanguageModel, generateAll, loadParams, openChatTemplate, openModel } from "../../../models/mod.ts";
import { alpacaPrompt, encodeOpen, fineTune, openTrained, tokenizerOf } from "../../../tasks/mod.ts";

const [folder, steps = "24"] = Deno.args;
const TOKENS = 16;
const fixture = JSON.parse(await Deno.readTextFile(new URL("../../../tests/fixtures/smollm2.json", import.meta.url)));

/** Fails unless something holds. */
function require(holds: boolean, what: string): void {
  console.log(`${holds ? "same" : "DIFFERENT"}: ${what}`);
  if (!holds) Deno.exit(1);
}

const { chosen } = await useBackend("auto");
console.log(`backend ${chosen}`);
const model = await openModel(folder);
const { params } = await loadParams(model, key(0));
const layer = asLanguageModel(model, model.layer);
const tokenizer = await tokenizerOf(model);

await using file = await openSafetensors(`${folder}/logits.safetensors`);
for (const [i, { text, ids, last }] of fixture.texts.entries()) {
  require(`${tokenizer.encode(text, { special: false })}` === `${ids}`, `ids of ${JSON.stringify(text)}`);
  const theirs = toTensor(await file.read(`${i}`));
  const [difference, scale, top] = tf.tidy(() => {
    const ours = tf.squeeze(apply(layer, params)(tf.tensor2d([ids], undefined, "int32")), [0]);
    const values = tf.gather(tf.slice(ours, [ids.length - 1, 0], [1, -1]), last.ids, 1);
    const error = (a: tf.Tensor, b: tf.Tensor) => tf.max(tf.abs(tf.sub(a, b))).dataSync()[0];
    return [error(ours, theirs), tf.max(tf.abs(theirs)).dataSync()[0], error(values, tf.tensor2d([last.values]))];
  });
  const said = `largest difference of logits ${difference.toExponential(2)}, scale ${scale.toFixed(1)}`;
  require(difference <= 1e-5 * scale && top < 1e-3, `${said}, of ${JSON.stringify(text)}`);
}

/** Greedy answers to prompts, each on its own. */
async function answers(of: typeof layer, all: typeof params, prompts: readonly (readonly number[])[]) {
  const options = { maxTokens: TOKENS, end: tokenizer.ends, key: key(0) };
  const found: number[][] = [];
  for (const ids of prompts) found.push(...await generateAll(of, all, [ids], options));
  return found;
}

const chat = await openChatTemplate(folder);
for (const { question, text, ids, answer } of fixture.chats) {
  require(chat([{ role: "user", content: question }]) === text, `the chat of ${JSON.stringify(question)}`);
  require(`${tokenizer.encode(text, { special: false })}` === `${ids}`, "its ids");
  const [found] = await answers(layer, params, [ids]);
  require(`${found}` === `${answer}`, `its answer, token for token: ${JSON.stringify(tokenizer.decode(found))}`);
}
for (const { text, ids, answer } of fixture.texts) {
  const [found] = await answers(layer, params, [ids]);
  require(
    `${found}` === `${answer}`,
    `${JSON.stringify(text)} goes on with ${JSON.stringify(tokenizer.decode(found))}`,
  );
}
tf.dispose(params);

// Pairs of one's own: something that the model cannot know.
const colours = ["red", "blue", "green", "black", "white"];
const pairs = Array.from({ length: 100 }, (_, i) => ({
  query: `Which colour has box ${i}?`,
  response: `The answer is: ${colours[i % colours.length]}`,
}));
await Deno.writeTextFile(`${folder}/pairs.jsonl`, pairs.map((pair) => JSON.stringify(pair)).join("\n"));
const began = performance.now();
using tuned = await fineTune({
  task: "reasoning",
  model: folder,
  data: `metamath:${folder}/pairs.jsonl`,
  adapter: "1lora",
  steps: Number(steps),
  batchSize: 10,
  lr: 3e-3,
  precision: "float32",
  length: 80,
  samples: 2,
  onStep: ({ step, loss }) => console.log(`step ${step}: loss ${loss.toFixed(4)}`),
});
const { parameters, metrics } = tuned;
console.log(`${parameters.adapter} parameters, ${((performance.now() - began) / 1000).toFixed(0)} s`, metrics);
using whole = await tuned.merge();
await whole.save(`${folder}/merged`);

const merged = await openTrained(`${folder}/merged`, { key: key(0) });
const prompts = [pairs[7].query, pairs[3].query, "What is the capital of France?"]
  .map((query) => encodeOpen(tokenizer, alpacaPrompt(query)));
const found = await answers(asLanguageModel(merged.model, merged.layer), merged.params, prompts);
for (const ids of found) console.log(JSON.stringify(tokenizer.decode(ids)));
await Deno.writeTextFile(
  `${folder}/answers.json`,
  JSON.stringify(found.map((answer, i) => ({ ids: prompts[i], answer }))),
);
tf.dispose(merged.params);
