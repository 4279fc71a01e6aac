import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import * as tf from "@tensorflow/tfjs-core";
import { fileOf } from "../../dsl/files/path.ts";
import { toQ8Blocks } from "../../dsl/block_conversion.ts";
import { storedForm } from "../../dsl/engine/stored.ts";
import { OneloraError } from "../../dsl/error.ts";
import { key, type Params, useBackend } from "../../dsl/mod.ts";
import { dequantised } from "../../dsl/quantise.ts";
import { ggufLanguage } from "../../models/gguf/language.ts";
import { type GgufTensor, type GgufType, type GgufValue, writeGguf } from "../../models/gguf/file.ts";
import { ggufVocabulary } from "../../models/gguf/vocabulary.ts";
import { asLanguageModel, generateAll, loadParams, openModel, openTokenizer } from "../../models/mod.ts";
import { available } from "../support/available.ts";

const fixtures = fileOf(new URL("../fixtures", import.meta.url));
const [engine] = await available("tensorflow");
await useBackend("wasm");

type Metadata = readonly (readonly [key: string, value: GgufValue])[];

/** The folder of llama-micro with another tokenizer, and what writes it as GGUF. */
async function withMicro(
  tokenizer: "tokenizer-bytes" | "tokenizer-metaspace",
  f: (
    folder: string,
    write: (
      type: GgufType,
      change?: (metadata: Metadata) => Metadata,
      extra?: readonly GgufTensor[],
    ) => Promise<string>,
  ) => unknown,
): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    for (const name of ["tokenizer.json", "tokenizer_config.json"]) {
      await Deno.copyFile(`${fixtures}/texts/${tokenizer}/${name}`, `${folder}/${name}`);
    }
    const micro = await openModel("llama-micro");
    for (const name of ["config.json", "model.safetensors"]) {
      await Deno.copyFile(`${micro.folder}/${name}`, `${folder}/${name}`);
    }
    const { params } = await loadParams(micro, key(0));
    await f(folder, async (type, change = (given) => given, extra = []) => {
      const { metadata, tensor } = ggufLanguage(micro, type);
      const vocabulary = await ggufVocabulary(folder, 512);
      const path = `${folder}/${type}.gguf`;
      const tensors = Object.entries(params).map(([path, { shape }]) =>
        tensor(path, shape, type, () => params[path].data<"float32">())
      );
      await writeGguf(path, change([...metadata, ...vocabulary]), [...tensors, ...extra]);
      return path;
    });
    tf.dispose(params as Record<string, tf.Tensor>);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const numbersOf = (params: Params, path: string) => params[path].dataSync<"float32">().slice();

async function answers(name: string): Promise<number[][]> {
  const model = await openModel(name);
  const { params } = await loadParams(model, key(0));
  const options = { maxTokens: 4, key: key(0) };
  const found = await generateAll(
    asLanguageModel(model, model.layer),
    params,
    [[1, 5, 9], [1, 40, 7, 8, 300]],
    options,
  );
  tf.dispose(params as Record<string, tf.Tensor>);
  return found;
}

Deno.test("a GGUF file is the model that it was written of: sizes, numbers, order of rows, greedy answers", async () => {
  await withMicro("tokenizer-bytes", async (folder, write) => {
    const [original, model] = [await openModel(folder), await openModel(await write("f32"))];
    const sizes = ({ config }: typeof model) =>
      Object.fromEntries(Object.entries(config).filter(([name]) => !name.endsWith("_token_id")));
    assertEquals(sizes(model), sizes(original));
    const [{ params: expected }, { params }] = [await loadParams(original, key(0)), await loadParams(model, key(0))];
    assertEquals(Object.keys(params), Object.keys(expected));
    for (const path of Object.keys(params)) assertEquals(numbersOf(params, path), numbersOf(expected, path), path);
    const plain = await answers(folder);
    assertEquals(await answers(model.name), plain);
    assertEquals(await answers(await write("f16")), plain);
    const { params: eighths } = await loadParams(await openModel(await write("q8_0")), key(0));
    for (const [path, { shape }] of Object.entries(params)) {
      const whole = numbersOf(params, path);
      const blocks = shape.length === 2 && toQ8Blocks(shape, whole);
      const kept = blocks ? dequantised({ form: "q8_0", shape, bytes: blocks }) : whole;
      assertEquals(numbersOf(eighths, path), kept, path);
    }
    tf.dispose([expected, params, eighths] as Record<string, tf.Tensor>[]);
  });
});

