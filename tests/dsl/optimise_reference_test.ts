import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import * as tf from "@tensorflow/tfjs-core";
import { useBackend } from "../../dsl/engine/mod.ts";
import { OneloraError } from "../../dsl/error.ts";
import {
  adamw,
  averageIn,
  averaging,
  chain,
  clipByGlobalNorm,
  ema,
  gradientNorm,
  oneCycle,
  oneCycleMomentum,
  type Optimiser,
  parseSchedule,
  type Schedule,
  sgd,
} from "../../dsl/optimise/mod.ts";
import { combine, type Params } from "../../dsl/tree.ts";
import { available } from "../support/available.ts";

type Numbers = Readonly<Record<string, number[]>>;

interface Step {
  readonly rate: number;
  readonly momentum?: number;
  readonly norm?: number;
  readonly params?: Numbers;
}

interface Fixture {
  readonly shapes: Readonly<Record<string, number[]>>;
  readonly initial: Numbers;
  readonly gradients: readonly Numbers[];
  readonly optimisers: Readonly<Record<string, { readonly steps: readonly Step[]; readonly average?: Numbers }>>;
  readonly schedules: Readonly<Record<string, readonly number[]>>;
}

const fixture: Fixture = JSON.parse(await Deno.readTextFile(new URL("../fixtures/optimise.json", import.meta.url)));

const optimisers: Readonly<Record<string, Optimiser>> = {
  "adamw": adamw(),
  "adamw with other settings": adamw({ beta1: 0.8, beta2: 0.95, epsilon: 1e-4, weightDecay: 0.1 }),
  "adamw that decays matrices only": adamw({ weightDecay: 0.3, decays: (_, { rank }) => rank > 1 }),
  "adamw, clipped, one cycle": chain(clipByGlobalNorm(1))(adamw()),
  "sgd": sgd(),
  "sgd with momentum and decay": sgd({ momentum: 0.9, weightDecay: 0.1 }),
  "sgd with Nesterov momentum": chain(clipByGlobalNorm(100))(sgd({ momentum: 0.8, nesterov: true })),
};

const depth = { steps: 51, rise: 0.7, divisor: 1 };
const schedules: Readonly<Record<string, Schedule>> = {
  "constant": parseSchedule("constant")({ steps: 50, warmup: 7 }),
  "linear": parseSchedule("linear")({ steps: 45, warmup: 7 }),
  "linear without warm-up": parseSchedule("linear")({ steps: 50, warmup: 0 }),
  "cosine": parseSchedule("cosine")({ steps: 50, warmup: 5 }),
  "one-cycle": parseSchedule("one-cycle")({ steps: 51, warmup: 0 }),
  "one-cycle momentum": oneCycleMomentum({ steps: 51 }),
  "one-cycle as Depth Anything": parseSchedule("one-cycle-flat")({ steps: 51, warmup: 0.7 * 51 }),
  "one-cycle momentum as Depth Anything": oneCycleMomentum(depth),
};

const tensors = (numbers: Numbers): Params =>
  Object.fromEntries(Object.entries(fixture.shapes).map(([path, shape]) => [path, tf.tensor(numbers[path], shape)]));

function assertClose(found: Params, expected: Numbers, what: string) {
  assertEquals(Object.keys(found).sort(), Object.keys(expected).sort());
  for (const [path, numbers] of Object.entries(expected)) {
    assertEquals(found[path].shape, fixture.shapes[path], path);
    const largest = Math.max(...numbers.map(Math.abs));
    found[path].dataSync().forEach((x, i) =>
      assertAlmostEquals(x, numbers[i], 1e-6 * largest, `${what}, ${path}[${i}]`)
    );
  }
}

Deno.test("optimisers follow PyTorch for 20 steps and leak nothing", async (t) => {
  assertEquals(Object.keys(optimisers).sort(), Object.keys(fixture.optimisers).sort());
  for (const backend of await available("cpu", "wasm", "tensorflow")) {
    await useBackend(backend);
    for (const [name, optimiser] of Object.entries(optimisers)) {
      await t.step(`${name} on ${backend}`, () => {
        const { steps, average } = fixture.optimisers[name];
        const before = tf.memory().numTensors;
        let params = tensors(fixture.initial);
        let state = optimiser.init(params);
        const paths = Object.keys(state).sort();
        steps.forEach((step, i) => {
          const gradients = tensors(fixture.gradients[i]);
          const rate = tf.scalar(step.rate);
          // Only one-cycle moves beta1; the others must work without being told.
          const momentum = name.includes("one cycle") ? tf.scalar(step.momentum!) : undefined;
          const update = optimiser.update(gradients, state, params, rate, momentum);
          tf.dispose([gradients, state, params, rate, ...(momentum === undefined ? [] : [momentum])]);
          ({ params, state } = update);
          assertEquals(Object.keys(state).sort(), paths);
          if (step.norm !== undefined) {
            assertAlmostEquals(state[gradientNorm].dataSync()[0], step.norm, 1e-6 * step.norm);
          }
          if (step.params !== undefined) assertClose(params, step.params, `step ${i}`);
        });
        if (average !== undefined) {
          const follow = ema(0.9);
          const initial = tensors(fixture.initial);
          let found = follow.init(initial);
          for (let i = 0; i < 3; i++) {
            const next = follow.update(found, params);
            tf.dispose(found);
            found = next;
          }
          assertClose(found, average, "average");
          tf.dispose([initial, found]);
        }
        tf.dispose([params, state]);
        assertEquals(tf.memory().numTensors, before);
      });
    }
  }
});

