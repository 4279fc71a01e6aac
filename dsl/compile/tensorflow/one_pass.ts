/**
 * Rewrites, with the same results but for the order of sums, after which XLA goes over activations once where it would twice.
 *
 * @module
 */
import { makersOf, sourcesOf } from "../uses.ts";
import { type Call, isAlias, type Program, reshapeCall, type ValueId } from "../program.ts";

/** The axes of a reduction, counted from the front. */
function axesOf({ attrs, inputs: [x] }: Call, { types }: Pick<Program, "types">): readonly number[] {
  const { length } = types[x].shape;
  return [attrs.axis ?? attrs.reductionIndices].flat().map((axis) => (Number(axis) + length) % length);
}

/**
 * dx = y ((dy - m) - rowsum(y (dy - m))), with m the mean of dy's row, instead of dx = y dy - y rowsum(y dy). Rows of a softmax add
 * up to 1, so any m may be taken off. What a row minus its mean is followed by, XLA compiles as one kernel that holds rows; otherwise
 * it reads y and dy twice.
 *
 * @param program The program, in rows
 */
export function centreSoftmaxGradients(program: Program): Program {
  const { calls } = program;
  const types = [...program.types];
  const maker = makersOf(calls);
  const sourceOf = sourcesOf(program);
  const made = (value: ValueId, kernel: string): Call | undefined => {
    const call = maker.get(value);
    return call?.kernel === kernel ? call : undefined;
  };
  const isSoftmax = (value: ValueId) => {
    const call = maker.get(sourceOf(value));
    return call?.kernel === "Softmax" && types[call.outputs[0]].shape.at(-1) === types[value].shape.at(-1);
  };
  /** The y and dy of a gradient that a call ends. */
  const partsOf = ({ kernel, inputs: [product, along] }: Call): readonly [ValueId, ValueId] | undefined => {
    const [first, second] = [made(product, "Multiply"), made(along, "Multiply")];
    if (kernel !== "Sub" || first === undefined || second === undefined) return undefined;
    const found = first.inputs.findIndex(isSoftmax);
    if (found < 0 || types[product].shape.length !== 2) return undefined;
    const [y, dy] = [first.inputs[found], first.inputs[1 - found]];
    const sum = second.inputs[0] === y ? made(second.inputs[1], "Sum") : undefined;
    const isOfRows = sum?.inputs[0] === product && `${axesOf(sum, { types })}` === "1";
    return isOfRows && `${types[dy].shape}` === `${types[y].shape}` ? [y, dy] : undefined;
  };
  const changed = calls.flatMap((call): readonly Call[] => {
    const parts = partsOf(call);
    if (parts === undefined) return [call];
    const [y, dy] = parts;
    const { region, outputs: [output] } = call;
    const { shape } = types[y];
    const value = (shape: readonly number[]) => types.push({ shape, dtype: "float32" }) - 1;
    const binary = (kernel: string, a: ValueId, b: ValueId, to: ValueId): Call => ({
      ...{ kernel, inputs: [a, b], names: ["a", "b"], attrs: {}, outputs: [to], region },
    });
    const alongRows = (kernel: string, x: ValueId, to: ValueId): Call => ({
      ...{ kernel, inputs: [x], names: ["x"], attrs: { axis: [1], keepDims: true }, outputs: [to], region },
    });
    const [mean, sum] = [[shape[0], 1], [shape[0], 1]].map(value);
    const [centred, weighted, left] = [shape, shape, shape].map(value);
    return [
      alongRows("Mean", dy, mean),
      binary("Sub", dy, mean, centred),
      binary("Multiply", y, centred, weighted),
      alongRows("Sum", weighted, sum),
      binary("Sub", centred, sum, left),
      binary("Multiply", y, left, output),
    ];
  });
  return { ...program, types, calls: changed };
}

const PRODUCTS: ReadonlySet<string> = new Set([
  "BatchMatMul",
  "Conv2D",
  "Conv2DBackpropFilter",
  "Conv2DBackpropInput",
]);

/** Sums over fewer rows are one kernel anyway. */
const LEAST_ROWS = 1024;

/** Sums that are joined at most: a kernel reads so many tensors, and some more. */
const MOST_PARTS = 48;

/** In how many parts rows are added up: the divisor of their number next to its root, as XLA parts them. None if none is near. */
function partsOfRows(rows: number): number | undefined {
  const root = Math.floor(Math.sqrt(rows));
  for (let parts = root; parts >= root / 2; parts--) if (rows % parts === 0) return parts;
  return undefined;
}

