/** A step's moving state in vectors: the same numbers from far fewer calls. @module */
import { assert, assertEquals } from "@std/assert";
import * as tf from "@tensorflow/tfjs-core";
import { replayer } from "../../dsl/compile/replay.ts";
import type { Program } from "../../dsl/compile/program.ts";
import { prepareGraph, prepareWhole } from "../../dsl/compile/tensorflow/prepare.ts";
import type { StepProgram } from "../../dsl/compile/tensorflow/step_program.ts";
import { joinState } from "../../dsl/compile/tensorflow/vectors.ts";
import { trace } from "../../dsl/compile/trace.ts";
import {
  accumulate,
  adamw,
  averaging,
  chain,
  clipByGlobalNorm,
  ema,
  layerNorm,
  type Optimiser,
  type Params,
  sgd,
  useBackend,
} from "../../dsl/mod.ts";
import { withoutLeaks } from "../support/compare.ts";

/** Tensors of several ranks, too large ones among them. */
const shapes: Readonly<Record<string, readonly number[]>> = {
  a: [6],
  b: [2, 3],
  large: [70, 60],
  c: [1, 4, 2],
  d: [5],
};

function tree(of: (count: number, at: number) => Float32Array): Params {
  return Object.fromEntries(
    Object.entries(shapes).map(([path, shape], at) => {
      const count = shape.reduce((product, each) => product * each, 1);
      return [path, tf.tensor(of(count, at), [...shape])];
    }),
  );
}

const wave = (scale: number) =>
  tree((count, at) => Float32Array.from({ length: count }, (_, i) => scale * Math.sin(i * 7 + at)));

/** An update as a step whose gradients are its batch; names of what moves, in order. */
function stepOf(optimiser: Optimiser, params: Params, state: Params): readonly [StepProgram, readonly string[]] {
  const [paths, names] = [Object.keys(params), Object.keys(state)];
  const given = [...Object.values(params), ...Object.values(state), ...Object.values(params), tf.scalar(0)];
  const under = (keys: readonly string[], tensors: readonly tf.Tensor[]) =>
    Object.fromEntries(keys.map((key, i) => [key, tensors[i]]));
  const program = trace((inputs) => {
    const moving = paths.length + names.length;
    const gradients = under(paths, inputs.slice(moving));
    const next = optimiser.update(
      gradients,
      under(names, inputs.slice(paths.length)),
      under(paths, inputs),
      inputs.at(-1) as tf.Scalar,
    );
    return [...paths.map((path) => next.params[path]), ...names.map((name) => next.state[name]), tf.sum(gradients.a)];
  }, given.map(({ shape, dtype }) => ({ shape, dtype })));
  const moving = paths.length + names.length;
  return [{ program: prepareGraph(program), fixed: 0, moving, loss: moving }, [...paths, ...names]];
}

function flat(tensors: readonly tf.Tensor[]): tf.Tensor {
  return tensors.length === 1 ? tensors[0] : tf.concat(tensors.map((each) => tf.reshape(each, [-1])));
}

const run = (program: Program, inputs: readonly tf.Tensor[]): readonly Uint8Array[] =>
  tf.tidy(() => {
    const made = replayer(program);
    const bytes = made.run(inputs).map((tensor) => {
      const values = tensor.dataSync<"float32">();
      return new Uint8Array(values.slice().buffer);
    });
    made.dispose();
    return bytes;
  });

const decays = (path: string) => path === "a" || path === "b" || path === "large";
const factorOf = (path: string) => path === "c" || path === "d" ? 0.1 : 1;

/** Optimisers, and how many vectors each one's state comes to: a group of equal settings makes one of each kind. */
const optimisers: Readonly<Record<string, readonly [Optimiser, vectors: number]>> = {
  "AdamW": [adamw(), 3],
  "AdamW, some decay": [adamw({ decays }), 6],
  "AdamW, two rates": [adamw({ factorOf }), 6],
  "SGD with momentum": [sgd({ momentum: 0.9, weightDecay: 0.1 }), 2],
  "clipped AdamW with an average": [averaging(ema(0.9))(chain(clipByGlobalNorm(0.1))(adamw())), 4],
};

