/**
 * The linear form's laws for changes that no method of the package makes: whatever the algebra can say, a layer starts as
 * its base, computes the same merged, and comes back when unmerged; what would break that cannot be written.
 *
 * @module
 */
import { assert, assertEquals, assertThrows } from "@std/assert";
import * as tf from "@tensorflow/tfjs-core";
import { flow, pipe } from "fp-ts/function";
import { type Adapter, at, everyLinear, ia3, lora, mergeParams, mora1, oneLora } from "../../adapters/mod.ts";
import { stage, trainable } from "../../adapters/adapter.ts";
import {
  apply,
  evaluate,
  formOf,
  gelu,
  init,
  key,
  type Layer,
  linear,
  OneloraError,
  type Params,
  serial,
  useBackend,
} from "../../dsl/mod.ts";
import { constant, ones } from "../../dsl/initialise.ts";
import {
  addBias,
  addOperator,
  type LinearBase,
  type LinearChange,
  type Reform,
  scaleInput,
  scaleOutput,
  scaleRows,
  unchanged,
} from "../../dsl/linear_change.ts";
import { assertClose, withoutLeaks } from "../support/compare.ts";

/** A method of one change: parameters start at `first`, of the layer's inputs (k) or outputs (d). */
function made(
  name: string,
  params: Readonly<Record<string, readonly ["k" | "d", number]>>,
  reform: (param: (name: string) => tf.Tensor1D) => Reform,
  at: number = stage.update,
): Adapter {
  return {
    name,
    fit: ({ inFeatures, outFeatures }) => ({
      name,
      stage: at,
      params: Object.fromEntries(
        Object.entries(params).map(([param, [side, first]]) =>
          [param, trainable([side === "k" ? inFeatures : outFeatures], first === 1 ? ones : constant(first))] as const
        ),
      ),
      reform: (param) => reform((own) => param(own) as tf.Tensor1D),
    }),
  };
}

const rowNorms = ({ weight }: LinearBase) => tf.norm(weight, 2, 1) as tf.Tensor1D;
const columnMeans = ({ weight }: LinearBase) => tf.mean(weight, 1) as tf.Tensor1D;

/** The changes: each a list of adapters, placed in this order. */
const laws: Readonly<Record<string, readonly Adapter[]>> = {
  "factors of inputs (IA3 of feed-forward layers)": [ia3({ scales: "inputs" })],
  "factors of outputs (IA3 of keys and values)": [ia3()],
  "factors of inputs and outputs": [
    made("both", { l: ["k", 1], g: ["d", 1] }, (p) => flow(scaleInput(p("l")), scaleOutput(p("g"))), stage.output),
  ],
  "factors of inputs under LoRA, 1LoRA and MoRA": [
    lora({ rank: 2 }),
    oneLora(),
    mora1(),
    ia3({ scales: "inputs" }),
  ],
  "factors of inputs twice": [
    ia3({ scales: "inputs" }),
    made("again", { l: ["k", 1] }, (p) => scaleInput(p("l"))),
  ],
  "magnitudes over the norms of W0's rows, times a vector (as DoRA)": [
    made("rows", { m: ["d", 1] }, (p) => scaleRows((base) => tf.div(tf.mul(p("m"), rowNorms(base)), rowNorms(base)))),
  ],
  "a gain of W0's means, under LoRA, with a bias and a scale": [
    lora({ rank: 2 }),
    made(
      "means",
      { m: ["d", 0], beta: ["d", 0], gamma: ["d", 1] },
      (p) =>
        flow(
          scaleRows((base) => tf.add(1, tf.mul(p("m"), columnMeans(base)))),
          addBias(p("beta")),
          scaleOutput(p("gamma")),
        ),
      stage.rows,
    ),
  ],
  "a bias, scaled, and another": [
    made(
      "steps",
      { a: ["d", 0], g: ["d", 1], b: ["d", 0] },
      (p) => flow(addBias(p("a")), scaleOutput(p("g")), addBias(p("b"))),
    ),
  ],
  "a diagonal of its own": [
    made("diagonal", { s: ["k", 0] }, (p) =>
      // y gains (s . x) in every output.
      addOperator({
        apply: (x) => tf.mul(tf.sum(tf.mul(x, p("s")), 1, true), tf.ones([1, 6])),
        matrix: () => tf.mul(tf.ones([6, 1]), p("s")),
      })),
  ],
};

