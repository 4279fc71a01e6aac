/** The kernel for products of a few rows, by each processor's instructions, beside products in double precision. */
import { assert, assertEquals } from "@std/assert";
import { type BlockForm, blockForms, blockKind, BLOCKS } from "../../dsl/blocks.ts";
import { fromBlocks } from "../../dsl/block_conversion.ts";
import { readsRowsOf, rowForm } from "../../dsl/compile/tensorflow/row_products.ts";
import { rowProductsKernel } from "../../dsl/engine/tensorflow.ts";
import { dequantised, quantise, type Quantised } from "../../dsl/quantise.ts";
import { key, normal, useBackend } from "../../dsl/mod.ts";
import { available } from "../support/available.ts";

const there = (await available("tensorflow")).length > 0;
if (there) await useBackend("tensorflow");
const kernel = there ? rowProductsKernel() : undefined;
if (there && kernel === undefined) console.log("the kernel is not built: its tests are skipped (`deno task native`)");

const INSTRUCTIONS = ["AMX", "AVX-512", "AVX2", "portable"] as const;

/** Standard normal numbers. */
function numbers(count: number, seed: number): Float32Array {
  return normal(key(seed), count);
}

/** Any blocks whose scales are numbers of some size. */
function blocksOf(form: BlockForm, [outputs, depth]: readonly [number, number]): Quantised {
  const { size, bytes } = blockKind(form);
  const all = new Uint8Array(outputs * depth / size * bytes);
  for (let i = 0, state = 7; i < all.length; i++) all[i] = (state = Math.imul(state, 1103515245) + 12345) >>> 16;
  const view = new DataView(all.buffer);
  const halves = form === "q6_k" ? [208] : blockKind(form).minimum === undefined ? [0] : [0, 2];
  for (let block = 0; block < all.length / bytes; block++) {
    // Subnormal ones among them.
    for (const at of halves) view.setFloat16(block * bytes + at, block % 5 === 0 ? 2e-5 : 0.01 / (1 + block % 7), true);
  }
  return { form, shape: [outputs, depth], bytes: all };
}

/** A matrix as the kernel has it, and what it stands for. */
interface Case {
  readonly form: number;
  readonly bytes: Uint8Array;
  readonly values: Float32Array;
}

function plain(form: "float32" | "bf16", count: number): Case {
  const words = new Uint32Array(numbers(count, 1).buffer);
  if (form === "float32") {
    return { form: rowForm(form), bytes: new Uint8Array(words.buffer), values: new Float32Array(words.buffer) };
  }
  const halves = Uint16Array.from(words, (word) => word >>> 16);
  const values = new Float32Array(Uint32Array.from(halves, (half) => half << 16).buffer);
  return { form: rowForm(form), bytes: new Uint8Array(halves.buffer), values };
}

function quantised(made: Quantised): Case {
  const { form, shape, bytes } = made;
  const kept = form in BLOCKS ? fromBlocks(form as BlockForm, shape, bytes) : bytes;
  return { form: rowForm(form), bytes: kept, values: dequantised(made) };
}

/** y of rows of x by each of the instructions that the processor has. */
function* products(
  { form, bytes }: Case,
  [rows, outputs, depth]: readonly [number, number, number],
  x: Float32Array,
): Generator<readonly [instructions: string, y: Float32Array]> {
  for (const instructions of INSTRUCTIONS) {
    const y = new Float32Array(rows * outputs).fill(NaN);
    if (kernel!.product(instructions, Int32Array.of(rows, outputs, depth, form), bytes, x, y)) yield [instructions, y];
  }
}

/** Fails where a product is not that of double precision to so many roundings of what its terms add up to. */
function assertProduct(
  y: Float32Array,
  { values }: Case,
  x: Float32Array,
  [rows, outputs, depth]: readonly [number, number, number],
  what: string,
): void {
  for (let r = 0; r < rows; r++) {
    for (let m = 0; m < outputs; m++) {
      let [sum, size] = [0, 0];
      for (let i = 0; i < depth; i++) {
        const term = values[m * depth + i] * x[r * depth + i];
        sum += term;
        size += Math.abs(term);
      }
      const error = Math.abs(y[r * outputs + m] - sum);
      assert(
        error <= (8 + depth / 8) * 2 ** -24 * size,
        `${what}, row ${r}, output ${m}: ${y[r * outputs + m]}, ${sum}`,
      );
    }
  }
}

