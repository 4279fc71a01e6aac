/**
 * Elementwise results that only the gradient of a whole weight still needs are computed again for it, from what is kept
 * anyway: of a perceptron the activation from what went into it, of a norm its scaled values from the plain ones. It costs
 * one pass over memory beside a product of many.
 *
 * @module
 */
import { sizeOf } from "../../tree.ts";
import { placesOf, sourcesOf, usesOf } from "../uses.ts";
import { bytesOf, type Call, isAlias, planMemory, type Program, segmentsOf, type ValueId } from "../program.ts";
import { isElementwise } from "./clusters.ts";

/** Smaller results are kept. */
const LEAST = 2 ** 15;

/** Products with fewer results a number are done as fast as what they read is computed again. */
const LEAST_WORK = 64;

/** Calls between two readers of a value, at least, where the later one is taken to be in the backward pass. */
export const LEAST_GAP = 64;

/** Chains of more calls are not computed again. */
const MOST_CALLS = 12;

/**
 * Computes such results again, right before they are read.
 *
 * @param program The program
 * @param place Where, for a call that reads one
 */
export function recomputeForWeights(program: Program, place: (reader: number) => Place = apartFrom): Program {
  const { calls, types, outputs } = program;
  const results = new Set(outputs);
  // Where most is kept: what results take comes on top of it at the end.
  const { peakCall } = planMemory(program, (value) => results.has(value) ? 0 : bytesOf(types[value]));
  const maker = placesOf(calls);
  const usedAt = usesOf(program);
  const sourceOf = sourcesOf(program);
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
  const again: Again[] = [];
  calls.forEach((call, i) => {
    const [value] = call.outputs;
    const { shape } = types[value];
    if (i >= peakCall || !isElementwise(call) || sizeOf(shape) < LEAST || results.has(value)) return;
    const uses = usedAt(value);
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
      if (isSmall || (!chosen.has(source) && source !== value && usedAt(source).some((use) => use > first))) {
        return true;
      }
      if (!isElementwise(calls[made]) && !isAlias(calls[made])) return false;
      chain.add(made);
      return chain.size <= MOST_CALLS && calls[made].inputs.every(isThere);
    };
    chain.add(i);
    if (!call.inputs.every(isThere)) return;
    chosen.add(value);
    again.push({ value, chain: [...chain].sort((a, b) => a - b), ...place(first) });
  });
  return computedAgain(program, again);
}

/** Where something is computed again. */
export interface Place {
  /** Before which call. */
  readonly before: number;
  /** In which region (default: one of its own). */
  readonly region?: number;
  /** Whether that call is in the region too. */
  readonly joins?: boolean;
}

function apartFrom(reader: number): Place {
  return { before: reader };
}

/**
 * The start of the stretch that a reader is in, if that is in a region; else just before it, in a region with it. A function that is
 * compiled as a whole has no order but that of what is read: what it computes again must wait for the gradient that is read
 * with it, as all that a region takes from outside does, or it is done at once.
 *
 * @param program The program
 */
export function inRegionOf(program: Program): (reader: number) => Place {
  const segment = segmentsOf(program);
  return (reader) => {
    const { region } = program.calls[reader];
    return region === 0 ? { before: reader, joins: true } : { before: segment.indexOf(segment[reader]), region };
  };
}

/** A value that is computed again, the calls that do it, in order, and where. */
export type Again = Place & { readonly value: ValueId; readonly chain: readonly number[] };

/**
 * Computes values again: whatever reads them from there on reads what was computed again.
 *
 * @param program The program
 * @param again What, and where
 */
export function computedAgain(program: Program, again: readonly Again[]): Program {
  if (again.length === 0) return program;
  const { calls, types } = program;
  const maker = placesOf(calls);
  const sourceOf = sourcesOf(program);
  const due = Map.groupBy(again, ({ before }) => before);

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
    if (due.has(i)) region++;
    for (const { value, chain, region: named = region } of due.get(i) ?? []) {
      const known = new Map<ValueId, ValueId>();
      for (const each of chain) copy(calls[each], known, named);
      instead.set(value, known.get(value)!);
    }
    const at = due.get(i)?.some(({ joins }) => joins) ? region : call.region;
    /** Gives what was computed again the shapes that it had. */
    const reshape = (value: ValueId): void => {
      const j = maker.get(value);
      if (j === undefined || !isAlias(calls[j]) || instead.has(value) || !instead.has(sourceOf(value))) return;
      reshape(calls[j].inputs[0]);
      copy(calls[j], instead, at);
    };
    call.inputs.forEach(reshape);
    return [...copies, { ...call, inputs: call.inputs.map((value) => instead.get(value) ?? value), region: at }];
  });
  return { ...program, types: own, calls: made };
}
