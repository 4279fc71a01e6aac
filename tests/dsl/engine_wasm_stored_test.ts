import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import type { BackendWasm } from "@tensorflow/tfjs-backend-wasm";
import * as tf from "@tensorflow/tfjs-core";
import { fileOf } from "../../dsl/files/path.ts";
import { type BlockForm, BLOCKS } from "../../dsl/blocks.ts";
import { compile } from "../../dsl/compile/mod.ts";
import type { ReplayOptions } from "../../dsl/compile/replay.ts";
import { useBackend } from "../../dsl/engine/mod.ts";
import { type HalfForm, storedForm } from "../../dsl/engine/stored.ts";
import { registerWasmKernels } from "../../dsl/engine/wasm/mod.ts";
import { OneloraError } from "../../dsl/error.ts";
import { bitsOf, held, heldQuantised, widened } from "../../dsl/hold.ts";
import { fromBfloat16, fromFloat16, toBfloat16, toFloat16 } from "../../dsl/safetensors/dtype.ts";
import { openSafetensors } from "../../dsl/safetensors/mod.ts";
import { sizeOf } from "../../dsl/tree.ts";
import { bytesOf, numbers, random, testKernels, variants } from "../support/wasm_kernels.ts";

const fixtures = await openSafetensors(fileOf(new URL("../fixtures/blocks.safetensors", import.meta.url)));
/** Blocks of ggml's own making, [8, 512] of each form, and their numbers. */
const blocks = new Map(
  await Promise.all((Object.keys(BLOCKS) as BlockForm[]).map(async (form) => {
    const read = async (name: string) => (await fixtures.read(`${form}.${name}`)).data;
    const [file, values] = [await read("bytes") as Uint8Array<ArrayBuffer>, await read("values") as Float32Array];
    return [form, { file, values }] as const;
  })),
);
await fixtures.close();

/** All forms that are kept. */
const forms: readonly (HalfForm | BlockForm)[] = ["bf16", "f16", ...blocks.keys()];

/** A tensor that is kept in a form, and one of its numbers in float32. Rows of blocks have a multiple of 256 numbers. */
function pair(
  shape: readonly number[],
  seed: number,
  form: HalfForm | BlockForm = "bf16",
): readonly [kept: tf.Tensor, full: tf.Tensor] {
  if (form === "bf16" || form === "f16") {
    // Every other row has numbers below 2 alone, which halves are read faster of.
    const width = shape[shape.length - 1];
    const values = numbers(sizeOf(shape), seed).map((value, i) => Math.floor(i / width) % 2 === 0 ? value / 4 : value);
    const data = form === "bf16" ? toBfloat16(values) : toFloat16(values);
    const half = held({ dtype: form === "bf16" ? "BF16" : "F16", shape, data }, form);
    assertEquals(storedForm(half), form);
    return [half, tf.tensor(form === "bf16" ? fromBfloat16(data) : fromFloat16(data), [...shape])];
  }
  const { file, values } = blocks.get(form)!;
  const { size, bytes: each } = BLOCKS[form];
  const count = sizeOf(shape) / size;
  const bytes = new Uint8Array(count * each);
  const full = new Float32Array(sizeOf(shape));
  for (let i = 0; i < count; i++) {
    const from = (i * 7 + seed) % (values.length / size);
    bytes.set(file.subarray(from * each, (from + 1) * each), i * each);
    full.set(values.subarray(from * size, (from + 1) * size), i * size);
  }
  const kept = heldQuantised({ form, shape, bytes });
  assertEquals(storedForm(kept), form);
  return [kept, tf.tensor(full, [...shape])];
}

type Formula = (...given: readonly tf.Tensor[]) => tf.Tensor;

/** What a function makes as one that is compiled once. */
function compiledOnce(f: Formula, given: readonly tf.Tensor[], options?: ReplayOptions): tf.Tensor {
  const compiled = compile(f, options);
  try {
    return compiled(...given);
  } finally {
    compiled.dispose();
  }
}