for (const [name, [optimiser, vectors]] of Object.entries(optimisers)) {
  Deno.test(`${name}: state in ${vectors} vectors gives the same bytes`, async () => {
    await useBackend("cpu");
    await withoutLeaks(() => {
      tf.tidy(() => {
        const params = wave(1);
        const state = Object.fromEntries(
          Object.entries(optimiser.init(params)).map((
            [path, tensor],
            i,
          ) => [path, tf.add(tf.abs(tensor), 0.01 * (i + 1))]),
        );
        const [step] = stepOf(optimiser, params, state);
        const { step: joined, members, read } = joinState(step);
        assertEquals(members.filter((each) => each.length > 1).length, vectors);
        assertEquals(members.flat().sort((a, b) => a - b), Array.from({ length: step.moving }, (_, i) => i));
        const moving = [...Object.values(params), ...Object.values(state)];
        const batch = [...Object.values(wave(0.5)), tf.scalar(0.01)];
        const before = run(step.program, [...moving, ...batch]);
        assertEquals(read, []);
        const after = run(joined.program, [...members.map((each) => flat(each.map((i) => moving[i]))), ...batch]);
        members.forEach((each, at) => {
          assertEquals(after[at], Uint8Array.from(each.flatMap((i) => [...before[i]])), `vector ${at}`);
        });
        assertEquals(after.slice(members.length), before.slice(step.moving));
        // What is joined still are gradients alone, and nothing is parted but for those who read parts: the average's
        // parameters are the optimiser's vector.
        const kernels = joined.program.calls.map(({ kernel }) => kernel);
        assert(!kernels.includes("SplitV"), `${kernels}`);
      });
      return Promise.resolve();
    });
  });
}

Deno.test("what a step does not part in the order it was joined in stays as it is", async () => {
  await useBackend("cpu");
  await withoutLeaks(() => {
    tf.tidy(() => {
      const params = wave(1);
      const optimiser = accumulate(2)(sgd());
      const [step] = stepOf(optimiser, params, optimiser.init(params));
      const { step: same, members } = joinState(step);
      assertEquals(same, step);
      assertEquals(members, Array.from({ length: step.moving }, (_, i) => [i]));
    });
    return Promise.resolve();
  });
});

Deno.test("work on tensors of several axes is work on matrices, with the same bytes", async () => {
  await useBackend("cpu");
  await withoutLeaks(() => {
    tf.tidy(() => {
      const shape = [2, 3, 8];
      const x = tf.tensor(Float32Array.from({ length: 48 }, (_, i) => Math.sin(i * 3)), shape);
      const [gain, column] = [
        tf.tensor1d([1, 2, 3, 4, 5, 6, 7, 8]),
        tf.tensor(Float32Array.from([1, 2, 3]), [1, 3, 1]),
      ];
      const f = (t: tf.Tensor, gain: tf.Tensor, column: tf.Tensor) => {
        const standard = layerNorm(t, { weight: gain }, 1e-5);
        // A column of some rows only is left as it is.
        return [tf.mul(tf.add(standard, t), column), tf.sum(tf.square(standard), -1), tf.max(standard, 2, true)];
      };
      const given = [x, gain, column];
      const plain = prepareGraph(trace(([t, g, c]) => f(t, g, c), given.map(({ shape, dtype }) => ({ shape, dtype }))));
      const rows = prepareWhole(trace(([t, g, c]) => f(t, g, c), given.map(({ shape, dtype }) => ({ shape, dtype }))));
      assertEquals(run(rows, given), run(plain, given));
      const ranks = (program: Program) =>
        program.calls.filter(({ kernel }) => ["Add", "Multiply", "Sub", "SquaredDifference", "Sum"].includes(kernel))
          .map(({ outputs: [value] }) => program.types[value].shape.length);
      assertEquals(ranks(rows).filter((rank) => rank > 2).length, 1);
      assertEquals(ranks(plain).filter((rank) => rank === 3).length > 5, true);
    });
    return Promise.resolve();
  });
});
