import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import * as tf from "@tensorflow/tfjs-core";
import { fileOf } from "../../dsl/files/path.ts";
import { adapt, mergeParams, parameterCounts } from "../../adapters/mod.ts";
import { apply, count, init, key, mapTree, OneloraError, type Path, specs, unfreeze } from "../../dsl/mod.ts";
import { useBackend } from "../../dsl/engine/mod.ts";
import { type CausalLanguageModel, llamaPresets, loadParams, openModel, saveModel } from "../../models/mod.ts";
import { readLlamaConfig } from "../../models/llama/config.ts";
import { available } from "../support/available.ts";
import { assertClose, fixture, gradients, withoutLeaks } from "../support/compare.ts";
import { languageLoss, whereReal } from "../support/language.ts";

const backends = await available("wasm", "cpu", "tensorflow");
const models = ["llama-grouped", "llama-tied", "llama-legacy", "mistral-window", "qwen2-tied", "smollm3-plain"];
const folder = (name: string) => fileOf(new URL(`../fixtures/${name}`, import.meta.url));

for (const backend of backends) {
  for (const name of models) {
    Deno.test(`${name} equals transformers: hidden states, logits, loss, every gradient (${backend})`, async () => {
      await useBackend(backend);
      await withoutLeaks(async () => {
        const model = await openModel(folder(name));
        const { params, initialised } = await loadParams(model, key(0));
        assertEquals(initialised, []);
        const layer = model.layer as CausalLanguageModel;
        const expected = await fixture(`${folder(name)}/expected.safetensors`);
        const { input_ids: ids, attention_mask: mask } = expected;
        const real = (tensor: tf.Tensor) => whereReal(tensor, mask);

        const hidden = new Map<Path, tf.Tensor>();
        const tap = (path: Path, output: unknown) => hidden.set(path, output as tf.Tensor);
        const logits = apply(layer, params, { tap })(ids, mask);
        assertClose(real(logits), expected.logits, 1e-5, "logits");
        assertClose(real(hidden.get("model.embed_tokens")!), expected["hidden.0"], 1e-5, "embeddings");
        const layers = model.config.num_hidden_layers as number;
        for (let block = 0; block < layers - 1; block++) {
          const found = real(hidden.get(`model.layers.${block}`)!);
          assertClose(found, expected[`hidden.${block + 1}`], 1e-5, `block ${block}`);
        }
        assertClose(real(hidden.get("model.norm")!), expected[`hidden.${layers}`], 1e-5, "norm");

        const trained = unfreeze(() => true)(layer);
        const loss = (p: typeof params) => languageLoss(apply(trained, p)(ids, mask), ids, mask);
        assertClose(loss(params), expected.loss, 1e-5, "loss");
        const found = gradients(loss, params);
        assertEquals(
          Object.keys(found).length,
          Object.keys(expected).filter((each) => each.startsWith("grad.")).length,
        );
        for (const [path, gradient] of Object.entries(found)) {
          assertClose(gradient, expected[`grad.${path}`], 1e-5, `gradient of ${path}`);
        }
      });
    });
  }
}

Deno.test("a row without padding needs no mask", async () => {
  await useBackend("wasm");
  await withoutLeaks(async () => {
    const model = await openModel(folder("llama-grouped"));
    const { params } = await loadParams(model, key(0));
    const { input_ids, logits } = await fixture(`${folder("llama-grouped")}/expected.safetensors`);
    const first = (tensor: tf.Tensor) => tf.slice(tensor, 0, 1);
    assertClose(apply(model.layer, params)(first(input_ids)), first(logits), 1e-5, "logits");
  });
});

Deno.test("a tied table is one parameter, trained in both places", async () => {
  const { layer } = await openModel(folder("llama-tied"));
  assert(!Object.keys(specs(layer)).some((path) => path.startsWith("lm_head")));
  const all = specs(adapt("all")(layer));
  assert(all["model.embed_tokens.weight"].trainable);
  assertEquals(specs(adapt("1lora")(layer))["model.embed_tokens.weight"].trainable, false);
});

for (const name of models) {
  Deno.test(`${name} saved is a Hugging Face folder that loads again bit by bit`, async () => {
    await useBackend("wasm");
    const directory = await Deno.makeTempDir();
    await withoutLeaks(async () => {
      const model = await openModel(folder(name));
      const { params } = await loadParams(model, key(0));
      await saveModel(model, params, directory);
      const again = await openModel(directory);
      assertEquals(again.config, model.config);
      const { params: reread } = await loadParams(again, key(1));
      assertEquals(Object.keys(reread).sort(), Object.keys(params).sort());
      for (const path of Object.keys(params)) assertEquals(reread[path].dataSync(), params[path].dataSync());
    });
    await Deno.remove(directory, { recursive: true });
  });
}

