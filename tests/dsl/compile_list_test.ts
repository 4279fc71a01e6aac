import { assert, assertEquals, assertThrows } from "@std/assert";
import type { BackendWasm } from "@tensorflow/tfjs-backend-wasm";
import * as tf from "@tensorflow/tfjs-core";
import { compile, useBackend } from "../../dsl/mod.ts";
import { kernelByKernel } from "../../dsl/compile/replay.ts";
import { trace } from "../../dsl/compile/trace.ts";
import { placesOf, type Tenant } from "../../dsl/compile/arena.ts";
import { replayAsList } from "../../dsl/compile/wasm/replay.ts";
import { groupsOf } from "../../dsl/compile/wasm/schedule.ts";
import { stepsOf } from "../../dsl/compile/wasm/steps.ts";
import { registerWasmKernels } from "../../dsl/engine/wasm/mod.ts";
import { microModels, microStep } from "../support/micro_steps.ts";
import { numbers, random, testKernels } from "../support/wasm_kernels.ts";

/** Bytes of some tensors, which are freed. */
function bytesOf(tensors: readonly tf.Tensor[]): readonly Uint8Array[] {
  const bytes = tensors.map((tensor) => new Uint8Array(tensor.dataSync().slice().buffer));
  tf.dispose([...tensors]);
  return bytes;
}

Deno.test("values that live at the same time have places of their own, others share them", () => {
  const tenants = [...numbers(400, 5)].map((each, i): Tenant => {
    const from = Math.floor(i / 4);
    return { bytes: Math.floor(Math.abs(each) * 1000), from, to: from + i % 7 };
  });
  const { offsets, bytes } = placesOf(tenants);
  tenants.forEach((a, i) => {
    assert(offsets[i] % 64 === 0 && offsets[i] + a.bytes <= bytes);
    tenants.slice(i + 1).forEach((b, j) => {
      const [mine, theirs] = [offsets[i], offsets[i + 1 + j]];
      const meet = a.from <= b.to && b.from <= a.to && a.bytes > 0 && b.bytes > 0;
      assert(!meet || mine + a.bytes <= theirs || theirs + b.bytes <= mine, `${i} and ${i + 1 + j}`);
    });
  });
  // No more than a fifth above what lives at once.
  const most = Math.max(
    ...Array.from(
      { length: 110 },
      (_, time) => tenants.reduce((sum, { bytes, from, to }) => from <= time && time <= to ? sum + bytes + 63 : sum, 0),
    ),
  );
  assert(bytes <= 1.2 * most, `${bytes} of ${most}`);
});

Deno.test("steps that do not read each other's results run side by side, kernels of tfjs by themselves", async () => {
  await useBackend("wasm");
  const program = trace(([x]) => {
    const [a, b] = [tf.exp(x), tf.sigmoid(x)];
    const c = tf.cos(a);
    return [tf.add(a, b), tf.tanh(c)];
  }, [{ shape: [300], dtype: "float32" }]);
  const { steps } = stepsOf(program, new Map())!;
  const names = groupsOf(steps).map((group) => Array.isArray(group) ? group.length : "own");
  // exp and sigmoid; cos, which is tfjs's; the sum and tanh.
  assertEquals(names, [2, "own", 2]);
});

testKernels(
  "a list returns what the kernels one by one do: inputs, constants, one tensor twice, other shapes of them",
  () => {
    const constant = random([6], 3);
    const f = (x: tf.Tensor, y: tf.Tensor) => {
      const sum = tf.add(x, tf.mul(y, constant));
      const shaped = tf.reshape(sum, [3, 4]);
      return [x, shaped, sum, tf.reshape(x, [12]), constant, tf.reshape(constant, [2, 3]), shaped, tf.cos(shaped)];
    };
    const [x, y] = [random([2, 6], 1), random([2, 6], 2)];
    const program = trace(
      (inputs) => f(inputs[0], inputs[1]),
      [x, y].map(({ shape }) => ({ shape, dtype: "float32" })),
    );
    const [list, plain] = [replayAsList(program), kernelByKernel(program)].map(({ replay }) => replay);
    for (let round = 0; round < 3; round++) {
      const [found, expected] = [list.run([x, y]), plain.run([x, y])];
      assertEquals(found[0], x);
      found.forEach((tensor, i) => {
        assertEquals(tensor.shape, expected[i].shape);
        assertEquals([...tensor.dataSync()], [...expected[i].dataSync()], `result ${i}`);
      });
      // Freed one by one, the others keep theirs.
      const rest = [...found[2].dataSync()];
      found[1].dispose();
      assertEquals([...found[2].dataSync()], rest);
      tf.dispose([...found.slice(2), ...expected.slice(1)]);
    }
    list.dispose();
    plain.dispose();
  },
);

