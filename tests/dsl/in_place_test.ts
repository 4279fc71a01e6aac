/** State that moves in place, and what is computed again for gradients of whole weights. @module */
import { assert, assertEquals, assertLess } from "@std/assert";
import * as tf from "@tensorflow/tfjs-core";
import { planMemory } from "../../dsl/compile/program.ts";
import { replayer } from "../../dsl/compile/replay.ts";
import { simplify } from "../../dsl/compile/passes.ts";
import { recomputeForWeights } from "../../dsl/compile/tensorflow/recompute.ts";
import { prepareGraph } from "../../dsl/compile/tensorflow/prepare.ts";
import { stepGraph } from "../../dsl/compile/tensorflow/step_graph.ts";
import { trace } from "../../dsl/compile/trace.ts";
import type { StoredForm } from "../../dsl/engine/stored.ts";
import { compile, startResident, useBackend } from "../../dsl/mod.ts";
import { available } from "../support/available.ts";
import { assertClose } from "../support/compare.ts";
import { HIDDEN, ROWS, stateOf, stepOf, wave, WIDTH } from "../support/perceptrons.ts";

const ignore = (await available("tensorflow")).length === 0;
if (ignore) console.log("in_place_test: ignored, no tensorflow backend (`deno task native` provides it)");

Deno.test("what a whole weight's gradient reads is computed again: a lower peak, and the same bytes", async () => {
  await useBackend("wasm");
  const [blocks, state] = [4, stateOf(4)];
  const inputs = [
    ...Object.values(state.trained),
    ...Object.values(state.optimiser),
    wave([ROWS, WIDTH], 1, 0),
    tf.scalar(1e-2),
  ];
  const [names, moments] = [Object.keys(state.trained), Object.keys(state.optimiser)];
  const program = simplify(trace(
    (given) => {
      const tree = (keys: readonly string[], from: number) =>
        Object.fromEntries(keys.map((name, i) => [name, given[from + i]]));
      const [next, { loss }] = stepOf(blocks)({
        frozen: {},
        trained: tree(names, 0),
        optimiser: tree(moments, names.length),
      }, { x: given.at(-2)!, rate: given.at(-1)! });
      return [...Object.values(next.trained), ...Object.values(next.optimiser), loss];
    },
    inputs.map(({ shape, dtype }) => ({ shape, dtype })),
    { backend: "tensorflow", precision: "float32" },
  ));
  const again = recomputeForWeights(program);
  const results = new Set(program.outputs);
  const kept = (each: typeof program) =>
    planMemory(each, (value) => results.has(value) ? 0 : 4 * tf.util.sizeFromShape([...each.types[value].shape]));
  // Of three blocks before the last one, the activation and the norm's scaled values.
  assertLess(kept(again).peakBytes, kept(program).peakBytes - 3 * 4 * ROWS * HIDDEN);
  const run = (each: typeof program) => {
    const made = replayer(each);
    const numbers = made.run(inputs).map((tensor) => [...tensor.dataSync()]);
    made.dispose();
    return numbers;
  };
  assertEquals(run(again), run(program));
  tf.dispose(inputs);
});

Deno.test({
  name:
    "clusters move large state in place: nothing is assigned, a loss that is not finite moves nothing, what was read stays",
  ignore,
  fn: async () => {
    await useBackend("tensorflow");
    const [step, x] = [stepOf(2), wave([ROWS, WIDTH], 1, 0)];
    const batch = { x, rate: tf.scalar(1e-2) };
    const [start, same] = [stateOf(2), stateOf(2)];
    const resident = startResident(step, start, { onFallback: (line) => assert(false, line) });
    const compiled = compile(step);
    let expected = same;
    const walk = async () => {
      const { loss } = await resident.step(batch);
      const [next, metrics] = compiled(expected, batch);
      assertClose(tf.scalar(loss), metrics.loss, 1e-5, "loss");
      expected = next;
    };
    await walk();
    await walk();
    const held = resident.read();
    const before = Object.entries(held.trained).map(([path, tensor]) => [path, tensor.dataSync().slice()] as const);
    assert(Number.isNaN((await resident.step({ ...batch, x: tf.mul(x, NaN) })).loss));
    for (const part of ["trained", "optimiser"] as const) {
      const now = resident.read([part])[part];
      for (const path of Object.keys(now)) assertEquals(now[path].dataSync(), held[part][path].dataSync(), path);
    }
    await walk();
    for (const [path, values] of before) assertEquals(held.trained[path].dataSync(), values, path);
    const after = resident.read();
    for (const part of ["trained", "optimiser"] as const) {
      for (const [path, tensor] of Object.entries(expected[part])) assertClose(after[part][path], tensor, 1e-4, path);
    }
    resident.dispose();
    compiled.dispose();
  },
});

