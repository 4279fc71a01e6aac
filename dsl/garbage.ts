/**
 * What JavaScript leaves behind when tokenizers and models are read, and programs planned, traced and made graphs of, some
 * hundred bytes for every call of every stage. V8 would keep it beside the tensors of the run, since it knows of none of them.
 *
 * @module
 */
import { builtinIfThere } from "./host.ts";

/** Smaller heaps are left alone, and less memory of arrays. */
const [LEAST_HEAP, LEAST_ARRAYS] = [60e6, 32e6];

let collect: (() => void) | undefined;
/** Bytes in use when it was last freed. */
let kept = 0;

/**
 * Frees it, and gives its memory back, where there is much of it.
 *
 * @param more Bytes that must have come since the last time, or it is left (default: any)
 */
export function collectGarbage(more: number = 0): void {
  const [v8, vm] = [builtinIfThere("node:v8"), builtinIfThere("node:vm")];
  if (v8 === undefined || vm === undefined) return;
  const { heapTotal, heapUsed, external } = Deno.memoryUsage();
  if (heapTotal < LEAST_HEAP && external < LEAST_ARRAYS || more > 0 && heapUsed < kept + more) return;
  if (collect === undefined) {
    // Contexts made from here on have the function.
    v8.setFlagsFromString("--expose-gc");
    collect = vm.runInNewContext("gc");
  }
  collect?.();
  kept = Deno.memoryUsage().heapUsed;
}

/** Bytes of arrays that gave way, until their memory is given back. */
const MOST_LEFT = 32e6;

/**
 * Frees garbage each time that arrays of some megabytes have given way: V8 looks for them after hundreds.
 *
 * @returns To be told of the bytes that give way
 */
export function collectingGarbage(): (bytes: number) => void {
  let left = 0;
  return (bytes) => {
    left += bytes;
    if (left <= MOST_LEFT) return;
    collectGarbage();
    left = 0;
  };
}