Deno.test("a missing head is an error: a language model without one says nothing", async () => {
  await useBackend("cpu");
  const directory = await Deno.makeTempDir();
  await withoutLeaks(async () => {
    const tied = await openModel(folder("llama-tied"));
    const { params } = await loadParams(tied, key(0));
    await saveModel(tied, params, directory);
    const config = { ...tied.config, tie_word_embeddings: false };
    await Deno.writeTextFile(`${directory}/config.json`, JSON.stringify(config));
    const untied = await openModel(directory);
    await assertRejects(() => loadParams(untied, key(0)), OneloraError, '"lm_head.weight": found no such key');
  });
  await Deno.remove(directory, { recursive: true });
});

/** Trainable parameters as the paper's Table S6 has them, and of the 13B model by the same rules. */
const counts: Readonly<Record<string, Readonly<Record<string, number>>>> = {
  "llama-2-7b": {
    "1lora": 1_359_872,
    lora: 2_498_560,
    vera: 1_360_096,
    mora1: 1_360_960,
    mora6: 1_347_584,
    bitfit: 1_359_872,
  },
  "llama-2-13b": { "1lora": 2_129_920, bitfit: 2_129_920, vera: 2_129_920 + 7 * 40 },
};
const totals: Readonly<Record<string, number>> = {
  "llama-2-7b": 6_738_415_616,
  "llama-2-13b": 13_015_864_320,
  "tinyllama-1.1b": 1_100_048_384,
  "smollm-135m": 134_515_008,
  "smollm-360m": 361_821_120,
};

Deno.test("presets have the published numbers of parameters, and methods the paper's, without allocating any", async () => {
  await useBackend("cpu");
  const before = tf.memory().numTensors;
  for (const [name, total] of Object.entries(totals)) {
    const { layer, headPath } = await openModel(name);
    assertEquals(count(specs(layer)), total, name);
    assertEquals(parameterCounts(layer, headPath).total, total, name);
  }
  for (const [name, methods] of Object.entries(counts)) {
    const { layer, headPath } = await openModel(name);
    for (const [method, trainable] of Object.entries(methods)) {
      assertEquals(parameterCounts(adapt(method)(layer), headPath).adapter, trainable, `${method} on ${name}`);
    }
  }
  const { layer, headPath } = await openModel("llama-2-7b");
  assertEquals(parameterCounts(adapt("lora", { target: "qkv" })(layer), headPath).adapter, 786_432);
  assertEquals(tf.memory().numTensors, before);
});

Deno.test("adapters go on all projections and not on the head", async () => {
  const { layer } = await openModel("llama-micro");
  const adapted = new Set(
    Object.entries(specs(adapt("1lora")(layer))).filter(([, { trainable }]) => trainable)
      .map(([path]) => path.replace(/^model\.layers\.\d+\./, "")),
  );
  const expected = ["q", "k", "v", "o"].map((each) => `self_attn.${each}_proj.1lora.b`)
    .concat(["gate", "up", "down"].map((each) => `mlp.${each}_proj.1lora.b`));
  assertEquals([...adapted].sort(), expected.sort());
});

Deno.test("biases that an adapter gives to layers without merge into a model that has them", async () => {
  await useBackend("wasm");
  const directory = await Deno.makeTempDir();
  await withoutLeaks(async () => {
    const model = await openModel(folder("llama-grouped"));
    const { params: base } = await loadParams(model, key(0));
    const layer = adapt("bitfit")(model.layer);
    const params = mapTree((tensor: tf.Tensor, path) => path.endsWith(".beta") ? tf.fill(tensor.shape, 0.1) : tensor)(
      init(layer, key(0), base),
    );
    const { input_ids } = await fixture(`${folder("llama-grouped")}/expected.safetensors`);
    const merged = mergeParams(layer, params).params;
    const biased = await openModel(folder("llama-grouped"), { biases: true });
    await saveModel(biased, merged, directory);
    const again = await openModel(directory);
    const { params: reread } = await loadParams(again, key(0));
    assertClose(apply(again.layer, reread)(input_ids), apply(layer, params)(input_ids), 1e-5, "logits");
  });
  await Deno.remove(directory, { recursive: true });
});

