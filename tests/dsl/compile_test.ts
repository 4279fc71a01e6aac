import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import * as tf from "@tensorflow/tfjs-core";
import { pipe } from "fp-ts/function";
import { fileOf } from "../../dsl/files/path.ts";
import { adapt, type ModelChange } from "../../adapters/mod.ts";
import {
  adamw,
  apply,
  compile,
  crossEntropy,
  init,
  isTrainable,
  key,
  OneloraError,
  partition,
  rematerialiseBlocks,
  useBackend,
} from "../../dsl/mod.ts";
import { apart, trace } from "../../dsl/compile/trace.ts";
import { forwardCopies, hoistConstants, mergeEqual, removeDead, simplify } from "../../dsl/compile/passes.ts";
import { planMemory } from "../../dsl/compile/program.ts";
import { replayer } from "../../dsl/compile/replay.ts";
import { loadParams, openModel } from "../../models/mod.ts";
import { type BatchTensors, type TrainState, trainStep } from "../../tasks/mod.ts";
import { available } from "../support/available.ts";
import { methods, variedMethods } from "../support/adapter_methods.ts";
import { assertClose, fixture, withoutLeaks } from "../support/compare.ts";
import { peakOfResults } from "../support/live_bytes.ts";

const root = fileOf(new URL("../fixtures", import.meta.url));
const vector: { shape: number[]; dtype: "float32" } = { shape: [3], dtype: "float32" };

/** The training step of a method on the fixtures' ViT, with a state and a batch. */
async function stepOf(spec: string, change: ModelChange = (model) => model) {
  const model = await openModel(`${root}/vit-rgb`);
  const { params: base } = await loadParams(model, key(0));
  const layer = change(adapt(`${spec}+head`)(model.layer));
  const { kept: trained, rest: frozen } = partition<tf.Tensor>(isTrainable(layer))(init(layer, key(0), base));
  const optimiser = adamw({ weightDecay: 0.01 });
  const { pixel_values: pixels, labels } = await fixture(`${root}/vit-rgb/expected.safetensors`);
  const step = trainStep(
    (params, batch) => ({ loss: crossEntropy(apply(layer, params)(batch.pixels), batch.labels) as tf.Scalar }),
    optimiser,
  );
  const state: TrainState = { frozen, trained, optimiser: optimiser.init(trained) };
  const batch: BatchTensors = { pixels, labels, rate: tf.scalar(0.01) };
  return { step, state, batch };
}

// How steps are compiled is no engine's affair, what kernels do is: one of them shows every method, and which are tested here.
for (const backend of await available("tensorflow", "wasm", "cpu")) {
  const names = backend === "wasm" ? Object.keys(methods) : variedMethods;
  Deno.test(`three compiled steps equal three eager ones for ${names.length} methods (${backend})`, async () => {
    await useBackend(backend);
    const kernels: Record<string, ReadonlySet<string>> = {};
    for (const name of names) {
      const spec = methods[name];
      await withoutLeaks(async () => {
        const { step, state, batch } = await stepOf(spec);
        const compiled = compile(step);
        let [eager, replayed] = [state, state];
        for (let i = 0; i < 3; i++) {
          const [nextEager, { loss }] = step(eager, batch);
          const [nextReplayed, { loss: sameLoss }] = compiled(replayed, batch);
          assertClose(sameLoss, loss, 1e-5, `${name}: loss of step ${i}`);
          [eager, replayed] = [nextEager, nextReplayed];
        }
        // Second moments are squares, the worst conditioned of what a step makes.
        for (const path of Object.keys(eager.trained)) {
          assertClose(replayed.trained[path], eager.trained[path], 1e-4, `${name}: ${path}`);
        }
        assert(
          replayed.frozen === state.frozen ||
            Object.values(replayed.frozen).every((t, i) => t === Object.values(state.frozen)[i]),
        );
        kernels[name] = new Set(compiled.program(state, batch).calls.map(({ kernel }) => kernel));
        compiled.dispose();
      });
    }
    const shown = new Set(variedMethods.flatMap((name) => [...kernels[name]]));
    for (const name of names) assertEquals([...kernels[name]].filter((kernel) => !shown.has(kernel)), [], name);
  });
}

