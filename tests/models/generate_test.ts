import { assert, assertAlmostEquals, assertEquals, assertRejects } from "@std/assert";
import * as tf from "@tensorflow/tfjs-core";
import { fileOf } from "../../dsl/files/path.ts";
import { useBackend } from "../../dsl/engine/mod.ts";
import { apply, fold, init, key, OneloraError, type Params } from "../../dsl/mod.ts";
import {
  type CausalLanguageModel,
  generate,
  generateAll,
  type GenerationOptions,
  loadParams,
  openModel,
  saveModel,
  tokenDistribution,
} from "../../models/mod.ts";
import { storedForm } from "../../dsl/engine/stored.ts";
import { openDecoder } from "../../models/llama/decoder.ts";
import { sampleToken } from "../../models/llama/generate.ts";
import { available } from "../support/available.ts";
import { fixture, withoutLeaks } from "../support/compare.ts";

const folder = (name: string) => fileOf(new URL(`../fixtures/${name}`, import.meta.url));

interface Opened {
  readonly layer: CausalLanguageModel;
  readonly params: Params;
}

async function open(name: string): Promise<Opened> {
  const model = await openModel(folder(name));
  return { layer: model.layer as CausalLanguageModel, params: (await loadParams(model, key(0))).params };
}

/** The rows of a fixture's batch of prompts, its padding taken off. */
async function prompts(name: string): Promise<{ readonly rows: number[][]; readonly continuation: number[][] }> {
  const { prompt_ids, prompt_mask, continuation } = await fixture(`${folder(name)}/expected.safetensors`);
  const masks = prompt_mask.arraySync() as number[][];
  const rows = (prompt_ids.arraySync() as number[][]).map((ids, row) => ids.filter((_, i) => masks[row][i] === 1));
  return { rows, continuation: continuation.arraySync() as number[][] };
}

/** The same without a cache, one row at a time: every token from a new pass over the whole text. */
function withoutCache({ layer, params }: Opened, rows: readonly number[][], options: GenerationOptions): number[][] {
  return rows.map((prompt, row) => {
    const ids = [...prompt];
    for (let count = 0; count < options.maxTokens; count++) {
      const logits = tf.tidy(() => {
        const all = apply(layer, params)(tf.tensor2d([ids], undefined, "int32"));
        return tf.slice(all, [0, ids.length - 1, 0], [1, 1, -1]).dataSync<"float32">();
      });
      ids.push(sampleToken(logits, options, fold(options.key, "generate", row, count)));
    }
    return ids.slice(prompt.length);
  });
}

for (const backend of await available("wasm", "cpu", "tensorflow")) {
  // What the models differ in, head, biases and rotary positions, is each engine's in `llama_test.ts`; with a cache one shows it.
  const names = ["llama-grouped", ...backend === "wasm" ? ["llama-tied", "llama-legacy"] : []];
  for (const name of names) {
    Deno.test(`${name}: a padded batch goes on as transformers does and as without a cache (${backend})`, async () => {
      await useBackend(backend);
      await withoutLeaks(async () => {
        const opened = await open(name);
        const { rows, continuation } = await prompts(name);
        const greedy = { maxTokens: continuation[0].length, key: key(0) };
        const { layer, params } = opened;
        assertEquals(await generateAll(layer, params, rows, greedy), continuation);
        assertEquals(withoutCache(opened, rows, greedy), continuation);
        const sampled = { maxTokens: 12, temperature: 1.3, topP: 0.9, key: key(7) };
        const found = await generateAll(layer, params, rows, sampled);
        assertEquals(found, withoutCache(opened, rows, sampled));
        assert(`${found}` !== `${await generateAll(layer, params, rows, { ...sampled, key: key(8) })}`);
      });
    });
  }
}

