/**
 * Kernels that only move numbers: slices, joints, transpositions, repetitions.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { sizeOf } from "../../tree.ts";
import type { ValueId } from "../program.ts";
import { Binder, elementOf, float, type GpuKernel, overRange, param, widest } from "./kernel.ts";
import type { Lower, Lowering } from "./lowering.ts";

/** Places of numbers: those of the axes, each times its step, and an offset. */
interface Places {
  readonly value: ValueId;
  readonly steps: readonly number[];
  readonly offset: number;
}

/** Steps of a whole tensor. */
function stepsOf(shape: readonly number[]): readonly number[] {
  return shape.map((_, axis) => sizeOf(shape.slice(axis + 1)));
}

/** An axis of both sides. */
type Axis = readonly [length: number, from: number, to: number];

/** Axes with those left out that have one place, and those joined that both sides go through as through one. */
function joinedAxes(axes: readonly Axis[]): readonly Axis[] {
  const joined: Axis[] = [];
  for (const [length, from, to] of axes) {
    if (length === 1) continue;
    const before = joined[joined.length - 1];
    if (before !== undefined && before[1] === from * length && before[2] === to * length) {
      joined[joined.length - 1] = [before[0] * length, from, to];
    } else joined.push([length, from, to]);
  }
  return joined.length === 0 ? [[1, 1, 1]] : joined;
}

/**
 * The kernel that moves numbers from some places to others.
 *
 * @param shape How many along each axis
 * @param from Where they are
 * @param to Where they go
 * @param lowering The program
 */
function move(shape: readonly number[], from: Places, to: Places, { types, rootOf }: Lowering): GpuKernel {
  const axes = joinedAxes(shape.map((length, axis) => [length, from.steps[axis], to.steps[axis]]));
  const [length, ...last] = axes[axes.length - 1];
  const isRun = last.every((step) => step === 1) && length % 4 === 0 &&
    [from.offset, to.offset, ...axes.slice(0, -1).flatMap(([, ...steps]) => steps)].every((each) => each % 4 === 0);
  return widest((isWide): GpuKernel => {
    const width = isWide ? 4 : 1;
    const binder = new Binder(rootOf);
    const element = elementOf(types[from.value], isWide);
    const [source, target] = [binder.read(from.value, element), binder.write(to.value, element)];
    const { head, groups } = overRange(sizeOf(shape) / width);
    const lines: string[] = [];
    const terms: [string[], string[]] = [[], []];
    let rest = "i";
    for (let axis = axes.length - 1; axis >= 0; axis--) {
      const [count, ...steps] = axes[axis];
      const places = axis === axes.length - 1 ? count / width : count;
      lines.push(
        axis === 0
          ? `  let x0 = ${rest};`
          : `  let x${axis} = ${rest} % ${places}u; let r${axis} = ${rest} / ${places}u;`,
      );
      rest = `r${axis}`;
      steps.forEach((step, side) => {
        const by = axis === axes.length - 1 ? step : step / width;
        // Steps back wrap around, as whole numbers of 32 bits do.
        if (by !== 0) terms[side].push(by === 1 ? `x${axis}` : `x${axis} * ${by >>> 0}u`);
      });
    }
    const [read, written] = terms.map((each, side) => [param(side), ...each].join(" + "));
    return {
      bindings: binder.bindings,
      params: [from.offset / width, to.offset / width],
      groups,
      body: [head, ...lines, `  ${target}[${written}] = ${source}[${read}];`, "}"].join("\n"),
    };
  }, isRun);
}

/**
 * The kernel that gives all of a tensor one value.
 *
 * @param to The tensor
 * @param value The value
 * @param lowering The program
 */
export function fill(to: ValueId, value: number, { types, rootOf }: Lowering): GpuKernel {
  const size = sizeOf(types[to].shape);
  const width = size % 4 === 0 ? 4 : 1;
  const binder = new Binder(rootOf);
  const element = elementOf(types[to], width === 4);
  const target = binder.write(to, element);
  const { head, groups } = overRange(size / width);
  const number = types[to].dtype === "float32" ? float(value) : `${Math.trunc(value)}i`;
  return { bindings: binder.bindings, params: [], groups, body: `${head}  ${target}[i] = ${element}(${number});\n}` };
}

/** All of a tensor. */
function whole(value: ValueId, shape: readonly number[]): Places {
  return { value, steps: stepsOf(shape), offset: 0 };
}

/** The part of a tensor that begins at some place, in steps along its axes. */
function part(value: ValueId, shape: readonly number[], begin: readonly number[], strides?: readonly number[]): Places {
  const steps = stepsOf(shape);
  return {
    value,
    steps: steps.map((step, axis) => step * (strides?.[axis] ?? 1)),
    offset: begin.reduce((sum, at, axis) => sum + at * steps[axis], 0),
  };
}

function axisOf(axis: unknown, rank: number): number {
  return (Number(axis ?? 0) + rank) % rank;
}

/** Places along an axis, 0 along the others. */
function along(rank: number, axis: number, at: number): readonly number[] {
  return Array.from({ length: rank }, (_, i) => i === axis ? at : 0);
}

function withAxis(shape: readonly number[], axis: number): readonly number[] {
  return [...shape.slice(0, axis), 1, ...shape.slice(axis)];
}