Deno.test({
  name: "blocks stay blocks on an engine that keeps them, table and head too, with the answers of their numbers",
  ignore: engine === undefined,
  fn: async () => {
    await withMicro("tokenizer-bytes", async (_, write) => {
      const path = await write("q8_0");
      await useBackend("wasm");
      const plain = await answers(path);
      await useBackend("tensorflow");
      const { params } = await loadParams(await openModel(path), key(0), undefined, { precision: "bf16" });
      const forms = Object.values(params).filter(({ shape }) => shape.length === 2).map(storedForm);
      assertEquals([...new Set(forms)], ["q8_0"]);
      tf.dispose(params as Record<string, tf.Tensor>);
      assertEquals(await answers(path), plain);
      await useBackend("wasm");
    });
  },
});

for (const tokenizer of ["tokenizer-bytes", "tokenizer-metaspace"] as const) {
  Deno.test(`texts are the same ids by a GGUF file's own tokens (${tokenizer})`, async () => {
    await withMicro(tokenizer, async (folder, write) => {
      const { folder: unpacked } = await openModel(await write("f16"));
      const [expected, found] = [await openTokenizer(folder), await openTokenizer(unpacked!)];
      const cases: readonly { readonly text: string }[] = JSON.parse(
        await Deno.readTextFile(`${fixtures}/${tokenizer}/cases.json`),
      );
      for (const { text } of cases) {
        const ids = expected.encode(text);
        assertEquals(found.encode(text), ids, text);
        assertEquals(found.decode(ids), expected.decode(ids), text);
      }
      assertEquals([found.begin, found.end], [expected.begin, expected.end]);
    });
  });
}

Deno.test("rotary positions are scaled as llama.cpp reads them: linearly without a type, by the older name, never twice", async () => {
  await withMicro("tokenizer-bytes", async (_, write) => {
    const float32 = (value: number): GgufValue => ({ float32: value });
    const own = (settings: Readonly<Record<string, GgufValue>>) => (given: Metadata): Metadata => [
      ...given,
      ...Object.entries(settings).map(([name, value]) => [`llama.rope.${name}`, value] as const),
    ];
    const plain = { rope_theta: 10000, rope_type: "default" };
    const linear = (factor: number) => ({ rope_theta: 10000, rope_type: "linear", factor });
    const cases: readonly (readonly [Readonly<Record<string, GgufValue>>, unknown])[] = [
      [{ "scaling.type": "linear", "scaling.factor": float32(4) }, linear(4)],
      [{ "scaling.factor": float32(4) }, linear(4)],
      [{ "scale_linear": float32(2) }, linear(2)],
      [{ "scale_linear": float32(2), "scaling.factor": float32(4) }, linear(4)],
      [{ "scaling.type": "linear", "scaling.factor": float32(0) }, plain],
      [{ "scaling.type": "linear" }, plain],
      [{ "scaling.type": "none", "scaling.factor": float32(4) }, plain],
    ];
    for (const [settings, expected] of cases) {
      const { config } = await openModel(await write("f32", own(settings)));
      assertEquals(config.rope_parameters, expected, JSON.stringify(settings));
    }
    const factors = (count: number, type: GgufType = "f32"): GgufTensor => ({
      name: "rope_freqs.weight",
      shape: [count],
      type,
      data: () => Promise.resolve(new Float32Array(count).fill(1)),
    });
    assertEquals((await openModel(await write("f32", undefined, [factors(12)]))).config.rope_theta, 10000);
    const refused: readonly (readonly [GgufTensor, Readonly<Record<string, GgufValue>>, string])[] = [
      [factors(12), { "scaling.factor": float32(4) }, "linear"],
      [factors(12), { "scaling.type": "yarn", "scaling.factor": float32(4) }, "yarn"],
      [factors(12, "f16"), {}, "F16 of shape [12]"],
      [factors(6), {}, "shape [6]"],
    ];
    for (const [tensor, settings, word] of refused) {
      const path = await write("f32", own(settings), [tensor]);
      assertStringIncludes((await assertRejects(() => openModel(path), OneloraError)).message, word);
    }
    const negative = await write("f32", own({ "scaling.factor": float32(-2) }));
    await assertRejects(() => openModel(negative), OneloraError, "rope.scaling.factor -2");
  });
});

