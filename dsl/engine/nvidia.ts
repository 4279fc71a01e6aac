/**
 * NVIDIA's cards as their driver describes them, through its management library (NVML, a part of every driver).
 *
 * @module
 */

/** A machine's cards. */
export interface Nvidia {
  /** Version of the driver, e.g. `580.95.05`. */
  readonly driver: string;
  /** The cards, each with its memory in bytes. */
  readonly cards: readonly { readonly name: string; readonly memory: number; readonly used: number }[];
}

const symbols = {
  nvmlInit_v2: { parameters: [], result: "i32" },
  nvmlShutdown: { parameters: [], result: "i32" },
  nvmlSystemGetDriverVersion: { parameters: ["buffer", "u32"], result: "i32" },
  nvmlDeviceGetCount_v2: { parameters: ["buffer"], result: "i32" },
  nvmlDeviceGetHandleByIndex_v2: { parameters: ["u32", "buffer"], result: "i32" },
  nvmlDeviceGetName: { parameters: ["pointer", "buffer", "u32"], result: "i32" },
  nvmlDeviceGetMemoryInfo: { parameters: ["pointer", "buffer"], result: "i32" },
} as const;

/** A C string. */
function text(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes.subarray(0, Math.max(0, bytes.indexOf(0))));
}

/**
 * The cards of this machine; none where there is no driver, or no permission to ask it (`--allow-ffi`).
 *
 * @param path The library
 */
export function nvidia(path = "libnvidia-ml.so.1"): Nvidia | undefined {
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
        const device = Deno.UnsafePointer.create(handle[0]);
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
