/**
 * Programs as TensorFlow runs them, for plans: what is compiled into one kernel is one call.
 *
 * @module
 */
import type { NamedAttrMap } from "@tensorflow/tfjs-core";
import { sizeOf } from "../../tree.ts";
import type { Call, Program, ValueId } from "../program.ts";
import { type Cluster, clustersOf } from "./clusters.ts";
import type { Halved } from "./half.ts";
import { FUSE_FROM } from "./probe.ts";
import { isRowProducts } from "./row_products.ts";
import { isCustomCall } from "./seen_attention.ts";
import { schedule } from "./schedule.ts";

/** Stands for calls that are one kernel; `body` is the same for those that are compiled once. */
const COMPILED = "Compiled";

/**
 * Whether a call stands for several that are one kernel.
 *
 * @param call The call
 */
export function isCompiled({ kernel }: Call): boolean {
  return kernel === COMPILED;
}

/**
 * Whether a call, or those that it stands for, reads what is quantised as it is.
 *
 * @param call The call
 */
export function readsQuantised(call: Call): boolean {
  return isRowProducts(call) || call.attrs.readsQuantised === true;
}

/**
 * How many kernels a program has compiled.
 *
 * @param program The program
 */
export function compiledKernels({ calls }: Program): number {
  return new Set(calls.filter(isCompiled).map(({ attrs }) => attrs.body)).size;
}

/** The number that a constant is, if it is one. */
function numberOf({ constants, types }: Program, value: ValueId): number | undefined {
  const constant = constants.get(value);
  return constant?.kind === "numbers" && sizeOf(types[value].shape) === 1 ? Number(constant.values[0]) : undefined;
}

/** What calls do, whatever their values are called. */
function bodyOf(program: Program, calls: readonly Call[], results: readonly ValueId[], { values }: Halved): string {
  const names = new Map<ValueId, string>();
  const nameOf = (value: ValueId): string => {
    const known = names.get(value);
    if (known !== undefined) return known;
    const { shape, dtype } = program.types[value];
    const name = `${names.size} ${numberOf(program, value) ?? dtype} ${shape}${values.has(value) ? " half" : ""}`;
    names.set(value, name);
    return name;
  };
  const lines = calls.map((
    { kernel, attrs, inputs, outputs },
  ) => [kernel, attrs, ...[...inputs, ...outputs].map(nameOf)]);
  return JSON.stringify([lines, results.map(nameOf)]);
}

/**
 * A program with one call for what is compiled together, in the order in which it is run.
 *
 * @param program The program
 * @param halved What of it is in bfloat16
 * @param clusters What is compiled together (default: clusters of elementwise calls, as graphs have them)
 */
export function grouped(
  program: Program,
  halved: Halved,
  clusters: readonly Cluster[] = clustersOf(program, FUSE_FROM, halved),
): Program {
  const calls = schedule(program, clusters, new Set(program.inputs)).map(({ calls, exported }): Call => {
    const own = calls.map((i) => program.calls[i]);
    if (exported === undefined && !isCustomCall(own[0])) return own[0];
    const results = exported ?? own[0].outputs;
    const made = new Set(own.flatMap(({ outputs }) => outputs));
    const read = [...new Set(own.flatMap(({ inputs }) => inputs))]
      .filter((value) => !made.has(value) && numberOf(program, value) === undefined);
    const attrs: NamedAttrMap = {
      body: bodyOf(program, own, results, halved),
      readsQuantised: own.some(isRowProducts),
    };
    return { kernel: COMPILED, inputs: read, attrs, outputs: [...results], region: own[0].region };
  });
  return { ...program, calls };
}
