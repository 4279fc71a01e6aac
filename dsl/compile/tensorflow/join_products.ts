/**
 * Products of one matrix with several others as one product. Query, key and value of attention, or both halves of a gated
 * perceptron, read the same activations; their gradients add up to one. One product reads and writes what three would thrice, and
 * fills a card better; copying the weights beside each other costs little.
 *
 * @module
 */
import { makersOf, readersOf, sourcesOf } from "../uses.ts";
import { type Call, isAlias, type Program, reshapeCall, type ValueId, type ValueType } from "../program.ts";
import { isElementwise } from "./clusters.ts";
import { type Change, changed } from "./replaced.ts";

/** Products of fewer columns, or over fewer, are those of adapters: they are joined among themselves. */
const NARROW = 64;

/** Weights depend on few calls, if on any. */
const MOST_CALLS = 64;

/** A product of two matrices. */
function isProduct({ kernel, inputs }: Call, { types }: Pick<Program, "types">): boolean {
  return kernel === "BatchMatMul" && inputs.every((value) => types[value].shape.length === 2);
}

function transposes({ attrs }: Call): { readonly transposeA: boolean; readonly transposeB: boolean } {
  return { transposeA: attrs.transposeA === true, transposeB: attrs.transposeB === true };
}

/** Calls of the kernels that joined products are made of. */
function kernelsOn(types: ValueType[], region: number) {
  const made = (shape: readonly number[]) => types.push({ shape, dtype: "float32" }) - 1;
  const call = (
    kernel: string,
    inputs: readonly ValueId[],
    attrs: Call["attrs"],
    shape: readonly number[],
    names?: string[],
  ) => ({
    kernel,
    inputs,
    names,
    attrs,
    outputs: [made(shape)],
    region,
  });
  return {
    /** Matrices beside each other (axis 1), or one below the other. */
    concat: (values: readonly ValueId[], axis: 0 | 1): Call => {
      const shapes = values.map((value) => types[value].shape);
      const joined = shapes.reduce((sum, shape) => sum + shape[axis], 0);
      return call("Concat", values, { axis }, axis === 0 ? [joined, shapes[0][1]] : [shapes[0][0], joined]);
    },
    product: (a: ValueId, b: ValueId, attrs: ReturnType<typeof transposes>): Call => {
      const rows = types[a].shape[attrs.transposeA ? 1 : 0];
      const columns = types[b].shape[attrs.transposeB ? 0 : 1];
      return call("BatchMatMul", [a, b], { ...attrs }, [rows, columns], ["a", "b"]);
    },
    columnSum: (value: ValueId): Call =>
      call("Sum", [value], { axis: [0], keepDims: false }, [types[value].shape[1]], ["x"]),
    /** The sum of two, as big as another: that one itself, or a new one. */
    add: (a: ValueId, b: ValueId, like: ValueId, isIt: boolean): Call => {
      const made = call("Add", [a, b], {}, types[like].shape, ["a", "b"]);
      return isIt ? { ...made, outputs: [like] } : made;
    },
    /** Parts along an axis, as the values that they are. */
    parts: (whole: ValueId, axis: number, outputs: readonly ValueId[]): readonly Call[] => {
      let at = 0;
      return outputs.map((output): Call => {
        const size = [...types[output].shape];
        const begin = size.map((_, i) => i === axis ? at : 0);
        at += size[axis];
        return { kernel: "Slice", inputs: [whole], names: ["x"], attrs: { begin, size }, outputs: [output], region };
      });
    },
  };
}

/** Whether a value is made of others by few calls, none of which is among some. */
function isApart(program: Program, without: ReadonlySet<Call>): (value: ValueId) => boolean {
  const maker = makersOf(program.calls);
  return (value) => {
    const seen = new Set<Call>();
    const visit = (value: ValueId): boolean => {
      const call = maker.get(value);
      if (call === undefined || seen.has(call)) return true;
      seen.add(call);
      return seen.size <= MOST_CALLS && !without.has(call) && call.inputs.every(visit);
    };
    return visit(value);
  };
}

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

/**
 * Joins products that are added up, and what else is computed of their first operands: products with one other matrix, and
 * sums down columns. Where something else reads one of these, it would be there twice, and nothing is joined.
 *
 * @param program The program
 */