Deno.test("configurations have transformers' defaults, and what is not known is refused by name", () => {
  assertEquals(readLlamaConfig({}), { ...llamaPresets["llama-2-7b"], eps: 1e-6, positions: 2048 });
  assertEquals(readLlamaConfig({ rope_theta: 5, rope_parameters: { rope_theta: 7 } }).rope.theta, 7);
  assertEquals(readLlamaConfig({ rope_theta: 5, rope_parameters: null }).rope.theta, 5);
  assertEquals(readLlamaConfig({ eos_token_id: [3, 4] }).end, [3, 4]);
  assertEquals(readLlamaConfig({ eos_token_id: null, bos_token_id: null }), {
    ...readLlamaConfig({}),
    begin: undefined,
    end: [],
  });
  const refused: readonly (readonly [Record<string, unknown>, string])[] = [
    [{ rope_scaling: { type: "linear" } }, "rope_scaling"],
    [{ rope_scaling: { type: "longrope", factor: 2 } }, "rope_scaling"],
    [{ rope_scaling: { type: "linear", factor: 2, alpha: 3 } }, "rope_scaling"],
    [{ partial_rotary_factor: 0.5 }, "partial_rotary_factor"],
    [{ rope_parameters: { rope_type: "llama3" } }, "rope_parameters"],
    [{ rope_parameters: 3 }, "rope_parameters"],
    [{ hidden_act: "mish" }, "hidden_act"],
    [{ num_key_value_heads: 3 }, "num_key_value_heads"],
    [{ hidden_size: 100 }, "hidden_size"],
    [{ head_dim: 3 }, "head_dim"],
    [{ vocab_size: 2.5 }, "vocab_size"],
    [{ eos_token_id: "</s>" }, "eos_token_id"],
  ];
  for (const [json, field] of refused) assertThrows(() => readLlamaConfig(json), OneloraError, `"${field}"`);
});

Deno.test("a language model has no classes to choose", async () => {
  const error = await assertRejects(() => openModel("llama-micro", { labels: ["a"] }), OneloraError, "classes");
  assertEquals(error.exitCode, 2);
});

Deno.test("padding changes nothing for the tokens beside it, wherever it stands", async () => {
  await useBackend("cpu");
  await withoutLeaks(async () => {
    const layer = (await openModel("llama-micro")).layer as CausalLanguageModel;
    const params = init(layer, key(3));
    const text = [4, 9, 2, 7];
    const logits = (ids: number[], mask: number[]) =>
      apply(layer, params)(tf.tensor2d([ids], undefined, "int32"), tf.tensor2d([mask]));
    const alone = logits(text, [1, 1, 1, 1]);
    for (const [before, after] of [[3, 0], [0, 2], [1, 4]]) {
      const pad = (count: number, value: number) => Array<number>(count).fill(value);
      const padded = logits(
        [...pad(before, 5), ...text, ...pad(after, 6)],
        [...pad(before, 0), ...pad(4, 1), ...pad(after, 0)],
      );
      assertClose(tf.slice(padded, [0, before, 0], [1, 4, 512]), alone, 1e-5, `${before} before, ${after} after`);
    }
  });
});

Deno.test("a tied configuration with a head of its own in the file keeps both; an equal one is the table", async () => {
  await useBackend("cpu");
  const directory = await Deno.makeTempDir();
  try {
    const grouped = await openModel(folder("llama-grouped"));
    const config = { ...grouped.config, tie_word_embeddings: true };
    const { params } = await loadParams(grouped, key(0));
    const write = async (head: string) => {
      await saveModel({ ...grouped, config }, { ...params, "lm_head.weight": params[head] }, directory);
      return await openModel(directory);
    };
    const apart = await write("lm_head.weight");
    assertEquals([apart.config.tie_word_embeddings, apart.tied], [false, undefined]);
    const read = await loadParams(apart, key(0));
    assertEquals(read.params["lm_head.weight"].dataSync(), params["lm_head.weight"].dataSync());
    const tied = await write("model.embed_tokens.weight");
    assertEquals(tied.tied, { head: "lm_head", table: "model.embed_tokens" });
    assertEquals(Object.keys((await loadParams(tied, key(0))).params).includes("lm_head.weight"), false);
    const untied = await openModel(directory, { untied: true });
    const started = await loadParams(untied, key(0));
    assertEquals(started.initialised, []);
    assertEquals(started.params["lm_head.weight"].dataSync(), params["model.embed_tokens.weight"].dataSync());
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});
