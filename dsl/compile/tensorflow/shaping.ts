/**
 * Lowering of tfjs kernels that move numbers without computing: shapes, slices, look-ups, fills.
 *
 * @module
 */
import type { DataType } from "@tensorflow/tfjs-core";
import { ELEMENT, elementOf, type ElementType } from "../../engine/tensorflow_graph/graph.ts";
import { outputsOf } from "./function_builder.ts";
import { fromFront, INT32, type Lowering, T } from "./lowering.ts";

/** The input under the shape of the result. */
const reshape: Lowering = ({ list: [x], results: [{ shape }], add, ints }) => [
  add("Reshape", [x.name, ints(shape)], { T: T(x.type), Tshape: INT32 }),
];

/** Rules by tfjs kernel. */
export const shaping: Readonly<Record<string, Lowering>> = {
  Reshape: reshape,
  ExpandDims: reshape,
  Transpose: ({ list: [x], attrs, add, ints }) => [
    add("Transpose", [x.name, ints(attrs.perm as number[])], { T: T(x.type), Tperm: INT32 }),
  ],
  Concat: ({ list, attrs, add, scalar }) => [
    add("ConcatV2", [
      ...list.map(({ name }) => name),
      scalar(ELEMENT.int32, fromFront(attrs.axis, list[0].shape.length)),
    ], { T: T(list[0].type), Tidx: INT32, N: { int: list.length } }),
  ],
  Pack: ({ list, attrs, add }) => [
    add("Pack", list.map(({ name }) => name), {
      T: T(list[0].type),
      N: { int: list.length },
      axis: { int: fromFront(attrs.axis, list[0].shape.length + 1) },
    }),
  ],
  Unpack: ({ list: [x], attrs, results, add }) =>
    outputsOf(
      add("Unpack", [x.name], {
        T: T(x.type),
        num: { int: results.length },
        axis: { int: fromFront(attrs.axis, x.shape.length) },
      }),
      results.length,
    ),
  SplitV: ({ list: [x], attrs, results, add, ints, scalar }) => {
    const axis = fromFront(attrs.axis, x.shape.length);
    const sizes = ints(results.map(({ shape }) => shape[axis]));
    return outputsOf(
      add("SplitV", [x.name, sizes, scalar(ELEMENT.int32, axis)], {
        T: T(x.type),
        Tlen: INT32,
        num_split: { int: results.length },
      }),
      results.length,
    );
  },
  Slice: ({ list: [x], attrs, results: [{ shape }], add, ints }) => [
    add("Slice", [x.name, ints(attrs.begin as number[]), ints(shape)], { T: T(x.type), Index: INT32 }),
  ],
  StridedSlice: ({ list: [x], attrs, add, ints }) => [
    add("StridedSlice", [
      x.name,
      ints(attrs.begin as number[]),
      ints(attrs.end as number[]),
      ints(attrs.strides as number[]),
    ], {
      T: T(x.type),
      Index: INT32,
      begin_mask: { int: Number(attrs.beginMask) },
      end_mask: { int: Number(attrs.endMask) },
      ellipsis_mask: { int: Number(attrs.ellipsisMask) },
      new_axis_mask: { int: Number(attrs.newAxisMask) },
      shrink_axis_mask: { int: Number(attrs.shrinkAxisMask) },
    }),
  ],
  PadV2: ({ list: [x], attrs, add, scalar, numbers }) => {
    const pairs = attrs.paddings as [number, number][];
    const paddings = numbers(ELEMENT.int32, [pairs.length, 2], pairs.flat());
    return [
      add("PadV2", [x.name, paddings, scalar(x.type, Number(attrs.constantValue))], { T: T(x.type), Tpaddings: INT32 }),
    ];
  },
  Tile: ({ list: [x], attrs, add, ints }) => [
    add("Tile", [x.name, ints(attrs.reps as number[])], { T: T(x.type), Tmultiples: INT32 }),
  ],
  BroadcastTo: ({ list: [x], attrs, add, ints }) => [
    add("BroadcastTo", [x.name, ints(attrs.shape as number[])], { T: T(x.type), Tidx: INT32 }),
  ],
  Reverse: ({ list: [x], attrs, add, ints }) => [
    add("ReverseV2", [x.name, ints((attrs.dims as number[]).map((axis) => fromFront(axis, x.shape.length)))], {
      T: T(x.type),
      Tidx: INT32,
    }),
  ],
  GatherV2: ({ inputs: { x, indices }, attrs, add, scalar }) => [
    add("GatherV2", [x.name, indices.name, scalar(ELEMENT.int32, fromFront(attrs.axis, x.shape.length))], {
      Tparams: T(x.type),
      Tindices: INT32,
      Taxis: INT32,
      batch_dims: { int: Number(attrs.batchDims ?? 0) },
    }),
  ],
  GatherNd: ({ inputs: { params, indices }, add }) => [
    add("GatherNd", [params.name, indices.name], { Tparams: T(params.type), Tindices: INT32 }),
  ],
  ScatterNd: ({ inputs: { indices, updates }, attrs, add, ints }) => [
    add("ScatterNd", [indices.name, updates.name, ints(attrs.shape as number[])], {
      T: T(updates.type),
      Tindices: INT32,
    }),
  ],
  OneHot: ({ inputs: { indices }, attrs, results: [{ dtype }], add, scalar }) => {
    const type = elementOf(dtype);
    const [depth, on, off] = [attrs.depth, attrs.onValue, attrs.offValue].map(Number);
    return [
      add("OneHot", [indices.name, scalar(ELEMENT.int32, depth), scalar(type, on), scalar(type, off)], {
        T: T(type),
        TI: INT32,
        axis: { int: -1 },
      }),
    ];
  },
  UnsortedSegmentSum: ({ inputs: { x, segmentIds }, attrs, add, scalar }) => [
    add("UnsortedSegmentSum", [x.name, segmentIds.name, scalar(ELEMENT.int32, Number(attrs.numSegments))], {
      T: T(x.type),
      Tindices: INT32,
      Tnumsegments: INT32,
    }),
  ],
  Fill: ({ attrs, results: [{ shape, dtype }], add, ints, scalar }) => {
    const type = elementOf(dtype);
    return [add("Fill", [ints(shape), scalar(type, Number(attrs.value))], { T: T(type), index_type: INT32 })];
  },
  Range: ({ attrs, results: [{ shape: [length], dtype }], numbers }) => {
    const type: ElementType = elementOf(dtype as DataType);
    const [start, step] = [Number(attrs.start), Number(attrs.step)];
    return [numbers(type, [length], Array.from({ length }, (_, i) => start + i * step))];
  },
  ResizeBilinear: ({ inputs: { images }, attrs, add, ints }) => [
    add("ResizeBilinear", [images.name, ints(attrs.size as number[])], {
      T: T(images.type),
      align_corners: { bool: attrs.alignCorners === true },
      half_pixel_centers: { bool: attrs.halfPixelCenters === true },
    }),
  ],
};
