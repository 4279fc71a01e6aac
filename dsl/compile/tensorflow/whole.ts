/**
 * Lowering of a program to one function that is compiled as a whole.
 *
 * @module
 */
import { ELEMENT } from "../../engine/tensorflow_graph/graph.ts";
import { sizeOf } from "../../tree.ts";
import { makersOf, sourcesOf, usesOf } from "../uses.ts";
import { isElementwise, isFusible } from "./clusters.ts";
import { type Call, isAlias, type Program, type ValueId } from "../program.ts";
import { type NodeSink, outputsOf } from "./function_builder.ts";
import { isMoving } from "./half.ts";
import { LEAST_GAP } from "./recompute.ts";
import { emitter, type Source } from "./emitter.ts";
import { INT32, type Operand, T } from "./lowering.ts";
import { schedule } from "./schedule.ts";

/** Values that nothing would be saved by keeping: what stays the same, and what is other shapes and pieces of it. */
function heldAnyway({ calls }: Program, held: Iterable<ValueId>): ReadonlySet<ValueId> {
  const found = new Set(held);
  for (const call of calls) {
    if (isMoving(call) && call.inputs.every((value) => found.has(value))) {
      call.outputs.forEach((each) => found.add(each));
    }
  }
  return found;
}

/**
 * Large sums that go on as terms of the next one and are read besides: the stream of activations that blocks add to. Compilers
 * would add up all terms again for every reader rather than keep one. And what starts such a stream.
 */
function runningSums(program: Program): ReadonlySet<Call> {
  const { calls, types } = program;
  const root = sourcesOf(program);
  const sizeAt = (value: ValueId) => sizeOf(types[value].shape);
  const isSum = ({ kernel, inputs, outputs: [output] }: Call) =>
    kernel === "Add" && sizeAt(output) >= STREAM && inputs.every((value) => sizeAt(value) === sizeAt(output));
  const readers = new Map<ValueId, Call[]>();
  for (const call of calls.filter((each) => !isAlias(each))) {
    for (const value of new Set(call.inputs.map(root))) readers.set(value, [...readers.get(value) ?? [], call]);
  }
  const isStart = ({ kernel, outputs: [output] }: Call) =>
    (kernel === "Concat" || kernel === "PadV2") && types[output].shape.length > 2 && sizeAt(output) >= STREAM;
  return new Set(
    calls.filter((call) => {
      const found = readers.get(call.outputs[0]) ?? [];
      return isSum(call) && found.length > 1 && found.some(isSum) || isStart(call);
    }),
  );
}

/**
 * Whether another shape is more than axes parted or joined: compilers cannot see rows of the one in those of the other, and would
 * convert all numbers for a softmax that could convert them as it reads them.
 */
function regroups(from: readonly number[], to: readonly number[]): boolean {
  let [i, k] = [0, 0];
  while (i < from.length && k < to.length) {
    let [left, right, parted, joined] = [from[i++], to[k++], 1, 1];
    while (left !== right) {
      if (left < right) [left, joined] = [left * from[i++], joined + 1];
      else [right, parted] = [right * to[k++], parted + 1];
    }
    if (parted > 1 && joined > 1) return true;
  }
  return false;
}

/** Calls between a norm's result and its division by what it is a norm of. */
const MOST_OF_NORM = 2;

/** Smaller sums are as well added up again. */
const STREAM = 2 ** 15;

/**
 * What norms keep: what is computed of such a stream and read again much later, and the numbers of rows likewise. Compilers would
 * compute it again from the stream for one of its readers there, and keep both.
 */
function keptOfSums(program: Program, sums: ReadonlySet<Call>): ReadonlySet<Call> {
  const { calls } = program;
  const last = new Map<ValueId, number>();
  calls.forEach(({ inputs }, i) => inputs.forEach((value) => last.set(value, i)));
  const found = new Set<Call>();
  const ofStream = new Set<ValueId>([...sums].flatMap(({ outputs }) => outputs));
  calls.forEach((call, i) => {
    const [output] = call.outputs;
    const isOfStream = call.inputs.some((value) => ofStream.has(value)) && !sums.has(call) &&
      (isAlias(call) || isFusible(call, program));
    if (!isOfStream) return;
    if (!isAlias(call) && last.get(output)! - i >= LEAST_GAP) found.add(call);
    else ofStream.add(output);
  });
  return found;
}

/**
 * Values that are made once and then read, though compilers would put what makes them into each reader or into a later one: matrices
 * joined for a product, which would be laid out otherwise, or joined again for another product; and in bfloat16 what norms make,
 * which is added up besides, or multiplied and added up.
 */