testKernels("a row that is not there is refused before anything is read, and the list goes on afterwards", () => {
  const f = compile((x: tf.Tensor, at: tf.Tensor) => tf.gather(tf.mul(x, 2), at as tf.Tensor1D));
  const x = random([5, 3], 1);
  const good = tf.tensor1d([4, 0], "int32");
  const before = [...f(x, good).dataSync()];
  for (const wrong of [[5, 0], [0, -1]]) {
    assertThrows(() => f(x, tf.tensor1d(wrong, "int32")), Error, "an index is not in [0, 4]");
  }
  assertEquals([...f(x, good).dataSync()], before);
  f.dispose();
});

Deno.test("programs share the memory of what lives within a run, and give it back with their last", async () => {
  await useBackend("wasm");
  const backend = tf.backend() as BackendWasm;
  const { wasm } = backend as unknown as { wasm: { _malloc: (bytes: number) => number; _free: (at: number) => void } };
  const { _malloc: malloc, _free: free } = wasm;
  const held = new Set<number>();
  wasm._malloc = (bytes) => {
    const address = malloc(bytes);
    if (bytes >= 2 ** 20) held.add(address);
    return address;
  };
  wasm._free = (address) => {
    held.delete(address);
    free(address);
  };
  const registration = await registerWasmKernels(backend, undefined, 2);
  try {
    const f = (x: tf.Tensor) => tf.sum(tf.exp(tf.transpose(x)));
    const [small, large] = [compile(f), compile(f)];
    const [few, many] = [tf.ones([512, 600]), tf.ones([1024, 600])];
    held.clear();
    const results = [small(few), large(many), small(few), large(many)].map((each) => each.dataSync()[0]);
    assertEquals(results.slice(0, 2), results.slice(2));
    assertEquals(held.size, 1);
    small.dispose();
    assertEquals(held.size, 1);
    large.dispose();
    assertEquals(held.size, 0);
    tf.dispose([few, many]);
  } finally {
    registration?.undo();
    [wasm._malloc, wasm._free] = [malloc, free];
  }
});

for (const name of microModels) {
  Deno.test(`a step of ${name}, 20 times on threads, has the bytes of one kernel after the other`, async () => {
    await useBackend("wasm");
    const { step, state, batch } = await microStep(name, "1lora");
    const trees = [state.frozen, state.trained, state.optimiser, batch];
    const leaves = trees.flatMap((tree) => Object.values(tree));
    const program = trace((inputs) => {
      let next = 0;
      const [frozen, trained, optimiser, given] = trees.map((tree) =>
        Object.fromEntries(Object.keys(tree).map((path) => [path, inputs[next++]]))
      );
      const [after, metrics] = step({ frozen, trained, optimiser }, given as typeof batch);
      return [...Object.values(after.trained), ...Object.values(after.optimiser), ...Object.values(metrics)];
    }, leaves.map(({ shape, dtype }) => ({ shape, dtype })));
    const plain = kernelByKernel(program).replay;
    const expected = bytesOf(plain.run(leaves));
    plain.dispose();
    for (const threads of [1, 2, 3]) {
      const registration = await registerWasmKernels(tf.backend() as BackendWasm, undefined, threads);
      const list = replayAsList(program).replay;
      try {
        for (let round = 0; round < (threads === 1 ? 2 : 20); round++) {
          const found = bytesOf(list.run(leaves));
          expected.forEach((bytes, i) => {
            const isSame = bytes.length === found[i].length && bytes.every((byte, at) => byte === found[i][at]);
            assert(isSame, `${threads} threads, round ${round}, result ${i}`);
          });
        }
      } finally {
        list.dispose();
        registration?.undo();
      }
    }
    tf.dispose([state, batch] as unknown as tf.TensorContainer);
  });
}
