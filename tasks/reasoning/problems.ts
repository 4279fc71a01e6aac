/**
 * Built-in word problems with worked answers: what needs no download.
 *
 * @module
 */
import { OneloraError } from "../../dsl/error.ts";
import { fold, type Key, key, uniform } from "../../dsl/random.ts";
import type { ReasoningExample } from "./example.ts";

/** A family: `a` to pretrain on, `b` to adapt to. */
export type WordProblemFamily = "a" | "b";

const NAMES = ["Anna", "Ben", "Clara", "David", "Emma", "Felix", "Grace", "Henry", "Iris", "Jack", "Kate", "Leo"];
const THINGS = ["apples", "books", "cards", "coins", "eggs", "flowers", "marbles", "pencils", "shells", "stamps"];
const GOODS = ["tickets", "cakes", "shirts", "lamps", "plates", "hats"];

/** The random choices of one problem, by name. */
interface Draw {
  /** A whole number, both ends included. */
  readonly whole: (name: string, low: number, high: number) => number;
  /** An element. */
  readonly one: (name: string, list: readonly string[]) => string;
}

function drawing(from: Key): Draw {
  const below = (name: string, count: number) => Math.floor(uniform(fold(from, name), 1)[0] * count);
  return {
    whole: (name, low, high) => low + below(name, high - low + 1),
    one: (name, list) => list[below(name, list.length)],
  };
}

/** A problem: question, working, result. */
type Template = (draw: Draw) => readonly [question: string, working: string, result: number];

/** Having, getting, giving away, boxes: sums and products told in one or two steps. */
const FAMILY_A: readonly Template[] = [
  ({ whole, one }) => {
    const [who, what, a, b] = [one("who", NAMES), one("what", THINGS), whole("a", 2, 40), whole("b", 2, 40)];
    return [
      `${who} has ${a} ${what}. ${who} gets ${b} more ${what}. How many ${what} does ${who} have now?`,
      `${who} has ${a} + ${b} = ${a + b} ${what}.`,
      a + b,
    ];
  },
  ({ whole, one }) => {
    const [who, what, b, c] = [one("who", NAMES), one("what", THINGS), whole("b", 2, 30), whole("c", 1, 30)];
    return [
      `${who} has ${b + c} ${what}. ${who} gives away ${b} ${what}. How many ${what} does ${who} have now?`,
      `${who} has ${b + c} - ${b} = ${c} ${what}.`,
      c,
    ];
  },
  ({ whole, one }) => {
    const [who, what, a, b] = [one("who", NAMES), one("what", THINGS), whole("a", 2, 9), whole("b", 2, 9)];
    return [
      `${who} has ${a} boxes with ${b} ${what} each. How many ${what} does ${who} have?`,
      `${who} has ${a} * ${b} = ${a * b} ${what}.`,
      a * b,
    ];
  },
  ({ whole, one }) => {
    const [who, what, a, b] = [one("who", NAMES), one("what", THINGS), whole("a", 2, 30), whole("b", 2, 30)];
    const c = whole("c", 1, a + b - 1);
    return [
      `${who} has ${a} ${what}. ${who} gets ${b} more ${what} and gives away ${c}. ` +
      `How many ${what} does ${who} have now?`,
      `First ${who} has ${a} + ${b} = ${a + b} ${what}. Then ${who} has ${a + b} - ${c} = ${a + b - c} ${what}.`,
      a + b - c,
    ];
  },
  ({ whole, one }) => {
    const [who, what, a, b] = [one("who", NAMES), one("what", THINGS), whole("a", 2, 9), whole("b", 2, 9)];
    const c = whole("c", 2, 20);
    return [
      `${who} has ${a} boxes with ${b} ${what} each and ${c} more ${what}. How many ${what} does ${who} have?`,
      `The boxes have ${a} * ${b} = ${a * b} ${what}. ${who} has ${a * b} + ${c} = ${a * b + c} ${what}.`,
      a * b + c,
    ];
  },
];

