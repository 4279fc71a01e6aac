/**
 * The memory that a run took, and its share of what there is.
 *
 * @module
 */
import process from "node:process";
import { engineInUse } from "../../dsl/engine/mod.ts";
import { nvidia } from "../../dsl/engine/nvidia.ts";

/** What a run took at its peak. */
export interface Memory {
  /** Peak resident memory of the process, in bytes. */
  readonly peakBytes: number;
  /** Memory of the card that is taken at the end of the run, which TensorFlow does not give back before, in bytes. */
  readonly deviceBytes?: number;
  /** Share of the card's memory where the engine computes on one, else of the machine's, from 0 to 1; absent if unknown. */
  readonly share?: number;
}

/** Whether something may be asked without asking the user. */
function isGranted(permission: Deno.PermissionDescriptor): boolean {
  return Deno.permissions.querySync(permission).state === "granted";
}

/** The only card of the machine; with several it is not known which one the engine took. */
function card(): { readonly memory: number; readonly used: number } | undefined {
  const cards = isGranted({ name: "ffi" }) ? nvidia()?.cards ?? [] : [];
  return cards.length === 1 ? cards[0] : undefined;
}

/** What this process took so far; nothing is asked for that is not permitted. */
export function peakMemory(): Memory {
  // Kibibytes, as getrusage has them.
  const peakBytes = process.resourceUsage().maxRSS * 1024;
  if (engineInUse().device.kind === "gpu") {
    const found = card();
    return found === undefined
      ? { peakBytes }
      : { peakBytes, deviceBytes: found.used, share: found.used / found.memory };
  }
  if (!isGranted({ name: "sys", kind: "systemMemoryInfo" })) return { peakBytes };
  return { peakBytes, share: peakBytes / Deno.systemMemoryInfo().total };
}
