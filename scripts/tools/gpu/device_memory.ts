/**
 * The most memory of a card that TensorFlow's tensors took at once, as the driver's own allocator counts it. TensorFlow must
 * have been started with `TF_GPU_ALLOCATOR=cuda_malloc_async`, which hands its memory over to that allocator.
 *
 * @module
 */

const symbols = {
  cuDeviceGetDefaultMemPool: { parameters: ["buffer", "i32"], result: "i32" },
  cuMemPoolGetAttribute: { parameters: ["pointer", "i32", "buffer"], result: "i32" },
  cuMemPoolSetAttribute: { parameters: ["pointer", "i32", "buffer"], result: "i32" },
} as const;

/** CU_MEMPOOL_ATTR_USED_MEM_HIGH: the most bytes in use since it was last set to 0. */
const MOST_USED = 8;

/** The driver's count of the first card. */
export interface DeviceMemory {
  /** Starts counting anew, from what is in use now. */
  readonly reset: () => void;
  /** Bytes. */
  readonly peak: () => number;
}

/** Opens the count; none where there is no driver. */
export function deviceMemory(): DeviceMemory | undefined {
  try {
    const { symbols: cuda } = Deno.dlopen("libcuda.so.1", symbols);
    const handle = new BigUint64Array(1);
    if (cuda.cuDeviceGetDefaultMemPool(handle, 0) !== 0) return undefined;
    const pool = Deno.UnsafePointer.create(handle[0]);
    const value = new BigUint64Array(1);
    return {
      reset: () => {
        cuda.cuMemPoolSetAttribute(pool, MOST_USED, new BigUint64Array(1));
      },
      peak: () => {
        cuda.cuMemPoolGetAttribute(pool, MOST_USED, value);
        return Number(value[0]);
      },
    };
  } catch {
    return undefined;
  }
}
