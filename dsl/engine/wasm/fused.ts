/**
 * Formulas of the project that tfjs has no kernel for. Composed of tfjs's kernels, each would pass over memory several
 * times.
 *
 * @module
 */

import type * as tf from "@tensorflow/tfjs-core";
import type { Call, Kernel, Kernels } from "./kernel.ts";
import { areFloats, asRows, size } from "./shape.ts";

/** Attributes of the kernels below; each has some. */
interface Attributes {
  readonly approximation: "none" | "tanh";
  readonly epsilon: number;
  readonly centred: boolean;
  readonly beta2: number;
  readonly back: boolean;
  readonly axis: number;
  readonly shared: number;
  readonly own: number;
  readonly scale: number;
}

function attributes({ attrs }: Call): Attributes {
  return attrs as unknown as Attributes;
}

/** Leaves calls with anything but float32 alone: there is no other kernel for them. */
function ofFloats(kernel: (...args: Parameters<Kernel>) => tf.TensorInfo | tf.TensorInfo[]): Kernel {
  return (heap, call) =>
    Object.values(call.inputs).every(({ dtype }) => dtype === "float32") ? kernel(heap, call) : undefined;
}

/**
 * Kernels under names of our own, for `tf.engine().runKernel`; inputs {}, attributes <>:
 *
 * - `Gelu` {x} <approximation: "none" | "tanh"> -> y
 * - `GeluGrad` {dy, x} <approximation> -> dx
 * - `SoftmaxGrad` {dy, y} -> dx, over the last axis
 * - `SoftmaxParts` {logits [R, C]} -> [y, top, total] with top = max(logits) and total = sum(e^(logits - top)) over the last
 *   axis, [R, 1]
 * - `CrossEntropyGrad` {p [R, C], scaled [R], at int32 [R]} <shared, own> -> (p - shared) scaled, less scaled own at the
 *   elements `at`, one a row
 * - `MaskedSoftmax` {logits, mask} -> softmax(logits + mask) over the last axis of [B, H, N, M], mask [B or 1, 1, N or 1, M]
 * - `SeenAttention` {q, k, v, mask, past k, past v} <scale> -> softmax(scale q k^T + mask) v of [B, H, N, hd], keys of the past,
 *   where there are some, before k [B, KV, M, hd]; mask [B or 1, 1, N or 1, M]. Keys that the mask has -1e8 and less for are
 *   left out: which and how many there are changes nothing. At most 2^15 - 4 keys
 * - `Rotary` {x, cos, sin} <back> -> x cos + swap(x) sin, or x cos - swap(x) sin on the way back, for x [..., N, hd] and cos, sin
 *   [N, hd], where swap exchanges the halves of the last axis
 * - `RotaryMoved` {x, cos, sin} <back, axis> -> the same of x [B, N, H, hd] with N positions (axis 1), or of x [B, H, N, hd]
 *   (axis 2), with the two axes exchanged in the result
 * - `Standardise` {x} <epsilon, centred> -> [y, scale] with y = (x - mean) scale and scale = 1 / sqrt(variance + epsilon)
 *   over the last axis, [..., 1]; without `centred` the mean counts as 0
 * - `StandardiseGrad` {dy, y, scale} <centred> -> dx
 * - `AdamwStep` {p, g, m, v, step, floor, shrink, fresh} <beta2> -> [p, m, v]: m + (g - m) fresh, v beta2 + g² (1 - beta2)
 *   and p shrink - step m / (√v + floor); the last four inputs have one element
 */