Deno.test({
  name: "a step whose loss comes after its updates assigns as before",
  ignore,
  fn: async () => {
    await useBackend("tensorflow");
    const program = (isLate: boolean) =>
      prepareGraph(trace(([w, x]) => {
        const early = isLate ? undefined : tf.sum(x);
        const next = tf.add(tf.mul(w, 0.5), tf.mul(x, 2));
        return [next, early ?? tf.sum(x)];
      }, [{ shape: [256, 256], dtype: "float32" }, { shape: [256, 256], dtype: "float32" }]));
    const assigned = (isLate: boolean) =>
      stepGraph({ program: program(isLate), fixed: 0, moving: 1, loss: 1 }, {
        fuseFrom: 2 ** 15,
        precision: "float32",
        whole: false,
        words: false,
      }).graph.nodes.filter(({ op, name }) => op === "AssignVariableOp" && !name.endsWith("_set")).length;
    assertEquals([assigned(false), assigned(true)], [0, 1]);
  },
});

Deno.test({
  name: "in bf16 a weight is converted once what it is multiplied with is there, not as the step starts",
  ignore,
  fn: async () => {
    await useBackend("tensorflow");
    const [matrix, rows] = [[128, 128], [64, 128]].map((shape) => ({ shape, dtype: "float32" as const }));
    const program = prepareGraph(trace(
      ([w, v, x]) => {
        const y = tf.matMul(tf.tanh(tf.matMul(x, w)), v);
        return [tf.mul(w, 0.5), tf.mul(v, 0.5), tf.sum(y)];
      },
      [matrix, matrix, rows],
      { backend: "tensorflow", precision: "bf16" },
    ));
    const { graph: { nodes } } = stepGraph({ program, fixed: 0, moving: 2, loss: 2 }, {
      fuseFrom: 2 ** 15,
      precision: "bf16",
      whole: false,
      words: false,
    });
    const casts = nodes.filter(({ op, inputs }) => op === "Cast" && /^moving\d_value$/.test(inputs[0]));
    assertEquals(casts.length, 2);
    for (const { inputs } of casts) assert(inputs.some((input) => input.startsWith("^")), inputs.join());
  },
});

/** Nodes of a loss's graph: of two weights, v and a column c, and y, which depends on the batch. */
async function nodesOf(
  loss: (v: tf.Tensor2D, c: tf.Tensor2D, y: tf.Tensor2D) => tf.Tensor,
  { forms, fuseFrom }: { readonly forms?: readonly (StoredForm | undefined)[]; readonly fuseFrom: number },
) {
  await useBackend("tensorflow");
  const [matrix, column] = [[256, 256], [256, 1]].map((shape) => ({ shape, dtype: "float32" as const }));
  const program = prepareGraph(trace(
    ([w, v, c, x]) => [loss(v as tf.Tensor2D, c as tf.Tensor2D, tf.tanh(tf.matMul(x, w)))],
    [matrix, matrix, column, matrix],
    { backend: "tensorflow", precision: "float32" },
  ));
  const options = { fuseFrom, precision: "float32", whole: false, words: false } as const;
  return stepGraph({ program, fixed: 3, moving: 0, loss: 0, forms }, options).graph.nodes;
}

Deno.test({
  name: "what depends on weights alone waits for what comes before it, so that it is not all made as a step starts",
  ignore,
  fn: async () => {
    const nodes = await nodesOf((v, c, y) => tf.sum(tf.matMul(y, tf.add(v, c))), { fuseFrom: 2 ** 15 });
    const [add, ...others] = nodes.filter(({ op, inputs }) => op === "AddV2" && inputs[0] === "fixed1_value");
    assertEquals(others, []);
    const before = add.inputs.find((input) => input.startsWith("^"))?.slice(1);
    assert(["Tanh", "PartitionedCall", "MatMul"].includes(nodes.find(({ name }) => name === before)!.op));
  },
});

Deno.test({
  name:
    "numbers of what is kept in bf16 are not made as a step starts for something small that depends on weights alone",
  ignore,
  fn: async () => {
    const nodes = await nodesOf(
      (v, c, y) => tf.sum(tf.mul(tf.matMul(y, v), tf.reshape(tf.matMul(v, c), [1, 256]))),
      { forms: [undefined, "bf16"], fuseFrom: Infinity },
    );
    const casts = nodes.filter(({ op, inputs }) => op === "Cast" && inputs[0] === "fixed1_value");
    assertEquals(casts.length, 1);
    // Its first reader there is the product with the column.
    assert(casts[0].inputs.some((input) => input.startsWith("^")), casts[0].inputs.join());
  },
});

Deno.test({
  name: "numbers of what is quantised are not made as a step starts for elementwise work that depends on weights alone",
  ignore,
  fn: async () => {
    const nodes = await nodesOf(
      (v, c, y) => tf.sum(tf.matMul(y, tf.sub(tf.mul(v, c), c))),
      { forms: [undefined, "int8"], fuseFrom: 2 ** 15 },
    );
    const calls = nodes.filter(({ op, inputs }) => op === "PartitionedCall" && inputs[0].startsWith("fixed1"));
    assertEquals(calls.length, 1);
    assert(calls[0].inputs.some((input) => input.startsWith("^")), calls[0].inputs.join());
  },
});
