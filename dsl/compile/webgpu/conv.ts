/**
 * Convolutions of NHWC activations: a thread for each place and four channels of what is made.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import type { Call } from "../program.ts";
import { Binder, elementOf, type GpuKernel, overRange, widest } from "./kernel.ts";
import type { Lower, Lowering } from "./lowering.ts";

type Shape4 = [number, number, number, number];

/** Sizes and steps; nothing for what is not channels last. */
function geometry({ attrs }: Call, x: readonly number[], filter: readonly number[]) {
  if ((attrs.dataFormat ?? "NHWC") !== "NHWC") return undefined;
  return tf.backend_util.computeConv2DInfo(
    [...x] as Shape4,
    [...filter] as Shape4,
    attrs.strides as number,
    (attrs.dilations as number) ?? 1,
    attrs.pad as number,
    attrs.dimRoundingMode as "floor",
  );
}

const conv2d: Lower = (call, lowering) => {
  const { inputs: [x, filter], outputs: [to] } = call;
  const { types, rootOf } = lowering;
  const info = geometry(call, types[x].shape, types[filter].shape);
  if (info === undefined || call.inputs.length > 2) return undefined;
  const { inHeight, inWidth, inChannels, outHeight, outWidth, outChannels, filterHeight, filterWidth } = info;
  const wideIn = inChannels % 4 === 0;
  return [widest((isWide): GpuKernel => {
    const width = isWide ? 4 : 1;
    const type = elementOf(types[to], isWide);
    const [across, channels] = [outChannels / width, inChannels / (wideIn ? 4 : 1)];
    const binder = new Binder(rootOf);
    const pixels = binder.read(x, wideIn ? "vec4<f32>" : "f32");
    const [weights, result] = [binder.read(filter, type), binder.write(to, type)];
    const { head, groups } = overRange(info.batchSize * outHeight * outWidth * across);
    const terms = wideIn
      ? [..."xyzw"].map((part, u) => `sum = fma(${type}(pixel.${part}), ${weights}[w + ${u * across}u], sum);`).join(
        " ",
      )
      : `sum = fma(${type}(pixel), ${weights}[w], sum);`;
    const body = `${head}  let channel = i % ${across}u;
  let column = (i / ${across}u) % ${outWidth}u;
  let row = (i / ${across * outWidth}u) % ${outHeight}u;
  let image = i / ${across * outWidth * outHeight}u;
  var sum = ${type}(0);
  for (var fy = 0u; fy < ${filterHeight}u; fy++) {
    let y = i32(row * ${info.strideHeight}u + fy * ${info.dilationHeight}u) - ${info.padInfo.top};
    if (y < 0 || y >= ${inHeight}) { continue; }
    for (var fx = 0u; fx < ${filterWidth}u; fx++) {
      let x = i32(column * ${info.strideWidth}u + fx * ${info.dilationWidth}u) - ${info.padInfo.left};
      if (x < 0 || x >= ${inWidth}) { continue; }
      let origin = ((image * ${inHeight}u + u32(y)) * ${inWidth}u + u32(x)) * ${channels}u;
      let first = (fy * ${filterWidth}u + fx) * ${inChannels * across}u + channel;
      for (var c = 0u; c < ${channels}u; c++) {
        let pixel = ${pixels}[origin + c];
        let w = first + c * ${across * (wideIn ? 4 : 1)}u;
        ${terms}
      }
    }
  }
  ${result}[i] = sum;
}`;
    return { bindings: binder.bindings, params: [], groups, body };
  }, outChannels % 4 === 0)];
};

/** dx of a convolution: every place of x gathers from the places that it was read for. */
const conv2dInput: Lower = (call, { types, rootOf }: Lowering) => {
  const { inputs: [dy, filter], outputs: [to], attrs } = call;
  const info = geometry(call, attrs.inputShape as number[], types[filter].shape);
  if (info === undefined) return undefined;
  const { inHeight, inWidth, inChannels, outHeight, outWidth, outChannels, filterHeight, filterWidth } = info;
  const isWide = outChannels % 4 === 0;
  const [element, channels] = [isWide ? "vec4<f32>" : "f32", outChannels / (isWide ? 4 : 1)] as const;
  const binder = new Binder(rootOf);
  const [gradient, weights, result] = [binder.read(dy, element), binder.read(filter, element), binder.write(to, "f32")];
  const { head, groups } = overRange(info.batchSize * inHeight * inWidth * inChannels);
  const product = `${gradient}[origin + c], ${weights}[w + c]`;
  const body = `${head}  let channel = i % ${inChannels}u;
  let column = (i / ${inChannels}u) % ${inWidth}u;
  let row = (i / ${inChannels * inWidth}u) % ${inHeight}u;
  let image = i / ${inChannels * inWidth * inHeight}u;
  var sum = 0f;
  for (var fy = 0u; fy < ${filterHeight}u; fy++) {
    let above = i32(row + ${info.padInfo.top}u) - i32(fy * ${info.dilationHeight}u);
    let y = above / ${info.strideHeight};
    if (above < 0 || above % ${info.strideHeight} != 0 || y >= ${outHeight}) { continue; }
    for (var fx = 0u; fx < ${filterWidth}u; fx++) {
      let before = i32(column + ${info.padInfo.left}u) - i32(fx * ${info.dilationWidth}u);
      let x = before / ${info.strideWidth};
      if (before < 0 || before % ${info.strideWidth} != 0 || x >= ${outWidth}) { continue; }
      let origin = ((image * ${outHeight}u + u32(y)) * ${outWidth}u + u32(x)) * ${channels}u;
      let w = ((fy * ${filterWidth}u + fx) * ${inChannels}u + channel) * ${channels}u;
      for (var c = 0u; c < ${channels}u; c++) { sum += ${isWide ? `dot(${product})` : product.replace(", ", " * ")}; }
    }
  }
  ${result}[i] = sum;
}`;
  return [{ bindings: binder.bindings, params: [], groups, body }];
};

/** Convolutions by tfjs's kernels. */
export const convolutions: Readonly<Record<string, Lower>> = { Conv2D: conv2d, Conv2DBackpropInput: conv2dInput };
