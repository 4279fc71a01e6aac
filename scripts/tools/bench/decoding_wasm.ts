/**
 * Greedy decoding in WebAssembly, ours in Deno beside llama.cpp's (wllama) and ONNX Runtime's (transformers.js) in headless
 * Chromium, a round of each in turn:
 *
 *     deno run -A scripts/tools/bench/decoding_wasm.ts MODEL [FILE.gguf[,FILE.gguf...]] [--threads 1,2] [--tokens 24]
 *         [--rounds 2] [--text TEXT] [--ours FILE.gguf] [--onnx FOLDER [--dtypes fp32,q8,q4]]
 *
 * MODEL is a Hugging Face folder, the files are the same model for llama.cpp; ours reads the folder's weights, or those of a
 * file. FOLDER is the model as transformers.js loads it: MODEL's files beside `onnx/model.onnx` (fp32),
 * `onnx/model_quantized.onnx` (q8), `onnx/model_q4.onnx` (q4), each with its weights in it, as
 * `python -m onnxruntime_genai.models.builder -i MODEL -o OUT -p fp32 -e cpu` (`-p int4`) and onnxruntime's
 * `quantize_dynamic` make them. Prints tokens a second, the first token in the time and loading outside of it, and the text
 * that each went on with. The peers are fetched on first use and are none of the packages that a checkout needs.
 *
 * @module
 */
import { createRequire } from "node:module";
import { parseArgs } from "node:util";
import { fileOf } from "../../../dsl/files/path.ts";
import { openTokenizer } from "../../../models/llama/tokenizer.ts";
import { startChromium, type Tab } from "../chromium.ts";

/** llama.cpp as WebAssembly. */
const WLLAMA = "npm:@wllama/wllama@3.13.0";

/** ONNX Runtime as WebAssembly, with what generates texts by it. */
const TRANSFORMERS = "npm:@huggingface/transformers@4.3.2";

const { values, positionals: [folder, files] } = parseArgs({
  allowPositionals: true,
  options: {
    threads: { type: "string", default: "1,2" },
    tokens: { type: "string", default: "24" },
    rounds: { type: "string", default: "2" },
    text: { type: "string", default: "The capital of France is" },
    ours: { type: "string" },
    onnx: { type: "string" },
    dtypes: { type: "string", default: "fp32,q8,q4" },
  },
});
const [tokens, rounds] = [Number(values.tokens), Number(values.rounds)];
const threads = values.threads.split(",").map(Number);

/** A round's result. */
interface Round {
  readonly seconds: number;
  readonly text: string;
}

/** What is measured. */
interface Contender extends AsyncDisposable {
  readonly name: string;
  readonly round: (tokens: number) => Promise<Round>;
}

/** Ours, in a process of its own. */
async function ours(count: number): Promise<Contender> {
  const tokenizer = await openTokenizer(folder);
  const ids = tokenizer.encode(values.text);
  const script = fileOf(new URL("decoding.ts", import.meta.url));
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-lock", "--quiet", script, values.ours ?? folder, "wasm", "float32", `${count}`],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const [writer, reader] = [child.stdin.getWriter(), child.stdout.pipeThrough(new TextDecoderStream()).getReader()];
  let rest = "";
  return {
    name: `ours, ${(values.ours ?? folder).split("/").pop()}, ${count} thread${count > 1 ? "s" : ""}`,
    round: async (tokens) => {
      await writer.write(new TextEncoder().encode(`${JSON.stringify({ prompts: [ids], tokens })}\n`));
      while (!rest.includes("\n")) rest += (await reader.read()).value ?? "";
      const { seconds, found } = JSON.parse(rest.slice(0, rest.indexOf("\n")));
      rest = rest.slice(rest.indexOf("\n") + 1);
      return { seconds, text: tokenizer.decode(found[0]) };
    },
    [Symbol.asyncDispose]: async () => {
      await writer.close();
      await child.status;
    },
  };
}

