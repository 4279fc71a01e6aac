/**
 * Products that are added up as one product of what lies beside each other: the gradients of an activation that several products
 * read.
 *
 * @module
 */
import { type Call, isAlias, type Program, reshapeCall, type ValueId } from "../program.ts";
import { makersOf, readersOf, sourcesOf } from "../uses.ts";
import { isApart, isProduct, kernelsOn, NARROW, transposes } from "./joined_calls.ts";
import { type Change, changed } from "./replaced.ts";

/** A sum of several terms: the call that has it, all calls that make it, and what they add up. */
interface LongSum {
  readonly root: Call;
  readonly adds: readonly Call[];
  readonly terms: readonly ValueId[];
}

/** Sums of matrices whose parts nothing else reads. */
function longSums({ calls, outputs, types }: Program, isReadOnce: (value: ValueId) => boolean): readonly LongSum[] {
  const maker = makersOf(calls);
  const results = new Set(outputs);
  const isAdd = (call: Call | undefined): call is Call =>
    call?.kernel === "Add" && types[call.outputs[0]].shape.length === 2;
  const inner = new Set<Call>();
  const found: LongSum[] = [];
  for (const root of [...calls].reverse()) {
    if (!isAdd(root) || inner.has(root)) continue;
    const adds: Call[] = [];
    const termsOf = (call: Call): readonly ValueId[] => {
      adds.push(call);
      inner.add(call);
      return call.inputs.flatMap((value) => {
        const made = maker.get(value);
        return isAdd(made) && isReadOnce(value) && !results.has(value) ? termsOf(made) : [value];
      });
    };
    const terms = termsOf(root);
    found.push({ root, adds, terms });
  }
  return found;
}

/** Products that are added up, by kind; those of a kind have the same first operands in the same order. */
interface Joinable {
  readonly values: readonly ValueId[];
  readonly groups: readonly (readonly Call[])[];
  /** What else reads these operands: the same of each. */
  readonly others: readonly (readonly Call[])[];
}

/** What is computed of a matrix that can be computed of several at once; nothing for all other calls. */
function kindOf(
  { kernel, inputs: [a, b], attrs, outputs: [output] }: Call,
  value: ValueId,
  { types }: Program,
): string | undefined {
  const isGradient = kernel === "BatchMatMul" && a === value && b !== value && attrs.transposeA === true;
  if (isGradient) return `product ${b} ${attrs.transposeB}`;
  const isColumnSum = kernel === "Sum" && `${attrs.axis}` === "0" && types[output].shape.length === 1;
  return isColumnSum ? "sum" : undefined;
}

/** Finds the calls that read a matrix's memory; none where one reads it in another shape. */
function matrixReads(program: Program): (value: ValueId) => readonly Call[] | undefined {
  const { calls } = program;
  const readers = readersOf(program);
  const sourceOf = sourcesOf(program);
  const allOf = (value: ValueId): readonly (readonly [Call, ValueId])[] =>
    (readers.get(value) ?? []).flatMap((i) =>
      isAlias(calls[i]) ? allOf(calls[i].outputs[0]) : [[calls[i], value] as const]
    );
  return (value) => {
    const found = allOf(sourceOf(value));
    return found.every(([, as]) => as === value) ? found.map(([call]) => call) : undefined;
  };
}

/** Finds what of some products, all terms of one sum, can be joined. */
function joining(program: Program): (products: readonly Call[]) => Joinable | undefined {
  const { types } = program;
  const results = new Set(program.outputs);
  const sourceOf = sourcesOf(program);
  const readsOf = matrixReads(program);
  return (products) => {
    const kinds = Map.groupBy(
      products,
      ({ attrs, outputs: [output] }) => `${attrs.transposeB === true} ${types[output].shape}`,
    );
    const several = [...kinds.values()].filter((group) => group.length > 1);
    // In the order of their weights, which is that of the forward pass: both read the same copy of them.
    const values = [...several[0] ?? []].sort((one, other) => one.inputs[1] - other.inputs[1])
      .map(({ inputs: [a] }) => a);
    const groups = several.map((group) =>
      [...group].sort((one, other) => values.indexOf(one.inputs[0]) - values.indexOf(other.inputs[0]))
    );
    const own = new Set(groups.flat());
    const weights = groups.flat().map(({ inputs: [, b] }) => b);
    const isAlike = groups.every((group) => `${group.map(({ inputs: [a] }) => a)}` === `${values}`);
    if (values.length === 0 || !isAlike || !weights.every(isApart(program, own))) return undefined;
    const sources = values.map(sourceOf);
    if (new Set(sources).size < values.length || sources.some((source) => results.has(source))) return undefined;
    const reads = values.map(readsOf);
    const others = reads.map((each) => (each ?? []).filter((call) => !own.has(call)));
    const found = others.map((each, i) => each.map((call) => kindOf(call, values[i], program) ?? "").sort());
    const isComputedAlike = reads.every((each) => each !== undefined) &&
      found.every((each) => `${each}` === `${found[0]}` && !each.includes("") && new Set(each).size === each.length);
    return isComputedAlike ? { values, groups, others } : undefined;
  };
}

