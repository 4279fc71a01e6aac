/**
 * Blocks of a model: stretches of a program that follow each other and do the same with other weights. Each is called as
 * one function that XLA compiles; equal functions are one, so that a model of many blocks takes the compilation of one.
 *
 * @module
 */
import type { Call, Program, ValueId } from "../program.ts";
import type { Cluster } from "./clusters.ts";
import { functionBuilder } from "./function_builder.ts";
import type { Fused } from "./functions.ts";
import type { Parts } from "./lower.ts";
import type { Source } from "./emitter.ts";
import type { Operand } from "./lowering.ts";
import { holderOf } from "./stored.ts";
import { lowerWhole } from "./whole.ts";

/** Fewer calls than this are no block. */
const LEAST_CALLS = 16;

/** Equal numbers for calls that do the same with values of the same types. */
function kindsOf({ calls, types }: Program): Int32Array {
  const numbers = new Map<string, number>();
  return Int32Array.from(calls, ({ kernel, inputs, names, attrs, outputs, region }) => {
    const typesOf = (values: readonly ValueId[]) =>
      values.map((value) => `${types[value].dtype} ${types[value].shape}`);
    const text = JSON.stringify([kernel, typesOf(inputs), names, attrs, typesOf(outputs), region]);
    const known = numbers.get(text) ?? numbers.size;
    numbers.set(text, known);
    return known;
  });
}

/**
 * The blocks of a program: of all stretches that are repeated one after the other, those that cover most of it, and of these
 * the shortest.
 *
 * @param program The program
 * @returns The calls of each block, in order; none if nothing is repeated
 */
export function blocksOf(program: Program): readonly Cluster[] {
  const kinds = kindsOf(program);
  const count = kinds.length;
  let best = { covered: 0, from: 0, length: 0 };
  for (let length = LEAST_CALLS; 2 * length <= count; length++) {
    let run = 0;
    for (let i = 0; i + length < count; i++) {
      run = kinds[i] === kinds[i + length] ? run + 1 : 0;
      if (run < length) continue;
      const covered = (Math.floor(run / length) + 1) * length;
      if (covered > best.covered) best = { covered, from: i + 1 - run, length };
    }
  }
  const { covered, from, length } = best;
  return Array.from(
    { length: length === 0 ? 0 : covered / length },
    (_, block) => Array.from({ length }, (_, k) => from + block * length + k),
  );
}

/**
 * Blocks of a program as functions to be called.
 *
 * @param source The program
 * @param clusters Its blocks
 */
export function blockParts(source: Source, clusters: readonly Cluster[]): Parts {
  return { clusters, prepare: (block, outputs) => prepared(source, block, outputs) };
}

/** A block whose results are what calls outside read. */
function prepared({ program, halved }: Source, block: Cluster, outputs: readonly ValueId[]): Fused {
  const calls = block.map((i): Call => program.calls[i]);
  const made = new Set(calls.flatMap(({ outputs }) => outputs));
  const isWritten = (value: ValueId) => program.constants.get(value)?.kind === "numbers";
  const inputs = [...new Set(calls.flatMap(({ inputs }) => inputs))]
    .filter((value) => !made.has(value) && !isWritten(value));
  const constants = new Map([...program.constants].filter(([, { kind }]) => kind === "numbers"));
  return {
    inputs,
    outputs,
    body: (operands) => {
      const body = functionBuilder();
      const given = new Map(inputs.map((value, i): [ValueId, Operand] => [
        value,
        { ...operands[i], name: `input${i}` },
      ]));
      const own: Program = { ...program, inputs, outputs, calls, constants };
      const place = lowerWhole(body, { program: own, given, halved }, { fixed: inputs, moving: [] });
      return body.finish(operands.map((each) => holderOf(each, each.stored).type), outputs.map(place));
    },
  };
}
