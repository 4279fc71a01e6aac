/**
 * Convolutions of NHWC images.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import type { Kernels } from "./kernel.ts";
import type { Heap } from "./module.ts";
import { areFloats, size } from "./shape.ts";

/** Attributes of tfjs's convolutions. */
interface Attributes {
  readonly strides: number | [number, number];
  readonly pad: "same" | "valid" | number | tf.backend_util.ExplicitPadding;
  readonly dataFormat: "NHWC" | "NCHW";
  readonly dilations?: number | [number, number];
  readonly dimRoundingMode?: "floor" | "round" | "ceil";
  readonly inputShape: [number, number, number, number];
}

type Shape4D = [number, number, number, number];

/** What is needed of a convolution; nothing for those that are left to tfjs: dilated, grouped, unequal strides, NCHW. */
function sliding(image: readonly number[], filter: readonly number[], attrs: tf.NamedAttrMap) {
  const { strides, pad, dataFormat, dilations = 1, dimRoundingMode } = attrs as unknown as Attributes;
  if (dataFormat !== "NHWC") return undefined;
  const info = tf.backend_util.computeConv2DInfo(
    [...image] as Shape4D,
    [...filter] as Shape4D,
    strides,
    dilations,
    pad,
    dimRoundingMode,
  );
  const isPlain = info.strideHeight === info.strideWidth && info.dilationHeight === 1 && info.dilationWidth === 1 &&
    image[3] === filter[2];
  return isPlain ? info : undefined;
}

/** The product [rows, depth] by [depth, columns] or, transposed, [columns, depth]. */
function product(
  heap: Heap,
  [left, right, out]: readonly [left: number, right: number, out: number],
  [rows, depth, columns]: readonly [rows: number, depth: number, columns: number],
  transposed: boolean,
): void {
  heap.functions.matmul(
    ...[1, left, 0, right, 0, out, rows, columns, depth, 0, Number(transposed), heap.work, 0, 0],
    ...[depth * 4, (transposed ? depth : columns) * 4, columns * 4],
  );
}

/** Floats of a thread's work area that tiles may take, and most channels of one; see assembly/winograd.ts. */
const [TILES, MOST_CHANNELS] = [57344, 512];

/**
 * The shape of a filter as products of tiles of 2 x 2 output pixels read it, [places, channels, columns].
 *
 * @param filter Its shape, [height, width, channels, columns]
 * @param strides How far it moves
 * @returns Nothing where the convolution is made pixel by pixel: other kernels than 3 x 3, steps, few channels (padding and
 * additions would cost more than 16 products instead of 36 save) or more than a thread's work area holds
 */
export function turnedFilter(
  [height, width, channels, columns]: readonly number[],
  strides: number | readonly [number, number],
): readonly number[] | undefined {
  const [depth, padded] = [[channels, 4], [columns, 8]].map(([n, multiple]) => Math.ceil(n / multiple) * multiple);
  const fits = channels >= 4 && depth <= MOST_CHANNELS && 16 * 6 * (depth + padded) <= TILES;
  const isPlain = height === 3 && width === 3 && [strides].flat().every((stride) => stride === 1);
  return isPlain && fits ? [16, depth, padded] : undefined;
}

/** Kernels of tf.conv2d and tf.conv2dTranspose. */
export const convolutionKernels: Kernels = {
  Conv2D: (heap, { inputs: { x, filter }, attrs }) => {
    const info = areFloats(x, filter) ? sliding(x.shape, filter.shape, attrs) : undefined;
    if (info === undefined || info.outShape.includes(0)) return undefined;
    const { filterHeight, filterWidth, outHeight, outWidth, inHeight, inWidth, inChannels, outChannels } = info;
    const { batchSize, strideHeight: stride, padInfo: { top, left } } = info;
    const out = heap.output(info.outShape);
    const [from, weights, to] = [x, filter, out].map(heap.address);
    const rows = batchSize * outHeight * outWidth;
    const seesOne = filterHeight === 1 && filterWidth === 1 && stride === 1 && outHeight === inHeight &&
      outWidth === inWidth;
    const turned = turnedFilter(filter.shape, stride);
    if (seesOne) product(heap, [from, weights, to], [rows, inChannels, outChannels], false);
    else if (turned !== undefined) {
      const panels = heap.output(turned);
      heap.functions.turnFilter(weights, heap.address(panels), 0, inChannels, inChannels, outChannels);
      heap.functions.convolveTiles(
        ...[from, heap.address(panels), to, 0, batchSize * Math.ceil(outHeight / 2) * Math.ceil(outWidth / 2)],
        ...[outChannels, inHeight, inWidth, inChannels, outHeight, outWidth, top, left, heap.work],
      );
      heap.release(panels);
    } else {
      heap.functions.convolve(
        ...[from, weights, to, 0, rows, outChannels, inHeight, inWidth, inChannels, filterHeight, filterWidth],
        ...[outHeight * outWidth, outWidth, stride, top, left, heap.work],
      );
    }
    return out;
  },
  Conv2DBackpropInput: (heap, { inputs: { dy, filter }, attrs }) => {
    const { inputShape } = attrs as unknown as Attributes;
    const info = areFloats(dy, filter) ? sliding(inputShape, filter.shape, attrs) : undefined;
    if (info === undefined || size(inputShape) === 0) return undefined;
    const { filterHeight, filterWidth, outHeight, outWidth, inHeight, inWidth, inChannels, outChannels } = info;
    const { batchSize, strideHeight: stride, padInfo: { top, left } } = info;
    const pixels = batchSize * outHeight * outWidth;
    const patch = filterHeight * filterWidth * inChannels;
    const patches = heap.output([pixels, patch]);
    const out = heap.output(inputShape);
    const [gradient, weights, middle, to] = [dy, filter, patches, out].map(heap.address);
    product(heap, [gradient, weights, middle], [pixels, outChannels, patch], true);
    heap.functions.collect(
      ...[middle, to, 0, batchSize * inHeight, inHeight, inWidth, inChannels, filterHeight, filterWidth],
      ...[outHeight, outWidth, stride, top, left],
    );
    heap.release(patches);
    return out;
  },
};