/** Money, ages, ways and sharing: the same arithmetic in other words, and division. */
const FAMILY_B: readonly Template[] = [
  ({ whole, one }) => {
    const [who, what, a, b] = [one("who", NAMES), one("what", GOODS), whole("a", 2, 9), whole("b", 2, 9)];
    return [
      `${who} buys ${a} ${what} at $${b} each. How much does ${who} pay in dollars?`,
      `${who} pays ${a} * ${b} = ${a * b} dollars.`,
      a * b,
    ];
  },
  ({ whole, one }) => {
    const [who, what, a, b] = [one("who", NAMES), one("what", GOODS), whole("a", 2, 9), whole("b", 2, 9)];
    const c = whole("c", 1, 20);
    return [
      `${who} had $${a * b + c} and bought ${a} ${what} at $${b} each. How many dollars are left?`,
      `The ${what} cost ${a} * ${b} = ${a * b} dollars. ${who} is left with ${a * b + c} - ${a * b} = ${c} dollars.`,
      c,
    ];
  },
  ({ whole, one }) => {
    const [who, speed, hours] = [one("who", NAMES), whole("speed", 3, 12), whole("hours", 2, 9)];
    return [
      `${who} rides a bicycle at ${speed} miles an hour for ${hours} hours. How many miles does ${who} ride?`,
      `${who} rides ${speed} * ${hours} = ${speed * hours} miles.`,
      speed * hours,
    ];
  },
  ({ whole, one }) => {
    const [who, what, a, b] = [one("who", NAMES), one("what", THINGS), whole("a", 2, 9), whole("b", 2, 9)];
    return [
      `${who} shares ${a * b} ${what} equally among ${a} friends. How many ${what} does each friend get?`,
      `Each friend gets ${a * b} / ${a} = ${b} ${what}.`,
      b,
    ];
  },
  ({ whole, one }) => {
    const [who, age, years] = [one("who", NAMES), whole("age", 3, 12), whole("years", 2, 15)];
    return [
      `${who} is ${age} years old, and ${who}'s sister is twice as old. How old will the sister be in ${years} years?`,
      `The sister is 2 * ${age} = ${2 * age} years old. In ${years} years she will be ${2 * age} + ${years} = ${
        2 * age + years
      }.`,
      2 * age + years,
    ];
  },
];

const FAMILIES: Readonly<Record<WordProblemFamily, readonly Template[]>> = { a: FAMILY_A, b: FAMILY_B };

/** Problem number `index` of a family. */
function wordProblem(family: WordProblemFamily, seed: number, index: number): ReasoningExample {
  const templates = FAMILIES[family];
  const from = fold(key(seed), "word problem", family, index);
  const kind = drawing(from).whole("template", 0, templates.length - 1);
  const [query, working, result] = templates[kind](drawing(from));
  return { query, response: `${working} The answer is: ${result}`, type: `${family}${kind + 1}` };
}

/** Draws without a new problem after which a family counts as exhausted. */
const PATIENCE = 10_000;

/**
 * Different word problems with worked answers, a pure function of the seed; the first n of a longer list are the list
 * of n.
 *
 * Family `a` has objects that are got, given away and boxed; family `b` money, ways, ages and sharing, with `$` and
 * division. Both add, subtract and multiply whole numbers, with results of at most 108. Each has more than 10,000
 * different problems.
 *
 * @param family Which of the two
 * @param count How many
 * @param seed Decides them
 * @throws OneloraError (exit code 2) for a count that is no whole number or more than the family has
 *
 * @example
 * ```ts
 * import { extractAnswer, wordProblems } from "@onelora/onelora/tasks";
 * import { assert, assertEquals } from "@std/assert";
 * const [first, second] = wordProblems("b", 2, 7);
 * assert(first.query !== second.query);
 * assert(Number.isInteger(Number(extractAnswer(first.response))));
 * assertEquals(wordProblems("b", 1, 7), [first]);
 * ```
 */
export function wordProblems(family: WordProblemFamily, count: number, seed: number): readonly ReasoningExample[] {
  const fail = (found: string, allowed: string): never => {
    throw new OneloraError({ attempted: "making word problems", found, allowed }, { exitCode: 2 });
  };
  if (!Number.isSafeInteger(count) || count < 1) fail(`${count}`, "a positive whole number");
  const byQuery = new Map<string, ReasoningExample>();
  for (let index = 0, since = 0; byQuery.size < count; index++, since++) {
    if (since === PATIENCE) fail(`${count}`, `at most about ${byQuery.size} problems of family ${family}`);
    const problem = wordProblem(family, seed, index);
    if (byQuery.has(problem.query)) continue;
    byQuery.set(problem.query, problem);
    since = 0;
  }
  return [...byQuery.values()];
}
