/**
 * Learning rates of a model's parts: factors of the run's rate, by patterns of parameter paths.
 *
 * @module
 */
import { OneloraError } from "../../dsl/error.ts";
import { type AnyLayer, isTrainable, specs } from "../../dsl/layer.ts";
import { glob, type Path } from "../../dsl/tree.ts";

/** A factor and where it holds. */
export interface LrFactor {
  /** Path pattern, see `glob`. */
  readonly pattern: string;
  /** What the rate is multiplied by. */
  readonly factor: number;
}

/**
 * Reads factors: `PATTERN=FACTOR`, separated by commas.
 *
 * @param written The list
 * @throws OneloraError (exit code 2) for anything else
 *
 * @example
 * ```ts
 * import { readLrFactors } from "./lr_factor.ts";
 * import { assertEquals } from "@std/assert";
 * assertEquals(readLrFactors("encoder.{0,1}.**=0.02, head.*=2"), [
 *   { pattern: "encoder.{0,1}.**", factor: 0.02 },
 *   { pattern: "head.*", factor: 2 },
 * ]);
 * ```
 */
export function readLrFactors(written: string): readonly LrFactor[] {
  return written.split(/,(?![^{]*\})/).map((part) => {
    const [, pattern = "", number = ""] = /^\s*(\S+?)\s*=\s*(\S+)\s*$/.exec(part) ?? [];
    const factor = /^[\d.]/.test(number) ? Number(number) : NaN;
    if (pattern !== "" && factor > 0 && factor < Infinity) return { pattern, factor };
    throw new OneloraError({
      attempted: "setting `lrFactor`",
      found: JSON.stringify(part),
      allowed: "PATTERN=FACTOR with a factor above 0, such as backbone.**=0.02",
    }, { exitCode: 2 });
  });
}

/** Factors of a model's parameters, and what a person should know of them. */
export interface LrFactors {
  /** The factor of a parameter: that of the first pattern that matches its path, else 1. */
  readonly factorOf: (path: Path) => number;
  /** Patterns without effect, a line each. */
  readonly notes: readonly string[];
}

/**
 * Finds a model's parameters by the patterns.
 *
 * @param layer The adapted model
 * @param written The factors, as {@linkcode readLrFactors} takes them; none if undefined
 * @throws OneloraError (exit code 2) for a pattern that matches no parameter, trained or not
 */
export function lrFactorsOf(layer: AnyLayer, written: string | undefined): LrFactors {
  const factors = written === undefined ? [] : readLrFactors(written);
  const paths = Object.keys(specs(layer));
  const trained = paths.filter(isTrainable(layer));
  const rules = factors.map(({ pattern, factor }) => ({ pattern, factor, matches: glob(pattern) }));
  const lost = rules.find(({ matches }) => !paths.some(matches));
  if (lost !== undefined) {
    throw new OneloraError({
      attempted: "setting `lrFactor`",
      found: `"${lost.pattern}", which matches no parameter`,
      allowed: `a pattern of paths such as ${[...trained, ...paths].slice(0, 3).join(", ")}`,
    }, { exitCode: 2 });
  }
  return {
    factorOf: (path) => rules.find(({ matches }) => matches(path))?.factor ?? 1,
    notes: rules.filter(({ matches }) => !trained.some(matches))
      .map(({ pattern, factor }) =>
        `the rate's factor ${factor} for ${pattern} has no effect: nothing is trained there`
      ),
  };
}
