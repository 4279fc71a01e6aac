/**
 * Questions with worked answers, and how they are split.
 *
 * @module
 */
import { OneloraError } from "../../dsl/error.ts";
import { fold, key } from "../../dsl/random.ts";

/** A question and its worked answer. */
export interface ReasoningExample {
  /** The question; where it has several lines, the first is the instruction and the rest its input. */
  readonly query: string;
  /** The worked answer; ends with `The answer is: X`. */
  readonly response: string;
  /** What kind of question it is, where the data set says so. */
  readonly type?: string;
}

/** Examples to learn from and to be judged on. */
export interface ReasoningSplits {
  /** Examples to train on. */
  readonly train: readonly ReasoningExample[];
  /** Examples to validate with. */
  readonly validation: readonly ReasoningExample[];
}

/**
 * Splits examples at random (paper, section 4.2: 80% to train on, 20% to validate with).
 *
 * Examples are put in order of a hash keyed by (seed, query, response) and cut at round(share n). So the parts, their
 * order included, do not depend on the order of the given examples, and any first few of a part are a random choice. As
 * in the paper it is examples that are split: of several answers to one question some may fall on each side.
 *
 * @param examples What to split
 * @param seed Decides the split
 * @param share The training part's share
 * @throws OneloraError (exit code 2) for a share outside 0 to 1
 *
 * @example
 * ```ts
 * import { splitExamples, wordProblems } from "@onelora/onelora/tasks";
 * import { assertEquals } from "@std/assert";
 * const examples = wordProblems("a", 10, 0);
 * const { train, validation } = splitExamples(examples, 1);
 * assertEquals([train.length, validation.length], [8, 2]);
 * assertEquals(splitExamples(examples.toReversed(), 1), { train, validation });
 * ```
 */
export function splitExamples(examples: readonly ReasoningExample[], seed: number, share = 0.8): ReasoningSplits {
  if (!(share >= 0 && share <= 1)) {
    const problem = { attempted: "splitting examples", found: `a training share of ${share}`, allowed: "0 to 1" };
    throw new OneloraError(problem, { exitCode: 2 });
  }
  const root = fold(key(seed), "split");
  const ranked = examples.map((example) => {
    const { high, low } = fold(root, example.query, example.response);
    return { example, high, low };
  });
  ranked.sort((a, b) => a.high - b.high || a.low - b.low);
  const ordered = ranked.map(({ example }) => example);
  const cut = Math.round(share * ordered.length);
  return { train: ordered.slice(0, cut), validation: ordered.slice(cut) };
}
