import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import * as tf from "@tensorflow/tfjs-core";
import {
  adamw,
  attention,
  compile,
  crossEntropy,
  gelu,
  layerNorm,
  type Params,
  rmsNorm,
  useBackend,
} from "../../dsl/mod.ts";
import { hasKernel, ownKernel } from "../../dsl/engine/kernels.ts";
import { OneloraError } from "../../dsl/error.ts";
import { assertUlps, erf, numbers, onCpu, random, testKernels } from "../support/wasm_kernels.ts";

const lengths = [1, 2, 3, 4, 5, 7, 17, 50, 97];

const normal = (x: number) => (1 + erf(x * Math.SQRT1_2)) / 2;
const density = (x: number) => Math.exp(-x * x / 2) / Math.sqrt(2 * Math.PI);
const gate = (x: number) => 1 / (1 + Math.exp(-2 * Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)));
const exact = {
  none: { value: (x: number) => x * normal(x), slope: (x: number) => normal(x) + x * density(x) },
  tanh: {
    value: (x: number) => x * gate(x),
    slope: (x: number) =>
      gate(x) + x * gate(x) * (1 - gate(x)) * 2 * Math.sqrt(2 / Math.PI) * (1 + 3 * 0.044715 * x * x),
  },
};

for (const approximation of ["none", "tanh"] as const) {
  testKernels(`GELU (${approximation}) and its gradient are right to the last digits`, () => {
    const { value, slope } = exact[approximation];
    const grid = Float32Array.from({ length: 8001 }, (_, i) => (i - 4000) / 250);
    for (const values of [grid, ...lengths.map((length) => numbers(length, length))]) {
      const [x, dy] = [tf.tensor1d(values), tf.fill([values.length], 2)];
      const found = tf.valueAndGrad((x) => gelu(x, approximation))(x, dy);
      const [y, dx] = [found.value, found.grad].map((each) => each.dataSync());
      values.forEach((x, i) => {
        assertAlmostEquals(y[i], value(x), 3e-7 * Math.max(1, Math.abs(x)), `GELU(${x})`);
        assertAlmostEquals(dx[i], 2 * slope(x), 2e-6, `GELU'(${x})`);
      });
    }
    const special = gelu(tf.tensor1d([Infinity, NaN, 0, -20]), approximation).dataSync();
    assertEquals([...special].map((value) => value === 0 ? 0 : value), [Infinity, NaN, 0, 0]);
  });
}

testKernels("layer norm, RMS norm and attention agree with the cpu backend, their gradients too", async () => {
  const operations = {
    layerNorm: (x: tf.Tensor) => layerNorm(x, {}, 1e-6),
    rmsNorm: (x: tf.Tensor) => rmsNorm(x, tf.ones([x.shape[x.rank - 1]]), 1e-6),
    attention: (x: tf.Tensor) => attention(...[x, x, x].map((t) => tf.reshape(t, [1, 1, ...x.shape])) as Three),
  };
  type Three = [tf.Tensor, tf.Tensor, tf.Tensor];
  for (const [name, f] of Object.entries(operations)) {
    for (const length of lengths.filter((each) => each > 1)) {
      const [x, weight] = [random([5, length], length), random([5, length], 99)];
      const compute = () => {
        const { value, grad } = tf.valueAndGrad((x) => tf.sum(tf.mul(tf.reshape(f(x), x.shape), weight)))(x);
        return tf.concat([tf.reshape(value, [1]), tf.reshape(grad, [-1])]);
      };
      const found = compute().dataSync();
      (await onCpu(compute)).forEach((value, i) => {
        assertAlmostEquals(found[i], value, 2e-5 * Math.max(1, Math.abs(value)), `${name} of ${length}`);
      });
    }
  }
});