Deno.test("small tensors updated as one vector get the same bits as alone", async () => {
  await useBackend("wasm");
  tf.tidy(() => {
    const noise = (shape: number[], seed: number) => tf.randomNormal(shape, 0, 1, "float32", seed);
    const params: Params = { big: noise([65, 64], 1), w: noise([7, 9], 2), b: noise([5], 3), g: noise([], 4) };
    const gradients: Params = { big: noise([65, 64], 5), w: noise([7, 9], 6), b: noise([5], 7), g: noise([], 8) };
    const rate = tf.scalar(0.1);
    const optimiser = adamw({ decays: (path) => path !== "b" });
    const together = optimiser.update(gradients, optimiser.init(params), params, rate);
    for (const path of Object.keys(params)) {
      const own = { [path]: params[path] };
      const alone = optimiser.update({ [path]: gradients[path] }, optimiser.init(own), own, rate);
      for (const [at, tensor] of Object.entries(combine(alone.params, alone.state))) {
        const same = together.params[at] ?? together.state[at];
        assertEquals(same.shape, tensor.shape);
        assertEquals(same.dataSync(), tensor.dataSync(), at);
      }
    }
  });
});

Deno.test("schedules equal PyTorch's and Transformers' for 50 steps", () => {
  assertEquals(Object.keys(schedules).sort(), Object.keys(fixture.schedules).sort());
  for (const [name, schedule] of Object.entries(schedules)) {
    fixture.schedules[name].forEach((rate, step) => {
      assertAlmostEquals(schedule(step), rate, 1e-6 * Math.max(rate, 1e-3), `${name} at ${step}`);
    });
  }
});

Deno.test("one-cycle takes the steps of warm-up as its rise", () => {
  const [named, own] = [parseSchedule("one-cycle")({ steps: 50, warmup: 20 }), oneCycle({ steps: 50, rise: 0.4 })];
  for (let step = 0; step < 50; step++) assertEquals(named(step), own(step));
  assertAlmostEquals(named(19), 1, 1e-12);
});

Deno.test("SGD takes the momentum that a step is given, else its own", async () => {
  await useBackend("cpu");
  tf.tidy(() => {
    const [gradient, rate] = [{ w: tf.tensor1d([1, -2]) }, tf.scalar(0.5)];
    const second = (optimiser: Optimiser, momentum?: tf.Scalar) => {
      const start: Params = { w: tf.tensor1d([4, 8]) };
      const { params, state } = optimiser.update(gradient, optimiser.init(start), start, rate, momentum);
      return [...optimiser.update(gradient, state, params, rate, momentum).params.w.dataSync()];
    };
    // The second step goes along 1.5 g with a momentum of 0.5.
    assertEquals(second(sgd({ momentum: 0.5 })), [2.75, 10.5]);
    assertEquals(second(sgd({ momentum: 0.9 }), tf.scalar(0.5)), [2.75, 10.5]);
  });
});

Deno.test("an optimiser with an average keeps that of the parameters it has just made", async () => {
  await useBackend("cpu");
  tf.tidy(() => {
    const optimiser = averaging(ema(0.75))(sgd());
    const [gradient, rate] = [{ w: tf.tensor1d([1, -2]) }, tf.scalar(0.5)];
    let params: Params = { w: tf.tensor1d([4, 8]) };
    let state = optimiser.init(params);
    assertEquals([...averageIn(state).w.dataSync()], [4, 8]);
    // 0.75 of the average and 0.25 of w, which is [3.5, 9] and [3, 10].
    for (const average of [[3.875, 8.25], [3.65625, 8.6875]]) {
      ({ params, state } = optimiser.update(gradient, state, params, rate));
      assertEquals([...averageIn(state).w.dataSync()], average);
    }
  });
});

Deno.test("schedules stay finite and in [0, 1] at every step of short runs and beyond", () => {
  for (const name of ["constant", "linear", "cosine", "one-cycle", "one-cycle-flat"]) {
    for (const steps of [1, 2, 3, 10]) {
      for (let warmup = 0; warmup <= steps; warmup++) {
        const schedule = parseSchedule(name)({ steps, warmup });
        for (let step = 0; step < steps + 3; step++) {
          assert(schedule(step) >= 0 && schedule(step) <= 1, `${name} of ${steps}, warm-up ${warmup}, at ${step}`);
        }
      }
    }
  }
});

Deno.test("an unknown schedule is wrong usage and names the nearest", () => {
  const error = assertThrows(() => parseSchedule("cosin"), OneloraError, 'did you mean "cosine"?');
  assertEquals(error.exitCode, 2);
});

Deno.test("a state of another optimiser is refused", async () => {
  await useBackend("cpu");
  tf.tidy(() => {
    const params = { b: tf.tensor1d([1]) };
    const rate = tf.scalar(1);
    assertThrows(
      () => adamw().update(params, sgd({ momentum: 0.9 }).init(params), params, rate),
      OneloraError,
      'no "m.b" in the optimiser\'s state',
    );
  });
});

Deno.test("transforms that keep state under the same path cannot be chained", async () => {
  await useBackend("cpu");
  tf.tidy(() => {
    const twice = chain(clipByGlobalNorm(1), clipByGlobalNorm(2))(sgd());
    assertThrows(() => twice.init({ b: tf.tensor1d([1]) }), OneloraError, `"${gradientNorm}" twice`);
  });
});
