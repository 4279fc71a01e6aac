/**
 * Fused elementwise kernels, written when they are first called: a formula becomes a module of one loop.
 *
 * @module
 */
import type * as tf from "@tensorflow/tfjs-core";
import type { Formula, FormulaOp, FormulaStep } from "../../compile/formula.ts";
import { FunctionWriter } from "./assemble.ts";
import type { Kernel, Kernels } from "./kernel.ts";
import type { Heap, Variant } from "./module.ts";
import { areFloats, size } from "./shape.ts";
import { ranges } from "./split_by.ts";

/** Arguments of a kernel before its tensors' addresses: first row, end of rows, first column, end of columns. */
const BOUNDS = 4;

/** e^x and what is made of it, as assembly/maths.ts computes them, to the last bit. */
class Maths {
  constructor(readonly write: FunctionWriter, readonly fused: boolean) {}

  /** a b + c. */
  fma(a: number, b: number, c: number): number {
    if (this.fused) return this.write.vector("multiplyAdd", a, b, c);
    return this.write.vector("add", this.write.vector("multiply", a, b), c);
  }

  /** c - a b. */
  fnma(a: number, b: number, c: number): number {
    if (this.fused) return this.write.vector("negativeMultiplyAdd", a, b, c);
    return this.write.vector("subtract", c, this.write.vector("multiply", a, b));
  }