/**
 * Sums down the columns of many rows, as gradients of biases and columns are: XLA makes them of sums of parts of the rows, and these
 * again one by one. Here the latter are one sum of all parts beside each other, when the last are there.
 *
 * @param program The program
 */
export function joinColumnSums(program: Program): Program {
  const { calls } = program;
  const types = [...program.types];
  const isColumnSum = (call: Call) => {
    if (call.kernel !== "Sum") return false;
    const { shape } = types[call.inputs[0]];
    return shape.length === 2 && shape[0] >= LEAST_ROWS && shape[1] > 1 && `${axesOf(call, program)}` === "0" &&
      partsOfRows(shape[0]) !== undefined;
  };
  const { chosen, late } = waiting(program, isColumnSum);
  /** What comes in a sum's place: its parts. */
  const instead = new Map<Call, readonly Call[]>();
  const sumsOf = (sums: readonly Call[], parts: number): readonly Call[] => {
    const widths = sums.map(({ inputs: [x] }) => types[x].shape[1]);
    const made = (shape: readonly number[]) => types.push({ shape, dtype: "float32" }) - 1;
    const sumOver = (axis: number, x: ValueId, output: ValueId, region: number): Call => ({
      ...{
        kernel: "Sum",
        inputs: [x],
        names: ["x"],
        attrs: { axis: [axis], keepDims: false },
        outputs: [output],
        region,
      },
    });
    const found = sums.map((call, i) => {
      const { inputs: [x], region } = call;
      const parted = reshapeCall(types, x, [parts, types[x].shape[0] / parts, widths[i]], region);
      const output = made([parts, widths[i]]);
      instead.set(call, [parted, sumOver(1, parted.outputs[0], output, region)]);
      return output;
    });
    const width = widths.reduce((sum, each) => sum + each);
    const [all, sum] = [[parts, width], [width]].map(made);
    const slices = sums.flatMap(({ outputs: [output] }, i): readonly Call[] => {
      const [begin, size] = [[widths.slice(0, i).reduce((at, each) => at + each, 0)], [widths[i]]];
      const part = made(size);
      return [
        { kernel: "Slice", inputs: [sum], names: ["x"], attrs: { begin, size }, outputs: [part], region: 0 },
        reshapeCall(types, part, types[output].shape, 0, output),
      ];
    });
    return [
      { kernel: "Concat", inputs: found, attrs: { axis: 1 }, outputs: [all], region: 0 },
      sumOver(0, all, sum, 0),
      ...slices,
    ];
  };
  const joined = [...Map.groupBy(chosen, ({ inputs: [x] }) => partsOfRows(types[x].shape[0])!)].flatMap(
    ([parts, sums]) => {
      const starts = Array.from({ length: Math.ceil(sums.length / MOST_PARTS) }, (_, i) => i * MOST_PARTS);
      const groups = starts.map((at) => sums.slice(at, at + MOST_PARTS)).filter(({ length }) => length > 1);
      return groups.flatMap((group) => sumsOf(group, parts));
    },
  );
  if (joined.length === 0) return program;
  const early = calls.filter((call) => !late.has(call)).flatMap((call) => instead.get(call) ?? [call]);
  const last = calls.filter((call) => late.has(call)).map((call): Call => ({ ...call, region: 0 }));
  return { ...program, types, calls: [...early, ...joined, ...last] };
}

/**
 * Those of some calls that can wait until all else is done, since neither products nor regions need them, and all calls that wait
 * for them.
 */
function waiting(
  { calls }: Program,
  isWanted: (call: Call) => boolean,
): { readonly chosen: readonly Call[]; readonly late: ReadonlySet<Call> } {
  /** By value, the wanted calls that it depends on. */
  const behind = new Map<ValueId, ReadonlySet<Call>>();
  const unfit = new Set<Call>();
  const dependents: (readonly [Call, ReadonlySet<Call>])[] = [];
  for (const call of calls) {
    const on = new Set(call.inputs.flatMap((value) => [...behind.get(value) ?? []]));
    if (on.size > 0) dependents.push([call, new Set(on)]);
    if (call.region !== 0 && !isAlias(call) || PRODUCTS.has(call.kernel)) on.forEach((each) => unfit.add(each));
    if (isWanted(call)) {
      on.forEach((each) => unfit.add(each));
      on.add(call);
    }
    if (on.size > 0) call.outputs.forEach((value) => behind.set(value, on));
  }
  const chosen = calls.filter((call) => isWanted(call) && !unfit.has(call));
  const isChosen = new Set(chosen);
  const late = dependents.filter(([, on]) => [...on].some((each) => isChosen.has(each))).map(([call]) => call);
  return { chosen, late: new Set(late) };
}
