/**
 * Elementwise results that only the gradient of a whole weight still needs are computed again for it, from what is kept
 * anyway: of a perceptron the activation from what went into it, of a norm its scaled values from the plain ones. It costs
 * one pass over memory beside a product of many.
 *
 * @module
 */
import { sizeOf } from "../../tree.ts";
import { readersOf, rootsOf } from "../passes.ts";
import { bytesOf, type Call, isAlias, planMemory, type Program, type ValueId } from "../program.ts";
import { isElementwise } from "./clusters.ts";

/** Smaller results are kept. */
const LEAST = 2 ** 15;

/** Products with fewer results a number are done as fast as what they read is computed again. */
const LEAST_WORK = 64;

/** Calls between the last reader before the peak and the first after it, at least. */
const LEAST_GAP = 64;

/** Chains of more calls are not computed again. */
const MOST_CALLS = 12;

/**
 * Computes such results again, right before they are read.
 *
 * @param program The program
 */
export function recomputeForWeights(program: Program): Program {
  const { calls, types, outputs } = program;
  const results = new Set(outputs);
  // Where most is kept: what results take comes on top of it at the end.
  const { peakCall } = planMemory(program, (value) => results.has(value) ? 0 : bytesOf(types[value]));
  const maker = new Map(calls.flatMap((call, i) => call.outputs.map((value) => [value, i] as const)));
  const readers = readersOf(program);
  /** Where a value's memory is read, through other shapes of it. */
  const usesOf = (value: ValueId): readonly number[] =>
    (readers.get(value) ?? []).flatMap((i) => isAlias(calls[i]) ? usesOf(calls[i].outputs[0]) : [i]);
  const sourceOf = rootsOf(program);
  /** Whether a call is the gradient of a whole weight: a product over the rows of what it reads. */
  const isWeightGradient = (i: number, value: ValueId) => {
    const { kernel, inputs, attrs, outputs: [output] } = calls[i];
    if (kernel !== "BatchMatMul" || types[output].shape.length !== 2) return false;
    const [a, b] = inputs.map(sourceOf);
    if ((a === value) === (b === value)) return false;
    const [rows, columns] = types[output].shape;
    return a === value
      ? attrs.transposeA === true && columns >= LEAST_WORK
      : attrs.transposeB !== true && rows >= LEAST_WORK;
  };
  const chosen = new Set<ValueId>();
  const again = new Map<number, readonly { readonly value: ValueId; readonly chain: readonly number[] }[]>();
  calls.forEach((call, i) => {
    const [value] = call.outputs;
    const { shape } = types[value];
    if (i >= peakCall || !isElementwise(call) || sizeOf(shape) < LEAST || results.has(value)) return;
    const uses = usesOf(value);
    const [before, after] = [uses.filter((use) => use <= peakCall), uses.filter((use) => use > peakCall)];
    const first = Math.min(...after);
    if (before.length === 0 || after.length === 0 || first - Math.max(...before) < LEAST_GAP) return;
    if (!after.every((use) => isWeightGradient(use, value))) return;
    const chain = new Set<number>();
    /** Whether a value is there when it is needed, once some calls are done again. */
    const isThere = (needed: ValueId): boolean => {
      const made = maker.get(needed);
      if (made === undefined) return true;
      const isSmall = sizeOf(types[needed].shape) * LEAST_WORK <= sizeOf(shape);
      const source = sourceOf(needed);
      if (isSmall || (!chosen.has(source) && source !== value && usesOf(source).some((use) => use > first))) {
        return true;
      }
      if (!isElementwise(calls[made]) && !isAlias(calls[made])) return false;
      chain.add(made);
      return chain.size <= MOST_CALLS && calls[made].inputs.every(isThere);
    };
    chain.add(i);
    if (!call.inputs.every(isThere)) return;
    chosen.add(value);
    again.set(first, [...again.get(first) ?? [], { value, chain: [...chain].sort((a, b) => a - b) }]);
  });
  if (chosen.size === 0) return program;

  const own = [...types];
  let region = Math.max(...calls.map((each) => each.region));
  /** What is read instead from here on. */
  const instead = new Map<ValueId, ValueId>();
  const made = calls.flatMap((call, i): readonly Call[] => {
    const copies: Call[] = [];
    const copy = (each: Call, known: Map<ValueId, ValueId>, region: number) => {
      const inputs = each.inputs.map((value) => known.get(value) ?? value);
      const outputs = each.outputs.map((value) => own.push(types[value]) - 1);
      each.outputs.forEach((value, k) => known.set(value, outputs[k]));
      copies.push({ ...each, inputs, outputs, region });
    };
    if (again.has(i)) region++;
    for (const { value, chain } of again.get(i) ?? []) {
      const known = new Map<ValueId, ValueId>();
      for (const each of chain) copy(calls[each], known, region);
      instead.set(value, known.get(value)!);
    }
    /** Gives what was computed again the shapes that it had. */
    const reshape = (value: ValueId): void => {
      const j = maker.get(value);
      if (j === undefined || !isAlias(calls[j]) || instead.has(value) || !instead.has(sourceOf(value))) return;
      reshape(calls[j].inputs[0]);
      copy(calls[j], instead, call.region);
    };
    call.inputs.forEach(reshape);
    return [...copies, { ...call, inputs: call.inputs.map((value) => instead.get(value) ?? value) }];
  });
  return { ...program, types: own, calls: made };
}
