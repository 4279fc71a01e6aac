/**
 * What the TensorFlow that is installed can do.
 *
 * @module
 */
import { ELEMENT, graphBuilder } from "../../engine/tensorflow_graph/graph.ts";
import { freeHandle, openSession } from "../../engine/tensorflow_graph/session.ts";
import { T } from "./lowering.ts";

/** Smaller clusters of elementwise calls are not worth the time it takes to compile them. */
export const FUSE_FROM = 2 ** 15;

/** Fewer runs on a CPU are over before the compilation of clusters, seconds for a small model, has paid. */
const SHORT = 128;

/**
 * From what size on clusters are compiled for a graph that is run so often.
 *
 * @param runs How often (default: often)
 * @param isOnGpu Whether on a card, where a kernel's launch is what costs
 */
export function fuseFromFor(runs: number | undefined, isOnGpu: boolean): number {
  return canFuse() && (isOnGpu || isLong(runs ?? Infinity)) ? FUSE_FROM : Infinity;
}

/**
 * Whether so many runs on a CPU are worth the compilation of clusters.
 *
 * @param runs How often
 */
export function isLong(runs: number): boolean {
  return runs >= SHORT;
}

let fuses: boolean | undefined;

/** Whether it has XLA, which compiles functions into kernels; found out once by compiling one. */
export function canFuse(): boolean {
  return fuses ??= probe();
}

function probe(): boolean {
  const graph = graphBuilder();
  const type = ELEMENT.float32;
  const name = graph.define({
    inputs: [type],
    outputs: [{ name: "n0:y:0", type }],
    nodes: [{ name: "n0", op: "Neg", inputs: ["input0"], attrs: { T: T(type) } }],
  });
  const call = graph.add("PartitionedCall", [graph.constant(type, [1], [1])], {
    Tin: { types: [type] },
    Tout: { types: [type] },
    f: { function: name },
    _XlaMustCompile: { bool: true },
  });
  try {
    const session = openSession(graph.graph);
    try {
      for (const { id } of session.run(new Map(), [call])) freeHandle(id);
      return true;
    } finally {
      session.dispose();
    }
  } catch {
    return false;
  }
}