/** Calls instead of products, and the terms of the sum that they make; none for a product whose value is in another's. */
interface Joined {
  readonly made: readonly Call[];
  readonly instead: ReadonlyMap<ValueId, ValueId | undefined>;
}

/** Joins products, and what else is computed of their first operands. */
function join({ values, groups, others }: Joinable, program: Program, change: Change): Joined {
  const { concat, product, columnSum, parts } = kernelsOn(change.types, 0);
  const all = concat(values, 1);
  const made: Call[] = [all];
  const instead = new Map<ValueId, ValueId | undefined>();
  for (const group of groups) {
    const attrs = transposes(group[0]);
    const weights = concat(group.map(({ inputs: [, b] }) => b), attrs.transposeB ? 1 : 0);
    const joined = product(all.outputs[0], weights.outputs[0], attrs);
    made.push(weights, joined);
    group.forEach((call, i) => {
      change.instead.set(call, []);
      instead.set(call.outputs[0], i === 0 ? joined.outputs[0] : undefined);
    });
  }
  for (const first of others[0]) {
    const kind = kindOf(first, values[0], program)!;
    const alike = others.map((each, i) => each.find((call) => kindOf(call, values[i], program) === kind)!);
    const joined = kind === "sum"
      ? columnSum(all.outputs[0])
      : product(all.outputs[0], first.inputs[1], transposes(first));
    for (const call of alike) change.instead.set(call, []);
    made.push(joined, ...parts(joined.outputs[0], 0, alike.map(({ outputs: [output] }) => output)));
  }
  return { made, instead };
}

/** Adds up what is left of a sum, into the value that it was. */
function summed(left: readonly ValueId[], output: ValueId, { types }: Change): readonly Call[] {
  const { add } = kernelsOn(types, 0);
  const isWhole = (value: ValueId) => `${types[value].shape}` === `${types[output].shape}`;
  // What has the sum's shape first: numbers a row are added to it.
  const [start, ...rest] = [...left.filter(isWhole), ...left.filter((value) => !isWhole(value))];
  // A sum of products alone is one product.
  if (rest.length === 0) return [reshapeCall(types, start, types[output].shape, 0, output)];
  const chain: Call[] = [];
  rest.reduce((sum, value, i) => {
    const call = add(sum, value, output, i === rest.length - 1);
    chain.push(call);
    return call.outputs[0];
  }, start);
  return chain;
}

/**
 * Joins products that are added up, and what else is computed of their first operands: products with one other matrix, and
 * sums down columns. Where something else reads one of these, it would be there twice, and nothing is joined.
 *
 * @param program The program
 */
export function joinSums(program: Program): Program {
  const { calls, types } = program;
  const readers = readersOf(program);
  const results = new Set(program.outputs);
  const maker = makersOf(calls);
  const joinableOf = joining(program);
  const isReadOnce = (value: ValueId) => {
    const found = readers.get(value) ?? [];
    return found.length === 1 && calls[found[0]].inputs.filter((each) => each === value).length === 1;
  };
  const isTerm = (value: ValueId) => {
    const call = maker.get(value);
    return call !== undefined && isProduct(call, program) && call.attrs.transposeA !== true && isReadOnce(value) &&
      !results.has(value);
  };
  const change: Change = { types: [...types], instead: new Map() };
  for (const { root, adds, terms } of longSums(program, isReadOnce)) {
    const products = terms.filter(isTerm).map((value) => maker.get(value)!);
    const [wide, narrow] = [false, true].map((isNarrow) =>
      products.filter(({ inputs: [a] }) => types[a].shape[1] < NARROW === isNarrow)
    );
    const found = [wide, narrow].map(joinableOf).filter((each) => each !== undefined);
    const [output] = root.outputs;
    const hasWhole = terms.some((value) => `${types[value].shape}` === `${types[output].shape}`);
    if (found.length === 0 || !hasWhole) continue;
    const joined = found.map((each) => join(each, program, change));
    const instead = new Map(joined.flatMap((each) => [...each.instead]));
    const left = terms.map((value) => instead.has(value) ? instead.get(value) : value)
      .filter((value) => value !== undefined);
    for (const call of adds) change.instead.set(call, []);
    change.instead.set(root, [...joined.flatMap(({ made }) => made), ...summed(left, output, change)]);
  }
  return changed(program, change);
}
