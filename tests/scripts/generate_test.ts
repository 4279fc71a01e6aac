import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import * as tf from "@tensorflow/tfjs-core";
import { fileOf } from "../../dsl/files/path.ts";
import { adapt, saveAdapter } from "../../adapters/mod.ts";
import { init, isTrainable, key, mapTree, type Params, useBackend } from "../../dsl/mod.ts";
import {
  asLanguageModel,
  generateAll,
  llama,
  llamaPresets,
  loadParams,
  openModel,
  openTokenizer,
  saveModel,
} from "../../models/mod.ts";
import { failure, output, runTask } from "../support/command.ts";
import { withoutLeaks } from "../support/compare.ts";

const fixtures = fileOf(new URL("../fixtures", import.meta.url));
const folder = await Deno.makeTempDir();
globalThis.addEventListener("unload", () => Deno.removeSync(folder, { recursive: true }));
const model = `${folder}/model`;
const adapter = `${folder}/adapter`;
const prompt = "día 7:\n  a < b";
let made: Promise<void> | undefined;

/** Random values large enough that one token is likelier than another. */
const strong = (params: Params): Params => mapTree((tensor: tf.Tensor) => tf.mul(tensor, 8))(params);

/** A folder with a small random model for the tokenizer of the fixtures, and an adapter for it. */
async function make(): Promise<void> {
  const config = { ...llamaPresets["llama-micro"], layers: 1, hidden: 16, heads: 2, headSize: 8, keyValueHeads: 1 };
  const preset = await openModel("llama-micro");
  const sized = { hidden_size: 16, num_hidden_layers: 1, num_attention_heads: 2, num_key_value_heads: 1, head_dim: 8 };
  const written = { ...preset.config, ...sized, intermediate_size: 256, vocab_size: 400, eos_token_id: 0 };
  const layer = llama({ ...config, vocabulary: 400 });
  await saveModel({ ...preset, layer, config: written }, strong(init(layer, key(1))), model);
  for (const file of ["tokenizer.json", "tokenizer_config.json"]) {
    await Deno.copyFile(`${fixtures}/tokenizer-bytes/${file}`, `${model}/${file}`);
  }
  const { modules } = await openModel(model);
  const adapted = adapt("1lora")(layer);
  const params = strong(init(adapted, key(2)));
  const trained = isTrainable(adapted);
  const moved = mapTree((tensor: tf.Tensor, path) => trained(path) ? tf.fill(tensor.shape, 0.3) : tensor)(params);
  const spec = { adapter: "1lora" };
  await saveAdapter(adapter, { layer: adapted, params: moved, spec, names: modules, baseModel: model });
}

async function ready(): Promise<void> {
  await useBackend("wasm");
  made ??= withoutLeaks(make);
  await made;
}

/** What is generated in this process. */
async function expected(settings: { temperature?: number; topP?: number }, seed: number): Promise<string> {
  const opened = await openModel(model);
  const { params } = await loadParams(opened, key(0));
  const tokenizer = await openTokenizer(model);
  const ids = tokenizer.encode(prompt);
  const options = { maxTokens: 20, end: [0], key: key(seed), ...settings };
  const [tokens] = await generateAll(asLanguageModel(opened, opened.layer), params, [ids], options);
  tf.dispose(Object.values(params));
  return tokenizer.decode([...ids, ...tokens]).slice(tokenizer.decode(ids).length);
}

const base = ["--model", model, "--prompt", prompt, "--max-tokens", "20", "--backend", "wasm"];

Deno.test("generate prints how the text goes on, and nothing else on stdout", async () => {
  await ready();
  const greedy = await runTask("generate", ...base);
  assertEquals([greedy.code, greedy.out], [0, `${await expected({}, 0)}\n`]);
  assertMatch(greedy.err, /^\d+ tokens, [\d.e+]+ a second \(wasm\)\n$/);

  const sampling = ["--temperature", "1.5", "--top-p", "0.95", "--seed"];
  const sampled = await runTask("generate", ...base, ...sampling, "5");
  assertEquals([sampled.code, sampled.out], [0, `${await expected({ temperature: 1.5, topP: 0.95 }, 5)}\n`]);
  const other = await runTask("generate", ...base, ...sampling, "6");
  assert(other.out !== sampled.out);
});

Deno.test("generate with an adapter goes on differently, and so does the merged folder, tokenizer included", async () => {
  await ready();
  const adapted = await output("generate", ...base, "--adapter", adapter);
  assert(adapted !== `${await expected({}, 0)}\n`);
  const merged = `${folder}/merged`;
  await output("merge", "--model", model, "--adapter", adapter, "--out", merged);
  assertEquals(await output("generate", "--model", merged, ...base.slice(2)), adapted);
});

Deno.test("generate says in one line what it cannot use", async () => {
  await ready();
  const cases: readonly [readonly string[], number, string][] = [
    [["--prompt", "x"], 2, "--model"],
    [["--model", model], 2, "--prompt"],
    [["--model", "llama-2-7b", "--prompt", "x"], 2, "tokenizer.json"],
    [["--model", `${fixtures}/vit-rgb`, "--prompt", "x"], 2, "a llama model"],
    [["--model", `${fixtures}/llama-tied`, "--prompt", "x"], 1, "tokenizer.json"],
    [["--model", model, "--prompt", "x", "--top-p", "0"], 2, "--top-p"],
    [["--model", model, "--prompt", "x", "--temperature", "-1"], 2, "--temperature"],
    // Before anything is sampled.
    [["--model", "dit-micro", "--output", `${folder}/x.jpg`], 2, "ends in .png"],
    [["--model", "dit-micro", "--output", `${folder}/none/x.png`], 1, `no such file or directory: ${folder}/none;`],
  ];
  for (const [args, expectedCode, named] of cases) {
    const [code, line] = await failure("generate", ...args);
    assertEquals(code, expectedCode, line);
    assertStringIncludes(line, named);
  }
});