const concat: Lower = ({ inputs, attrs, outputs: [to] }, lowering) => {
  const { types } = lowering;
  const { shape } = types[to];
  const axis = axisOf(attrs.axis, shape.length);
  let at = 0;
  return inputs.flatMap((from) => {
    const own = types[from].shape;
    const begin = along(shape.length, axis, at);
    at += own[axis];
    return sizeOf(own) === 0 ? [] : [move(own, whole(from, own), part(to, shape, begin), lowering)];
  });
};

const pack: Lower = ({ inputs, attrs, outputs: [to] }, lowering) => {
  const { types } = lowering;
  const { shape } = types[to];
  const axis = axisOf(attrs.axis, shape.length);
  return inputs.map((from, at) => {
    const own = withAxis(types[from].shape, axis);
    return move(own, whole(from, own), part(to, shape, along(shape.length, axis, at)), lowering);
  });
};

const split: Lower = ({ inputs: [from], attrs, outputs }, lowering) => {
  const { types } = lowering;
  const { shape } = types[from];
  const axis = axisOf(attrs.axis, shape.length);
  let at = 0;
  return outputs.flatMap((to) => {
    const own = types[to].shape;
    const begin = along(shape.length, axis, at);
    at += own[axis];
    return sizeOf(own) === 0 ? [] : [move(own, part(from, shape, begin), whole(to, own), lowering)];
  });
};

const unpack: Lower = ({ inputs: [from], attrs, outputs }, lowering) => {
  const { types } = lowering;
  const { shape } = types[from];
  const axis = axisOf(attrs.axis, shape.length);
  return outputs.map((to, at) => {
    const own = withAxis(types[to].shape, axis);
    return move(own, part(from, shape, along(shape.length, axis, at)), whole(to, own), lowering);
  });
};

const slice: Lower = ({ inputs: [from], attrs, outputs: [to] }, lowering) => {
  const { types } = lowering;
  const own = types[to].shape;
  return [move(own, part(from, types[from].shape, attrs.begin as number[]), whole(to, own), lowering)];
};

const stridedSlice: Lower = ({ inputs: [from], attrs: a, outputs: [to] }, lowering) => {
  const { shape } = lowering.types[from];
  const [begin, end, strides] = [a.begin, a.end, a.strides] as number[][];
  const [beginMask, endMask, ellipsis, added, shrunk] = [
    ...[a.beginMask, a.endMask, a.ellipsisMask, a.newAxisMask, a.shrinkAxisMask],
  ].map(Number);
  const info = tf.slice_util.sliceInfo([...shape], begin, end, strides, beginMask, endMask, ellipsis, added, shrunk);
  const own = tf.slice_util.computeOutShape(info.begin, info.end, info.strides);
  return [move(own, part(from, shape, info.begin, info.strides), whole(to, own), lowering)];
};

const transpose: Lower = ({ inputs: [from], attrs, outputs: [to] }, lowering) => {
  const steps = stepsOf(lowering.types[from].shape);
  const own = lowering.types[to].shape;
  const turned = (attrs.perm as number[]).map((axis) => steps[axis]);
  return [move(own, { value: from, steps: turned, offset: 0 }, whole(to, own), lowering)];
};

const reverse: Lower = ({ inputs: [from], attrs, outputs: [to] }, lowering) => {
  const { shape } = lowering.types[from];
  const dims = tf.util.parseAxisParam(attrs.dims as number[], [...shape]);
  const begin = shape.map((length, axis) => dims.includes(axis) ? length - 1 : 0);
  const strides = shape.map((_, axis) => dims.includes(axis) ? -1 : 1);
  return [move(shape, part(from, shape, begin, strides), whole(to, shape), lowering)];
};

const tile: Lower = ({ inputs: [from], attrs, outputs: [to] }, lowering) => {
  const { shape } = lowering.types[from];
  const reps = attrs.reps as number[];
  const own = shape.flatMap((length, axis) => [reps[axis], length]);
  const steps = stepsOf(shape).flatMap((step) => [0, step]);
  return [move(own, { value: from, steps, offset: 0 }, whole(to, own), lowering)];
};

const broadcast: Lower = ({ inputs: [from], outputs: [to] }, lowering) => {
  const own = lowering.types[to].shape;
  const shape = lowering.types[from].shape;
  const all = [...Array(own.length - shape.length).fill(1), ...shape] as number[];
  const steps = stepsOf(all).map((step, axis) => all[axis] === 1 ? 0 : step);
  return [move(own, { value: from, steps, offset: 0 }, whole(to, own), lowering)];
};

const pad: Lower = ({ inputs: [from], attrs, outputs: [to] }, lowering) => {
  const { shape } = lowering.types[from];
  const begin = (attrs.paddings as number[][]).map(([before]) => before);
  return [
    fill(to, Number(attrs.constantValue ?? 0), lowering),
    move(shape, whole(from, shape), part(to, lowering.types[to].shape, begin), lowering),
  ];
};

/** Movements by tfjs's kernels. */
export const moves: Readonly<Record<string, Lower>> = {
  BroadcastTo: broadcast,
  Concat: concat,
  Fill: ({ attrs, outputs: [to] }, lowering) => [fill(to, Number(attrs.value), lowering)],
  OnesLike: ({ outputs: [to] }, lowering) => [fill(to, 1, lowering)],
  Pack: pack,
  PadV2: pad,
  Reverse: reverse,
  Slice: slice,
  SplitV: split,
  StridedSlice: stridedSlice,
  Tile: tile,
  Transpose: transpose,
  Unpack: unpack,
  ZerosLike: ({ outputs: [to] }, lowering) => [fill(to, 0, lowering)],
};
