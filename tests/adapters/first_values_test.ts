/**
 * The values that training starts from: those of the methods' published code. What starts at zero makes the update nothing
 * (the laws), so whatever else is drawn wrongly would show in no output.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import * as tf from "@tensorflow/tfjs-core";
import { adapt, at, lora } from "../../adapters/mod.ts";
import {
  type AnyLayer,
  convLayer,
  embeddingLayer,
  init,
  key,
  linear,
  type Params,
  serial,
  useBackend,
} from "../../dsl/mod.ts";
import { assertClose, withoutLeaks } from "../support/compare.ts";

/** How numbers are drawn: evenly between -limit and limit, normally with a deviation, or all the same. */
type Drawn = { readonly limit: number } | { readonly deviation: number } | { readonly constant: number };

function assertDrawn(tensor: tf.Tensor, drawn: Drawn, what: string): void {
  const values = Array.from(tensor.dataSync());
  if ("constant" in drawn) return assert(values.every((value) => value === Math.fround(drawn.constant)), what);
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const most = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  const deviation = Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length);
  const expected = "limit" in drawn ? drawn.limit / Math.sqrt(3) : drawn.deviation;
  assert(values.length >= 1000 && Math.abs(mean) < 0.1 * expected, `${what}: mean ${mean}`);
  assert(Math.abs(deviation / expected - 1) < 0.05, `${what}: deviation ${deviation}, ${expected}`);
  // Even draws come near their limit and do not reach beyond; normal ones do.
  if ("limit" in drawn) assert(most <= drawn.limit && most > 0.97 * drawn.limit, `${what}: up to ${most}`);
  else assert(most > 2.5 * drawn.deviation, `${what}: up to ${most}`);
}

// The largest layer is neither the first nor the last.
const model = serial({ small: linear(300, 200), large: linear(1200, 500), last: linear(400, 300) });

const METHODS: Readonly<Record<string, Readonly<Record<string, Drawn>>>> = {
  "1lora": { "large.1lora.b": { constant: 0 } },
  "1lora:compression=random": { "large.1lora.a": { deviation: 1 }, "large.1lora.b": { constant: 0 } },
  "lora:rank=4": { "large.lora.A": { limit: 1 / Math.sqrt(1200) }, "large.lora.B": { constant: 0 } },
  "dora:rank=4": { "small.dora.A": { limit: 1 / Math.sqrt(300) }, "small.dora.B": { constant: 0 } },
  "vera:rank=4": {
    "vera.A": { limit: Math.sqrt(6 / 1200) },
    "vera.B": { limit: Math.sqrt(6 / 4) },
    "large.vera.d": { constant: 0.1 },
    "small.vera.b": { constant: 0 },
  },
  "miss:rank=4": { "large.miss.D": { constant: 0 } },
  mora1: { "large.mora1.M": { constant: 0 } },
  ia3: { "large.ia3.l_out": { constant: 1 } },
};

/** Runs a test with a model's first parameters. */
async function withFirst(layer: AnyLayer, test: (params: Params) => void): Promise<void> {
  await useBackend("cpu");
  await withoutLeaks(() => Promise.resolve(test(init(layer, key(0)))));
}

for (const [spec, expected] of Object.entries(METHODS)) {
  Deno.test(`${spec} starts from what its published code draws`, async () => {
    await withFirst(adapt(spec)(model), (params) => {
      for (const [path, drawn] of Object.entries(expected)) assertDrawn(params[path], drawn, path);
    });
  });
}

Deno.test("VeRA's projections are as large as the largest layer wants, and of all layers", async () => {
  await withFirst(adapt("vera:rank=4")(model), (params) => {
    assertEquals(Object.keys(params).filter((path) => /vera\.[AB]$/.test(path)), ["vera.A", "vera.B"]);
    assertEquals([params["vera.A"].shape, params["vera.B"].shape], [[4, 1200], [500, 4]]);
  });
});

Deno.test("DoRA's magnitudes start as the norms of the weight's rows", async () => {
  await withFirst(adapt("dora")(model), (params) => {
    assertClose(params["large.dora.m"], tf.norm(params["large.weight"], 2, 1), 1e-5, "m");
  });
});

Deno.test("LoRA on embeddings and convolutions starts from what PEFT draws", async () => {
  const others = serial({ table: embeddingLayer(20, 1500), conv: convLayer(40, 8, 3, {}) });
  await withFirst(at("table,conv", lora({ rank: 4 }))(others), (params) => {
    assertDrawn(params["table.lora.embedding_A"], { constant: 0 }, "table's A");
    assertDrawn(params["table.lora.embedding_B"], { deviation: 1 }, "table's B");
    assertDrawn(params["conv.lora.A"], { limit: 1 / Math.sqrt(40 * 9) }, "convolution's A");
    assertDrawn(params["conv.lora.B"], { constant: 0 }, "convolution's B");
  });
});