Deno.test("500 compiled steps leave the number of tensors and buffers alone", async () => {
  await useBackend("wasm");
  await withoutLeaks(async () => {
    const { step, state, batch } = await stepOf("1lora");
    const compiled = compile(step);
    let current = state;
    let counts: number[] = [];
    for (let i = 0; i < 500; i++) {
      const [next, metrics] = compiled(current, batch);
      tf.dispose(metrics as unknown as tf.TensorContainer);
      if (i > 0) tf.dispose([current.trained, current.optimiser] as unknown as tf.TensorContainer);
      current = next;
      counts = [...counts, tf.memory().numTensors, tf.backend().numDataIds()];
    }
    assertEquals(counts.slice(2, 4), counts.slice(-2));
    compiled.dispose();
  });
});

Deno.test("the predicted peak agrees with what tfjs counts to 1 %", async () => {
  await useBackend("cpu");
  await withoutLeaks(async () => {
    const { step, state, batch } = await stepOf("1lora");
    const compiled = compile(step);
    const { peakBytes, residentBytes } = compiled.plan(state, batch);
    const { calls } = compiled.program(state, batch);
    compiled.dispose();
    const given = [state.frozen, state.trained, state.optimiser, batch].flatMap((tree) => Object.values(tree));
    const again = compile(step);
    const peak = peakOfResults(calls, given, () => again(state, batch));
    again.dispose();
    assertAlmostEquals((peak + residentBytes) / peakBytes, 1, 0.01);
  });
});

Deno.test("a new signature traces again, the same one does not", async () => {
  await useBackend("cpu");
  await withoutLeaks(async () => {
    let traced = 0;
    const f = compile(({ x }: { x: tf.Tensor }, power: number) => {
      traced++;
      return { y: tf.pow(x, power) };
    });
    assertEquals(await f({ x: tf.tensor1d([1, 2]) }, 2).y.data(), Float32Array.of(1, 4));
    assertEquals(await f({ x: tf.tensor1d([3, 4]) }, 2).y.data(), Float32Array.of(9, 16));
    assertEquals(traced, 1);
    assertEquals(await f({ x: tf.tensor1d([1, 2, 3]) }, 2).y.data(), Float32Array.of(1, 4, 9));
    assertEquals(await f({ x: tf.tensor1d([1, 2]) }, 3).y.data(), Float32Array.of(1, 8));
    assertEquals(traced, 3);
    f.dispose();
  });
});

Deno.test("reading values while tracing and unknown kernels are clear errors, and the backend is back afterwards", async () => {
  await useBackend("cpu");
  await withoutLeaks(async () => {
    const x = tf.tensor1d([1, 2, 3]);
    assertThrows(
      () => compile((x: tf.Tensor) => tf.mul(x, x.dataSync()[0]))(x),
      OneloraError,
      "a read of a tensor's values",
    );
    assertThrows(() => compile((x: tf.Tensor) => tf.cumprod(x))(x), OneloraError, "Cumprod");
    assertEquals(tf.getBackend(), "cpu");
    assertEquals(await tf.add(x, 1).data(), Float32Array.of(2, 3, 4));
    await Promise.resolve();
  });
});

Deno.test("a tensor that the function closes over is a constant, whatever shape it is seen in", async () => {
  await useBackend("cpu");
  await withoutLeaks(async () => {
    const weight = tf.tensor1d([1, 2, 3, 4]);
    const square = tf.reshape(weight, [2, 2]);
    const f = compile((x: tf.Tensor) => [tf.sum(tf.mul(x, weight)), tf.sum(square, 0)]);
    const [dot, columns] = f(tf.tensor1d([1, 1, 1, 1]));
    assertEquals((await dot.data())[0], 10);
    assertEquals(await columns.data(), Float32Array.of(4, 6));
    f.dispose();
  });
});

Deno.test("copies are forwarded, dead calls left out, equal ones merged, but not across a region", () => {
  const program = trace(([x]) => {
    const a = tf.exp(x);
    tf.sqrt(x);
    const again = apart(() => tf.exp(x));
    return [tf.add(tf.clone(a), tf.exp(tf.reshape(tf.reshape(x, [3, 1]), [3]))), again];
  }, [vector]);
  const simple = pipe(program, forwardCopies, removeDead, mergeEqual, removeDead);
  assertEquals(simple.calls.map(({ kernel }) => kernel), ["Exp", "Exp", "Add"]);
  assertEquals(simple.calls[2].inputs[0], simple.calls[2].inputs[1]);
});

