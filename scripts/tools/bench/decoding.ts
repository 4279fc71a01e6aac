/**
 * Greedy decoding, a round for every line of standard input: `deno run -A decoding.ts MODEL BACKEND PRECISION [THREADS]
 * [QUANTISE]`, THREADS 0 for all; a line has the number of texts and of tokens, or JSON of prompts and tokens. Started by
 * `decoding.py`, which measures transformers in turn with it, and by `decoding_wasm.ts`. A text's first token is in the time;
 * loading and preparing are not, as in `generate --json`.
 *
 * @module
 */
import { dispose } from "@tensorflow/tfjs-core";
import { type BackendName, key, type Precision, useBackend } from "../../../dsl/mod.ts";
import type { Quantisation } from "../../../dsl/quantise.ts";
import { asLanguageModel, loadParams, openModel } from "../../../models/mod.ts";
import { openDecoder } from "../../../models/llama/decoder.ts";
import { collected, goOn } from "../../../models/llama/generate.ts";

/** The same in decoding.py: ids below any vocabulary's size, another text for each row. */
function prompt(row: number): readonly number[] {
  return Array.from({ length: 12 }, (_, i) => (i * 37 + row * 11) % 200 + 20);
}

/** What a line asks for. */
function asked(line: string): readonly [prompts: readonly (readonly number[])[], tokens: number] {
  if (line.startsWith("{")) {
    const { prompts, tokens } = JSON.parse(line);
    return [prompts, tokens];
  }
  const [rows, tokens] = line.split(" ").map(Number);
  return [Array.from({ length: rows }, (_, row) => prompt(row)), tokens];
}

const [folder, backend, precision, threads = "0", quantise] = Deno.args;
await useBackend(backend as BackendName, threads === "0" ? {} : { threads: Number(threads) });
const model = await openModel(folder);
const { params } = await loadParams(model, key(0), model.layer, {
  precision: precision as Precision,
  quantise: quantise as Quantisation | undefined,
  reading: "decoding",
});
const decoder = openDecoder(asLanguageModel(model, model.layer), params, { precision: precision as Precision });
const lines = Deno.stdin.readable.pipeThrough(new TextDecoderStream());
for await (const line of lines) {
  const [prompts, maxTokens] = asked(line.trim());
  const began = performance.now();
  const found = await collected(goOn(decoder, prompts, { maxTokens, key: key(0) }), prompts.length);
  console.log(JSON.stringify({ seconds: (performance.now() - began) / 1000, begins: found[0].slice(0, 8), found }));
}
decoder.dispose();
dispose(params as Record<string, typeof params[string]>);
