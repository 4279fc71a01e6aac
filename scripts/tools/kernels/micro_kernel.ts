/**
 * AssemblyScript of the innermost loop of a matrix product, unrolled: a loop could not keep the left factor at constant
 * addresses (see dsl/engine/wasm/assembly/layout.ts), and optimisers would reorder anything that is not spelled out.
 *
 * @module
 */

/** Sizes of the tile; the same as ROWS, COLUMNS and DEPTH in layout.ts. 6 x 8 floats leave 3 of V8's 15 registers. */
const [rows, columns, depth] = [6, 8, 64];

/** Steps of the loop that share one addition to the pointer. */
const unrolled = 4;

/** One function: how many of a panel's 8 columns it makes sums of. */
function multiplication(name: string, width: number, fused: boolean): readonly string[] {
  const lines = [...Array(rows).keys()];
  const vectors = [...Array(width / 4).keys()];
  const addProduct = (sum: string, b: string) =>
    fused ? `${sum} = f32x4.relaxed_madd(a, ${b}, ${sum});` : `${sum} = f32x4.add(f32x4.mul(a, ${b}), ${sum});`;
  const step = (p: number) => [
    ...vectors.map((j) => `b${j} = v128.load(b, ${(p % unrolled * columns + j * 4) * 4});`),
    ...lines.flatMap((i) => [
      `a = v128.load_splat<f32>(BLOCK, ${(i * depth + p) * 4});`,
      ...vectors.map((j) => addProduct(`sum${i}${j}`, `b${j}`)),
    ]),
    ...(p % unrolled === unrolled - 1 ? [`b += ${unrolled * columns * 4};`] : []),
  ];
  const store = (value: (sum: string, offset: number) => string) =>
    lines.flatMap((i) => [
      ...vectors.map((j) => `v128.store(c, ${value(`sum${i}${j}`, j * 16)}, ${j * 16});`),
      "c += stride;",
    ]);
  return [
    `export function ${name}(depth: usize, b: usize, c: usize, stride: usize, add: bool): void {`,
    ...lines.flatMap((i) => vectors.map((j) => `let sum${i}${j} = f32x4.splat(0);`)),
    `let a: v128, ${vectors.map((j) => `b${j}: v128`).join(", ")};`,
    "switch (<i32>depth) {",
    ...[...Array(depth).keys()].flatMap((p) => [
      ...(p % unrolled === 0 ? [`case ${depth - p}:`] : []),
      ...step(p),
    ]),
    "default:",
    "}",
    "if (add) {",
    ...store((sum, offset) => `f32x4.add(v128.load(c, ${offset}), ${sum})`),
    "} else {",
    ...store((sum) => sum),
    "}",
    "}",
  ];
}

/**
 * Source of `multiplyPanels(depth, b, c, stride, add)`: adds up `depth` outer products of a column of the left factor,
 * which lies at the block's address and ends in its last column, and a row of 8 floats behind `b`; stores the 6 x 8 sums
 * at `c`, or adds them. `depth` is a multiple of 4 up to 64: the switch jumps into the middle of the sequence.
 * `multiplyNarrow` makes the same sums of the first four columns alone.
 *
 * @param fused Whether there is a fused multiply-add
 */
export function microKernel(fused: boolean): string {
  return [
    `import { BLOCK } from "./layout";`,
    ...multiplication("multiplyPanels", columns, fused),
    ...multiplication("multiplyNarrow", 4, fused),
  ].join("\n");
}