const shapes = [[1, 40, 576], [3, 17, 77], [8, 33, 1000], [16, 16, 64], [21, 70, 96], [64, 50, 33]] as const;

for (const form of ["float32", "bf16"] as const) {
  Deno.test({
    name: `products of rows with weights in ${form} by each of the processor's instructions`,
    ignore: kernel === undefined,
    fn: () => {
      for (const [rows, outputs, depth] of shapes) {
        const given = plain(form, outputs * depth);
        const x = numbers(rows * depth, 2);
        const made = [...products(given, [rows, outputs, depth], x)];
        assertEquals(made[0][0], kernel!.instructions);
        for (const [instructions, y] of made) {
          assertProduct(y, given, x, [rows, outputs, depth], `${instructions}, ${rows} x ${depth} x ${outputs}`);
        }
      }
    },
  });
}

for (const form of ["int8", "nf4", ...blockForms] as const) {
  Deno.test({
    name: `products of rows with weights in ${form} by each of the processor's instructions`,
    ignore: kernel === undefined,
    fn: () => {
      for (const [rows, outputs, depth] of [[1, 16, 512], [3, 40, 256], [8, 24, 768], [13, 8, 1024]] as const) {
        const shape = [outputs, depth] as const;
        const given = quantised(
          form === "int8" || form === "nf4"
            ? quantise(form, shape, numbers(outputs * depth, 3))
            : blocksOf(form, shape),
        );
        assert(readsRowsOf(form, shape));
        const x = numbers(rows * depth, 4);
        for (const [instructions, y] of products(given, [rows, outputs, depth], x)) {
          assertProduct(y, given, x, [rows, outputs, depth], `${instructions}, ${rows} x ${depth} x ${outputs}`);
        }
      }
    },
  });
}

Deno.test({
  name: "a row's products do not depend on the rows beside it, whatever the instructions",
  ignore: kernel === undefined,
  fn: () => {
    const [outputs, depth] = [72, 768];
    const blocks = (["q8_0", "q4_1", "q4_k", "q5_k", "q6_k"] as const).map((form) =>
      quantised(blocksOf(form, [outputs, depth]))
    );
    const forms = [
      plain("float32", outputs * depth),
      plain("bf16", outputs * depth),
      quantised(quantise("nf4", [outputs, depth], numbers(outputs * depth, 5))),
      ...blocks,
    ];
    const x = numbers(37 * depth, 6);
    for (const given of forms) {
      const all = new Map(products(given, [37, outputs, depth], x));
      for (const row of [0, 7, 8, 15, 16, 33, 36]) {
        for (const [instructions, y] of products(given, [1, outputs, depth], x.slice(row * depth, (row + 1) * depth))) {
          assertEquals(
            y,
            all.get(instructions)!.slice(row * outputs, (row + 1) * outputs),
            `${instructions}, row ${row}`,
          );
        }
      }
    }
  },
});

Deno.test({
  name: "x keeps all its digits, and numbers that are not finite come through",
  ignore: kernel === undefined,
  fn: () => {
    // A weight of 1 in each place shows x itself.
    const depth = 64;
    const given = plain("bf16", depth * depth);
    const one = new Uint16Array(given.bytes.buffer);
    one.fill(0);
    for (let i = 0; i < depth; i++) one[i * depth + i] = 0x3f80;
    const x = numbers(depth, 7);
    x.set([1 + 2 ** -23, -3.4028234663852886e38, 2 ** -100, 16777215, 1 / 3], 0);
    for (const [instructions, y] of products(given, [1, depth, depth], x)) assertEquals(y, x, instructions);
    x[3] = Infinity;
    for (const [instructions, y] of products(given, [1, depth, depth], x)) {
      assert(!Number.isFinite(y[3]), instructions);
    }
  },
});