/** The same as texts that are read on have it: by the kernels that read what is stored. */
function readOn(f: Formula, ...given: readonly tf.Tensor[]): tf.Tensor {
  return compiledOnce(f, given, { ownProducts: true });
}

/** Asserts that x W^T (+ bias) of two forms of W are the same to the rounding of sums. */
function assertSame(found: tf.Tensor, expected: tf.Tensor, depth: number, what: string): void {
  assertEquals(found.shape, expected.shape, what);
  const [a, b] = [found.dataSync(), expected.dataSync()];
  // Numbers are at most 3.
  a.forEach((value, i) => assertAlmostEquals(value, b[i], 9 * depth * 2 ** -22, `${what}, [${i}]`));
}

const product = (x: tf.Tensor, w: tf.Tensor) => tf.matMul(x, w, false, true);
const biased = (x: tf.Tensor, w: tf.Tensor, bias: tf.Tensor) =>
  tf.fused.matMul({ a: x as tf.Tensor2D, b: w as tf.Tensor2D, bias, transposeB: true });

for (const form of forms) {
  const depths = form === "bf16" || form === "f16" ? [1, 7, 8, 9, 24, 100, 300] : [256, 512];
  testKernels(`few rows by a matrix kept in ${form} are the product with its numbers, for every size of edge`, () => {
    for (const rows of [1, 2, 3, 64, 65]) {
      for (const columns of [1, 3, 4, 7, 130]) {
        for (const depth of rows > 3 ? depths.slice(0, 2) : depths) {
          tf.tidy(() => {
            const [kept, full] = pair([columns, depth], columns + depth, form);
            const x = random([rows, depth], rows);
            const what = `[${rows}, ${depth}] by [${columns}, ${depth}]`;
            assertSame(readOn(product, x, kept), product(x, full), depth, what);
            const bias = random([columns], 9);
            assertSame(readOn(biased, x, kept, bias), biased(x, full, bias), depth, `${what} and a bias`);
          });
        }
      }
    }
  });

  testKernels(`all but the products of texts that are read on is of ${form} to the very bytes of its numbers`, () => {
    tf.tidy(() => {
      const [kept, full] = pair([40, 512], 3, form);
      const x = random([4, 512], 1);
      const cases: Readonly<Record<string, (w: tf.Tensor) => tf.Tensor>> = {
        "few rows": (w) => product(x, w),
        "with a bias": (w) => biased(x, w, random([40], 2)),
        "backwards": (w) => tf.matMul(random([4, 40], 2), w),
        "rows": (w) => tf.gather(w, tf.tensor1d([39, 0, 17, 17], "int32")),
        "rows of another shape": (w) => tf.gather(tf.reshape(w, [2560, 8]), tf.tensor1d([39, 2559], "int32")),
        "by another shape": (w) => product(random([4, 128], 2), tf.reshape(w, [160, 128])),
        "a part": (w) => tf.slice(w, [3, 5], [7, 90]),
        "widened": widened,
      };
      for (const [name, of] of Object.entries(cases)) {
        const expected = of(full).dataSync();
        for (const found of [of(kept), compiledOnce(of, [kept])]) assertEquals(found.dataSync(), expected, name);
        const read = readOn(of, kept);
        // Half a block is not read as it is.
        const isOther = ["few rows", "with a bias"].includes(name) ||
          name === "by another shape" && !form.endsWith("_k");
        if (isOther) assertSame(read, of(full), 512, name);
        else assertEquals(read.dataSync(), expected, name);
      }
      assertEquals(kept.dataSync(), full.dataSync());
    });
  });
}

