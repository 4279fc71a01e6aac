/**
 * What an engine is to everything above it: whatever differs between engines is asked of them here, never by their name.
 *
 * @module
 */
import type { Pass } from "../compile/passes.ts";
import type { Continued, ContinuedOptions } from "../compile/continuation.ts";
import type { Halved } from "../compile/tensorflow/half.ts";
import type { Call, Program, ValueId, ValueType } from "../compile/program.ts";
import type { Replayer, ReplayOptions } from "../compile/replay.ts";
import type { PureStep, Resident, ResidentOptions, StepState } from "../compile/step.ts";
import type { Recurrent, RecurrentFunction, RecurrentOptions } from "../compile/recurrence.ts";
import type { Params, Tree } from "../tree.ts";
import type { Precision } from "./precision.ts";
import type { StoredForm } from "./stored.ts";
import type { Tensor } from "@tensorflow/tfjs-core";

/** An engine tensors can live on, fastest first: TensorFlow's C library, a GPU, WebAssembly, plain JavaScript. */
export type BackendName = "tensorflow" | "webgpu" | "wasm" | "cpu";

/** How an engine is to be opened. */
export interface OpenOptions {
  /** Threads of the wasm engine (default: the cores there are); the others choose their own. */
  readonly threads?: number;
}

/** What an engine computes on. */
export interface Device {
  /** Processor cores, or a card of its own memory. */
  readonly kind: "cpu" | "gpu";
  /** Threads of our own that share the work, where the engine says. */
  readonly threads?: number;
  /** The library and the device in a line. */
  readonly text: string;
  /** Why it cannot compute in those of the engine's precisions that it cannot, in a few words. */
  readonly lacks?: Readonly<Partial<Record<Precision, string>>>;
}

/** Memory of a process besides the tensors of a step or call. */
export interface Overhead {
  /** Bytes of a process with the engine ready. */
  readonly start: number;
  /** Bytes of a process with the engine ready and one program made. */
  readonly process: number;
  /** Bytes of a kernel call of the program. */
  readonly call: number;
  /** The same two while a program is made, where what that leaves is collected before it runs. */
  readonly making?: Readonly<Record<"process" | "call", number>>;
  /** Bytes of each kernel that is compiled. */
  readonly kernel: number;
  /** Bytes of a command that reads data besides: its modules, the data, and what JavaScript has not yet let go of. */
  readonly reading: number;
  /** Share of what is neither parameter nor state: freed memory that the allocator has not given back. */
  readonly slack: number;
}

/** What a model's weights are read for: steps of training, passes forward, or texts that are gone on with. */
export type Reading = "steps" | "passes" | "decoding";

/** A matrix product. */
export interface Product {
  /** Shapes of its factors. */
  readonly shapes: readonly [a: readonly number[], b: readonly number[]];
  /** Whether each is transposed. */
  readonly transposed: readonly [a: boolean, b: boolean];
}

/** A program whose memory is planned. */
export interface Planned {
  /** The program, as the engine groups it. */
  readonly program: Program;
  /** How many of its inputs are there between runs, which come first. */
  readonly state: number;
  /** Bytes of a value as it is kept; none for what is written into memory that is there. */
  readonly bytes: (value: ValueId) => number;
  /** Bytes of a value of the state as it was loaded. */
  readonly loaded: (value: ValueId) => number;
  /** Bytes that a call takes besides, for its own time. */
  readonly during: (call: Call) => number;
  /** What ran before in the same process: its state is still there, and what the engine did not give back. */
  readonly after?: Planned;
}

/** A program, and what runs it. */
export interface Running {
  /** The program as it is run. */
  readonly program: Program;
  /** What runs it. */
  readonly replay: Replayer;
}