Deno.test("special tokens of a GGUF file: SentencePiece's where it names none, ends of turns by their texts", async () => {
  const without = (given: Metadata): Metadata => given.filter(([key]) => !/ggml\.(bos|eos)_token_id$/.test(key));
  const named = (text: string) => (given: Metadata): Metadata =>
    given.map(([key, value]) =>
      key !== "tokenizer.ggml.tokens"
        ? [key, value] as const
        : [key, { strings: (value as { strings: readonly string[] }).strings.with(300, text) }] as const
    );
  const idsOf = async (path: string) => {
    const { bos_token_id: begin, eos_token_id: end } = (await openModel(path)).config;
    return { begin, end };
  };
  await withMicro("tokenizer-metaspace", async (_, write) => {
    // It has an <|im_end|>, 421.
    assertEquals(await idsOf(await write("f32", without)), { begin: 1, end: [2, 421] });
    assertEquals(await idsOf(await write("f32", (given) => named("<|eot_id|>")(without(given)))), {
      begin: 1,
      end: [2, 300, 421],
    });
  });
  await withMicro("tokenizer-bytes", async (_, write) => {
    const begins = (given: Metadata): Metadata =>
      without(given).map(([key, value]) => [key, key === "tokenizer.ggml.add_bos_token" ? true : value]);
    const path = await write("f32", begins);
    await assertRejects(() => openModel(path), OneloraError, "add_bos_token without that token");
  });
});

Deno.test("what a GGUF file asks for and is not computed is refused by name", async () => {
  await withMicro("tokenizer-bytes", async (_, write) => {
    const refused = async (change: (metadata: Metadata) => Metadata, ...words: readonly string[]) => {
      const path = await write("f32", change);
      const { message } = await assertRejects(() => openModel(path), OneloraError);
      for (const word of words) assertStringIncludes(message, word);
    };
    const adding = (...pair: readonly [string, GgufValue]) => (given: Metadata): Metadata => [...given, pair];
    const instead = (name: string, value: GgufValue) => (given: Metadata): Metadata =>
      given.map(([key, old]) => [key, key === name ? value : old]);
    await refused(adding("llama.expert_count", { uint32: 8 }), "llama.expert_count", "0");
    await refused(adding("llama.attention.sliding_window", { uint32: 64 }), "llama.attention.sliding_window");
    await refused(adding("llama.rope.scaling.type", "yarn"), "yarn", "linear");
    await refused(instead("llama.rope.dimension_count", { uint32: 12 }), "rope.dimension_count 12", "24");
    await refused(instead("general.architecture", "mamba"), "mamba", "smollm3");
    await refused(adding("tokenizer.ggml.precompiled_charsmap", "x"), "precompiled_charsmap");
    await refused(instead("tokenizer.ggml.pre", "tekken"), "tekken", "smollm");
    await refused(instead("tokenizer.ggml.model", "bert"), "bert", "gpt2");
    const path = await write("f32");
    const bytes = await Deno.readFile(path);
    for (const cut of [3, 20, 5000, bytes.length - 40]) {
      await Deno.writeFile(path, bytes.slice(0, cut));
      await assertRejects(() => openModel(path), OneloraError, path, `${cut} bytes`);
    }
    const q8 = await write("q8_0");
    const twice = () => openModel(q8).then((model) => loadParams(model, key(0), undefined, { quantise: "nf4" }));
    assert((await assertRejects(twice, OneloraError)).message.includes("Q8_0 already"));
  });
});