for (const form of forms) {
  testKernels(`a row by a matrix kept in ${form} has the same bytes by itself and beside others`, () => {
    for (const columns of [7, 8, 130]) {
      tf.tidy(() => {
        const depth = form === "bf16" || form === "f16" ? 300 : 256;
        const [[kept], x] = [pair([columns, depth], columns, form), random([5, depth], 1)];
        const all = readOn(product, x, kept);
        for (let i = 0; i < 5; i++) {
          const one = readOn(product, tf.slice(x, [i, 0], [1, depth]), kept);
          assertEquals(one.dataSync(), tf.slice(all, [i, 0], [1, columns]).dataSync(), `row ${i}, ${columns} columns`);
        }
      });
    }
  });
}

testKernels("every half of IEEE is the float32 that it stands for, infinities, NaN and the smallest too", () => {
  const data = Uint16Array.from({ length: 2 ** 16 }, (_, i) => i);
  // Sixteen at a time are read in another way where all have an exponent: once mixed, once side by side.
  const mixed = data.map((bits) => Math.imul(bits, 40503));
  for (const [bits, what] of [[data, "in order"], [mixed, "mixed"]] as const) {
    tf.tidy(() => {
      const kept = held({ dtype: "F16", shape: [2 ** 8, 2 ** 8], data: bits }, "f16");
      const expected = fromFloat16(bits);
      const found = tf.mul(kept, 1).dataSync();
      const gathered = tf.gather(kept, tf.range(0, 256, 1, "int32")).dataSync();
      const third = tf.slice(tf.eye(256), [3, 0], [1, 256]);
      const one = readOn(product, third, kept).dataSync();
      for (let i = 0; i < bits.length; i++) {
        assert(Object.is(found[i], expected[i]), `${what}: ${bits[i]} is ${found[i]}, not ${expected[i]}`);
        assert(Object.is(gathered[i], expected[i]), `${what}, looked up: ${bits[i]}`);
      }
      // Times zero, infinities are no numbers, as in float32.
      assertEquals(one, product(third, tf.tensor(expected, [256, 256])).dataSync(), what);
    });
  }
});

testKernels("every half below 2 is multiplied as the float32 that it stands for, the smallest too", () => {
  const bits = Uint16Array.from({ length: 2 ** 15 }, (_, i) => i & 0x3fff | (i & 0x4000) << 1);
  const expected = fromFloat16(bits);
  tf.tidy(() => {
    const kept = held({ dtype: "F16", shape: [2 ** 8, 2 ** 7], data: bits }, "f16");
    const compiled = compile(product, { ownProducts: true });
    const ones = tf.eye(128);
    for (let column = 0; column < 128; column += 2) {
      for (const rows of [1, 2]) {
        const found = compiled(tf.slice(ones, [column, 0], [rows, 128]), kept).dataSync();
        found.forEach((value, i) => {
          const at = i % 256 * 128 + column + Math.floor(i / 256);
          assertEquals(value, expected[at] + 0, `${bits[at]}`);
        });
      }
    }
    compiled.dispose();
  });
});

testKernels(
  "every half is the scale that it stands for in a product with blocks; without a size, it is no number",
  () => {
    const scales = Uint16Array.from({ length: 2 ** 16 }, (_, i) => i);
    const expected = fromFloat16(scales);
    for (const form of ["q4_0", "q8_0"] as const) {
      const { bytes: each, offset } = BLOCKS[form];
      const bytes = new Uint8Array(scales.length * each);
      const view = new DataView(bytes.buffer);
      scales.forEach((bits, i) => {
        view.setUint16(i * each, bits, true);
        // The first number is 1.
        bytes.fill(form === "q8_0" ? 1 : offset * 17 + 1, i * each + 2, (i + 1) * each);
      });
      tf.tidy(() => {
        const kept = heldQuantised({ form, shape: [scales.length, 32], bytes });
        for (const rows of [1, 2]) {
          const found = readOn(product, tf.slice(tf.eye(32), [0, 0], [rows, 32]), kept).dataSync();
          expected.forEach((value, i) => {
            if (Number.isFinite(value)) assertEquals(found[i], value + 0, `${form}: ${scales[i]}`);
            else assert(!Number.isFinite(found[i]), `${form}: ${scales[i]}`);
          });
        }
      });
    }
  },
);

