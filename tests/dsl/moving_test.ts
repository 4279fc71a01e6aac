/** State that the wasm engine moves in the memory that it has. @module */
import { assert, assertEquals, assertLess } from "@std/assert";
import type { BackendWasm } from "@tensorflow/tfjs-backend-wasm";
import * as tf from "@tensorflow/tfjs-core";
import { pipe } from "fp-ts/function";
import { movedIn, moveEarly, type Moving } from "../../dsl/compile/moving.ts";
import { planMemory } from "../../dsl/compile/program.ts";
import { kernelPasses } from "../../dsl/compile/replay.ts";
import { trace } from "../../dsl/compile/trace.ts";
import { registerWasmKernels } from "../../dsl/engine/wasm/mod.ts";
import {
  accumulate,
  adamw,
  averaging,
  chain,
  clipByGlobalNorm,
  compile,
  ema,
  type Optimiser,
  type Params,
  sgd,
  startResident,
  type StepState,
  useBackend,
} from "../../dsl/mod.ts";
import { microStep } from "../support/micro_steps.ts";
import { ROWS, stateOf, stepOf, wave, WIDTH } from "../support/perceptrons.ts";

type Step = ReturnType<typeof stepOf>;

/** Bytes of what a state moves. */
function bytesOf({ trained, optimiser }: StepState): readonly (readonly [string, Uint8Array])[] {
  return [trained, optimiser].flatMap((tree) =>
    Object.entries(tree).map(([path, tensor]) => [path, new Uint8Array(tensor.dataSync().slice().buffer)] as const)
  );
}

function copyOf(state: StepState): StepState {
  const copy = (tree: Params) =>
    Object.fromEntries(
      Object.entries(tree).map(([path, tensor]) => {
        return [path, tf.tensor(tensor.dataSync().slice(), tensor.shape, tensor.dtype)];
      }),
    );
  return { frozen: copy(state.frozen), trained: copy(state.trained), optimiser: copy(state.optimiser) };
}

function freeAll(...trees: readonly object[]): void {
  tf.dispose(trees as unknown as tf.TensorContainer);
}

/** What steps come to that make new tensors. */
function stepsApart(step: Step, initial: StepState, batch: Params, count: number) {
  const compiled = compile(step);
  let state = copyOf(initial);
  const losses = Array.from({ length: count }, () => {
    const [next, { loss }] = compiled(state, batch);
    freeAll(state.trained, state.optimiser);
    state = next;
    const [value] = loss.dataSync();
    loss.dispose();
    return value;
  });
  compiled.dispose();
  const bytes = bytesOf(state);
  freeAll(state);
  return { losses, bytes };
}

/** What they come to in place. */
async function stepsInPlace(step: Step, initial: StepState, batch: Params, count: number) {
  const resident = startResident(step, copyOf(initial));
  const losses: number[] = [];
  for (let i = 0; i < count; i++) losses.push((await resident.step(batch)).loss);
  const state = resident.read();
  const bytes = bytesOf(state);
  freeAll(state);
  resident.dispose();
  return { losses, bytes };
}

const optimisers: Readonly<Record<string, Optimiser>> = {
  adamw: adamw({ weightDecay: 0.1, factorOf: (path) => path.startsWith("1") ? 2 : 1 }),
  sgd: sgd({ momentum: 0.9, nesterov: true, weightDecay: 0.01 }),
  "sgd without momentum": sgd(),
  "clipped, accumulated, averaged": pipe(
    adamw({ decays: (path) => path.endsWith("up") }),
    chain(clipByGlobalNorm(0.01)),
    accumulate(2),
    averaging(ema(0.9)),
  ),
};