function madeOnce(program: Program, halved: Source["halved"]): ReadonlySet<ValueId> {
  const { calls, types } = program;
  const root = sourcesOf(program);
  const made = calls.filter((call) => !isAlias(call));
  const maker = makersOf(made);
  const makerOf = (value: ValueId) => maker.get(root(value));
  const isLarge = (value: ValueId) => sizeOf(types[value].shape) >= STREAM;
  const isMatrix = (value: ValueId) => types[value].shape.length === 2;
  /** Whether elementwise work with numbers of rows, as norms do it, makes a value in bfloat16. */
  const isNorm = (value: ValueId, depth = 0): boolean => {
    const call = makerOf(value);
    if (call === undefined || !isElementwise(call) || depth > MOST_OF_NORM) return false;
    const [rows, columns] = types[call.outputs[0]].shape;
    const isRows = (each: ValueId) => `${types[each].shape}` === `${[rows, 1]}` && columns > 1;
    return call.inputs.some((each) => isRows(each) || isNorm(each, depth + 1));
  };
  const isHalf = (value: ValueId) => halved.values.has(root(value));
  const multiplied = new Set(
    calls.filter(({ kernel }) => kernel === "BatchMatMul").flatMap(({ inputs }) => inputs.map(root)),
  );
  const found = new Set<ValueId>();
  for (const { kernel, inputs, attrs } of calls) {
    if (kernel === "BatchMatMul") {
      const joined = inputs.filter((value) => isMatrix(value) && makerOf(value)?.kernel === "Concat");
      joined.forEach((value) => found.add(root(value)));
    }
    // In float32 what norms keep is kept anyway.
    if (halved.products.size === 0 || kernel !== "Sum" || !isLarge(inputs[0])) continue;
    const [value] = inputs;
    const axes = [attrs.axis].flat().map(Number);
    const product = makerOf(value)?.kernel === "Multiply" ? makerOf(value) : undefined;
    if (axes.length === 1 && [-1, types[value].shape.length - 1].includes(axes[0])) {
      // What follows an activation is added up in one pass with it.
      if (multiplied.has(root(value)) && isHalf(value) && isNorm(value)) found.add(root(value));
    } else if (product !== undefined) {
      const kept = product.inputs.filter((each) => isLarge(each) && isHalf(each) && isNorm(each));
      kept.forEach((each) => found.add(root(each)));
    }
  }
  return found;
}

/** Multiplications of matrices whose results are added up down their columns alone. */
function termsOfColumnSums(program: Program): ReadonlySet<Call> {
  const { calls, types } = program;
  const usesAt = usesOf(program);
  const isColumnSum = ({ kernel, inputs: [x], attrs }: Call) =>
    kernel === "Sum" && ![attrs.axis].flat().some((axis) => [-1, types[x].shape.length - 1].includes(Number(axis)));
  return new Set(calls.filter(({ kernel, outputs: [output] }) => {
    const uses = kernel === "Multiply" && types[output].shape.length === 2 ? usesAt(output) : [];
    return uses.length > 0 && uses.every((i) => isColumnSum(calls[i]));
  }));
}

/** What is first computed once the backward pass has begun: gradients, and not what it computes again. */
function firstComputedInRegions({ calls }: Program): ReadonlySet<ValueId> {
  const backward = calls.findIndex(({ region }) => region !== 0);
  const made = new Map<string, readonly ValueId[]>();
  const equal = new Map<ValueId, ValueId>();
  const found = new Set<ValueId>();
  calls.forEach(({ kernel, inputs, attrs, outputs }, i) => {
    const key = JSON.stringify([kernel, attrs, inputs.map((value) => equal.get(value) ?? value)]);
    const first = made.get(key);
    if (first === undefined) made.set(key, outputs);
    else outputs.forEach((value, k) => equal.set(value, first[k]));
    if (first === undefined && backward >= 0 && i >= backward) outputs.forEach((value) => found.add(value));
  });
  return found;
}

/** What calls read that compute without waiting for some values, and so what may have been computed before. */
function readAhead(calls: readonly Call[], waits: readonly ValueId[]): ReadonlySet<ValueId> {
  const late = new Set(waits);
  for (const { inputs, outputs } of calls) {
    if (inputs.some((value) => late.has(value))) outputs.forEach((value) => late.add(value));
  }
  const read = new Set<ValueId>();
  for (const call of [...calls].reverse()) {
    const isEarly = !call.outputs.some((value) => late.has(value));
    if (isEarly && (!isMoving(call) || call.outputs.some((value) => read.has(value)))) {
      call.inputs.forEach((value) => read.add(value));
    }
  }
  return read;
}

/** Inputs by whether they change from step to step. */
export interface Held {
  /** Those that stay the same: nothing would be saved by keeping what is computed from them alone. */
  readonly fixed: readonly ValueId[];
  /** Those that move: there all the time, but what is computed of them again is not to be kept. */
  readonly moving: readonly ValueId[];
}

/**
 * Adds a program's calls to a function that is compiled as a whole. What a region computes again is kept apart from what
 * was computed before by barriers, since compilers merge what is equal.
 *
 * @param body Where to
 * @param source The program, where its inputs are found, and what is in bfloat16
 * @param held Inputs that are there anyway
 * @returns Where a value is found
 * @throws OneloraError for a kernel that has no rule
 */
