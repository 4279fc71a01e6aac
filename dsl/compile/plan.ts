/**
 * The memory and the work of a training step, foretold from the types of its tensors alone: nothing is allocated.
 *
 * @module
 */
import { engineInUse } from "../engine/in_use.ts";
import type { BackendName } from "../engine/interface.ts";
import { engineKind } from "../engine/kinds.ts";
import type { Precision } from "../engine/precision.ts";
import type { StoredForm } from "../engine/stored.ts";
import { flatten, type Params, type Tree } from "../tree.ts";
import { keeping, largestUnpacked, processBytes } from "./keeping.ts";
import { removeDead } from "./passes.ts";
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
import type { PureStep, StepState } from "./step.ts";
import { halve, type Halved, nothingHalved } from "./tensorflow/half.ts";
import { movedInPlace } from "./tensorflow/in_place.ts";
import { trace } from "./trace.ts";
import { halvedInputs, widening } from "./webgpu/halves.ts";

/** Types of everything a step reads. */
export interface StepTypes {
  /** Parameters that stay as they are. */
  readonly frozen: Tree<ValueType>;
  /** Parameters that the step moves. */
  readonly trained: Tree<ValueType>;
  /** The optimiser's state. */
  readonly optimiser: Tree<ValueType>;
  /** One batch. */
  readonly batch: Tree<ValueType>;
}

/** Settings of {@linkcode planStep}. */
export interface PlanOptions {
  /** The backend that is to compute it, with the kernels of it that are there (default: the one in use). */
  readonly backend?: BackendName;
  /** Precision of frozen weights and matrix products (default float32). */
  readonly precision?: Precision;
  /**
   * What frozen parameters are kept as, those that are, by path.
   *
   * @internal
   */
  readonly forms?: ReadonlyMap<string, StoredForm>;
  /** The gradients that the step has computed when it returns: they are counted on a line of their own. */
  readonly gradients?: () => Params;
}

/** What is alive when a step takes most memory, in bytes. */
export interface PeakBytes {
  /** Frozen parameters. */
  readonly frozen: number;
  /** Trained parameters. */
  readonly trained: number;
  /** The optimiser's state. */
  readonly optimiser: number;
  /** The batch. */
  readonly batch: number;
  /** Constants of the program. */
  readonly constants: number;
  /** Those gradients of trained parameters that are there by then. */
  readonly gradients: number;
  /** Parameters and optimiser state of the next step, as far as they are there by then. */
  readonly next: number;
  /** Numbers that stored weights are made into for the call that reads them. */
  readonly unpacked: number;
  /** Everything else: what is kept for the backward pass, and what is being computed. */
  readonly activations: number;
}

/** What a step will take. */
export interface StepPlan {
  /** Frozen parameters by element type, in bytes. */
  readonly weights: {
    readonly float32: number;
    readonly bf16: number;
    readonly quantised: number;
    /** Where that is the precision, or what the file has and the engine keeps. */
    readonly f16?: number;
  };
  /** Trained parameters, in bytes. */
  readonly trained: number;
  /** All of their gradients, in bytes. */
  readonly gradients: number;
  /** The optimiser's state, in bytes. */
  readonly optimiser: number;
  /** Largest number of bytes alive at once. */
  readonly peakBytes: number;
  /** What these are; they add up to `peakBytes`. */
  readonly atPeak: PeakBytes;
  /** Floating-point operations of the matrix products and convolutions, 2 per multiply-add. */
  readonly productFlops: number;
  /** Kernel calls. */
  readonly calls: number;
  /** Numbers of the largest quantised matrix that is read. */
  readonly unpackedNumbers: number;
  /** What the process takes at the peak, its own memory included, as the engine was measured. */
  readonly processBytes: number;
}

/**
 * Types of the tensors that a function makes of tensors of given types; nothing is computed.
 *
 * @param f Function of a tree of tensors
 * @param types Types of its tensors
 */
