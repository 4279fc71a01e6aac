/**
 * TensorFlow's C library through tfjs-node's addon, for CPUs and CUDA GPUs. Both are put into a folder by
 * `deno task native`; nothing of them is downloaded, loaded or type-checked before.
 *
 * @module
 */

import * as tf from "@tensorflow/tfjs-core";
import { commandLine } from "../command_line.ts";
import { resolve } from "../files/path.ts";
import { builtin, isPage } from "../host.ts";
import { DYNAMIC_VALUES } from "../quantise.ts";
import { registerFallbackKernels } from "./fallback.ts";
import type { Device } from "./interface.ts";
import { hasNvidiaDriver, type Installation, type Loader, prepareCard } from "./tensorflow_environment.ts";

/** The addon's place below the folder of an installed TensorFlow, as tfjs-node itself lays it out. */
export const addonPath = "lib/napi-v8/tfjs_binding.node";

/** The place of an addon that loads the library without its log on stderr; there where the addon was built here. */
export const quietLoaderPath = "lib/napi-v8/load_quietly.node";

/** What is passed to the kernel for products of a few rows, and how: another number where that changes. */
const ROW_PRODUCTS = 2;

/** The place of that kernel; there where the addon was built here, by a version that passes the same. */
export const rowProductsPath: string = `lib/napi-v8/row_products_${ROW_PRODUCTS}.node`;

/** tfjs's name of the backend. */
const NAME = "tensorflow";

/** Under this key tfjs-node finds the tfjs that runs here, rather than a second one of its own. */
const sharedTfjs = "@onelora/onelora tfjs";

/** Source of the module that stands in for `@tensorflow/tfjs` beside an installed tfjs-node. */
export const tfjsStandIn: string = `module.exports = globalThis[Symbol.for(${JSON.stringify(sharedTfjs)})];\n`;

/** Where TensorFlow is installed: `.native/tensorflow` of the working folder. */
export function nativeFolder(): string {
  return resolve(".native", "tensorflow");
}

/** Functions of Node's `util` that tfjs-node calls and that Deno no longer has. */
const removedFromUtil: Readonly<Record<string, (value: unknown) => boolean>> = {
  isNullOrUndefined: (value) => value === null || value === undefined,
  isArray: (value) => Array.isArray(value),
};

/** What is used here of tfjs-node's backend. */
interface NodeBackend extends tf.KernelBackend {
  readonly isUsingGpuDevice: boolean;
  readonly binding: { readonly TF_Version: string };
}

/** Loads a file of the installed tfjs-node. */
function load(folder: string, path: string): unknown {
  return builtin("node:module").createRequire(resolve(folder, "package.json"))(`./${path}`);
}

/**
 * A module of the installed tfjs-node, such as `dist/saved_model.js`, once the tensorflow backend is in use.
 *
 * @param path Its path in the package
 */
export function tensorflowModule(path: string): unknown {
  return load(nativeFolder(), path);
}

/** Whether there is such a library for this system. */
export function hasLibrary(): boolean {
  return ["linux", "darwin"].includes(Deno.build.os);
}

/**
 * Makes the tensorflow backend ready. The environment is read by the library once, when it loads: its log is silenced
 * unless `TF_CPP_MIN_LOG_LEVEL` is set, and `ONEDNN_DEFAULT_FPMATH_MODE=BF16` lets float32 matrix products be
 * computed in bf16.
 *
 * @param folder Where `deno task native` installed TensorFlow
 */
export function openTensorflow(folder: string = nativeFolder()): Promise<Device> {
  return Promise.resolve().then(() => {
    if (isPage()) throw new Error("a native library, which no page has");
    if (!builtin("node:fs").existsSync(resolve(folder, addonPath))) {
      throw new Error(
        hasLibrary()
          ? `not installed (\`${commandLine("native")}\` installs it)`
          : `there is no library of it for ${Deno.build.os}`,
      );
    }
    if (tf.findBackendFactory(NAME) === null) register(folder);
    const { isUsingGpuDevice, binding } = tf.findBackend(NAME) as NodeBackend;
    const where = isUsingGpuDevice ? "a GPU" : "the CPU, all cores";
    return { kind: isUsingGpuDevice ? "gpu" : "cpu", text: `TensorFlow ${binding.TF_Version} on ${where}` };
  });
}

