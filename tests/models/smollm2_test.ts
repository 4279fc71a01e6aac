import { assertEquals } from "@std/assert";
import * as tf from "@tensorflow/tfjs-core";
import { key, useBackend } from "../../dsl/mod.ts";
import { asLanguageModel, generateAll, loadParams, openModel } from "../../models/mod.ts";
import { tokenizerOf } from "../../tasks/reasoning/questions.ts";

/** Where `scripts/tools/real/smollm2.py` has made the model, on machines that have it. */
const FOLDER = "runs/smollm2";
const here = await Deno.stat(`${FOLDER}/model.safetensors`).then(() => true, () => false);

Deno.test({
  name: "SmolLM2-135M-Instruct answers a chat as transformers does, token for token",
  ignore: !here,
  fn: async () => {
    await useBackend("auto");
    const { chats } = JSON.parse(await Deno.readTextFile(new URL("../fixtures/smollm2.json", import.meta.url)));
    const model = await openModel(FOLDER);
    const { params } = await loadParams(model, key(0));
    const { ends: end } = await tokenizerOf(model);
    const [{ ids, answer }] = chats;
    const options = { maxTokens: answer.length, end, key: key(0) };
    assertEquals(await generateAll(asLanguageModel(model, model.layer), params, [ids], options), [answer]);
    tf.dispose(params);
  },
});