function joinBackward(program: Program): Program {
  const { calls, types, outputs } = program;
  const readers = readersOf(program);
  const results = new Set(outputs);
  const sourceOf = sourcesOf(program);
  const maker = makersOf(calls);
  const isReadOnce = (value: ValueId) => {
    const found = readers.get(value) ?? [];
    return found.length === 1 && calls[found[0]].inputs.filter((each) => each === value).length === 1;
  };
  /** The calls that read a matrix's memory; none where one reads it in another shape. */
  const readsOf = (value: ValueId): readonly Call[] | undefined => {
    const allOf = (each: ValueId): readonly (readonly [Call, ValueId])[] =>
      (readers.get(each) ?? []).flatMap((i) =>
        isAlias(calls[i]) ? allOf(calls[i].outputs[0]) : [[calls[i], each] as const]
      );
    const found = allOf(sourceOf(value));
    return found.every(([, as]) => as === value) ? found.map(([call]) => call) : undefined;
  };
  /** What is computed of a matrix that can be computed of several at once. */
  const kindOf = ({ kernel, inputs: [a, b], attrs, outputs: [output] }: Call, value: ValueId) => {
    const isGradient = kernel === "BatchMatMul" && a === value && b !== value && attrs.transposeA === true;
    if (isGradient) return `product ${b} ${attrs.transposeB}`;
    const isColumnSum = kernel === "Sum" && `${attrs.axis}` === "0" && types[output].shape.length === 1;
    return isColumnSum ? "sum" : undefined;
  };
  const isTerm = (value: ValueId) => {
    const call = maker.get(value);
    return call !== undefined && isProduct(call, program) && call.attrs.transposeA !== true && isReadOnce(value) &&
      !results.has(value);
  };
  const joinable = (products: readonly Call[]): Joinable | undefined => {
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
    if (new Set(values.map(sourceOf)).size < values.length || values.some((value) => results.has(sourceOf(value)))) {
      return undefined;
    }
    const reads = values.map(readsOf);
    const others = reads.map((each) => (each ?? []).filter((call) => !own.has(call)));
    const found = others.map((each, i) => each.map((call) => kindOf(call, values[i]) ?? "").sort());
    const isComputedAlike = reads.every((each) => each !== undefined) &&
      found.every((each) => `${each}` === `${found[0]}` && !each.includes("") && new Set(each).size === each.length);
    return isComputedAlike ? { values, groups, others } : undefined;
  };
  const change: Change = { types: [...types], instead: new Map() };
  const { concat, product, columnSum, parts, add } = kernelsOn(change.types, 0);
  const joinAll = (
    { values, groups, others }: Joinable,
    terms: readonly ValueId[],
  ): [readonly Call[], readonly ValueId[]] => {
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
      const kind = kindOf(first, values[0])!;
      const alike = others.map((each, i) => each.find((call) => kindOf(call, values[i]) === kind)!);
      const joined = kind === "sum"
        ? columnSum(all.outputs[0])
        : product(all.outputs[0], first.inputs[1], transposes(first));
      for (const call of alike) change.instead.set(call, []);
      made.push(joined, ...parts(joined.outputs[0], 0, alike.map(({ outputs: [output] }) => output)));
    }
    const left = terms.map((value) => instead.has(value) ? instead.get(value) : value).filter((value) =>
      value !== undefined
    );
    return [made, left];
  };
  for (const { root, adds, terms } of longSums(program, isReadOnce)) {
    const products = terms.filter(isTerm).map((value) => maker.get(value)!);
    const [wide, narrow] = [false, true].map((isNarrow) =>
      products.filter(({ inputs: [a] }) => types[a].shape[1] < NARROW === isNarrow)
    );
    const found = [wide, narrow].map(joinable).filter((each) => each !== undefined);
    const [output] = root.outputs;
    const isWhole = (value: ValueId) => `${change.types[value].shape}` === `${types[output].shape}`;
    if (found.length === 0 || !terms.some(isWhole)) continue;
    let [made, left]: [readonly Call[], readonly ValueId[]] = [[], terms];
    for (const each of found) {
      const [more, rest] = joinAll(each, left);
      [made, left] = [[...made, ...more], rest];
    }
    // What has the sum's shape first: numbers a row are added to it.
    const [start, ...rest] = [...left.filter(isWhole), ...left.filter((value) => !isWhole(value))];
    const chain: Call[] = [];
    rest.reduce((sum, value, i) => {
      const call = add(sum, value, output, i === rest.length - 1);
      chain.push(call);
      return call.outputs[0];
    }, start);
    // A sum of products alone is one product.
    if (rest.length === 0) chain.push(reshapeCall(change.types, start, types[output].shape, 0, output));
    for (const call of adds) change.instead.set(call, []);
    change.instead.set(root, [...made, ...chain]);
  }
  return changed(program, change);
}

/**
 * Joins products of a step that becomes one function.
 *
 * @param program The program
 */
export function joinProducts(program: Program): Program {
  return joinBackward(joinForward(program));
}