  #expm1Near0(r: number): number {
    const { write } = this;
    const [first, ...others] = [0.0013940658, 0.00836639572, 0.0416664034, 0.16666545, 0.5];
    const q = others.reduce((sum, next) => this.fma(sum, r, write.constant(next)), write.constant(first));
    return this.fma(write.vector("multiply", r, r), q, r);
  }

  #lessLn2(x: number, n: number): number {
    const high = this.fnma(n, this.write.constant(0.69317627), x);
    return this.fnma(n, this.write.constant(-2.90889711e-05), high);
  }

  #powerOf2(n: number): number {
    const { write } = this;
    return write.shifted(write.vector("addIntegers", n, write.constant(127, "integer")), "left", 23);
  }

  exp(x: number): number {
    const { write } = this;
    const rounder = write.constant(12582912);
    const above = write.vector("pseudoMaximum", x, write.constant(-104));
    const inside = write.vector("pseudoMinimum", above, write.constant(89));
    const rounded = this.fma(inside, write.constant(1.44269504), rounder);
    const r = this.#lessLn2(inside, write.vector("subtract", rounded, rounder));
    const y = write.vector("add", this.#expm1Near0(r), write.constant(1));
    const n = write.vector("subtractIntegers", rounded, rounder);
    const half = write.shifted(n, "right", 1);
    const once = write.vector("multiply", y, this.#powerOf2(half));
    return write.vector("multiply", once, this.#powerOf2(write.vector("subtractIntegers", n, half)));
  }

  /** ln x: x = m 2^e with m about 1, and a polynomial of m - 1 (Moshier's Cephes, logf). */
  log(x: number): number {
    const { write } = this;
    // Numbers too small for a whole exponent are made larger first.
    const isTiny = write.vector("less", x, write.constant(1.17549435e-38));
    const scaled = write.vector("bitselect", write.vector("multiply", x, write.constant(2 ** 23)), x, isTiny);
    const e = write.shifted(
      write.vector("subtractIntegers", scaled, write.constant(0x3f3504f3, "integer")),
      "right",
      23,
    );
    const m = write.vector("subtractIntegers", scaled, write.shifted(e, "left", 23));
    const added = write.vector("and", isTiny, write.constant(23));
    const exponent = write.vector("subtract", write.vector("fromIntegers", e), added);
    const r = write.vector("subtract", m, write.constant(1));
    const [first, ...others] = [
      ...[7.0376836292e-2, -1.151461031e-1, 1.167699874e-1, -1.2420140846e-1, 1.4249322787e-1],
      ...[-1.6668057665e-1, 2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1],
    ];
    const polynomial = others.reduce(
      (sum, next) => this.fma(sum, r, write.constant(next)),
      write.constant(first),
    );
    const square = write.vector("multiply", r, r);
    const cubic = write.vector("multiply", write.vector("multiply", polynomial, r), square);
    const low = this.fma(exponent, write.constant(-2.1219444e-4), cubic);
    const sum = write.vector("add", r, this.fnma(square, write.constant(0.5), low));
    const result = this.fma(exponent, write.constant(0.693359375), sum);
    const isInfinite = write.vector("equal", x, write.constant(Infinity));
    const whole = write.vector("bitselect", x, result, isInfinite);
    const isZero = write.vector("equal", x, write.constant(0));
    const above = write.vector("bitselect", write.constant(-Infinity), whole, isZero);
    const isThere = write.vector("greaterEqual", x, write.constant(0));
    return write.vector("bitselect", above, write.constant(NaN), isThere);
  }

  #expOfNegative(x: number): number {
    const { write } = this;
    const rounder = write.constant(12583039);
    const inside = write.vector("pseudoMaximum", x, write.constant(-88.3));
    const rounded = this.fma(inside, write.constant(1.44269504), rounder);
    const r = this.#lessLn2(inside, write.vector("subtract", rounded, rounder));
    const power = write.shifted(rounded, "left", 23);
    return this.fma(power, this.#expm1Near0(r), power);
  }

  sigmoid(x: number): number {
    const { write } = this;
    const one = write.constant(1);
    const e = this.#expOfNegative(write.vector("or", x, write.constant(-0)));
    const above = write.vector("bitselect", e, one, write.shifted(x, "right", 31));
    return write.vector("divide", above, write.vector("add", one, e));
  }
}

/** Writes one step and gives its result. */
function writeStep(maths: Maths, step: FormulaStep, args: readonly number[]): number {
  // What other engines join besides never gets here.
  const op = step.op as FormulaOp;
  const { write } = maths;
  // JSON has infinity by its name only.
  const settings = (step.settings ?? []).map(Number);
  const [x, y] = args;
  const one = () => write.constant(1);
  switch (op) {
    case "clip":
      return write.vector(
        "minimum",
        write.vector("maximum", x, write.constant(settings[0])),
        write.constant(settings[1]),
      );
    case "exp":
      return maths.exp(x);
    case "inverse":
      return write.vector("divide", one(), x);
    case "inverseRoot":
      return write.vector("divide", one(), write.vector("root", x));
    case "log":
      return maths.log(x);
    case "number":
      return write.vector("and", x, one());
    case "relu":
      return write.vector("maximum", x, write.constant(0));
    case "select":
      return write.vector("bitselect", y, args[2], x);
    case "sigmoid":
      return maths.sigmoid(x);
    case "square":
      return write.vector("multiply", x, x);
    case "squaredDifference": {
      const difference = write.vector("subtract", x, y);
      return write.vector("multiply", difference, difference);
    }
    case "step": {
      // NaN stays NaN.
      const below = write.vector("bitselect", x, write.constant(settings[0]), write.vector("notEqual", x, x));
      return write.vector("bitselect", one(), below, write.vector("greater", x, write.constant(0)));
    }
    default:
      return write.vector(op, ...args);
  }
}

/**
 * A formula as WebAssembly: `run(first row, end of rows, first column, end of columns, inputs..., outputs...)`, addresses of
 * tensors, where a row is all of the inner axis.
 *
 * @param formula The formula
 * @param variant Whether there is a fused multiply-add
 * @param isShared Whether the memory is shared
 */
function compileFormula(formula: Formula, variant: Variant, isShared: boolean): Uint8Array<ArrayBuffer> {
  const { lengths, inputs, steps, outputs } = formula;
  const [outer, inner] = [lengths.slice(0, -1), lengths[lengths.length - 1]];
  const count = inputs.length + outputs.length;
  const write = new FunctionWriter(BOUNDS + count);
  const maths = new Maths(write, variant === "fused");
  const [row, endOfRows, firstColumn, endOfColumns] = [0, 1, 2, 3];
  const [at, end, rest, index, offset] = Array.from({ length: 5 }, () => write.integer());
  const contiguous = lengths.map((_, axis) => size(lengths.slice(axis + 1)));
  const tensors = [...inputs, ...outputs.map(() => contiguous)];
  const bases = tensors.map(() => write.integer());
  const isSplat = (input: number) => inputs[input][inputs[input].length - 1] === 0 && inner > 1;
  write.set(end, endOfColumns, "times", 4);
  write.loop(row, 1, endOfRows, () => {
    tensors.forEach((_, i) => write.set(bases[i], BOUNDS + i, "plus", 0));
    write.set(rest, row, "plus", 0);
    for (let axis = outer.length - 1; axis >= 0; axis--) {
      write.set(index, rest, "rest", outer[axis]);
      write.set(rest, rest, "divide", outer[axis]);
      tensors.forEach((own, i) => {
        if (own[axis] === 0) return;
        write.set(offset, index, "times", own[axis] * 4);
        write.set(bases[i], bases[i], "plus", { local: offset });
      });
    }
    const splats = inputs.map((_, i) => isSplat(i) ? write.load("splat", bases[i]) : -1);
    write.set(at, firstColumn, "times", 4);
    for (const how of ["four", "one"] as const) {
      const bytes = how === "four" ? 16 : 4;
      write.loop(at, bytes, end, () => {
        const values = inputs.map((_, i) => isSplat(i) ? splats[i] : write.load(how, bases[i], at));
        for (const step of steps) values.push(writeStep(maths, step, step.args.map((arg) => values[arg])));
        outputs.forEach((value, i) => write.store(how, bases[inputs.length + i], at, values[value]));
        write.set(at, at, "plus", bytes);
      });
    }
    write.set(row, row, "plus", 1);
  });
  return write.module(isShared);
}

/** Elements that are worth a thread: fewer of a formula of many steps. */
function least(formula: Formula): number {
  return Math.max(4096, Math.floor(32768 / (1 + formula.steps.length)));
}

/** What the kernel is given. */
interface Attributes {
  /** The formula as JSON. */
  readonly formula: string;
  /** Shapes of its results. */
  readonly shapes: readonly (readonly number[])[];
}

const parsed = new Map<string, Formula>();

/** The formula of a text; the same text is read once. */
function formulaOf(text: string): Formula {
  const known = parsed.get(text) ?? JSON.parse(text) as Formula;
  parsed.set(text, known);
  return known;
}

/** Computes a formula of some tensors. */
function compute(
  heap: Heap,
  text: string,
  inputs: readonly tf.TensorInfo[],
  shapes: Attributes["shapes"],
): tf.TensorInfo[] {
  const formula = formulaOf(text);
  const { lengths } = formula;
  const [rows, inner] = [size(lengths.slice(0, -1)), lengths[lengths.length - 1]];
  const outputs = shapes.map((shape) => heap.output(shape));
  const addresses = [...inputs, ...outputs].map(heap.address);
  const parts = heap.parts;
  const chunks = rows > 1
    ? ranges(rows, parts, Math.ceil(least(formula) / inner), 1).map(([begin, end]) => [begin, end, 0, inner])
    : ranges(inner, parts, least(formula), 16).map(([begin, end]) => [0, 1, begin, end]);
  heap.runOwn(
    text,
    () => compileFormula(formula, heap.variant, heap.isShared),
    chunks.map((bounds) => [...bounds, ...addresses]),
  );
  return outputs;
}

/** One operation on every element, as a kernel. */
function unary(op: FormulaOp): Kernel {
  return (heap, { inputs: { x } }) => {
    if (!areFloats(x)) return undefined;
    const formula: Formula = { lengths: [size(x.shape)], inputs: [[1]], steps: [{ op, args: [0] }], outputs: [1] };
    return compute(heap, JSON.stringify(formula), [x], [x.shape])[0];
  };
}

/**
 * Kernels whose code is written when they are first called: `Elementwise`, a list of inputs <formula, shapes> -> the formula's
 * results, and single operations.
 */
export const formulaKernels: Kernels = {
  Log: unary("log"),
  Elementwise: (heap, { inputs, attrs }) => {
    const { formula, shapes } = attrs as unknown as Attributes;
    return compute(heap, formula, Object.values(inputs), shapes);
  },
};