/** An engine, whether or not it is there. */
export interface EngineKind {
  /** Its name, which is that of its tfjs backend too. */
  readonly name: BackendName;
  /** Whether it is part of this package and works wherever Deno does. */
  readonly embedded: boolean;
  /**
   * Whether `auto` measures it beside the engine after it: a GPU may be slower than a processor on small models. An engine
   * that was installed to be fast is taken as it is.
   */
  readonly isMeasured?: boolean;
  /** Precisions it computes in. */
  readonly precisions: readonly Precision[];
  /** One line on how to get a faster engine; empty where this one is the fastest. */
  readonly advice: string;
  /** Makes it ready to compute; rejects, saying why, where it cannot. `auto` is choosy, `forced` takes what is there. */
  readonly open: (choice: "auto" | "forced", options: OpenOptions) => Promise<Device>;
  /** What the program of a step goes through before it runs; some depends on the kernels that are there. */
  readonly passes: () => Pass;
  /** Makes a traced program ready to be run many times. */
  readonly replay: (traced: Program, options: ReplayOptions) => Running;
  /** Starts a step whose state the engine itself keeps; absent where a step is replayed kernel by kernel. */
  readonly resident?: <Batch extends Params>(
    step: PureStep<Batch>,
    state: StepState,
    options: ResidentOptions,
    fallback: (step: PureStep<Batch>, state: StepState) => Resident<Batch>,
  ) => Resident<Batch>;
  /**
   * Whether what a step is sent had better be small where it goes to a card of its own memory: the step then makes numbers of it.
   */
  readonly unpacks?: boolean;
  /** Whether a program is made fast enough that texts of few tokens have one for each of several lengths. */
  readonly readsShort?: boolean;
  /** Whether it computes an example to the same bytes in batches of any size. */
  readonly isBatchInvariant?: boolean;
  /**
   * Whether a step that is replayed moves its state in the memory that it has.
   *
   * @internal
   */
  readonly movesInPlace?: boolean;
  /**
   * What its process takes besides the tensors of a step or call, as it was measured.
   *
   * @internal
   */
  readonly overhead: Overhead;
  /**
   * Whether a step that is taken so often is compiled (default yes).
   *
   * @internal
   */
  readonly compiles?: (steps: number) => boolean;
  /**
   * A program as it is run, with one call for what becomes one kernel (default: as it is).
   *
   * @internal
   */
  readonly grouped?: (program: Program, halved: Halved, blocks?: readonly (readonly number[])[]) => Program;
  /**
   * What a recurrent function's program becomes (default: what a step's does).
   *
   * @internal
   */
  readonly continued?: (prepared: Program, options: Omit<ContinuedOptions, "byRows" | "cut">) => Continued;
  /**
   * Kernels of our own that a recurrent function is recorded with besides those of the backend (default none).
   *
   * @internal
   */
  readonly stepKernels?: (kept: Tree<ValueType>, isStep: boolean) => readonly string[];
  /**
   * The memory that tensors come to, holes between them and what JavaScript has of them included (default: what is alive at most).
   *
   * @internal
   */
  readonly touched?: (planned: Planned) => number;
  /** Most bytes of tensors that it can address, where there is such a bound. */
  readonly most?: number;
  /**
   * Brings a tensor's numbers to where the engine computes, so that they are not kept twice until a first kernel reads them;
   * absent where they are there already. The engine may go on reading the array that they came in.
   *
   * @internal
   */
  readonly settle?: (tensor: Tensor) => void;
  /**
   * A float32 tensor's numbers rounded to bfloat16 (nearest, ties to even) and kept so, computed where they are; absent where they
   * have to be read for it.
   *
   * @internal
   */
  readonly narrowed?: (tensor: Tensor) => Tensor;
  /**
   * The numbers of a tensor kept in halves, computed at once; absent where a program has to be made for it.
   *
   * @internal
   */
  readonly widened?: (tensor: Tensor) => Tensor;
  /**
   * The halves of a tensor kept in them, which nobody may write to; absent where they would have to be copied.
   *
   * @internal
   */
  readonly bits?: (tensor: Tensor) => Uint16Array;
  /**
   * Whether tensors are copies of what they are made of from the first on, so that what was read of a file may go at once, and what
   * is read of them are copies too. Not so on tensorflow, which shares some arrays with JavaScript, by where they begin.
   *
   * @internal
   */
  readonly copies?: boolean;
  /**
   * Forms other than their numbers that tensors are kept in; absent where all are float32.
   *
   * @internal
   */
  readonly forms?: ReadonlySet<StoredForm>;
  /**
   * Keeps bytes, blocks as files have them, as a tensor of such a form; nothing where it cannot.
   *
   * @internal
   */
  readonly hold?: (bytes: Uint8Array, form: StoredForm, shape: readonly number[]) => Tensor | undefined;
  /**
   * Whether a frozen tensor of two axes or more had better stay as its file has it, without being asked for.
   *
   * @internal
   */
  readonly staysAsRead?: (form: StoredForm, shape: readonly number[], reading: Reading) => boolean;
  /**
   * Whether a recurrent function's product reads a stored matrix as it is, so that nobody makes numbers of it.
   *
   * @internal
   */
  readonly readsStored?: (product: Product) => boolean;
  /**
   * Starts a function whose parameters and what it keeps the engine itself holds; absent where it is replayed.
   *
   * @internal
   */
  readonly recurrent?: (f: RecurrentFunction, parameters: Params, options: RecurrentOptions) => Recurrent;
}

/** An engine that is there. */
export interface Engine extends EngineKind {
  /** What it computes on. */
  readonly device: Device;
}
