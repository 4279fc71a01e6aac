/**
 * Matrix products: tiles in registers, and on cards in memory that a group of threads shares.
 *
 * @module
 */
import { sizeOf } from "../../tree.ts";
import type { Call, ValueId } from "../program.ts";
import { Binder, Clash, type GpuKernel, MOST_GROUPS, param } from "./kernel.ts";
import type { Lower, Lowering } from "./lowering.ts";
import { PARAMS, paramsOf, type Product } from "./product.ts";
import { sharedTiles } from "./tiles.ts";

/** Rows and columns (in fours) of a thread's tile, and threads of a group along columns and rows. */
interface Tile {
  readonly rows: number;
  readonly fours: number;
  readonly across: number;
  readonly down: number;
}

/** Tiles, the largest first: a product takes the first that makes work for enough threads. */
const TILES: readonly Tile[] = [
  { rows: 8, fours: 2, across: 8, down: 4 },
  { rows: 4, fours: 1, across: 8, down: 4 },
  { rows: 1, fours: 1, across: 32, down: 1 },
];

const ENOUGH = 256;

function tileOf({ batch, m, n }: Product): Tile {
  const threads = ({ rows, fours }: Tile) => batch * Math.ceil(m / rows) * Math.ceil(n / (4 * fours));
  const fits = (tile: Tile) => tile.rows <= Math.max(1, m) && 4 * tile.fours <= Math.max(4, n + 3);
  return TILES.find((tile) => fits(tile) && threads(tile) >= ENOUGH) ?? TILES.filter(fits).at(-1)!;
}

/** How a factor is read: four numbers along a row of memory at a time, or one. */
interface Wide {
  readonly a: boolean;
  readonly b: boolean;
}

const PARTS = "xyzw";

/** A product whose threads read the factors themselves. */
function direct(product: Product, { rootOf, isHalf }: Lowering, wide: Wide): GpuKernel {
  const { a, b, bias, to, turnsA, turnsB, batch, m, n, k } = product;
  const { rows, fours, across, down } = tileOf(product);
  const binder = new Binder(rootOf);
  const reader = (value: ValueId, isWide: boolean) => {
    const [type, half] = isWide ? ["vec4<f32>", "vec4<f16>"] as const : ["f32", "f16"] as const;
    if (!isHalf(value)) {
      const name = binder.read(value, type);
      return (at: string) => `${name}[${at}]`;
    }
    const name = binder.read(value, half);
    return (at: string) => `${type}(${name}[${at}])`;
  };
  const [left, right] = [reader(a, wide.a), reader(b, wide.b)];
  const isWideOut = n % 4 === 0;
  const added = bias === undefined ? undefined : binder.read(bias, isWideOut ? "vec4<f32>" : "f32");
  const result = binder.write(to, isWideOut ? "vec4<f32>" : "f32");
  // Four of the inner axis at a time, where that is how a factor lies.
  const inner = k % 4 === 0 ? 4 : 1;
  const [M, N, K] = [param(PARAMS.m), param(PARAMS.n), param(PARAMS.k)];
  const lines: string[] = [
    `@compute @workgroup_size(${across}, ${down})
fn main(@builtin(workgroup_id) g: vec3<u32>, @builtin(local_invocation_id) l: vec3<u32>) {
  let m = ${M}; let n = ${N}; let k = ${K};
  let row = (g.y * ${down}u + l.y) * ${rows}u;
  let four = g.x * ${across * fours}u + l.x;
  let fours = (n + 3u) / 4u;
  if (row >= m || four >= fours) { return; }
  let startA = g.z * ${param(PARAMS.batchA)}${wide.a ? " / 4u" : ""};
  let startB = g.z * ${param(PARAMS.batchB)}${wide.b ? " / 4u" : ""};`,
  ];
  const push = (line: string) => lines.push(line);
  // What lies outside is read from the edge and not written.
  for (let i = 0; i < rows; i++) push(`  let row${i} = min(row + ${i}u, m - 1u);`);
  for (let j = 0; j < fours; j++) push(`  let four${j} = min(four + ${j * across}u, fours - 1u);`);
  for (let i = 0; i < rows; i++) for (let j = 0; j < fours; j++) push(`  var c${i}_${j} = vec4<f32>(0);`);
  push(`  for (var s = 0u; s < k; s += ${inner}u) {`);
  /** The number of row i at s + u. */
  const ofA = (i: number, u: number): string => {
    if (wide.a) return turnsA ? `a${i >> 2}_${u}.${PARTS[i & 3]}` : `a${i}.${PARTS[u]}`;
    return `a${i}_${u}`;
  };
  if (wide.a && !turnsA) {
    for (let i = 0; i < rows; i++) push(`    let a${i} = ${left(`startA + (row${i} * k + s) / 4u`)};`);
  }
  if (wide.a && turnsA) {
    for (let u = 0; u < inner; u++) {
      for (let i = 0; i < rows; i += 4) {
        push(`    let a${i >> 2}_${u} = ${left(`startA + ((s + ${u}u) * m + row${i}) / 4u`)};`);
      }
    }
  }
  if (!wide.a) {
    for (let u = 0; u < inner; u++) {
      for (let i = 0; i < rows; i++) {
        const at = turnsA ? `(s + ${u}u) * m + row${i}` : `row${i} * k + s + ${u}u`;
        push(`    let a${i}_${u} = ${left(`startA + ${at}`)};`);
      }
    }
  }
  if (wide.b && turnsB) {
    for (let j = 0; j < fours; j++) {
      for (let q = 0; q < 4; q++) {
        push(`    let b${j}_${q} = ${right(`startB + (min(four${j} * 4u + ${q}u, n - 1u) * k + s) / 4u`)};`);
      }
    }
  }
  for (let u = 0; u < inner; u++) {
    for (let j = 0; j < fours; j++) {
      const column = (q: number) => `min(four${j} * 4u + ${q}u, n - 1u)`;
      const parts = [0, 1, 2, 3].map((q) => {
        if (wide.b) return `b${j}_${q}.${PARTS[u]}`;
        return right(`startB + ${turnsB ? `${column(q)} * k + s + ${u}u` : `(s + ${u}u) * n + ${column(q)}`}`);
      });
      const found = wide.b && !turnsB
        ? right(`startB + (s + ${u}u) * fours + four${j}`)
        : `vec4<f32>(${parts.join(", ")})`;
      push(`    let w${u}_${j} = ${found};`);
    }
    for (let i = 0; i < rows; i++) {
      for (let j = 0; j < fours; j++) push(`    c${i}_${j} = fma(vec4<f32>(${ofA(i, u)}), w${u}_${j}, c${i}_${j});`);
    }
  }
  push("  }");
  for (let j = 0; j < fours; j++) {
    push(`  if (four + ${j * across}u < fours) {`);
    for (let i = 0; i < rows; i++) {
      const at = `(g.z * m + row + ${i}u)`;
      const guard = i === 0 ? "    {" : `    if (row + ${i}u < m) {`;
      if (isWideOut) {
        const sum = added === undefined ? `c${i}_${j}` : `c${i}_${j} + ${added}[four${j}]`;
        push(`${guard} ${result}[${at} * fours + four${j}] = ${sum}; }`);
      } else {
        push(guard);
        for (let q = 0; q < 4; q++) {
          const column = `four${j} * 4u + ${q}u`;
          const sum = `c${i}_${j}.${PARTS[q]}${added === undefined ? "" : ` + ${added}[${column}]`}`;
          push(`      ${q === 0 ? "" : `if (${column} < n) `}{ ${result}[${at} * n + ${column}] = ${sum}; }`);
        }
        push("    }");
      }
    }
    push("  }");
  }
  push("}");
  return {
    bindings: binder.bindings,
    params: paramsOf(product),
    groups: [Math.ceil(Math.ceil(n / 4) / (across * fours)), Math.ceil(m / (rows * down)), batch],
    body: lines.join("\n"),
  };
}

