/**
 * What a step's plan follows from: its program, what is alive at the peak, and what stays for what is run after it.
 *
 * @module
 */
import { engineInUse } from "../engine/in_use.ts";
import { engineKind } from "../engine/kinds.ts";
import type { Precision } from "../engine/precision.ts";
import type { Params, Tree } from "../tree.ts";
import { keeping, largestUnpacked, processBytes, type Ran } from "./keeping.ts";
import { besideMoved, moveEarly, type Moving } from "./moving.ts";
import { removeDead } from "./passes.ts";
import type { PeakBytes, PlanOptions, StepPlan, StepTypes } from "./step_plan.ts";
import {
  buffersAt,
  type BytesOf,
  bytesOf,
  isAlias,
  planMemory,
  productFlops,
  type Program,
  type ValueId,
  type ValueType,
} from "./program.ts";
import type { PureStep } from "./step.ts";
import { halve, type Halved, nothingHalved } from "./tensorflow/half.ts";
import { movedInPlace } from "./tensorflow/in_place.ts";
import { traceStep } from "./trace_step.ts";
import { halvedInputs, widening } from "./webgpu/halves.ts";

/** A step's program, and the gradients in it. */
interface Recorded {
  readonly program: Program;
  /** What of its results may be written over what, where the engine does that. */
  readonly moving?: Moving;
  /** The buffers that hold them. */
  readonly gradients: ReadonlySet<ValueId>;
}

function record<Batch extends Params>(step: PureStep<Batch>, types: StepTypes, options: PlanOptions): Recorded {
  const { name, passes, movesInPlace } = options.backend === undefined ? engineInUse() : engineKind(options.backend);
  const pass = passes();
  const target = { backend: name, precision: options.precision ?? "float32" } as const;
  const gradients = () => Object.values(options.gradients?.() ?? {});
  const { program: traced, metrics, moving } = traceStep(step, types, target, gradients);
  const results = moving.pairs.length + metrics.length;
  const marked = pass(traced);
  // Nothing is computed for the sake of the marks.
  const program = removeDead({ ...marked, outputs: marked.outputs.slice(0, results) });
  return {
    program: movesInPlace ? moveEarly(program, moving) : program,
    ...movesInPlace ? { moving } : {},
    gradients: new Set(marked.outputs.slice(results).map(sourceIn(marked))),
  };
}

/** The value whose memory a value shares. */
function sourceIn({ calls }: Program): (value: ValueId) => ValueId {
  const shared = new Map(calls.filter(isAlias).map(({ inputs: [input], outputs: [output] }) => [output, input]));
  const source = (value: ValueId): ValueId => shared.has(value) ? source(shared.get(value)!) : value;
  return source;
}

/** What is kept in halves, and the program with what that takes. */
function inPrecision(recorded: Recorded, frozen: number, precision: Precision): Recorded & { readonly halved: Halved } {
  const { program } = recorded;
  if (precision === "bf16") return { ...recorded, halved: halve(program, frozen) };
  if (precision === "float32") return { ...recorded, halved: nothingHalved };
  const values = halvedInputs(program, frozen);
  return { ...recorded, program: widening(program, values), halved: { ...nothingHalved, values } };
}

function total(values: Iterable<ValueId>, bytes: BytesOf): number {
  let sum = 0;
  for (const value of values) sum += bytes(value);
  return sum;
}

/** What is alive at the peak, by what it is. */
function peakOf(
  { program, gradients }: Recorded,
  groups: Readonly<Record<"frozen" | "trained" | "optimiser" | "batch", readonly ValueId[]>>,
  call: number,
  bytes: BytesOf,
  unpacked: number,
): PeakBytes {
  const inputs = new Set(program.inputs);
  const outputs = new Set(program.outputs);
  const sums = { gradients: 0, next: 0, activations: 0 };
  for (const [buffer, values] of buffersAt(program, call)) {
    if (inputs.has(buffer) || program.constants.has(buffer)) continue;
    const isNext = [...values].some((value) => outputs.has(value));
    sums[isNext ? "next" : gradients.has(buffer) ? "gradients" : "activations"] += bytes(buffer);
  }
  return {
    frozen: total(groups.frozen, bytes),
    trained: total(groups.trained, bytes),
    optimiser: total(groups.optimiser, bytes),
    batch: total(groups.batch, bytes),
    constants: total(program.constants.keys(), bytes),
    unpacked,
    ...sums,
  };
}

