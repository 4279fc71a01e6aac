/**
 * What programs are lowered for: the adapter in use.
 *
 * @module
 */
import { cardTarget, softwareTarget, type Target } from "../../compile/webgpu/kernel.ts";
import type { Limits } from "../../compile/webgpu/lower.ts";
import { gpuInUse } from "./gpu.ts";

let isSoftware = false;

/**
 * Says what kind of adapter is in use.
 *
 * @param software Whether it computes on the processor
 */
export function useSoftware(software: boolean): void {
  isSoftware = software;
}

/** What suits the device in use, and what it can take. */
export function targetInUse(): { readonly target: Target; readonly limits: Limits } {
  const { limits, features } = gpuInUse().device;
  return {
    target: isSoftware ? softwareTarget : { ...cardTarget, subgroups: features.has("subgroups") },
    limits: {
      bindingBytes: limits.maxStorageBufferBindingSize,
      bufferBytes: limits.maxBufferSize,
      alignment: limits.minStorageBufferOffsetAlignment,
    },
  };
}