testKernels("cross-entropy agrees with the cpu backend, its gradient too, at any number of classes", async () => {
  for (const classes of lengths) {
    for (const labelSmoothing of [0, 0.1]) {
      const logits = tf.mul(random([6, classes], classes), 20);
      const labels = tf.tensor1d([0, classes - 1, -100, 0, classes >> 1, 0], "int32");
      const compute = () => {
        const loss = (x: tf.Tensor) => crossEntropy(x, labels, { ignoreIndex: -100, labelSmoothing });
        const { value, grad } = tf.valueAndGrad(loss)(logits, tf.scalar(3));
        return tf.concat([tf.reshape(value, [1]), tf.reshape(grad, [-1])]);
      };
      const found = compute().dataSync();
      (await onCpu(compute)).forEach((value, i) => {
        assertAlmostEquals(found[i], value, 2e-6 * Math.max(1, Math.abs(value)), `${classes} classes, number ${i}`);
      });
    }
  }
  for (const value of [NaN, Infinity]) {
    assertEquals(crossEntropy(tf.tensor2d([[1, value, 0, 2, 3]]), tf.tensor1d([0], "int32")).dataSync()[0], NaN);
  }
});

testKernels("a layer norm of large numbers loses nothing to their mean", () => {
  const x = tf.tensor2d(Float32Array.from({ length: 97 }, (_, i) => 1e4 + i % 2), [1, 97]);
  const expected = 1 / Math.sqrt(48 * 49) * 97;
  const [low, high] = layerNorm(x, {}, 0).dataSync();
  assertAlmostEquals(high - low, expected, 1e-4);
});

testKernels("AdamW takes the same steps as on the cpu backend", async () => {
  for (const length of lengths) {
    const [start, gradients] = [random([length], 1), [2, 3, 4].map((seed) => random([length], seed))];
    const optimiser = adamw({ weightDecay: 0.1, decays: () => length % 2 === 0 });
    const steps = () => {
      let params: Params = { w: start };
      let state = optimiser.init(params);
      for (const w of gradients) ({ params, state } = optimiser.update({ w }, state, params, tf.scalar(0.01)));
      return tf.stack([params.w, state["m.w"], state["v.w"]]);
    };
    const found = tf.tidy(steps).dataSync();
    (await onCpu(steps)).forEach((value, i) =>
      assertAlmostEquals(found[i], value, 1e-6 * Math.max(1, Math.abs(value)))
    );
  }
});

testKernels("our kernels are called for float32 only", () => {
  assert(hasKernel("Gelu") && !hasKernel("NoSuchKernel"));
  assertEquals(ownKernel("Gelu", { x: tf.tensor1d([1], "int32") }, { approximation: "none" }), undefined);
  assertThrows(
    () => tf.engine().runKernel("Gelu", { x: tf.tensor1d([1], "int32") }),
    OneloraError,
    "computing Gelu: found int32 [1]; allowed: float32 tensors",
  );
});

Deno.test("a compiled function calls our kernels where the backend has them", async () => {
  const f = (x: tf.Tensor) => tf.sum(gelu(layerNorm(x, {}, 1e-6)));
  const step = compile((x: tf.Tensor) => tf.valueAndGrad(f)(x));
  const x = random([3, 5], 1);
  const results: Record<string, Float32Array> = {};
  for (
    const [backend, expected] of [["wasm", ["Standardise", "Gelu", "GeluGrad", "StandardiseGrad"]], [
      "cpu",
      [],
    ]] as const
  ) {
    await useBackend(backend);
    const kernels = step.program(x).calls.map(({ kernel }) => kernel);
    assertEquals(kernels.filter((name) => /Gelu|Standardise/.test(name)), [...expected]);
    const { value, grad } = step(x);
    results[backend] = Float32Array.of(...value.dataSync(), ...grad.dataSync());
    tf.dispose([value, grad]);
  }
  results.wasm.forEach((value, i) => assertAlmostEquals(value, results.cpu[i], 1e-5));
  step.dispose();
  x.dispose();
});

