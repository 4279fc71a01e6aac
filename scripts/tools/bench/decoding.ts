/**
 * Greedy decoding, a round for every line of standard input: `deno run -A decoding.ts MODEL BACKEND PRECISION`; a line has
 * the number of texts and of tokens. Started by `decoding.py`, which measures transformers in turn with it. A text's first
 * token is in the time; loading and preparing are not, as in `generate --json`.
 *
 * @module
 */
import { dispose } from "@tensorflow/tfjs-core";
import { type BackendName, key, type Precision, useBackend } from "../../../dsl/mod.ts";
import { asLanguageModel, loadParams, openModel } from "../../../models/mod.ts";
import { openDecoder } from "../../../models/llama/decoder.ts";
import { collected, goOn } from "../../../models/llama/generate.ts";

/** The same in decoding.py: ids below any vocabulary's size, another text for each row. */
function prompt(row: number): readonly number[] {
  return Array.from({ length: 12 }, (_, i) => (i * 37 + row * 11) % 200 + 20);
}

const [folder, backend, precision] = Deno.args;
await useBackend(backend as BackendName);
const model = await openModel(folder);
const { params } = await loadParams(model, key(0), model.layer, { precision: precision as Precision, decoding: true });
const decoder = openDecoder(asLanguageModel(model, model.layer), params, { precision: precision as Precision });
const lines = Deno.stdin.readable.pipeThrough(new TextDecoderStream());
for await (const line of lines) {
  const [rows, maxTokens] = line.trim().split(" ").map(Number);
  const prompts = Array.from({ length: rows }, (_, row) => prompt(row));
  const began = performance.now();
  const found = await collected(goOn(decoder, prompts, { maxTokens, key: key(0) }), rows);
  console.log(JSON.stringify({ seconds: (performance.now() - began) / 1000, begins: found[0].slice(0, 8) }));
}
decoder.dispose();
dispose(params as Record<string, typeof params[string]>);
