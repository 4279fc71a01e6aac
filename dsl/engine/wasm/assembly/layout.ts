// What all kernels share: fixed places in memory, and vectors that end early.
//
// The memory is tfjs-wasm's. V8 checks the bounds of every access whose address is not a constant, two extra
// instructions each, because Deno lets no signal handler take that over. So what the innermost loops read over and over
// lives at constant addresses: the block is allocated at run time by tfjs-wasm's malloc, and the placeholder is replaced
// by its address in the binary before V8 compiles it.

/** Placeholder for the block's address, for accesses: `v128.load(BLOCK, offset)`. The same in scripts/tools/kernels.ts. */
// @ts-ignore: decorator
@inline
export const BLOCK: usize = 0x7ace0000;

/** The block's address, for arithmetic. */
export const block: usize = BLOCK;

/** Size of the tiles that matrix products are made of. */
export const ROWS: usize = 6;
export const COLUMNS: usize = 8;
export const DEPTH: usize = 64;

/** The block: ROWS x DEPTH floats of the left factor, a tile of the product, and the constants of maths.ts. */
export const TILE: usize = ROWS * DEPTH * 4;
// @ts-ignore: decorator
@inline
export const CONSTANTS: usize = 2048;

/** a * b + c: one rounding where relaxed SIMD gives a fused instruction, two otherwise. */
// @ts-ignore: decorator
@inline
export function fma(a: v128, b: v128, c: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return f32x4.relaxed_madd(a, b, c);
  return f32x4.add(f32x4.mul(a, b), c);
}

/** c - a * b. */
// @ts-ignore: decorator
@inline
export function fnma(a: v128, b: v128, c: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return f32x4.relaxed_nmadd(a, b, c);
  return f32x4.sub(c, f32x4.mul(a, b));
}

/** The first `count` (1 to 3) floats at `from`; zeros behind them. */
export function loadPart(from: usize, count: usize): v128 {
  if (count == 1) return v128.load32_zero(from);
  const pair = v128.load64_zero(from);
  return count == 2 ? pair : v128.load_lane<f32>(from, pair, 2, 8);
}

/** Stores the first `count` (1 to 3) floats. */
export function storePart(to: usize, value: v128, count: usize): void {
  if (count == 1) {
    v128.store_lane<f32>(to, value, 0);
  } else {
    v128.store_lane<f64>(to, value, 0);
    if (count == 3) v128.store_lane<f32>(to, value, 2, 8);
  }
}

/** Sum of the four lanes, pairwise. */
// @ts-ignore: decorator
@inline
export function sumLanes(x: v128): f32 {
  const pairs = f32x4.add(x, v128.shuffle<f32>(x, x, 2, 3, 0, 1));
  return f32x4.extract_lane(pairs, 0) + f32x4.extract_lane(pairs, 1);
}
