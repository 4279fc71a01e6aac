/**
 * Matrix products through memory that a group of threads shares: each number of a factor is read once for 64 rows or columns.
 *
 * @module
 */
import { Binder, type GpuKernel, param } from "./kernel.ts";
import type { Lowering } from "./lowering.ts";
import { PARAMS, paramsOf, type Product } from "./product.ts";

/** Rows and columns of a group's tile, and the stretch of the inner axis that it has at a time. */
const [SIDE, DEPTH] = [64, 16];

/**
 * A product in tiles of 64 by 64, by 256 threads with 4 by 4 numbers each.
 *
 * @param product The product
 * @param lowering The program; what is in float16 stays so in shared memory, and sums are float32
 */
export function sharedTiles(product: Product, { rootOf, isHalf }: Lowering): GpuKernel {
  const { a, b, bias, to, turnsA, turnsB, batch, m, n } = product;
  const binder = new Binder(rootOf);
  const [typeA, typeB] = [a, b].map((value) => isHalf(value) ? "f16" as const : "f32" as const);
  const [left, right] = [binder.read(a, typeA), binder.read(b, typeB)];
  const added = bias === undefined ? undefined : binder.read(bias, "f32");
  const result = binder.write(to, "f32");
  // Neighbouring threads read neighbouring numbers of memory, whichever way a factor lies.
  const [aRow, aAt] = turnsA ? ["e % 64u", "e / 64u"] : ["e / 16u", "e % 16u"];
  const [bColumn, bAt] = turnsB ? ["e / 16u", "e % 16u"] : ["e % 64u", "e / 64u"];
  const aPlace = turnsA ? "at * m + row" : "row * k + at";
  const bPlace = turnsB ? "column * k + at" : "at * n + column";
  const body = `var<workgroup> tileA: array<${typeA}, ${SIDE * DEPTH}>;
var<workgroup> tileB: array<${typeB}, ${SIDE * DEPTH}>;
@compute @workgroup_size(16, 16)
fn main(@builtin(workgroup_id) g: vec3<u32>, @builtin(local_invocation_id) l: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  let m = ${param(PARAMS.m)}; let n = ${param(PARAMS.n)}; let k = ${param(PARAMS.k)};
  let startA = g.z * ${param(PARAMS.batchA)};
  let startB = g.z * ${param(PARAMS.batchB)};
  var sums: array<vec4<f32>, 4>;
  for (var s = 0u; s < k; s += ${DEPTH}u) {
    for (var q = 0u; q < 4u; q++) {
      let e = t + q * 256u;
      {
        let row = g.y * ${SIDE}u + ${aRow};
        let at = s + ${aAt};
        var x = ${typeA}(0);
        if (row < m && at < k) { x = ${left}[startA + ${aPlace}]; }
        tileA[(${aAt}) * ${SIDE}u + ${aRow}] = x;
      }
      {
        let column = g.x * ${SIDE}u + ${bColumn};
        let at = s + ${bAt};
        var x = ${typeB}(0);
        if (column < n && at < k) { x = ${right}[startB + ${bPlace}]; }
        tileB[(${bAt}) * ${SIDE}u + ${bColumn}] = x;
      }
    }
    workgroupBarrier();
    for (var q = 0u; q < ${DEPTH}u; q++) {
      let at = q * ${SIDE}u + l.x * 4u;
      let y = vec4<f32>(vec4<${typeB}>(tileB[at], tileB[at + 1u], tileB[at + 2u], tileB[at + 3u]));
      for (var i = 0u; i < 4u; i++) {
        sums[i] = fma(vec4<f32>(f32(tileA[q * ${SIDE}u + l.y * 4u + i])), y, sums[i]);
      }
    }
    workgroupBarrier();
  }
  for (var i = 0u; i < 4u; i++) {
    let row = g.y * ${SIDE}u + l.y * 4u + i;
    for (var j = 0u; j < 4u; j++) {
      let column = g.x * ${SIDE}u + l.x * 4u + j;
      if (row < m && column < n) {
        ${result}[(g.z * m + row) * n + column] = sums[i][j]${added === undefined ? "" : ` + ${added}[column]`};
      }
    }
  }
}`;
  return {
    bindings: binder.bindings,
    params: paramsOf(product),
    groups: [Math.ceil(n / SIDE), Math.ceil(m / SIDE), batch],
    body,
  };
}