/**
 * Foretells what a step will take, for what is planned after it in the same process too.
 *
 * @param step The pure step
 * @param types Types of everything it reads
 * @param options See {@linkcode PlanOptions}
 */
export function planRun<Batch extends Params>(
  step: PureStep<Batch>,
  types: StepTypes,
  options: PlanOptions = {},
): { readonly plan: StepPlan; readonly ran: Ran } {
  const { precision = "float32" } = options;
  const frozen = Object.keys(types.frozen);
  const recorded = inPrecision(record(step, types, options), frozen.length, precision);
  const { program, halved } = recorded;
  const forms = frozen.map((path) => options.forms?.get(path));
  const { bytes, during, unpacking, isHalf, isFloat16, isQuantised } = keeping(program, { halved, forms });
  let next = 0;
  const take = (tree: Tree<ValueType>) => program.inputs.slice(next, next += Object.keys(tree).length);
  const groups = {
    frozen: take(types.frozen),
    trained: take(types.trained),
    optimiser: take(types.optimiser),
    batch: take(types.batch),
  };
  const { name, resident, compiles, grouped } = options.backend === undefined
    ? engineInUse()
    : engineKind(options.backend);
  const isCompiled = compiles?.(options.steps ?? Infinity) ?? true;
  const moved = resident === undefined || !isCompiled
    ? new Set()
    : movedInPlace(program, groups.trained.length + groups.optimiser.length);
  const besides = besideMoved(program, recorded.moving, bytes);
  const own: BytesOf = (value) => moved.has(value) ? 0 : besides(value);
  const run = isCompiled ? grouped?.(program, halved) ?? program : program;
  const { peakBytes, peakCall } = planMemory(run, own, during);
  const unpacked = peakCall < 0 ? 0 : during(run.calls[peakCall]);
  const trained = total(groups.trained, bytes);
  const atPeak = peakOf({ ...recorded, program: run }, groups, peakCall, own, unpacked);
  const unpackedNumbers = largestUnpacked(program, isQuantised);
  const inHalves = total(groups.frozen.filter(isHalf), bytes);
  const inFloat16 = precision === "f16" ? inHalves : total(groups.frozen.filter(isFloat16), bytes);
  const stored = new Set(groups.frozen.filter((_, i) => forms[i] !== undefined));
  const parameters = [...frozen, ...Object.keys(types.trained)].map((path, i): [string, number] => [
    path,
    bytes(program.inputs[i]),
  ]);
  const ran: Ran = {
    program: run,
    state: program.inputs.length - groups.batch.length,
    bytes: own,
    // Weights are cast once a step is made.
    loaded: (value) => stored.has(value) ? bytes(value) : bytesOf(program.types[value]),
    during,
    peakBytes,
    calls: program.calls.length,
    unpacking,
    made: atPeak.activations + atPeak.gradients + atPeak.next,
    parameters: new Map(parameters),
  };
  const plan: StepPlan = {
    weights: {
      float32: total(groups.frozen.filter((value) => !isHalf(value) && !isQuantised(value)), bytes),
      bf16: inHalves - inFloat16,
      ...inFloat16 > 0 ? { f16: inFloat16 } : {},
      quantised: total(groups.frozen.filter(isQuantised), bytes),
    },
    trained,
    gradients: trained,
    optimiser: total(groups.optimiser, bytes),
    peakBytes,
    atPeak,
    productFlops: productFlops(program),
    calls: program.calls.length,
    unpackedNumbers,
    processBytes: processBytes(name, ran),
  };
  return { plan, ran };
}