testKernels("a text's numbers do not depend on the texts beside it", () => {
  for (const form of forms.filter((each) => each !== "bf16")) {
    tf.tidy(() => {
      const [kept] = pair([9, 512], 3, form);
      const x = random([5, 512], 1);
      const all = readOn(product, x, kept).dataSync();
      for (let row = 0; row < 5; row++) {
        const alone = readOn(product, tf.slice(x, [row, 0], [1, 512]), kept).dataSync();
        assertEquals(alone, all.slice(row * 9, (row + 1) * 9), `${form}, ${row}`);
      }
    });
  }
});

testKernels("what is kept in bfloat16 can be read, and every other kernel gets its numbers", () => {
  tf.tidy(() => {
    const [half, full] = pair([6, 20], 3);
    const x = random([4, 6], 1);
    assertEquals(half.dataSync(), full.dataSync());
    const cases: Readonly<Record<string, (w: tf.Tensor) => tf.Tensor>> = {
      "not transposed": (w) => tf.matMul(x, w),
      "as left factor": (w) => tf.matMul(w, random([20, 3], 2)),
      "by itself": (w) => tf.matMul(w, w, false, true),
      "with a ReLU": (w) =>
        tf.fused.matMul({
          a: random([2, 20], 2) as tf.Tensor2D,
          b: w as tf.Tensor2D,
          transposeB: true,
          activation: "relu",
        }),
      "element by element": (w) => tf.mul(tf.add(w, 1), w),
      "transposed": (w) => tf.transpose(w),
      "joined": (w) => tf.concat([w, w], 1),
      "a part": (w) => tf.slice(tf.reshape(w, [120]), [7], [20]),
      "rows": (w) => tf.gather(w, tf.tensor2d([[5, 0], [0, 3]], undefined, "int32")),
      "columns": (w) => tf.gather(w, tf.tensor1d([19, 0, 3], "int32"), 1),
      "a copy": (w) => tf.clone(w),
      "a kernel of tfjs's": (w) => tf.pad(w, [[1, 2], [0, 3]]),
      "one borrowed from the cpu": (w) => tf.cumsum(w, 1),
      "a mean": (w) => tf.mean(w, 1),
      "widened": widened,
    };
    for (const [name, of] of Object.entries(cases)) {
      const [found, expected] = [of(half), of(full)];
      // A copy has its bytes with what it was made of.
      assertEquals(storedForm(found), name === "a copy" ? "bf16" : undefined, name);
      assertEquals(found.shape, expected.shape, name);
      const values = expected.dataSync();
      found.dataSync().forEach((value, i) => assertAlmostEquals(value, values[i], 1e-4, name));
      const compiled = compile(of);
      const again = compiled(half).dataSync();
      again.forEach((value, i) => assertAlmostEquals(value, values[i], 1e-4, `${name}, compiled`));
      compiled.dispose();
    }
    const beyond = tf.tensor1d([6], "int32");
    assertThrows(() => tf.gather(half, beyond), Error, "not in [0, 5]");
  });
});

testKernels("a compiled function closes over what is kept in bfloat16", () => {
  tf.tidy(() => {
    const [half, full] = pair([40, 24], 5);
    const compiled = compile((x: tf.Tensor) => tf.add(tf.matMul(x, half, false, true), tf.sum(half)));
    const x = random([3, 24], 2);
    const expected = tf.add(tf.matMul(x, full, false, true), tf.sum(full));
    assertSame(compiled(x), expected, 1000, "closed over");
    compiled.dispose();
  });
});

