/**
 * Greedy decoding in WebAssembly, ours in Deno beside llama.cpp's (wllama) in headless Chromium, a round of each in turn:
 *
 *     deno run -A scripts/tools/bench/decoding_wasm.ts MODEL FILE.gguf[,FILE.gguf...] [--threads 1,2] [--tokens 24]
 *         [--rounds 2] [--text TEXT] [--ours FILE.gguf]
 *
 * MODEL is a Hugging Face folder, the files are the same model for llama.cpp; ours reads the folder's weights, or those of a
 * file. Prints tokens a second, the first token in the time and loading outside of it, and the text that each went on with.
 * wllama is fetched on first use and is none of the packages that a checkout needs.
 *
 * @module
 */
import { parseArgs } from "node:util";
import { openTokenizer } from "../../../models/llama/tokenizer.ts";
import { startChromium, type Tab } from "../../../tests/support/chromium.ts";

/** llama.cpp as WebAssembly. */
const PACKAGE = "npm:@wllama/wllama@3.13.0";

const { values, positionals: [folder, files] } = parseArgs({
  allowPositionals: true,
  options: {
    threads: { type: "string", default: "1,2" },
    tokens: { type: "string", default: "24" },
    rounds: { type: "string", default: "2" },
    text: { type: "string", default: "The capital of France is" },
    ours: { type: "string" },
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
  const script = new URL("decoding.ts", import.meta.url).pathname;
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

/** The page's code: opens a file with a number of threads, and goes on with a text. */
const PAGE = `<!doctype html><script type="module">
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

/** The package's files and the models, with the headers that shared memory takes. */
async function serve(paths: ReadonlyMap<string, string>): Promise<Deno.HttpServer<Deno.NetAddr>> {
  return await Promise.resolve(Deno.serve({ port: 0, hostname: "127.0.0.1", onListen: () => {} }, async ({ url }) => {
    const { pathname } = new URL(url);
    const headers = new Headers({
      "cross-origin-opener-policy": "same-origin",
      "cross-origin-embedder-policy": "require-corp",
    });
    const path = paths.get(pathname);
    if (pathname === "/") headers.set("content-type", "text/html");
    else if (path === undefined) return new Response("", { status: 404, headers });
    else if (path.endsWith(".js")) headers.set("content-type", "text/javascript");
    else if (path.endsWith(".wasm")) headers.set("content-type", "application/wasm");
    return new Response(path === undefined ? PAGE : (await Deno.open(path)).readable, { headers });
  }));
}

/** llama.cpp with a file. */
async function theirs(open: () => Promise<Tab>, file: string, count: number): Promise<Contender> {
  const tab = await open();
  await tab.until("window.ready === true", 20);
  const used = await tab.value<number>(`opened(${JSON.stringify(`/${file.split("/").pop()}`)}, ${count})`);
  if (used !== count) throw new Error(`wllama has ${used} threads`);
  return {
    name: `wllama, ${file.split("/").pop()}, ${count} thread${count > 1 ? "s" : ""}`,
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

const specifier = PACKAGE;
await import(specifier).catch(() => {});
const own = (path: string) => new URL(import.meta.resolve(`${PACKAGE}/${path}`)).pathname;
const ggufs = files.split(",");
const server = await serve(
  new Map([
    ["/wllama.js", own("esm/index.js")],
    ["/wllama.wasm", own("esm/wasm/wllama.wasm")],
    ...ggufs.map((file) => [`/${file.split("/").pop()}`, file] as const),
  ]),
);
const browser = await startChromium(await Deno.makeTempDir());
const address = `http://127.0.0.1:${server.addr.port}/`;
const contenders: Contender[] = [];
try {
  for (const count of threads) {
    contenders.push(await ours(count));
    for (const file of ggufs) contenders.push(await theirs(() => browser.open(address), file, count));
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