testKernels("a masked softmax is the softmax of the sum, whatever the mask is broadcast along", () => {
  for (const size of lengths) {
    for (const shape of [[1, 1, 1, size], [3, 1, 1, size], [1, 1, 5, size], [3, 1, 5, size]]) {
      const [scores, mask] = [random([3, 2, 5, size], size), random(shape, 7)];
      const own = ownKernel("MaskedSoftmax", { logits: scores, mask })![0];
      assertEquals(own.dataSync(), tf.softmax(tf.add(scores, mask)).dataSync(), `${size} keys, mask [${shape}]`);
    }
  }
});

/** Attention of three texts to keys of the past and new ones, with columns that are hidden put in. */
function seen(
  size: number,
  group: number,
  past: readonly (number | undefined)[],
  fresh: readonly (number | undefined)[],
) {
  const [texts, keyHeads, queries] = [3, 2, 5];
  const q = random([texts, keyHeads * group, queries, size], size);
  /** Keys or values by number, large ones where nothing is to be seen. */
  const rows = (numbers: readonly (number | undefined)[], seed: number) =>
    tf.concat(
      numbers.map((each) =>
        each === undefined ? tf.fill([texts, keyHeads, 1, size], 7) : random([texts, keyHeads, 1, size], seed + each)
      ),
      2,
    );
  const all = [...past, ...fresh];
  const hides = (text: number, query: number, number: number | undefined) =>
    number === undefined || (number * 7 + text * 3 + query) % 4 === 0;
  const mask = tf.tensor4d(
    [0, 1, 2].flatMap((text) =>
      Array.from({ length: queries }, (_, n) => all.map((each) => hides(text, n, each) ? -1e9 : each! / 8))
    ).flat(),
    [texts, 1, queries, all.length],
  );
  const [k, v] = [rows(fresh, 100), rows(fresh, 200)];
  const before: Record<string, tf.Tensor> = past.length === 0
    ? {}
    : { pastKey: rows(past, 100), pastValue: rows(past, 200) };
  const own = ownKernel("SeenAttention", { q, k, v, mask, ...before }, { scale: 0.3 })![0];
  const repeated = (x: tf.Tensor) => {
    const shape = [texts, keyHeads * group, all.length, size];
    return tf.reshape(tf.tile(tf.expandDims(x, 2), [1, 1, group, 1, 1]), shape);
  };
  const [keys, values] = [rows(all, 100), rows(all, 200)].map(repeated);
  const scores = tf.add(tf.mul(tf.matMul(q, keys, false, true), 0.3), mask);
  return { own: own.dataSync(), plain: tf.matMul(tf.softmax(scores), values).dataSync() };
}

testKernels("attention of texts that are read on is that to what is seen, and has no bit of what is not", () => {
  const numbers = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i);
  for (const size of [...lengths, 64]) {
    for (const [group, at] of [[1, 0], [3, 1], [2, 4], [1, 9]]) {
      const whole = seen(size, group, numbers(0, at), numbers(at, 11));
      whole.plain.forEach((value, i) => assertAlmostEquals(whole.own[i], value, 1e-5 * Math.max(1, Math.abs(value))));
      const nothing = (count: number) => Array<undefined>(count).fill(undefined);
      const past = [...nothing(6), ...numbers(0, at), ...nothing(9)];
      assertEquals(seen(size, group, past, [...nothing(3), ...numbers(at, 11)]).own, whole.own, `${size} of ${group}`);
    }
  }
});