for (const form of forms) {
  Deno.test(`a matrix in ${form} takes what its file does, copies nothing more, and gives it back`, async () => {
    await useBackend("wasm");
    const { wasm } = tf.backend() as unknown as { readonly wasm: { _malloc: (bytes: number) => number } };
    const { _malloc: malloc } = wasm;
    const taken: number[] = [];
    wasm._malloc = (bytes) => {
      taken.push(bytes);
      return malloc(bytes);
    };
    const before = [tf.memory().numTensors, tf.backend().numDataIds()];
    try {
      const [kept, full] = pair([512, 256], 1, form);
      const copy = tf.clone(kept);
      const bytes = form === "bf16" || form === "f16"
        ? 2 * 512 * 256
        : 512 * 256 / BLOCKS[form].size * BLOCKS[form].bytes;
      assertEquals(taken, [bytes, 512 * 256 * 4]);
      tf.dispose(kept);
      assertEquals(copy.dataSync(), full.dataSync());
      tf.dispose([copy, full]);
    } finally {
      wasm._malloc = malloc;
    }
    assertEquals([tf.memory().numTensors, tf.backend().numDataIds()], before);
  });
}

Deno.test("plain JavaScript keeps halves, whose numbers every kernel reads, and has those of blocks in float32", async () => {
  await useBackend("cpu");
  const halves = { bf16: toBfloat16(Float32Array.of(1, 2)), f16: toFloat16(Float32Array.of(1, 2)) };
  for (const form of ["bf16", "f16"] as const) {
    const dtype = form === "bf16" ? "BF16" : "F16";
    const tensor = held({ dtype, shape: [2], data: halves[form] }, form);
    assertEquals([storedForm(tensor), [...tensor.dataSync()]], [form, [1, 2]]);
    assertEquals([...tf.tidy(() => tf.add(tensor, tf.reshape(tensor, [2])).dataSync())], [2, 4]);
    assertEquals(bitsOf(tensor, dtype), halves[form]);
    assertEquals(bitsOf(tensor, "F32"), undefined);
    const wide = widened(tensor);
    assertEquals([storedForm(wide), [...wide.dataSync()]], [undefined, [1, 2]]);
    tf.dispose([tensor, wide]);
  }
  const { file, values } = blocks.get("q4_k")!;
  const tensor = heldQuantised({ form: "q4_k", shape: [8, 512], bytes: file });
  assertEquals([storedForm(tensor), tensor.dataSync()], [undefined, values]);
  tensor.dispose();
});

Deno.test("bytes that are no whole blocks are refused", async () => {
  await useBackend("wasm");
  const bytes = new Uint8Array(33);
  assertThrows(() => heldQuantised({ form: "q8_0", shape: [1, 32], bytes }), OneloraError, "33 bytes");
  assertThrows(() => heldQuantised({ form: "q4_k", shape: [2, 32], bytes }), OneloraError, "rows of 256 in q4_k");
});

for (const variant of variants) {
  Deno.test(`what is read as it is stored has the same bytes on any number of threads (${variant})`, async () => {
    await useBackend("wasm");
    const backend = tf.backend() as BackendWasm;
    const indices = Array.from({ length: 300 }, (_, i) => i * 37 % 1001);
    // Made once: drawing and packing takes longer than all that reads it.
    const packed = forms.map((form) => tf.tidy(() => tf.keep(pair([1001, 512], 7, form)[0])));
    const factors = [1, 2, 7].map((rows) => random([rows, 512], rows));
    const at = tf.tensor1d(indices, "int32");
    const cases = packed.flatMap((kept) => [
      ...factors.map((x) => () => readOn(product, x, kept)),
      () => tf.gather(kept, at),
      () => tf.transpose(kept),
    ]);
    const expected: (readonly string[])[] = [];
    for (const threads of [1, 2, 3, 8]) {
      const registration = await registerWasmKernels(backend, [variant], threads);
      try {
        for (const [i, compute] of cases.entries()) {
          const found = await bytesOf(compute);
          assertEquals(found, expected[i] ??= found, `${i}, ${threads} threads`);
        }
      } finally {
        registration?.undo();
      }
    }
    tf.dispose([packed, factors, at] as unknown as tf.TensorContainer);
  });
}