for (const [name, optimiser] of Object.entries(optimisers)) {
  Deno.test(`state moved in place has the bytes of new tensors, whatever threads there are: ${name}`, async () => {
    await useBackend("wasm");
    const batch = { x: wave([ROWS, WIDTH], 1, 0), rate: tf.scalar(1e-2) };
    const [step, state] = [stepOf(2, optimiser), stateOf(2, optimiser)];
    const expected = stepsApart(step, state, batch, 3);
    for (const threads of [1, 2, 3]) {
      const registration = await registerWasmKernels(tf.backend() as BackendWasm, undefined, threads);
      try {
        const found = await stepsInPlace(step, state, batch, 3);
        assertEquals(found, expected, `${threads} threads`);
      } finally {
        registration?.undo();
      }
    }
    freeAll(state, batch);
  });
}

Deno.test("a step of a model in place has the bytes of new tensors", async () => {
  await useBackend("wasm");
  for (const [name, spec] of [["vit-micro", "all"], ["llama-micro", "lora+norms"]] as const) {
    const { step, state, batch } = await microStep(name, spec);
    const expected = stepsApart(step as Step, state, batch, 2);
    assertEquals(await stepsInPlace(step as Step, state, batch, 2), expected, `${name} ${spec}`);
    freeAll(state, batch);
  }
});

/** Bytes that are taken of the engine's memory while something runs, at most, beyond those that were before. */
async function takenBy(run: () => Promise<unknown>): Promise<number> {
  const { wasm } = tf.backend() as unknown as { wasm: Record<"_malloc" | "_free", (value: number) => number> };
  const { _malloc: malloc, _free: free } = wasm;
  const sizes = new Map<number, number>();
  let [taken, most] = [0, 0];
  wasm._malloc = (bytes) => {
    const address = malloc(bytes);
    sizes.set(address, bytes);
    most = Math.max(most, taken += bytes);
    return address;
  };
  wasm._free = (address) => {
    taken -= sizes.get(address >>> 0) ?? 0;
    sizes.delete(address >>> 0);
    return free(address);
  };
  try {
    await run();
    return most;
  } finally {
    [wasm._malloc, wasm._free] = [malloc, free];
  }
}

Deno.test("a step takes no memory for a second state, unless someone has the first", async () => {
  await useBackend("wasm");
  const batch = { x: wave([ROWS, WIDTH], 1, 0), rate: tf.scalar(1e-2) };
  const state = stateOf(3);
  const bytes = [state.trained, state.optimiser].flatMap((tree) => Object.values(tree).map(({ size }) => 4 * size));
  const all = bytes.reduce((sum, each) => sum + each, 0);
  const resident = startResident(stepOf(3), state);
  // The program's own memory is there from the first one on.
  await resident.step(batch);
  assertLess(await takenBy(() => resident.step(batch)), all / 1000);
  const copies = resident.read(["trained"]);
  const before = bytesOf(copies);
  const taken = await takenBy(() => resident.step(batch));
  assert(taken >= all / 3 && taken < all / 2, `${taken} of ${all}`);
  assertEquals(bytesOf(copies), before);
  freeAll(copies);
  assertLess(await takenBy(() => resident.step(batch)), all / 1000);
  resident.dispose();
  freeAll(batch);
});

Deno.test("a step whose loss is no number moves nothing, and the next one goes on", async () => {
  await useBackend("wasm");
  const good = { x: wave([ROWS, WIDTH], 1, 0), rate: tf.scalar(1e-2) };
  const bad = { ...good, x: tf.fill([ROWS, WIDTH], NaN) };
  const state = stateOf(2);
  const expected = stepsApart(stepOf(2), state, good, 2);
  const tensors = tf.memory().numTensors;
  const resident = startResident(stepOf(2), copyOf(state));
  await resident.step(good);
  const after = resident.read();
  const bytes = bytesOf(after);
  assert(Number.isNaN((await resident.step(bad)).loss));
  const still = resident.read();
  assertEquals(bytesOf(still), bytes);
  freeAll(after, still);
  assert(Number.isNaN((await resident.step(bad)).loss));
  await resident.step(good);
  const last = resident.read();
  assertEquals(bytesOf(last), expected.bytes);
  freeAll(last);
  resident.dispose();
  assertEquals(tf.memory().numTensors, tensors);
  freeAll(state, good, { x: bad.x });
});