export const fusedKernels: Kernels = {
  Gelu: ofFloats((heap, call) => {
    const { x } = call.inputs;
    const y = heap.output(x.shape);
    const f = heap.functions[attributes(call).approximation === "tanh" ? "geluTanh" : "gelu"];
    f(heap.address(x), heap.address(y), size(x.shape));
    return y;
  }),
  GeluGrad: ofFloats((heap, call) => {
    const { dy, x } = call.inputs;
    const dx = heap.output(x.shape);
    const f = heap.functions[attributes(call).approximation === "tanh" ? "geluTanhGradient" : "geluGradient"];
    f(heap.address(dy), heap.address(x), heap.address(dx), size(x.shape));
    return dx;
  }),
  SoftmaxGrad: ofFloats((heap, { inputs: { dy, y } }) => {
    const { rows, width } = asRows(y.shape);
    const dx = heap.output(y.shape);
    heap.functions.softmaxGradient(heap.address(dy), heap.address(y), heap.address(dx), rows, width);
    return dx;
  }),
  SoftmaxParts: ofFloats((heap, { inputs: { logits } }) => {
    const { rows, width } = asRows(logits.shape);
    const [y, top, total] = [logits.shape, [rows, 1], [rows, 1]].map((shape) => heap.output(shape));
    const [from, ...to] = [logits, y, top, total].map(heap.address);
    heap.functions.softmaxParts(from, ...to, rows, width);
    return [y, top, total];
  }),
  CrossEntropyGrad: (heap, call) => {
    const { p, scaled, at } = call.inputs;
    if (!areFloats(p, scaled) || at.dtype !== "int32") return undefined;
    const { shared, own } = attributes(call);
    const { rows, width } = asRows(p.shape);
    const dx = heap.output(p.shape);
    heap.functions.crossEntropyGradient(...[p, at, scaled, dx].map(heap.address), rows, width, 0, shared, own);
    return dx;
  },
  MaskedSoftmax: ofFloats((heap, { inputs: { logits, mask } }) => {
    const [, heads, queries, keys] = logits.shape;
    const { rows, width } = asRows(logits.shape);
    const out = heap.output(logits.shape);
    const [batches, , seen] = mask.shape;
    heap.functions.softmaxMasked(
      ...[logits, mask, out].map(heap.address),
      ...[rows, width, 0, heads * queries, batches > 1 ? seen * keys * 4 : 0, queries, seen > 1 ? keys * 4 : 0],
    );
    return out;
  }),
  SeenAttention: ofFloats((heap, call) => {
    const { q, k, v, mask, pastKey, pastValue } = call.inputs;
    const [, heads, queries, size] = q.shape;
    const [, keyHeads, after] = k.shape;
    const before = pastKey === undefined ? 0 : pastKey.shape[2];
    const [batches, , seen, columns] = mask.shape;
    const out = heap.output(q.shape);
    const addresses = [q, pastKey ?? k, pastValue ?? v, k, v, mask, out].map(heap.address);
    const { rows } = asRows(q.shape);
    heap.functions.attend(
      ...addresses,
      ...[heap.work, rows, size, 0, heads, heads / keyHeads, queries, before, after],
      ...[batches > 1 ? seen * columns * 4 : 0, seen > 1 ? columns * 4 : 0, attributes(call).scale],
    );
    return out;
  }),
  Rotary: ofFloats((heap, call) => {
    const { x, cos, sin } = call.inputs;
    const { rows, width } = asRows(x.shape);
    const out = heap.output(x.shape);
    const positions = x.shape[x.shape.length - 2];
    const back = Number(attributes(call).back);
    heap.functions.rotate(...[x, cos, sin, out].map(heap.address), rows, width, 0, positions, back);
    return out;
  }),
  RotaryMoved: ofFloats((heap, call) => {
    const { x, cos, sin } = call.inputs;
    const [batch, inner, outer, size] = x.shape;
    const out = heap.output([batch, outer, inner, size]);
    const { back, axis } = attributes(call);
    heap.functions.rotateMoved(
      ...[x, cos, sin, out].map(heap.address),
      ...[batch * outer * inner, size, 0, outer, inner, Number(axis === 2), Number(back)],
    );
    return out;
  }),
  Standardise: ofFloats((heap, call) => {
    const { x } = call.inputs;
    const { epsilon, centred } = attributes(call);
    const { rows, width } = asRows(x.shape);
    const [y, scale] = [heap.output(x.shape), heap.output([...x.shape.slice(0, -1), 1])];
    const [from, to, factors] = [x, y, scale].map(heap.address);
    heap.functions.standardise(from, to, factors, rows, width, epsilon, Number(centred));
    return [y, scale];
  }),
  StandardiseGrad: ofFloats((heap, call) => {
    const { dy, y, scale } = call.inputs;
    const { rows, width } = asRows(y.shape);
    const dx = heap.output(y.shape);
    const [gradient, output, factors, to] = [dy, y, scale, dx].map(heap.address);
    const centred = Number(attributes(call).centred);
    heap.functions.standardiseGradient(gradient, output, factors, to, rows, width, centred);
    return dx;
  }),
  AdamwStep: ofFloats((heap, call) => {
    const { p, g, m, v, step, floor, shrink, fresh } = call.inputs;
    const { beta2 } = attributes(call);
    const next = [p, m, v].map(({ shape }) => heap.output(shape));
    const vectors = [p, g, m, v, ...next].map(heap.address);
    const scalars = [step, floor, shrink, fresh].map(heap.address);
    heap.functions.adamw(...vectors, size(p.shape), ...scalars, beta2, 1 - beta2);
    return next;
  }),
};