/** wllama's page: opens a file with a number of threads, and goes on with a text. */
const WLLAMA_PAGE = `<!doctype html><script type="module">
import { Wllama } from "/wllama.js";
const quiet = { debug() {}, log() {}, warn() {}, error: console.error };
let open;
window.opened = async (file, n_threads) => {
  open = new Wllama({ default: "/wllama.wasm" }, { logger: quiet, suppressNativeLog: true });
  const blob = await (await fetch(file)).blob();
  await open.loadModel([blob], { n_threads, n_gpu_layers: 0, n_ctx: 512, n_parallel: 1 });
  return open.getNumThreads();
};
window.round = async (prompt, max_tokens) => {
  const began = performance.now();
  const { choices, usage, timings } = await open.createCompletion({
    prompt, max_tokens, temperature: 0, ignore_eos: true, cache_prompt: false,
  });
  return { seconds: (performance.now() - began) / 1000, text: choices[0].text, usage, timings };
};
window.ready = true;
</script>`;

/** transformers.js' page, which does the same with weights of a type. */
const TRANSFORMERS_PAGE = `<!doctype html><script type="importmap">
{ "imports": { "onnxruntime-web/webgpu": "/ort/ort.webgpu.bundle.min.mjs", "onnxruntime-common": "/ort/ort.webgpu.bundle.min.mjs" } }
</script><script type="module">
import { AutoModelForCausalLM, AutoTokenizer, env } from "/transformers.js";
Object.assign(env, {
  allowRemoteModels: false, allowLocalModels: true, localModelPath: "/", useBrowserCache: false, useWasmCache: false,
});
const { wasm } = env.backends.onnx;
const engine = "/ort/ort-wasm-simd-threaded";
wasm.wasmPaths = { mjs: engine + ".asyncify.mjs", wasm: engine + ".asyncify.wasm" };
let model, tokenizer;
window.opened = async (dtype, threads) => {
  wasm.numThreads = threads;
  tokenizer = await AutoTokenizer.from_pretrained("onnx-model");
  model = await AutoModelForCausalLM.from_pretrained("onnx-model", { dtype, device: "wasm" });
  return crossOriginIsolated ? wasm.numThreads : 1;
};
window.round = async (prompt, max_new_tokens) => {
  const inputs = tokenizer(prompt);
  const began = performance.now();
  const ids = await model.generate({ ...inputs, max_new_tokens, min_new_tokens: max_new_tokens, do_sample: false });
  const seconds = (performance.now() - began) / 1000;
  const added = ids.slice(null, [inputs.input_ids.dims[1], null]);
  return { seconds, text: tokenizer.batch_decode(added)[0], usage: { completion_tokens: added.dims[1] } };
};
window.ready = true;
</script>`;

/** The pages, the packages' files and the models, with the headers that shared memory takes. */
async function serve(paths: ReadonlyMap<string, string>): Promise<Deno.HttpServer<Deno.NetAddr>> {
  return await Promise.resolve(Deno.serve({ port: 0, hostname: "127.0.0.1", onListen: () => {} }, async ({ url }) => {
    const { pathname } = new URL(url);
    const headers = new Headers({
      "cross-origin-opener-policy": "same-origin",
      "cross-origin-embedder-policy": "require-corp",
    });
    const [path, page] = [paths.get(pathname), PAGES[pathname]];
    if (page !== undefined) headers.set("content-type", "text/html");
    else if (path === undefined) return new Response("", { status: 404, headers });
    else if (/\.m?js$/.test(path)) headers.set("content-type", "text/javascript");
    else if (path.endsWith(".wasm")) headers.set("content-type", "application/wasm");
    return new Response(path === undefined ? page : (await Deno.open(path)).readable, { headers });
  }));
}

const PAGES: Readonly<Record<string, string>> = { "/wllama": WLLAMA_PAGE, "/transformers": TRANSFORMERS_PAGE };