export function typesOf(f: (tree: Params) => Params, types: Tree<ValueType>): Tree<ValueType> {
  let names: readonly string[] = [];
  const program = trace((inputs) => {
    const result = f(Object.fromEntries(Object.keys(types).map((name, i) => [name, inputs[i]])));
    names = Object.keys(result);
    return Object.values(result);
  }, Object.values(types));
  return Object.fromEntries(names.map((name, i) => [name, program.types[program.outputs[i]]]));
}

/** A step's program, and the gradients in it. */
interface Recorded {
  readonly program: Program;
  /** The buffers that hold them. */
  readonly gradients: ReadonlySet<ValueId>;
}

/** The types of a tree of trees of them. */
const typesIn = flatten((node): node is ValueType => Array.isArray((node as Partial<ValueType> | null)?.shape));

function record<Batch extends Params>(step: PureStep<Batch>, types: StepTypes, options: PlanOptions): Recorded {
  const { frozen, trained, optimiser, batch } = types;
  const { name, passes } = options.backend === undefined ? engineInUse() : engineKind(options.backend);
  const pass = passes();
  const given = typesIn([{ frozen, trained, optimiser }, batch]);
  let results = 0;
  const traced = trace(
    (inputs) => {
      const [state, metrics] = step(...given.rebuild(inputs) as [StepState, Batch]);
      const made = [state.trained, state.optimiser, metrics].flatMap((tree) => Object.values(tree));
      results = made.length;
      return [...made, ...Object.values(options.gradients?.() ?? {})];
    },
    given.leaves,
    { backend: name, precision: options.precision ?? "float32" },
  );
  const marked = pass(traced);
  return {
    // Nothing is computed for the sake of the marks.
    program: removeDead({ ...marked, outputs: marked.outputs.slice(0, results) }),
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
 * Foretells what a step will take. On tensorflow it is planned as the one graph that it is run as there, elsewhere as the
 * program that {@linkcode compile} replays, whose {@linkcode planMemory} this agrees with byte for byte.
 *
 * @param step The pure step
 * @param types Types of everything it reads
 * @param options See {@linkcode PlanOptions}
 *
 * @example
 * ```ts
 * import { planStep, useBackend } from "@onelora/onelora/dsl";
 * import { assertEquals } from "@std/assert";
 * import * as tf from "@tensorflow/tfjs-core";
 * await useBackend("cpu");
 * const large = { shape: [1e6, 1e6], dtype: "float32" } as const;
 * const plan = planStep(
 *   ({ frozen, trained, optimiser }, { x }) => [
 *     { frozen, trained: { b: tf.add(trained.b, tf.sum(tf.matMul(x, frozen.w))) }, optimiser },
 *     { loss: tf.scalar(0) },
 *   ],
 *   { frozen: { w: large }, trained: { b: { shape: [], dtype: "float32" } }, optimiser: {}, batch: { x: large } },
 * );
 * assertEquals([plan.weights.float32, plan.productFlops], [4e12, 2e18]);
 * ```
 */
export function planStep<Batch extends Params>(
  step: PureStep<Batch>,
  types: StepTypes,
  options: PlanOptions = {},
): StepPlan {
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
  const { name, resident, grouped } = options.backend === undefined ? engineInUse() : engineKind(options.backend);
  const moved = resident === undefined
    ? new Set()
    : movedInPlace(program, groups.trained.length + groups.optimiser.length);
  const own: BytesOf = (value) => moved.has(value) ? 0 : bytes(value);
  const run = grouped?.(program, halved) ?? program;
  const { peakBytes, peakCall } = planMemory(run, own, during);
  const unpacked = peakCall < 0 ? 0 : during(run.calls[peakCall]);
  const trained = total(groups.trained, bytes);
  const atPeak = peakOf({ ...recorded, program: run }, groups, peakCall, own, unpacked);
  const unpackedNumbers = largestUnpacked(program, isQuantised);
  const inHalves = total(groups.frozen.filter(isHalf), bytes);
  const inFloat16 = precision === "f16" ? inHalves : total(groups.frozen.filter(isFloat16), bytes);
  const stored = new Set(groups.frozen.filter((_, i) => forms[i] !== undefined));
  return {
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
    processBytes: processBytes(name, {
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
    }),
  };
}
