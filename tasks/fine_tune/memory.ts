/**
 * The memory that a run took, and its share of what there is.
 *
 * @module
 */
import { engineInUse } from "../../dsl/engine/mod.ts";
import { nvidia } from "../../dsl/engine/nvidia.ts";
import { parseSettings } from "../../dsl/files/json.ts";
import { readText, SETTINGS_BYTES } from "../../dsl/files/read.ts";
import { builtinIfThere } from "../../dsl/host.ts";
import { isGranted } from "../../dsl/permission.ts";

/** What a run took at its peak. */
export interface Memory {
  /** Peak resident memory of the process, in bytes; 0 in a page, where it is not known. */
  readonly peakBytes: number;
  /** Memory of the card that is taken at that time, which TensorFlow does not give back before, in bytes. */
  readonly deviceBytes?: number;
  /** Share of the card's memory where the engine computes on one, else of the machine's, from 0 to 1; absent if unknown. */
  readonly share?: number;
}

/** Memory of a run: what training took until the first evaluation, and what all of it did. */
export interface RunMemory extends Memory {
  /** Peak resident memory of the process, evaluations included, in bytes. */
  readonly wholeBytes: number;
}

/**
 * Watches a run's memory, so that what evaluations take does not count as what training does.
 *
 * @param before What an earlier session took in whose steps this one takes none
 * @returns What to tell of steps and evaluations, and what says in the end what was taken
 */
export function watchMemory(before?: RunMemory): {
  readonly onStep: () => void;
  readonly onEvaluating: () => void;
  readonly taken: () => RunMemory;
} {
  let stepped = false;
  let training: Memory | undefined;
  return {
    onStep: () => {
      stepped = true;
    },
    // Later steps take what the first ones do.
    onEvaluating: () => {
      if (stepped) training ??= peakMemory();
    },
    taken: () => {
      const whole = peakMemory();
      // A run that goes on after its last step, for the test data, has trained before.
      if (!stepped && before !== undefined) {
        return { ...before, wholeBytes: Math.max(before.wholeBytes, whole.peakBytes) };
      }
      return { ...training ?? whole, wholeBytes: whole.peakBytes };
    },
  };
}

/**
 * What an earlier session of a run took, as its summary says.
 *
 * @param out The run's folder
 * @returns Its memory; undefined where there is no summary, or one without it
 */
export async function earlierMemory(out: string): Promise<RunMemory | undefined> {
  try {
    const { memory } = parseSettings(await readText(`${out}/summary.json`, SETTINGS_BYTES)) as {
      readonly memory?: Partial<RunMemory>;
    };
    return Number.isFinite(memory?.peakBytes) && Number.isFinite(memory?.wholeBytes) ? memory as RunMemory : undefined;
  } catch {
    return undefined;
  }
}

/** The only card of the machine; with several it is not known which one the engine took. */
function card(): { readonly memory: number; readonly used: number } | undefined {
  const cards = nvidia()?.cards ?? [];
  return cards.length === 1 ? cards[0] : undefined;
}

/** What this process took so far; nothing is asked for that is not permitted. */
function peakMemory(): Memory {
  // Kibibytes, as getrusage has them.
  const peakBytes = (builtinIfThere("node:process")?.resourceUsage().maxRSS ?? 0) * 1024;
  if (engineInUse().device.kind === "gpu") {
    const found = card();
    return found === undefined
      ? { peakBytes }
      : { peakBytes, deviceBytes: found.used, share: found.used / found.memory };
  }
  if (!isGranted({ name: "sys", kind: "systemMemoryInfo" })) return { peakBytes };
  return { peakBytes, share: peakBytes / Deno.systemMemoryInfo().total };
}
