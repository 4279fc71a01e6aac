/**
 * A model's own generation settings, beside transformers' `generate` with the same `generation_config.json`.
 *
 * @module
 */
import { assert, assertAlmostEquals, assertEquals, assertRejects } from "@std/assert";
import * as tf from "@tensorflow/tfjs-core";
import { fileOf } from "../../dsl/files/path.ts";
import { useBackend } from "../../dsl/engine/mod.ts";
import { apply, key, OneloraError } from "../../dsl/mod.ts";
import { asLanguageModel, generateAll, type Json, loadParams, openModel, tokenDistribution } from "../../models/mod.ts";
import { openGeneration } from "../../models/companions/generation.ts";
import { processedLogits } from "../../models/llama/generate.ts";
import { generationOf } from "../../tasks/reasoning/continuation.ts";
import { withFolder } from "../support/data_folder.ts";

const fixtures = fileOf(new URL("../fixtures", import.meta.url));

interface Case {
  readonly settings: Json;
  readonly tokens: readonly number[];
  readonly probabilities: readonly (readonly number[])[];
}

Deno.test("generation_config.json: greedy tokens and every step's probabilities are transformers'", async () => {
  const { prompt, cases }: { prompt: readonly number[]; cases: readonly Case[] } = JSON.parse(
    await Deno.readTextFile(`${fixtures}/generation-options.json`),
  );
  await useBackend("cpu");
  const model = await openModel(`${fixtures}/llama-grouped`);
  const layer = asLanguageModel(model, model.layer);
  const { params } = await loadParams(model, key(0));
  const logitsOf = (ids: readonly number[]) =>
    tf.tidy(() => {
      const all = apply(layer, params)(tf.tensor2d([[...ids]], undefined, "int32"));
      return tf.slice(all, [0, ids.length - 1, 0], [1, 1, -1]).dataSync<"float32">();
    });
  for (const { settings, tokens, probabilities } of cases) {
    await withFolder({ "generation_config.json": JSON.stringify(settings) }, async (folder) => {
      const what = JSON.stringify(settings);
      const { defaults, notes } = await openGeneration(folder, {});
      assertEquals(notes, [], what);
      const options = { ...generationOf(defaults, prompt, {}), end: defaults.end, key: key(0) };
      if (!defaults.sample) assertEquals(await generateAll(layer, params, [prompt], options), [tokens], what);
      // Transformers takes what shapes a draw for nothing where it does not draw.
      const shaped = defaults.sample ? options : { ...options, temperature: 1, topK: 0, topP: 1, minP: 0 };
      probabilities.forEach((expected, count) => {
        const text = [...prompt, ...tokens.slice(0, count)];
        const found = tokenDistribution(processedLogits(logitsOf(text), text, count, options), shaped);
        expected.forEach((p, token) => assertAlmostEquals(found[token], p, 1e-6, `${what}, step ${count}, ${token}`));
      });
      assert(tokens.length <= options.maxTokens, what);
    });
  }
  tf.dispose(params);
});

Deno.test("generation settings that choose tokens in another way are refused by name, and are accepted where they are off", async () => {
  const refused: Json = {
    num_beams: 4,
    num_return_sequences: 2,
    typical_p: 0.9,
    guidance_scale: 1.5,
    encoder_repetition_penalty: 1.2,
    epsilon_cutoff: 1e-4,
    eta_cutoff: 1e-3,
    penalty_alpha: 0.6,
    no_repeat_ngram_size: 3,
    encoder_no_repeat_ngram_size: 2,
    bad_words_ids: [[3]],
    force_words_ids: [[3]],
    forced_bos_token_id: 3,
    forced_eos_token_id: 2,
    forced_decoder_ids: [[1, 2]],
    exponential_decay_length_penalty: [5, 1.2],
    sequence_bias: [[[3], -5]],
    watermarking_config: { greenlist_ratio: 0.25 },
    token_healing: true,
    dola_layers: "high",
    stop_strings: ["."],
    max_time: 3,
  };
  for (const [name, value] of Object.entries(refused)) {
    await withFolder({ "generation_config.json": JSON.stringify({ [name]: value }) }, async (folder) => {
      await assertRejects(() => openGeneration(folder, {}), OneloraError, `"${name}" of generation_config.json`);
    });
    // Where there is no such file, transformers takes what config.json says.
    await withFolder({}, async (folder) => {
      await assertRejects(() => openGeneration(folder, { [name]: value }), OneloraError, `"${name}" of config.json`);
    });
  }
  const off = { num_beams: 1, typical_p: 1.0, no_repeat_ngram_size: 0, bad_words_ids: null, token_healing: false };
  await withFolder({ "generation_config.json": JSON.stringify({ ...off, unheard: 3 }) }, async (folder) => {
    assertEquals((await openGeneration(folder, {})).notes, [
      'generation_config.json: "unheard": no setting of a language model\'s generation, so ignored',
    ]);
  });
});
