/**
 * Products of one matrix with several others as one product. Query, key and value of attention, or both halves of a gated
 * perceptron, read the same activations; their gradients add up to one. One product reads and writes what three would thrice, and
 * fills a card better; copying the weights beside each other costs little.
 *
 * @module
 */
import { type Call, isAlias, type Program, type ValueId } from "../program.ts";
import { readersOf } from "../uses.ts";
import { isElementwise } from "./clusters.ts";
import { joinSums } from "./join_sums.ts";
import { isApart, isProduct, kernelsOn, NARROW, transposes } from "./joined_calls.ts";
import { type Change, changed } from "./replaced.ts";

/**
 * Joins the products of one matrix with several weights whose results elementwise work alone reads: that reads its part of
 * the whole as it would read a matrix of its own.
 *
 * @param program The program
 */
function joinForward(program: Program): Program {
  const { calls, outputs } = program;
  const results = new Set(outputs);
  const readers = readersOf(program);
  const isReadElementwise = (value: ValueId): boolean =>
    !results.has(value) &&
    (readers.get(value) ?? []).every((i) =>
      isElementwise(calls[i]) || isAlias(calls[i]) && isReadElementwise(calls[i].outputs[0])
    );
  const isWide = ({ outputs: [output] }: Call) => program.types[output].shape[1] >= NARROW;
  const candidates = calls.filter((call) =>
    isProduct(call, program) && call.attrs.transposeA !== true && isWide(call) && isReadElementwise(call.outputs[0])
  );
  const change: Change = { types: [...program.types], instead: new Map() };
  for (
    const group of Map.groupBy(candidates, ({ inputs: [a], attrs, region }) => `${a} ${attrs.transposeB} ${region}`)
      .values()
  ) {
    const weights = group.map(({ inputs: [, b] }) => b);
    if (group.length < 2 || !weights.every(isApart(program, new Set(group)))) continue;
    const [first] = group;
    const attrs = transposes(first);
    const { concat, product, parts } = kernelsOn(change.types, first.region);
    const all = concat(weights, attrs.transposeB ? 0 : 1);
    const joined = product(first.inputs[0], all.outputs[0], attrs);
    for (const call of group) change.instead.set(call, []);
    change.instead.set(first, [
      all,
      joined,
      ...parts(joined.outputs[0], 1, group.map(({ outputs: [output] }) => output)),
    ]);
  }
  return changed(program, change);
}

/**
 * Joins products of a step that becomes one function.
 *
 * @param program The program
 */
export function joinProducts(program: Program): Program {
  return joinSums(joinForward(program));
}
