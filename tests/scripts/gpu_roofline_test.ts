/** What a compiled step would take on a card, read from what XLA dumps. @module */
import { assert, assertAlmostEquals, assertEquals, assertStringIncludes } from "@std/assert";
import { kernelsOf } from "../../scripts/tools/gpu/hlo.ts";
import { expected, millisecondsOf, sums, table } from "../../scripts/tools/gpu/roofline.ts";

/** A step as XLA dumps it: two products (one of its own, one of cuBLAS's), and a kernel of every other kind. */
const text = `HloModule fused_0__.1, is_scheduled=true

%fused_gelu (param_0.1: bf16[64,128], param_1: f32[128]) -> (f32[64], bf16[64,128]) {
  %param_0.1 = bf16[64,128]{1,0} parameter(0), metadata={scheduling_name="param_0.1"}
  %convert.1 = f32[64,128]{1,0} convert(%param_0.1)
  %param_1 = f32[128]{0} parameter(1)
  %broadcast.1 = f32[64,128]{1,0} broadcast(%param_1), dimensions={1}
  %add.1 = f32[64,128]{1,0} add(%convert.1, %broadcast.1)
  %zero = f32[] constant(0)
  %reduce.1 = f32[64]{0} reduce(%add.1, %zero), dimensions={1}, to_apply=%sum
  %convert.2 = bf16[64,128]{1,0} convert(%add.1)
  ROOT %tuple.1 = (f32[64]{0}, bf16[64,128]{1,0}) tuple(%reduce.1, %convert.2)
}

%gemm_fusion_computation (p0: bf16[64,256], p1: bf16[128,256]) -> bf16[64,128] {
  %p0 = bf16[64,256]{1,0} parameter(0)
  %p1 = bf16[128,256]{1,0} parameter(1)
  ROOT %dot.1 = bf16[64,128]{1,0} dot(%p0, %p1), lhs_contracting_dims={1}, rhs_contracting_dims={1}
}

%fused_slice (param_0.2: f32[1024,128]) -> f32[8,128] {
  %param_0.2 = f32[1024,128]{1,0} parameter(0)
  %slice.1 = f32[8,128]{1,0} slice(%param_0.2), slice={[0:8], [0:128]}
  ROOT %negate.1 = f32[8,128]{1,0} negate(%slice.1)
}

%fused_turn (param_0.3: bf16[64,128]) -> bf16[128,64] {
  %param_0.3 = bf16[64,128]{1,0} parameter(0)
  ROOT %transpose.1 = bf16[128,64]{1,0} transpose(%param_0.3), dimensions={1,0}
}

ENTRY %main.1 (x: bf16[64,256], w: bf16[128,256], b: f32[128], t: f32[1024,128]) -> (f32[64,128], f32[8,128]) {
  %x = bf16[64,256]{1,0} parameter(0)
  %w = bf16[128,256]{1,0} parameter(1)
  %b = f32[128]{0} parameter(2)
  %t = f32[1024,128]{1,0} parameter(3)
  %gemm = bf16[64,128]{1,0} fusion(%x, %w), kind=kCustom, calls=%gemm_fusion_computation, backend_config={"a":"(b"}
  %gelu = (f32[64]{0}, /*index=1*/bf16[64,128]{1,0}) fusion(%gemm, %b), kind=kInput, calls=%fused_gelu
  %first = bf16[64,128]{1,0} get-tuple-element(%gelu), index=1
  %turned = bf16[128,64]{1,0} fusion(%first), kind=kLoop, calls=%fused_turn
  %wide = f32[64,128]{1,0} convert(%first)
  %part = f32[8,128]{1,0} fusion(%t), kind=kLoop, calls=%fused_slice
  %cublas = (f32[128,128]{1,0}, s8[4194304]{0}) custom-call(%turned, %first), custom_call_target="__cublas$gemm", backend_config={"gemm_backend_config":{"dot_dimension_numbers":{"lhs_contracting_dimensions":["1"],"rhs_contracting_dimensions":["0"]}}}
  ROOT %result = (f32[64,128]{1,0}, f32[8,128]{1,0}) tuple(%wide, %part)
}
`;

Deno.test("kernels of a compiled step: what they do, read and write, and multiply", () => {
  const kernels = kernelsOf(text);
  assertEquals(kernels.map(({ name, kind }) => [name, kind]), [
    ["gemm", "products"],
    ["gelu", "reductions"],
    ["turned", "layout"],
    ["wide", "conversions"],
    ["part", "elementwise"],
    ["cublas", "products"],
  ]);
  const [gemm, gelu, turned, wide, part, cublas] = kernels;
  assertEquals(gemm.flops, 2 * 64 * 128 * 256);
  assertEquals(gemm.bytes, 2 * (64 * 256 + 128 * 256 + 64 * 128));
  assertEquals([gemm.type, cublas.type], ["bf16", "bf16"]);
  assertEquals(gelu.bytes, 2 * 64 * 128 + 4 * 128 + 4 * 64 + 2 * 64 * 128);
  assertEquals(turned.bytes, 2 * 2 * 64 * 128);
  assertEquals(wide.bytes, 6 * 64 * 128);
  // Of what it reads a part of, that part.
  assertEquals(part.bytes, 2 * 4 * 8 * 128);
  assertEquals(cublas.flops, 2 * 128 * 128 * 64);
});

Deno.test("a kernel takes the longest of its bytes, its products and its launch", () => {
  assertEquals(millisecondsOf({ bytes: 1, flops: 1, type: "bf16" }), 3e-3);
  assertAlmostEquals(millisecondsOf({ bytes: 3.35e9, flops: 7e9, type: "bf16" }), 1);
  assertAlmostEquals(millisecondsOf({ bytes: 3.35e9, flops: 2.1e12, type: "bf16" }), 3);
  assertAlmostEquals(millisecondsOf({ bytes: 3.35e9, flops: 2.1e12, type: "f32" }), 5.25);
});

Deno.test("what is expected of a step meets what was measured within 2 %", () => {
  const measured = [[17.48, 933, 27.95], [19.44, 1416, 33.7], [22.62, 2051, 42.1], [24.16, 1486, 39.2], [
    30.52,
    954,
    44.8,
  ]];
  for (const [ms, kernels, found] of measured) assertAlmostEquals(expected({ ms, kernels }) / found, 1, 0.02);
});

Deno.test("the table adds up kinds and lists groups of equal kernels", () => {
  const kernels = kernelsOf(text);
  const all = sums(kernels, () => "").get("")!;
  assertEquals(all.kernels, 6);
  assertEquals(all.bytes, kernels.reduce((sum, { bytes }) => sum + bytes, 0));
  const found = table([...kernels, kernels[0]], 1);
  assert(/products +3 /.test(found), found);
  assertStringIncludes(found, "2 x");
});