/** A peer, in a tab of its own, with what its page calls the model. */
async function theirs(open: () => Promise<Tab>, name: string, model: string, count: number): Promise<Contender> {
  const tab = await open();
  await tab.until("window.ready === true", 20);
  const used = await tab.value<number>(`opened(${JSON.stringify(model)}, ${count})`);
  if (used !== count) throw new Error(`${name} has ${used} threads`);
  return {
    name: `${name}, ${model.split("/").pop()}, ${count} thread${count > 1 ? "s" : ""}`,
    round: async (tokens) => {
      const found = await tab.value<Round & { readonly usage: { readonly completion_tokens: number } }>(
        `round(${JSON.stringify(values.text)}, ${tokens})`,
      );
      if (found.usage.completion_tokens !== tokens) throw new Error(`${found.usage.completion_tokens} tokens came`);
      return found;
    },
    [Symbol.asyncDispose]: async () => void await tab.call("Page.close").catch(() => {}),
  };
}

/** What the server has of wllama: its code and the GGUF files. */
async function wllamaFiles(files: readonly string[]): Promise<readonly (readonly [string, string])[]> {
  const specifier = WLLAMA;
  await import(specifier).catch(() => {});
  const own = (path: string) => fileOf(new URL(import.meta.resolve(`${WLLAMA}/${path}`)));
  return [
    ["/wllama.js", own("esm/index.js")],
    ["/wllama.wasm", own("esm/wasm/wllama.wasm")],
    ...files.map((file) => [`/${file.split("/").pop()}`, file] as const),
  ];
}

/** What it has of transformers.js: its code, ONNX Runtime's and the model's folder. */
async function transformersFiles(folder: string): Promise<readonly (readonly [string, string])[]> {
  const specifier = TRANSFORMERS;
  await import(specifier).catch(() => {});
  const main = fileOf(new URL(import.meta.resolve(TRANSFORMERS)));
  const runtime = createRequire(main).resolve("onnxruntime-web/webgpu").replace(/[^/]+$/, "");
  const code = ["ort.webgpu.bundle.min.mjs", ...["mjs", "wasm"].map((end) => `ort-wasm-simd-threaded.asyncify.${end}`)];
  const names = ["", "onnx/"].flatMap((under) =>
    [...Deno.readDirSync(`${folder}/${under}`)].filter(({ isFile }) => isFile).map(({ name }) => `${under}${name}`)
  );
  return [
    ["/transformers.js", main.replace(/[^/]+$/, "transformers.web.min.js")],
    ...code.map((name) => [`/ort/${name}`, `${runtime}${name}`] as const),
    ...names.map((name) => [`/onnx-model/${name}`, `${folder}/${name}`] as const),
  ];
}

const ggufs = files?.split(",") ?? [];
const dtypes = values.onnx === undefined ? [] : values.dtypes.split(",");
const server = await serve(
  new Map([
    ...ggufs.length > 0 ? await wllamaFiles(ggufs) : [],
    ...values.onnx === undefined ? [] : await transformersFiles(values.onnx),
  ]),
);
const browser = await startChromium(await Deno.makeTempDir());
const open = (page: string) => () => browser.open(`http://127.0.0.1:${server.addr.port}/${page}`);
const contenders: Contender[] = [];
try {
  for (const count of threads) {
    contenders.push(await ours(count));
    for (const file of ggufs) {
      contenders.push(await theirs(open("wllama"), "wllama", `/${file.split("/").pop()}`, count));
    }
    for (const type of dtypes) contenders.push(await theirs(open("transformers"), "transformers.js", type, count));
  }
  const found = new Map(contenders.map(({ name }) => [name, { speeds: [] as number[], text: "" }]));
  for (const contender of contenders) await contender.round(2);
  for (let round = 0; round < rounds; round++) {
    for (const { name, round } of contenders) {
      const { seconds, text } = await round(tokens);
      const of = found.get(name)!;
      of.speeds.push(tokens / seconds);
      of.text = text;
    }
  }
  for (const [name, { speeds, text }] of found) {
    const sorted = speeds.toSorted((a, b) => a - b);
    const median = (sorted[(sorted.length - 1) >> 1] + sorted[sorted.length >> 1]) / 2;
    console.log(JSON.stringify({ name, best: +sorted.at(-1)!.toFixed(1), median: +median.toFixed(1), text }));
  }
} finally {
  for (const contender of contenders) await contender[Symbol.asyncDispose]();
  await browser[Symbol.asyncDispose]();
  await server.shutdown();
}