testKernels("queries made three at a time have the bytes of each by itself", () => {
  for (const size of [...lengths, 64, 80]) {
    for (const [heads, keyHeads, queries, before, window] of [[6, 2, 1, 9, 40], [3, 1, 13, 5, 40], [2, 2, 8, 0, 3]]) {
      const total = before + queries;
      const [q, k, v] = [heads, keyHeads, keyHeads].map((n, i) => random([2, n, queries, size], i + 1));
      const past: Record<string, tf.Tensor> = before === 0 ? {} : {
        pastKey: random([2, keyHeads, before, size], 4),
        pastValue: random([2, keyHeads, before, size], 5),
      };
      // The first text begins with padding, the second has a query that sees nothing, and both have room within.
      const mask = tf.tensor4d(
        [0, 1].map((text) => [
          Array.from({ length: queries }, (_, n) =>
            Array.from({ length: total }, (_, m) => {
              const isSeen = m <= before + n && m > before + n - window && (text === 1 || m >= 2) && m !== before - 2;
              return isSeen && !(text === 1 && n === 4) ? m / 100 : -1e9;
            })),
        ]),
      );
      const all = ownKernel("SeenAttention", { q, k, v, mask, ...past }, { scale: 0.3 })![0];
      for (let n = 0; n < queries; n++) {
        for (let head = 0; head < heads; head++) {
          const own = Math.floor(head * keyHeads / heads);
          const ofHead = (x: tf.Tensor) => tf.slice(x, [0, own, 0, 0], [2, 1, -1, -1]);
          const inputs = {
            q: tf.slice(q, [0, head, n, 0], [2, 1, 1, -1]),
            k: ofHead(k),
            v: ofHead(v),
            mask: tf.slice(mask, [0, 0, n, 0], [2, 1, 1, -1]),
            ...Object.fromEntries(Object.entries(past).map(([name, x]) => [name, ofHead(x)])),
          };
          assertEquals(
            ownKernel("SeenAttention", inputs, { scale: 0.3 })![0].dataSync(),
            tf.slice(all, [0, head, n, 0], [2, 1, 1, -1]).dataSync(),
            `head ${head}, query ${n} of ${queries}, size ${size}`,
          );
        }
      }
    }
  }
});

testKernels("a query that sees nothing has zeros", () => {
  const x = random([1, 1, 2, 34], 1);
  const mask = tf.tensor4d([[[[-1e9, -1e9], [0, -1e9]]]]);
  const [first, ...others] = tf.unstack(ownKernel("SeenAttention", { q: x, k: x, v: x, mask }, { scale: 1 })![0], 2);
  assertEquals([...first.dataSync()], Array(34).fill(0));
  assertEquals(others[0].dataSync(), tf.slice(x, 0, [1, 1, 1, 34]).dataSync());
});

testKernels("the rotary kernel is two products and their sum, of every size and both ways", () => {
  for (const size of [2, 4, 6, 8, 14, 24, 34]) {
    const [x, cos, sin] = [random([2, 3, 5, size], size), random([5, size], 8), random([5, size], 9)];
    const [left, right] = tf.split(x, 2, -1);
    const crossed = tf.mul(tf.concat([right, left], -1), sin);
    for (const [back, combine] of [[false, tf.add], [true, tf.sub]] as const) {
      const own = ownKernel("Rotary", { x, cos, sin }, { back })![0];
      assertEquals(own.dataSync(), combine(tf.mul(x, cos), crossed).dataSync(), `${size}, ${back}`);
    }
  }
});

testKernels("the logarithm is right to two units in the last place, at the ends too", () => {
  const near1 = Float32Array.from({ length: 4001 }, (_, i) => 1 + (i - 2000) / 4e4);
  const wide = Float32Array.from({ length: 4001 }, (_, i) => 2 ** ((i - 2000) / 13.5));
  for (const values of [near1, wide, Float32Array.of(1e-40, 1.4e-45, 1.17549435e-38, 3.4e38, 1)]) {
    assertUlps(tf.log(tf.tensor1d(values)).dataSync(), [...values].map(Math.log), 2, "log");
  }
  const special = tf.log(tf.tensor1d([0, -0, -1, Infinity, -Infinity, NaN])).dataSync();
  assertEquals([...special], [-Infinity, -Infinity, NaN, Infinity, NaN, NaN]);
});
