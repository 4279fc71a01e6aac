/**
 * The end of tfjs-wasm's memory. Beyond 4 GiB its malloc counts modulo 2^32: it gives addresses that live tensors already
 * have, or none, which tfjs-wasm takes for the address 0. Either way numbers would be overwritten without a word.
 *
 * @module
 */
import { OneloraError } from "../../error.ts";

/** What is used of tfjs-wasm's module. */
export interface Allocator {
  /** Takes bytes: their address as a signed number, 0 where there are none. */
  _malloc: (bytes: number) => number;
  /** Gives bytes back. */
  _free: (address: number) => void;
}

/** Space for what malloc puts around a block, and for what tfjs-wasm takes without telling. */
const SLACK = 2 ** 24;

/** Whether a block fits between others, or before the first. */
function fitsBetween(bytes: number, blocks: ReadonlyMap<number, number>): boolean {
  let end = Infinity;
  for (const [address, length] of [...blocks].sort(([a], [b]) => a - b)) {
    if (address - end >= bytes + SLACK) return true;
    end = address + length;
  }
  return false;
}

/**
 * Makes an allocator refuse what there is no memory for.
 *
 * @param wasm Its functions, which are replaced
 * @param limit Bytes of memory in all (default 4 GiB)
 */
export function refuseBeyond(wasm: Allocator, limit: number = 2 ** 32): void {
  // tfjs-wasm's module replaces both by others when they are first called.
  wasm._free(wasm._malloc(1));
  const { _malloc: malloc, _free: free } = wasm;
  const blocks = new Map<number, number>();
  let top = 0;
  const megabytes = (bytes: number) => `${Math.ceil(bytes / 1e6)} MB`;
  wasm._malloc = (bytes) => {
    const isThere = top + bytes + SLACK <= limit || fitsBetween(bytes, blocks);
    const address = isThere ? malloc(bytes) >>> 0 : 0;
    if (address === 0 && bytes > 0) {
      let taken = 0;
      for (const length of blocks.values()) taken += length;
      throw new OneloraError({
        attempted: `taking ${megabytes(bytes)} more of the wasm backend's memory`,
        found: `${megabytes(taken)} of ${megabytes(limit)} taken, and no ${megabytes(bytes)} free in one piece`,
        allowed: "a smaller batch (`--accumulate` makes up for it), a smaller model, or the tensorflow backend",
      });
    }
    blocks.set(address, bytes);
    top = Math.max(top, address + bytes);
    return address;
  };
  wasm._free = (address) => {
    blocks.delete(address >>> 0);
    free(address);
  };
}