/** Whether the tensorflow backend, which must be in use, computes on a GPU. */
export function isOnGpu(): boolean {
  return (tf.backend() as NodeBackend).isUsingGpuDevice;
}

/** A kernel for products of a few rows with weights (scripts/commands/native/row_products.cc). */
export interface RowProductsKernel {
  /** The name that XLA knows it under; absent where this version of the library does not let it be told. */
  readonly target?: string;
  /** The same of the kernel for attention beside it. */
  readonly attention?: string;
  /** What it computes with, such as AVX-512. */
  readonly instructions: string;
  /** Gives it {@linkcode DYNAMIC_VALUES}. */
  readonly use: (values: Float32Array) => void;
  /**
   * y = W x[r] for each row, by certain instructions: for tests.
   *
   * @param sizes Rows, outputs, depth, and the number of W's form
   * @param matrix W as it is kept
   * @returns Whether the processor has the instructions
   */
  readonly product: (
    instructions: string,
    sizes: Int32Array,
    matrix: Uint8Array,
    x: Float32Array,
    y: Float32Array,
  ) => boolean;
}

let rowProducts: RowProductsKernel | undefined;

/** The kernel for products of a few rows, once the library is loaded, if it is there and the processor computes. */
export function rowProductsKernel(): Required<RowProductsKernel> | undefined {
  if (rowProducts?.target === undefined || (tf.findBackend(NAME) as NodeBackend).isUsingGpuDevice) return undefined;
  return rowProducts as Required<RowProductsKernel>;
}

/** Whether that kernel is there; before the library is loaded, whether it was built. */
export function readsHalf(): boolean {
  if (tf.findBackendFactory(NAME) !== null) return rowProductsKernel() !== undefined;
  return !isPage() && builtin("node:fs").existsSync(resolve(nativeFolder(), rowProductsPath));
}

/** Where an installation describes itself. */
export const installationRecord = "installed.json";

/** What the installation says of itself; version 0 where it says nothing. */
function installationIn(folder: string): Installation {
  try {
    const { version, cuda } = JSON.parse(Deno.readTextFileSync(resolve(folder, installationRecord)));
    return { version, cuda: cuda === true };
  } catch {
    return { version: "0", cuda: false };
  }
}

/** Loads the library, the addon and tfjs-node's kernels. */
function register(folder: string): void {
  const { env } = builtin("node:process");
  env.TF_CPP_MIN_LOG_LEVEL ??= "3";
  const util: Record<string, unknown> = builtin("node:module").createRequire(resolve(folder, "package.json"))("util");
  for (const [name, replacement] of Object.entries(removedFromUtil)) util[name] ??= replacement;
  Reflect.set(globalThis, Symbol.for(sharedTfjs), tf);
  // One that was built by an earlier version loads the library as soon as it is loaded itself.
  const loader = builtin("node:fs").existsSync(resolve(folder, quietLoaderPath))
    ? load(folder, quietLoaderPath) as Partial<Loader>
    : {};
  if (loader.setDefault !== undefined) {
    if (hasNvidiaDriver(loader as Loader)) prepareCard(loader as Loader, folder, installationIn(folder));
    if (env.TF_CPP_MIN_LOG_LEVEL === "3") loader.load!();
  }
  const binding = load(folder, addonPath);
  // After the addon: it is told to the library that this has loaded.
  if (builtin("node:fs").existsSync(resolve(folder, rowProductsPath))) {
    rowProducts = load(folder, rowProductsPath) as RowProductsKernel;
    rowProducts.use(DYNAMIC_VALUES);
  }
  load(folder, "dist/register_all_kernels.js");
  const { NodeJSKernelBackend } = load(folder, "dist/nodejs_kernel_backend.js") as {
    NodeJSKernelBackend: new (binding: unknown, packageName: string) => tf.KernelBackend;
  };
  tf.registerBackend(NAME, () => new NodeJSKernelBackend(binding, "@tensorflow/tfjs-node-gpu"));
  registerFallbackKernels(NAME);
}
