/**
 * Axes that tensors of several shapes are passed over along together.
 *
 * @module
 */
import type { Formula } from "./formula.ts";

/** The axes that all shapes are made of, the last first; nothing where one's axes cut through another's. */
export function commonAxes(shapes: readonly (readonly number[])[]): readonly number[] | undefined {
  const bounds = new Set<number>([1]);
  for (const shape of shapes) {
    let size = 1;
    for (const length of [...shape].reverse()) bounds.add(size *= length);
  }
  const sorted = [...bounds].sort((a, b) => a - b);
  const axes = sorted.slice(1).map((bound, i) => bound / sorted[i]);
  return axes.every(Number.isInteger) ? axes : undefined;
}

/** Steps of a tensor that is broadcast to a shape, along the common axes, the last first. */
export function stepsAlong(
  axes: readonly number[],
  shape: readonly number[],
  own: readonly number[],
): readonly number[] {
  const steps: number[] = [];
  let [at, step] = [0, 1];
  [...shape].reverse().forEach((length, i) => {
    const ownLength = own[own.length - 1 - i] ?? 1;
    for (let left = length; left > 1; left /= axes[at++]) {
      steps.push(ownLength === 1 ? 0 : step);
      if (ownLength !== 1) step *= axes[at];
    }
  });
  return steps;
}

/** The axes, outermost first, with those joined that every tensor passes over as over one. */
export function joinAxes(
  axes: readonly number[],
  tensors: readonly (readonly number[])[],
): Pick<Formula, "lengths" | "inputs"> {
  const lengths: number[] = [];
  const steps: number[][] = tensors.map(() => []);
  axes.forEach((length, axis) => {
    const last = lengths.length - 1;
    const goesOn = last >= 0 &&
      tensors.every((own, i) => own[axis] === (steps[i][last] === 0 ? 0 : steps[i][last] * lengths[last]));
    if (goesOn) lengths[last] *= length;
    else {
      lengths.push(length);
      tensors.forEach((own, i) => steps[i].push(own[axis]));
    }
  });
  return { lengths: lengths.reverse(), inputs: steps.map((each) => each.reverse()) };
}