Deno.test("a text's numbers are its own on wasm, however much room there is and whatever shorter texts are beside it", async () => {
  await useBackend("wasm");
  await withoutLeaks(async () => {
    const { layer, params } = await open("llama-grouped");
    const decoder = openDecoder(layer, params);
    const text = (length: number) => Array.from({ length }, (_, i) => (i * 7 + length) % 11 + 1);
    /** Logits of the first of some texts, of its beginning and of three more tokens. */
    const read = async (texts: readonly (readonly number[])[], room: number) => {
      const found = [await decoder.begin(texts, room)];
      for (const token of [3, 1, 2]) found.push(await decoder.next(texts.map(() => token)));
      return found.map((logits) => logits.slice(0, decoder.vocabulary));
    };
    for (const length of [1, 2, 3, 5, 6, 7, 11, 17]) {
      // Two rows at least: a product of one row of float32 is another kernel's.
      const alone = await read([text(length), text(1)], 1);
      const whole = tf.tidy(() => {
        const all = apply(layer, params)(tf.tensor2d([text(length)], undefined, "int32"));
        return tf.slice(all, [0, length - 1, 0], [1, 1, -1]).dataSync<"float32">();
      });
      alone[0].forEach((value, i) => assertAlmostEquals(value, whole[i], 2e-5, `${length} tokens`));
      assertEquals(await read([text(length), text(1)], 300), alone, `${length} tokens, more room`);
      const others = Array.from({ length: 3 }, (_, i) => text(Math.max(1, length - i)));
      assertEquals(await read([text(length), ...others], 9), alone, `${length} tokens beside others`);
    }
    decoder.dispose();
    tf.dispose(params as Record<string, tf.Tensor>);
  });
});

Deno.test("a row ends with its end token while others go on, and a consumer may stop early", async () => {
  await useBackend("cpu");
  await withoutLeaks(async () => {
    const { layer, params } = await open("llama-grouped");
    const { rows, continuation } = await prompts("llama-grouped");
    const [first] = continuation;
    const end = [first[1]];
    const found = await generateAll(layer, params, rows, { maxTokens: 8, key: key(0), end });
    const expected = continuation.map((row) => {
      const at = row.indexOf(end[0]);
      return at < 0 ? row : row.slice(0, at + 1);
    });
    assertEquals(found, expected);
    assertEquals(found[0].length, 2);

    let steps = 0;
    for await (const tokens of generate(layer, params, rows, { maxTokens: 8, key: key(0), end: [first[0]] })) {
      if (steps === 1) assertEquals(tokens[0], undefined);
      if (++steps === 2) break;
    }
    assertEquals(steps, 2);
    const alone = await generateAll(layer, params, [rows[0]], { maxTokens: 8, key: key(0), end: [first[0]] });
    assertEquals(alone, [[first[0]]]);
  });
});

const sampling: {
  readonly logits: readonly number[];
  readonly cases: readonly { temperature: number; topP: number; probabilities: readonly number[] }[];
} = JSON.parse(await Deno.readTextFile(folder("llama-sampling.json")));

Deno.test("tokens are drawn from the distributions that transformers' temperature and top-p give", () => {
  const logits = Float32Array.from(sampling.logits);
  for (const { probabilities, ...options } of sampling.cases) {
    const found = tokenDistribution(logits, options);
    probabilities.forEach((expected, token) => assertAlmostEquals(found[token], expected, 1e-6));
    const draws = 4000;
    const counts = new Float64Array(logits.length);
    for (let i = 0; i < draws; i++) counts[sampleToken(logits, options, fold(key(1), i))]++;
    // Four standard deviations.
    probabilities.forEach((p, token) => {
      assert(Math.abs(counts[token] - p * draws) <= 4 * Math.sqrt(p * (1 - p) * draws), `${token}: ${counts[token]}`);
    });
  }
});

Deno.test("temperature 0 takes the likeliest token, the first of equals", () => {
  assertEquals(sampleToken(Float32Array.of(1, 3, 3, 2), {}, key(0)), 1);
  assertEquals([...tokenDistribution(Float32Array.of(1, 3, 3, 2))], [0, 1, 0, 0]);
});

