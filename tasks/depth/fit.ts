/**
 * Which published models can serve which data, by their names alone.
 *
 * @module
 */
import type { Asked, Unfit } from "../trainer/task.ts";

/** Most metres of published models of indoor scenes. */
const INDOOR = 20;
/** Data with depth beyond that, by how their names begin, and how far it goes. */
const FAR: readonly (readonly [prefix: string, metres: number])[] = [["kitti:", 80], ["diode-outdoor:", 80]];

/** A model of indoor scenes cannot say how far away what is outdoors is. */
export function unfitDepth({ model, data }: Asked<object>): Unfit | undefined {
  if (!/-indoor(=|$)/.test(model)) return undefined;
  const far = FAR.find(([prefix]) => data.startsWith(prefix));
  if (far === undefined) return undefined;
  const name = model.replace(/=.*$/s, "");
  return {
    found: `${name}, which measures up to ${INDOOR} m, for ${data}, which has up to ${far[1]} m`,
    allowed: "the -outdoor model of the same size",
  };
}
