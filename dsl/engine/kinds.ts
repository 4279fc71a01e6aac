/**
 * The engines, and all that sets one apart from another.
 *
 * @module
 */
import { commandLine } from "../command_line.ts";
import { isPage } from "../host.ts";
import { kernelByKernel, kernelPasses } from "../compile/replay.ts";
import { prepareGraph } from "../compile/tensorflow/prepare.ts";
import { continued } from "../compile/tensorflow/continued.ts";
import { grouped } from "../compile/tensorflow/grouped.ts";
import { graphReplayer } from "../compile/tensorflow/replay.ts";
import { startRecurrentGraph } from "../compile/tensorflow/recurrent.ts";
import { startGraph } from "../compile/tensorflow/resident.ts";
import { isLong } from "../compile/tensorflow/probe.ts";
import { touched } from "../compile/tensorflow/touched.ts";
import { replayAsList, wasmPasses } from "../compile/wasm/replay.ts";
import { touched as touchedByWasm } from "../compile/wasm/touched.ts";
import { registerGpuKernels } from "../compile/webgpu/eager.ts";
import { gpuPasses } from "../compile/webgpu/lower.ts";
import { replayAsSubmission } from "../compile/webgpu/replay.ts";
import { startSubmissions } from "../compile/webgpu/resident.ts";
import { bitsIn, cpuForms, hold as holdOnCpu, openCpu, widened as widenedOnCpu } from "./cpu.ts";
import { graphForms, hold, narrowed, settle, widened } from "./tensorflow_graph/session.ts";
import type { StoredForm } from "./stored.ts";
import type { Path } from "../tree.ts";
import type { BackendName, EngineKind, Overhead, Running } from "./interface.ts";
import { hasLibrary, openTensorflow, readsHalf } from "./tensorflow.ts";
import { stepKernels } from "../compile/tensorflow/seen_attention.ts";
import { openWasm } from "./wasm.ts";
import { wasmForms } from "./wasm/forms.ts";
import { readsRows } from "./wasm/matmul.ts";
import { hold as holdOnWasm, staysAsRead } from "./wasm/stored.ts";
import { openWebgpu } from "./webgpu.ts";

/** Of processes on wasm before its calls were lists: 3 MB of tensors in 189 MB, 211 MB in 464 MB. */
const REPLAYED: Overhead = { start: 190e6, process: 190e6, call: 5e3, kernel: 0, reading: 75e6, slack: 0.25 };

/** Nothing is advised where there is no such library. */
const advice = isPage() || !hasLibrary()
  ? ""
  : `\`${commandLine("native")}\` provides the tensorflow backend, the fastest on CPUs` +
    (Deno.build.os === "darwin" ? " (made for Macs, but never run on one)" : "");

/** An engine whose programs are replayed kernel by kernel in float32. */
function replaying(kind: Pick<EngineKind, "name" | "embedded" | "isMeasured" | "most" | "open">): EngineKind {
  return {
    ...kind,
    overhead: REPLAYED,
    precisions: ["float32"],
    advice,
    passes: () => kernelPasses(kind.name),
    replay: kernelByKernel,
  };
}

/** The program as one graph, where it can be one. */
function asGraph(...[traced, { forms, calls }]: Parameters<EngineKind["replay"]>): Running | undefined {
  const program = prepareGraph(traced);
  try {
    return { program, replay: graphReplayer(program, { forms, calls }) };
  } catch (error) {
    // Kernels cannot read what is stored in another form.
    if (forms !== undefined) throw error;
    return undefined;
  }
}

const tensorflow: EngineKind = {
  name: "tensorflow",
  embedded: false,
  precisions: ["float32", "bf16"],
  advice: "",
  open: () => openTensorflow(),
  passes: () => prepareGraph,
  replay: (traced, options) =>
    (options.graph || options.forms !== undefined ? asGraph(traced, options) : undefined) ??
      kernelByKernel(traced, options),
  resident: startGraph,
  unpacks: true,
  recurrent: startRecurrentGraph,
  forms: graphForms,
  hold,
  staysAsRead: (form, _, reading) => {
    if (form !== "bf16") return graphForms.has(form);
    // Made into numbers once a pass they are less memory; a step, which reads them three times, has its precision for that.
    return reading === "passes" || reading === "decoding" && readsHalf();
  },
  settle,
  narrowed,
  widened,
  compiles: isLong,
  grouped,
  stepKernels,
  continued: (prepared, options) => continued(prepared, { ...options, byRows: readsHalf(), cut: true }),
  touched,
  // Fitted to the peaks of 27 processes by scripts/tools/plans.ts, but for `start`.
  overhead: { start: 375e6, process: 510e6, call: 18.5e3, kernel: 1.7e6, reading: 75e6, slack: 0 },
};

const kinds: Readonly<Record<BackendName, EngineKind>> = {
  tensorflow,
  webgpu: {
    ...replaying({ name: "webgpu", embedded: false, isMeasured: true, open: openWebgpu }),
    precisions: ["float32", "f16"],
    passes: () => {
      // What is planned without an adapter is traced with the kernels that it would have.
      registerGpuKernels();
      return gpuPasses;
    },
    replay: replayAsSubmission,
    resident: startSubmissions,
  },
  wasm: {
    ...replaying({ name: "wasm", embedded: true, most: 2 ** 32, open: (_, options) => openWasm(options) }),
    passes: () => wasmPasses(),
    replay: replayAsList,
    readsShort: true,
    isBatchInvariant: true,
    movesInPlace: true,
    copies: true,
    touched: touchedByWasm,
    // Fitted to the peaks of 14 processes by scripts/tools/plans.ts; making a call leaves more in JavaScript's memory than it stays.
    overhead: {
      ...{ start: 140e6, process: 142e6, call: 7e3, kernel: 0, reading: 32e6, slack: 0 },
      making: { process: 165e6, call: 13e3 },
    },
    forms: wasmForms,
    hold: holdOnWasm,
    staysAsRead,
    readsStored: readsRows,
  },
  cpu: {
    ...replaying({ name: "cpu", embedded: true, open: openCpu }),
    // A process that merges, of which nothing is compiled.
    overhead: { ...REPLAYED, start: 140e6 },
    forms: cpuForms,
    hold: holdOnCpu,
    bits: bitsIn,
    widened: widenedOnCpu,
    // Their numbers are made at every use, which steps have many of.
    staysAsRead: (form, _, reading) => cpuForms.has(form) && reading === "passes",
  },
};

/** The engines in the order `auto` tries them. */
export const backendNames: readonly BackendName[] = Object.keys(kinds) as BackendName[];

/**
 * What is known of an engine, whether or not it is there.
 *
 * @param name Its name
 */
export function engineKind(name: BackendName): EngineKind {
  return kinds[name];
}

/**
 * Of what parameters are to be kept as, what an engine can keep.
 *
 * @param name The engine
 * @param forms What each is to be kept as
 */
export function keptForms(name: BackendName, forms: ReadonlyMap<Path, StoredForm>): ReadonlyMap<Path, StoredForm> {
  const kept = kinds[name].forms;
  return new Map([...forms].filter(([, form]) => kept?.has(form)));
}