export function lowerWhole(body: NodeSink, source: Source, { fixed, moving }: Held): (value: ValueId) => Operand {
  const { program, given } = source;
  const { calls, constants } = program;
  const emit = emitter(source, body);
  const units = schedule(program, [], new Set(given.keys()));
  const same = new Set<ValueId>([...fixed, ...constants.keys()]);
  const there = heldAnyway(program, [...same, ...moving]);
  const sums = runningSums(program);
  // In bf16 products read a copy in bf16, and the backward pass the stream alone.
  const isFloat = source.halved.products.size === 0;
  const kept = new Set([...sums, ...isFloat ? keptOfSums(program, sums) : []]);
  const once = madeOnce(program, source.halved);
  /** Values that the compiler can neither compute again nor merge with equal ones from here on. */
  const barrier = (values: readonly ValueId[]): void => {
    const before = values.map(emit.place);
    const node = body.add("XlaOptimizationBarrier", before.map(({ name }) => name), {
      T: { types: before.map(({ type }) => type) },
    });
    const names = outputsOf(node, before.length);
    values.forEach((value, k) => emit.set(value, { ...before[k], name: names[k] }));
  };
  /** A sum that is kept as rows, which have one order only: that of the products that read them. */
  const keep = (value: ValueId): void => {
    const sum = emit.place(value);
    const [last] = sum.shape.slice(-1);
    const reshaped = (name: string, shape: readonly number[]) =>
      body.add("Reshape", [name, body.constant(ELEMENT.int32, [shape.length], shape)], {
        T: T(sum.type),
        Tshape: INT32,
      });
    emit.set(value, { ...sum, name: reshaped(sum.name, [sizeOf(sum.shape) / last, last]) });
    barrier([value]);
    emit.set(value, { ...sum, name: reshaped(emit.place(value).name, sum.shape) });
  };
  const gradients = firstComputedInRegions(program);
  const isGradient = (value: ValueId) => gradients.has(value);
  const fence = (from: number): () => void => {
    const { stretch } = units[from];
    const own = units.slice(from).filter((unit) => unit.stretch === stretch).flatMap((unit) => unit.calls);
    const made = new Set(own.flatMap((i) => calls[i].outputs));
    // Only what is computed from parameters alone is computed again from them.
    const isAgain = own.some((i) => !isMoving(calls[i]) && calls[i].inputs.every((value) => there.has(value)));
    const free = isAgain ? same : there;
    const crossing = [...new Set(own.flatMap((i) => calls[i].inputs))]
      .filter((value) => !made.has(value) && !free.has(value));
    const waits = crossing.filter(isGradient);
    const again = readAhead(own.map((i) => calls[i]), waits);
    const fenced = crossing.filter((value) => again.has(value));
    if (fenced.length === 0) return () => {};
    const before = fenced.map(emit.place);
    const waited = waits.map(emit.place);
    barrier([...fenced, ...waits]);
    // Nothing computes gradients again, and what reads them can be compiled with what makes them.
    waits.forEach((value, k) => emit.set(value, waited[k]));
    return () => fenced.forEach((value, k) => emit.set(value, before[k]));
  };
  /** Gradients as they are before a barrier: sums down their columns are compiled with what makes them. */
  const madeBefore = new Map<ValueId, Operand>();
  const addedDown = termsOfColumnSums(program);
  /** What norms keep: what reads it beside what makes it is compiled with that, and only what comes later reads it behind a barrier. */
  const keptLater: ValueId[] = [];
  let [stretch, leave]: [number, () => void] = [0, () => {}];
  units.forEach((unit, i) => {
    if (unit.stretch !== stretch) {
      leave();
      keptLater.splice(0).forEach(keep);
      emit.forget();
      [stretch, leave] = [unit.stretch, unit.region === 0 ? () => {} : fence(i)];
    }
    const call = calls[unit.calls[0]];
    const [output] = call.outputs;
    const fresh = addedDown.has(call) ? call.inputs.filter((value) => madeBefore.has(value)) : [];
    const barred = fresh.map(emit.place);
    fresh.forEach((value) => emit.set(value, madeBefore.get(value)!));
    emit.call(call);
    fresh.forEach((value, k) => emit.set(value, barred[k]));
    if (kept.has(call) && !sums.has(call)) keptLater.push(output);
    else if (kept.has(call)) keep(output);
    if (once.has(output)) {
      if (isGradient(output)) madeBefore.set(output, emit.place(output));
      barrier([output]);
    }
    if (call.kernel === "Reshape" && emit.place(output).type === ELEMENT.bfloat16) {
      const [from, to] = [call.inputs[0], output].map((value) => program.types[value].shape);
      if (sizeOf(to) >= STREAM && regroups(from, to)) barrier([output]);
    }
  });
  leave();
  return emit.place;
}
