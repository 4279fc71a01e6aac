/**
 * Clusters as functions that XLA compiles.
 *
 * @module
 */
import { ELEMENT, elementOf, type GraphFunction } from "../../engine/tensorflow_graph/graph.ts";
import { sizeOf } from "../../tree.ts";
import type { Call, Program, ValueId } from "../program.ts";
import type { Cluster } from "./clusters.ts";
import { functionBuilder } from "./function_builder.ts";
import { inType, type LoweringArguments, type Operand } from "./lowering.ts";

/** Lowers one call, given its inputs. */
export type LowerCall = (
  call: Call,
  inputs: readonly Operand[],
  add: LoweringArguments["add"],
  numbers: LoweringArguments["numbers"],
) => readonly string[];

/** A cluster ready to be called. */
export interface Fused {
  /** Values it takes, in order. */
  readonly inputs: readonly ValueId[];
  /** Values it returns, in order. */
  readonly outputs: readonly ValueId[];
  /**
   * Its body, given the types its inputs are in. Inputs that move in place are given as their variables, which get what they
   * are to be next; those results are not returned.
   */
  readonly body: (types: readonly Operand[], next?: ReadonlyMap<ValueId, ValueId>) => GraphFunction;
}

/** The one number of a constant, if it has only one. */
function scalarOf(program: Program, value: ValueId): number | undefined {
  const constant = program.constants.get(value);
  if (constant?.kind !== "numbers" || sizeOf(program.types[value].shape) !== 1) return undefined;
  return Number(constant.values[0]);
}

/**
 * Prepares a cluster.
 *
 * @param program The program
 * @param cluster Its calls
 * @param outputs Values that calls outside read, or results of the program
 * @param halved Values to be returned in bfloat16; it computes in float32
 * @param lowerCall How calls become nodes
 */
export function fuse(
  program: Program,
  cluster: Cluster,
  outputs: readonly ValueId[],
  halved: ReadonlySet<ValueId>,
  lowerCall: LowerCall,
): Fused {
  const calls = cluster.map((i) => program.calls[i]);
  const made = new Set(calls.flatMap(({ outputs }) => outputs));
  const read = [...new Set(calls.flatMap(({ inputs }) => inputs))].filter((value) => !made.has(value));
  const inputs = read.filter((value) => scalarOf(program, value) === undefined);
  const body = (operands: readonly Operand[], next: ReadonlyMap<ValueId, ValueId> = new Map()): GraphFunction => {
    const { add, constant: numbers, finish } = functionBuilder();
    const values = new Map<ValueId, Operand>(
      inputs.map((value, i) => {
        const { shape, type } = operands[i];
        const variable = `input${i}`;
        const name = next.has(value) ? add("ReadVariableOp", [variable], { dtype: { type } }) : variable;
        const given = { name, shape, type };
        if (type !== ELEMENT.bfloat16) return [value, given];
        return [value, { name: inType(given, ELEMENT.float32, add), shape, type: ELEMENT.float32 }];
      }),
    );
    for (const value of read) {
      const number = scalarOf(program, value);
      if (number === undefined) continue;
      const { shape, dtype } = program.types[value];
      const type = elementOf(dtype);
      values.set(value, { name: numbers(type, shape, [number]), shape, type });
    }
    for (const call of calls) {
      const [name] = lowerCall(call, call.inputs.map((value) => values.get(value)!), add, numbers);
      const { shape, dtype } = program.types[call.outputs[0]];
      values.set(call.outputs[0], { name, shape, type: elementOf(dtype) });
    }
    inputs.forEach((value, i) => {
      const result = next.get(value);
      if (result === undefined) return;
      add("AssignVariableOp", [`input${i}`, values.get(result)!.name], { dtype: { type: operands[i].type } });
    });
    const moved = new Set(next.values());
    return finish(
      operands.map(({ type }, i) => next.has(inputs[i]) ? ELEMENT.resource : type),
      outputs.filter((value) => !moved.has(value)).map((value) => {
        const made = values.get(value)!;
        const type = halved.has(value) ? ELEMENT.bfloat16 : made.type;
        return { ...made, name: inType(made, type, add), type };
      }),
    );
  };
  return { inputs, outputs, body };
}
