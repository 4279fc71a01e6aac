/**
 * TensorFlow's C library through tfjs-node's addon, for CPUs and CUDA GPUs. Both are put into a folder by
 * `deno task native`; nothing of them is downloaded, loaded or type-checked before.
 *
 * @module
 */

import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { resolve } from "node:path";
import process from "node:process";
import * as tf from "@tensorflow/tfjs-core";
import { registerFallbackKernels } from "./fallback.ts";

/** The npm package whose JavaScript half drives the addon. */
export const tensorflowPackage = "npm:@tensorflow/tfjs-node-gpu@4.22.0";

/** The addon's place below the folder of an installed TensorFlow, as the package itself lays it out. */
export const addonPath = "lib/napi-v8/tfjs_binding.node";

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
}

/**
 * Makes the tensorflow backend ready. The environment is read by the library once, when it loads: its log is silenced
 * unless `TF_CPP_MIN_LOG_LEVEL` is set, and `ONEDNN_DEFAULT_FPMATH_MODE=BF16` lets float32 matrix products be
 * computed in bf16.
 *
 * @param folder Where `deno task native` installed TensorFlow
 */
export async function openTensorflow(folder: string = nativeFolder()): Promise<string> {
  const addon = resolve(folder, addonPath);
  if (!existsSync(addon)) throw new Error("not installed (`deno task native` installs it)");
  if (tf.findBackendFactory("tensorflow") === null) {
    process.env.TF_CPP_MIN_LOG_LEVEL ??= "3";
    const require = createRequire(import.meta.url);
    const util: Record<string, unknown> = require("util");
    for (const [name, replacement] of Object.entries(removedFromUtil)) util[name] ??= replacement;
    const binding = require(addon);
    await import(`${tensorflowPackage}/dist/register_all_kernels.js`);
    const { NodeJSKernelBackend } = await import(`${tensorflowPackage}/dist/nodejs_kernel_backend.js`);
    tf.registerBackend("tensorflow", () => new NodeJSKernelBackend(binding, "@tensorflow/tfjs-node-gpu"));
    registerFallbackKernels("tensorflow");
  }
  const backend = tf.findBackend("tensorflow") as NodeBackend;
  return `TensorFlow's C library on ${backend.isUsingGpuDevice ? "a GPU" : "the CPU"}, all cores`;
}