const bare = serial({
  first: linear(6, 6),
  act: { kind: "activation", params: {}, parts: {}, forward: (_, x: tf.Tensor) => gelu(x) } as Layer,
  second: linear(6, 6, { bias: false }),
});

function adapted(adapters: readonly Adapter[]): typeof bare {
  return adapters.reduce((model, adapter) => pipe(model, at(everyLinear, adapter)), bare);
}

/** Every adapter's parameter moved, factors away from zero. */
function moved(params: Params): Params {
  return Object.fromEntries(
    Object.entries(params).map(([path, tensor], i) =>
      [
        path,
        path.split(".").length > 2
          ? tf.add(tensor, tf.randomUniform(tensor.shape, 0.1, 0.4, "float32", i + 1))
          : tensor,
      ] as const
    ),
  );
}

for (const backend of ["wasm", "cpu"] as const) {
  for (const [name, adapters] of Object.entries(laws)) {
    Deno.test(`${name}: starts as the base, merges, and comes back (${backend})`, async () => {
      await useBackend(backend);
      await withoutLeaks(() => {
        const model = adapted(adapters);
        const start = init(model, key(1));
        const x = tf.randomNormal([5, 6], 0, 1, "float32", 3);
        assertEquals(apply(model, start)(x).dataSync(), apply(bare, start)(x).dataSync());
        const params = moved(start);
        const trained = apply(model, params)(x);
        assert(tf.max(tf.abs(tf.sub(trained, apply(bare, params)(x)))).dataSync()[0] > 1e-2, "nothing changed");
        const merged = mergeParams(model, params);
        const hasBias = merged.params["second.bias"] !== undefined;
        const target = serial({ ...bare.parts, second: linear(6, 6, { bias: hasBias }) });
        assertClose(apply(target, merged.params)(x), trained, 1e-5, "merged");
        const restored = merged.unmerge();
        for (const path of ["first.weight", "first.bias", "second.weight"]) {
          assertClose(restored[path], params[path], 1e-5, path);
        }
        return Promise.resolve();
      });
    });
  }
}

Deno.test("changes of one kind add up or multiply: y = g1 g2 (W (s1 s2 x)) + ((b0 + b1) c + b2)", async () => {
  await useBackend("cpu");
  await withoutLeaks(() => {
    const vector = (...values: readonly number[]) => tf.tensor1d([...values]);
    const base = { weight: tf.tensor2d([[1, -2], [3, 5]]), bias: vector(10, 20) };
    const change = pipe(
      unchanged,
      flow(scaleInput(vector(2, 3)), scaleInput(vector(5, -7)), scaleRows(vector(2, 4)), scaleRows(vector(0.5, 3))),
      flow(addBias(vector(1, 2)), scaleOutput(vector(8, 9)), addBias(vector(100, 200))),
    );
    const y = evaluate(formOf(base, change))(tf.tensor2d([[1, 1]]));
    const [first, second] = [10, -21];
    assertEquals(y.arraySync(), [[
      2 * 0.5 * 8 * (first - 2 * second) + (10 + 1) * 8 + 100,
      4 * 3 * 9 * (3 * first + 5 * second) + (20 + 2) * 9 + 200,
    ]]);
    return Promise.resolve();
  });
});

Deno.test("a factor of zero leaves nothing to come back to, which is said", async () => {
  await useBackend("cpu");
  for (const adapter of [ia3(), ia3({ scales: "inputs" })]) {
    await withoutLeaks(() => {
      const model = adapted([adapter]);
      const params = Object.fromEntries(
        Object.entries(init(model, key(1))).map(([path, tensor]) =>
          [path, path.includes(".ia3.") ? tf.concat([tf.zeros([1]), tf.ones([5])]) : tensor] as const
        ),
      );
      assertThrows(() => mergeParams(model, params).unmerge(), OneloraError, "factor of 0");
      return Promise.resolve();
    });
  }
});

Deno.test("a change cannot read the weight: only a gain is computed from it, and merging keeps the gain's value", () => {
  const reading: Reform = (change: LinearChange) => {
    // @ts-expect-error a change has no weight: merged, it would be another one
    return addBias(tf.sum(change.weight, 1))(change);
  };
  // @ts-expect-error factors of inputs are a vector, not a function of the weight
  const columns: Reform = scaleInput(({ weight }: LinearBase) => tf.sum(weight, 0));
  assert(reading !== columns);
});
