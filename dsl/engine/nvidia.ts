/**
 * NVIDIA's cards as their driver describes them, through its management library (NVML, a part of every driver).
 *
 * @module
 */

import { isGranted } from "../permission.ts";

/** A machine's cards. */
export interface Nvidia {
  /** Version of the driver, e.g. `580.95.05`. */
  readonly driver: string;
  /** The cards, each with its memory in bytes. */
  readonly cards: readonly { readonly name: string; readonly memory: number; readonly used: number }[];
}

/** Where systems keep the library: Debian, Fedora, Windows' Linux; `--allow-ffi` of deno.json names its files, too. */
export const nvidiaLibraries: readonly string[] = [
  "/usr/lib/x86_64-linux-gnu/libnvidia-ml.so.1",
  "/usr/lib/aarch64-linux-gnu/libnvidia-ml.so.1",
  "/usr/lib64/libnvidia-ml.so.1",
  "/usr/lib/wsl/lib/libnvidia-ml.so.1",
];

// A card's handle is an address that goes back as it came: as a number it needs no permission but that for this library.
const symbols = {
  nvmlInit_v2: { parameters: [], result: "i32" },
  nvmlShutdown: { parameters: [], result: "i32" },
  nvmlSystemGetDriverVersion: { parameters: ["buffer", "u32"], result: "i32" },
  nvmlDeviceGetCount_v2: { parameters: ["buffer"], result: "i32" },
  nvmlDeviceGetHandleByIndex_v2: { parameters: ["u32", "buffer"], result: "i32" },
  nvmlDeviceGetName: { parameters: ["u64", "buffer", "u32"], result: "i32" },
  nvmlDeviceGetMemoryInfo: { parameters: ["u64", "buffer"], result: "i32" },
} as const;

/** A C string. */
function text(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes.subarray(0, Math.max(0, bytes.indexOf(0))));
}

/**
 * The cards of this machine; none where there is no driver, or no permission to ask it (`--allow-ffi` for its library).
 *
 * @param paths Where the library may be
 */
export function nvidia(paths: readonly string[] = nvidiaLibraries): Nvidia | undefined {
  for (const path of paths) {
    const found = isGranted({ name: "ffi", path }) ? asked(path) : undefined;
    if (found !== undefined) return found;
  }
  return undefined;
}

/** What a library says, if it is there. */
function asked(path: string): Nvidia | undefined {
  try {
    const library = Deno.dlopen(path, symbols);
    const nvml = library.symbols;
    if (nvml.nvmlInit_v2() !== 0) return undefined;
    try {
      const driver = new Uint8Array(96);
      nvml.nvmlSystemGetDriverVersion(driver, driver.length);
      const count = new Uint32Array(1);
      nvml.nvmlDeviceGetCount_v2(count);
      const cards = Array.from({ length: count[0] }, (_, i) => {
        const handle = new BigUint64Array(1);
        nvml.nvmlDeviceGetHandleByIndex_v2(i, handle);
        const [device] = handle;
        const name = new Uint8Array(96);
        nvml.nvmlDeviceGetName(device, name, name.length);
        // { total, free, used }
        const memory = new BigUint64Array(3);
        nvml.nvmlDeviceGetMemoryInfo(device, memory);
        return { name: text(name), memory: Number(memory[0]), used: Number(memory[2]) };
      });
      return { driver: text(driver), cards };
    } finally {
      nvml.nvmlShutdown();
      library.close();
    }
  } catch {
    return undefined;
  }
}
