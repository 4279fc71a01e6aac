/**
 * GPUs through WebGPU.
 *
 * @module
 */

import * as tf from "@tensorflow/tfjs-core";
import { registerGpuKernels } from "../compile/webgpu/eager.ts";
import { builtinIfThere } from "../host.ts";
import type { Device } from "./interface.ts";
import { useSoftware } from "./webgpu/target.ts";

/** What is read of WebGPU's adapter: https://www.w3.org/TR/webgpu/#gpuadapterinfo. */
interface Adapter {
  readonly features: ReadonlySet<string>;
  readonly info: {
    readonly vendor: string;
    readonly architecture: string;
    readonly device: string;
    readonly description: string;
    readonly isFallbackAdapter?: boolean;
  };
}

/**
 * Keeps Mesa's layer that orders GPUs by what the desktop shows out of the way: without a desktop it prints errors, and
 * nothing here has a window. Without the permission to set the variable, it may print them.
 */
function ignoreDesktop(): void {
  const process = builtinIfThere("node:process");
  if (process === undefined) return;
  try {
    process.env.NODEVICE_SELECT ??= "1";
  } catch (error) {
    if (!(error instanceof Deno.errors.NotCapable)) throw error;
  }
}

/** Names of drivers that compute on the CPU. */
const software = /llvmpipe|lavapipe|swiftshader|softpipe|software|basic render|\bcpu\b/i;

/** Whether tfjs's backend is on a device that was asked for here. */
let isOurs = false;

/** Features that kernels use where they are there; tfjs measures by the first. */
const FEATURES = ["timestamp-query", "shader-f16", "subgroups"] as const;

/** A device with what its adapter can do. */
async function openDevice(): Promise<[GPUDevice, GPUAdapterInfo]> {
  const adapter = (await navigator.gpu.requestAdapter({ powerPreference: "high-performance" }))!;
  const { limits } = adapter;
  const device = await adapter.requestDevice({
    requiredFeatures: FEATURES.filter((name) => adapter.features.has(name)),
    requiredLimits: {
      maxBufferSize: limits.maxBufferSize,
      maxComputeInvocationsPerWorkgroup: limits.maxComputeInvocationsPerWorkgroup,
      maxComputeWorkgroupSizeX: limits.maxComputeWorkgroupSizeX,
      maxComputeWorkgroupsPerDimension: limits.maxComputeWorkgroupsPerDimension,
      maxComputeWorkgroupStorageSize: limits.maxComputeWorkgroupStorageSize,
      maxStorageBufferBindingSize: limits.maxStorageBufferBindingSize,
    },
  });
  return [device, adapter.info];
}

/**
 * Makes the webgpu backend ready.
 *
 * @param choice `auto` refuses adapters that are software: wasm beats them
 */
export async function openWebgpu(choice: "auto" | "forced"): Promise<Device> {
  const gpu = (navigator as unknown as { gpu?: { requestAdapter(): Promise<Adapter | null> } }).gpu;
  if (gpu === undefined) throw new Error("this runtime has no navigator.gpu");
  ignoreDesktop();
  const adapter = await gpu.requestAdapter();
  if (adapter === null) {
    throw new Error("no GPU adapter (a graphics driver with Vulkan, Metal or Direct3D 12 is needed)");
  }
  const { info } = adapter;
  const name = info.description || [info.vendor, info.architecture, info.device].filter(Boolean).join(" ") || "unnamed";
  const isSoftware = info.isFallbackAdapter === true || software.test(name);
  if (choice === "auto" && isSoftware) {
    throw new Error(`only a software adapter (--backend webgpu takes it all the same): ${name}`);
  }
  const { WebGPUBackend } = await import("@tensorflow/tfjs-backend-webgpu");
  useSoftware(isSoftware);
  if (!isOurs) {
    // tfjs's own start asks for neither more tensors a kernel nor what else the adapter can do.
    tf.removeBackend("webgpu");
    tf.registerBackend("webgpu", async () => new WebGPUBackend(...await openDevice()), 3);
    isOurs = true;
  }
  registerGpuKernels();
  const text = `${isSoftware ? "software adapter" : "adapter"} ${name}, steps in one submission`;
  const lacks = adapter.features.has("shader-f16") ? {} : { f16: "its adapter has no shader-f16" };
  return { kind: isSoftware ? "cpu" : "gpu", text, lacks };
}