/** The product that a call asks for; nothing where batches are broadcast along some axes only. */
function productOf({ inputs: [a, b, bias], attrs, outputs: [to] }: Call, { types }: Lowering): Product | undefined {
  const [left, right, result] = [a, b, to].map((value) => types[value].shape);
  const [turnsA, turnsB] = [attrs.transposeA === true, attrs.transposeB === true];
  const [m, n] = result.slice(-2);
  const k = left[left.length - (turnsA ? 2 : 1)];
  const batch = sizeOf(result.slice(0, -2));
  const batches = [left, right].map((shape) => sizeOf(shape.slice(0, -2)));
  if (batches.some((each) => each !== batch && each !== 1) || batch > MOST_GROUPS || k === 0) return undefined;
  const [sharesA, sharesB] = batches.map((each) => each !== batch);
  return { a, b, bias, to, turnsA, turnsB, batch, m, n, k, sharesA, sharesB };
}

const product: Lower = (call, lowering) => {
  const { activation = "linear" } = call.attrs;
  const found = productOf(call, lowering);
  if (found === undefined || activation !== "linear" || call.inputs.length > 3) return undefined;
  const { turnsA, turnsB, m, n, k } = found;
  if (lowering.target.sharesTiles && m * n >= 1024 && k >= 16) return [sharedTiles(found, lowering)];
  const a = turnsA ? m % 4 === 0 && tileOf(found).rows % 4 === 0 : k % 4 === 0;
  const b = turnsB ? k % 4 === 0 : n % 4 === 0;
  for (const wide of [{ a, b }, { a: false, b: false }]) {
    try {
      return [direct(found, lowering, wide)];
    } catch (error) {
      if (!(error instanceof Clash)) throw error;
    }
  }
  return undefined;
};

/** Products by tfjs's kernels. */
export const products: Readonly<Record<string, Lower>> = { BatchMatMul: product, _FusedMatMul: product };