Deno.test("memory is planned by last use, and shared by reshapes", () => {
  // x and its square live while the sum is made: 3 x 12 bytes; the reshape adds nothing.
  const program = trace(([x]) => [tf.add(tf.reshape(tf.square(x), [3]), 1)], [vector]);
  const plan = planMemory(removeDead(forwardCopies(program)));
  assertEquals(plan.residentBytes, 12 + 4);
  assertEquals(plan.peakBytes, 12 + 4 + 12 + 12);
});

Deno.test("large constants of one number are there once for each shape, small and other ones as they were made", async () => {
  await useBackend("cpu");
  const type = { shape: [64, 32], dtype: "float32" } as const;
  const other = { shape: [64, 33], dtype: "float32" } as const;
  const square = (x: tf.Tensor) => tf.sum(tf.square(x), 1);
  const made = trace(([x, y]) => {
    // The gradient of each sum multiplies by ones of what was summed.
    const gradients = tf.grads((a: tf.Tensor, b: tf.Tensor) =>
      tf.sum(tf.add(tf.add(square(a), square(tf.sin(a))), square(b)))
    )([x, y]);
    const [varied, zeros] = [
      tf.tensor(new Float32Array(2048).fill(1, 1), [64, 32]),
      tf.tensor(new Float32Array(2048), [64, 32]),
    ];
    const negative = tf.tensor(new Float32Array(2048).fill(-0), [64, 32]);
    return [...gradients, tf.add(tf.add(varied, zeros), negative)];
  }, [type, other]);
  const large = [...made.constants].filter(([value]) => tf.util.sizeFromShape([...made.types[value].shape]) >= 1024);
  const shapes = large.map(([value]) => made.types[value].shape.join("x")).sort();
  assertEquals(shapes, ["64x32", "64x32", "64x32", "64x32", "64x33"]);
  const numbers = tf.randomNormal([64, 32], 0, 1, "float32", 1);
  const compiled = compile((
    [x]: tf.Tensor[],
  ) => [tf.grad((a: tf.Tensor) => tf.sum(tf.add(square(a), square(tf.sin(a)))))(x)]);
  const [found] = compiled([numbers]);
  assertClose(found, tf.add(tf.mul(2, numbers), tf.sin(tf.mul(2, numbers))), 1e-5, "gradient");
  compiled.dispose();
  tf.dispose([numbers, found]);
});

Deno.test("constants are folded into tensors that live as long as the program", async () => {
  await useBackend("cpu");
  await withoutLeaks(async () => {
    const program = trace(([x]) => [tf.mul(x, tf.exp(tf.add(tf.tensor1d([0, 0, 0]), 1)))], [vector]);
    const { prelude, body } = hoistConstants(simplify(program));
    assertEquals([prelude, body].map(({ calls }) => calls.map(({ kernel }) => kernel)), [["Add", "Exp"], ["Multiply"]]);
    const before = tf.memory().numTensors;
    const replay = replayer(program);
    assertEquals(await replay.run([tf.tensor1d([1, 2, 3])])[0].data(), Float32Array.of(Math.E, 2 * Math.E, 3 * Math.E));
    replay.dispose();
    // The input and the result are the scope's.
    assertEquals(tf.memory().numTensors, before + 2);
  });
});

for (const backend of await available("wasm", "cpu")) {
  Deno.test(`rematerialised blocks give the same step from less memory (${backend})`, async () => {
    await useBackend(backend);
    for (const spec of ["1lora", "lora:rank=2", "vera", "dora", "difffit", "all"]) {
      await withoutLeaks(async () => {
        const { step, state, batch } = await stepOf(spec);
        const leaner = await stepOf(spec, rematerialiseBlocks);
        const [plain, compiled] = [compile(step), compile(leaner.step)];
        const [expected] = plain(state, batch);
        for (
          const [how, found] of [["eager", leaner.step(state, batch)[0]], [
            "compiled",
            compiled(state, batch)[0],
          ]] as const
        ) {
          for (const path of Object.keys(expected.trained)) {
            assertClose(found.trained[path], expected.trained[path], 1e-5, `${spec}, ${how}: ${path}`);
          }
        }
        const activations = (c: typeof plain) => {
          const { peakBytes, residentBytes } = c.plan(state, batch);
          return peakBytes - residentBytes;
        };
        // Training everything, the optimiser's state is the peak on a model this small.
        assert(
          spec === "all" || activations(compiled) < 0.8 * activations(plain),
          `${spec}: ${activations(compiled)} ${activations(plain)}`,
        );
        plain.dispose();
        compiled.dispose();
      });
    }
  });
}