Deno.test("what cannot be generated from is wrong usage", async () => {
  await useBackend("cpu");
  const { layer } = await openModel("llama-micro");
  const params = init(layer, key(0));
  const cases: readonly [number[][], Partial<GenerationOptions>, string][] = [
    [[], {}, "an empty prompt"],
    [[[1], []], {}, "an empty prompt"],
    [[[512]], {}, "token 512"],
    [[[-1]], {}, "token -1"],
    [[[1.5]], {}, "token 1.5"],
    [[[1]], { temperature: -1 }, "temperature -1"],
    [[[1]], { temperature: NaN }, "temperature NaN"],
    [[[1]], { topP: 0 }, "top-p 0"],
    [[[1]], { topP: 1.5 }, "top-p 1.5"],
    [[[1]], { maxTokens: 0 }, "0 tokens"],
  ];
  for (const [rows, options, found] of cases) {
    const failing = generateAll(layer as CausalLanguageModel, params, rows, { maxTokens: 2, key: key(0), ...options });
    const error = await assertRejects(() => failing, OneloraError, found);
    assertEquals(error.exitCode, 2);
  }
  tf.dispose(params);
});

for (const backend of await available("wasm", "cpu", "tensorflow")) {
  Deno.test(`rows leave, room grows, and the logits are those of the whole text (${backend})`, async () => {
    await useBackend(backend);
    await withoutLeaks(async () => {
      const { layer, params } = await open("llama-grouped");
      const decoder = openDecoder(layer, params);
      const texts = [[5, 1, 7], [9, 2, 4, 4, 8], [3]];
      const token = (row: number, step: number) => (row * 7 + step * 5) % 20 + 1;
      await decoder.begin(texts, 1);
      let logits = new Float32Array();
      let live = [0, 1, 2];
      // 16 columns hold the prompts, 64 all there is room for at first.
      for (let step = 0; step < 52; step++) {
        if (step === 3) {
          decoder.keep([2, 0]);
          live = [2, 0];
        }
        live.forEach((row) => texts[row].push(token(row, step)));
        logits = new Float32Array(await decoder.next(live.map((row) => texts[row].at(-1)!)));
      }
      decoder.dispose();
      const vocabulary = logits.length / live.length;
      live.forEach((row, i) => {
        const expected = tf.tidy(() => {
          const all = apply(layer, params)(tf.tensor2d([texts[row]], undefined, "int32"));
          return tf.slice(all, [0, texts[row].length - 1, 0], [1, 1, -1]).dataSync<"float32">();
        });
        const found = logits.subarray(i * vocabulary, (i + 1) * vocabulary);
        found.forEach((value, k) => assertAlmostEquals(value, expected[k], 2e-5));
      });
    });
  });
}

Deno.test("weights that a file has in bfloat16 stay so on wasm, and texts go on as in float32", async () => {
  await useBackend("cpu");
  const scratch = await Deno.makeTempDir();
  try {
    const original = await open("llama-grouped");
    await saveModel(await openModel(folder("llama-grouped")), original.params, scratch, { dtype: "BF16" });
    tf.dispose(original.params as Record<string, tf.Tensor>);
    const texts = [[5, 1, 7], [9, 2, 4, 4, 8], [3]];
    const logitsOf = async (decoding: boolean) => {
      const model = await openModel(scratch);
      const { params } = await loadParams(model, key(0), model.layer, { reading: decoding ? "decoding" : "steps" });
      const decoder = openDecoder(model.layer as CausalLanguageModel, params);
      const logits: number[] = [...await decoder.begin(texts, 4)];
      for (const tokens of [[1, 2, 3], [4, 5, 6]]) logits.push(...await decoder.next(tokens));
      decoder.keep([2]);
      logits.push(...await decoder.next([7]));
      decoder.dispose();
      const forms = Object.entries(params).map(([path, tensor]) => [path, tensor.rank, storedForm(tensor)] as const);
      tf.dispose(params as Record<string, tf.Tensor>);
      return { logits, forms };
    };
    const expected = await logitsOf(true);
    assert(expected.forms.every(([, , form]) => form === undefined));
    await useBackend("wasm");
    await withoutLeaks(async () => {
      const { logits, forms } = await logitsOf(true);
      for (const [path, rank, form] of forms) assertEquals(form, rank === 2 ? "bf16" : undefined, path);
      logits.forEach((value, i) => assertAlmostEquals(value, expected.logits[i], 2e-5));
      assert((await logitsOf(false)).forms.every(([, , form]) => form === undefined));
    });
  } finally {
    await Deno.remove(scratch, { recursive: true });
  }
});