/** A step's program for the wasm engine, and what it moves. */
function programOf(step: Step, state: StepState, batch: Params) {
  const trees = [state.trained, state.optimiser, batch];
  const leaves = trees.flatMap((tree) => Object.values(tree));
  const moving = Object.keys(state.trained).length + Object.keys(state.optimiser).length;
  const traced = trace((inputs) => {
    let next = 0;
    const [trained, optimiser, given] = trees.map((tree) =>
      Object.fromEntries(Object.keys(tree).map((path) => [path, inputs[next++]]))
    );
    const [after, { loss }] = step({ frozen: {}, trained, optimiser }, given);
    return [
      ...Object.keys(trained).map((path) => after.trained[path]),
      ...Object.keys(optimiser).map((path) => after.optimiser[path]),
      loss,
    ];
  }, leaves.map(({ shape, dtype }) => ({ shape, dtype })));
  const pairs = Array.from({ length: moving }, (_, i) => [i, i] as const);
  return { program: kernelPasses("wasm")(traced), moving: { pairs, gate: moving } as Moving };
}

Deno.test("gradients of whole weights go one by one, as soon as nothing reads the weight any more", async () => {
  await useBackend("wasm");
  const [state, batch] = [stateOf(8), { x: wave([8, WIDTH], 1, 0), rate: tf.scalar(1e-2) }];
  const { program, moving } = programOf(stepOf(8), state, batch);
  const early = moveEarly(program, moving);
  assertEquals(early.calls.length, program.calls.length);
  assertEquals(new Set(early.calls), new Set(program.calls));
  const moved = movedIn(early, moving);
  assertEquals(moved.length, moving.pairs.length);
  const values = new Set(moved.map(({ value }) => value));
  const peak = (of: typeof program) => {
    const bytes = (value: number) => values.has(value) ? 0 : 4 * tf.util.sizeFromShape([...of.types[value].shape]);
    const { peakBytes, residentBytes } = planMemory(of, bytes);
    return peakBytes - residentBytes;
  };
  const gradients = Object.values(state.trained).reduce((sum, { size }) => sum + 4 * size, 0);
  assertLess(gradients, peak(program));
  assertLess(peak(early), gradients / 3);
  freeAll(state, batch);
});

Deno.test("what is read after it would be written over, or is computed from for other results, stays as it is", async () => {
  await useBackend("wasm");
  const type = { shape: [300], dtype: "float32" } as const;
  const movedBy = (f: (w: tf.Tensor, x: tf.Tensor) => readonly tf.Tensor[]) => {
    const program = trace(([w, x]) => [...f(w, x)], [type, type]);
    return movedIn(program, { pairs: [[0, 0]], gate: 1 }).length;
  };
  const loss = (x: tf.Tensor) => tf.sum(x);
  // The loss is known first, and nothing reads w later.
  assertEquals(movedBy((w, x) => [loss(tf.mul(w, x)), tf.add(w, x)].toReversed()), 1);
  // By turns: its own elements in another order, the loss known later, w read later, another result made of it, w itself.
  assertEquals(movedBy((w, x) => [loss(tf.mul(w, x)), tf.reverse(w)].toReversed()), 0);
  assertEquals(
    movedBy((w, x) => {
      const next = tf.add(w, x);
      return [next, loss(x)];
    }),
    0,
  );
  assertEquals(
    movedBy((w, x) => {
      const [first, next] = [loss(x), tf.add(w, x)];
      return [next, first, tf.exp(w)];
    }),
    0,
  );
  assertEquals(
    movedBy((w, x) => {
      const [first, next] = [loss(x), tf.add(w, x)];
      return [next, first, tf.exp(next)];
    }),
    0,
  );
  assertEquals(movedBy((w, x) => [w, loss(x)]), 0);
});
