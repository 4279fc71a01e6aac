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
const THINGS = [
  "apples",
  "books",
  "cakes",
  "cards",
  "coins",
  "eggs",
  "flowers",
  "hats",
  "lamps",
  "marbles",
  "pencils",
  "plates",
  "shells",
  "shirts",
  "stamps",
  "tickets",
];

/** The random choices of one problem, by name. */
interface Draw {
  /** A whole number, both ends included. */
  readonly whole: (name: string, low: number, high: number) => number;
  /** An element. */
  readonly one: <Element>(name: string, list: readonly Element[]) => Element;
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

/** Adding, taking away, boxes, in one or two steps. */
const FAMILY_A: readonly Template[] = [
  ({ whole, one }) => {
    const [who, what, a, b] = [one("who", NAMES), one("what", THINGS), whole("a", 2, 12), whole("b", 2, 12)];
    const verb = one("verb", ["gets", "buys", "finds"]);
    return [
      `${who} has ${a} ${what}. ${who} ${verb} ${b} more ${what}. How many ${what} does ${who} have now?`,
      `${who} has ${a} + ${b} = ${a + b} ${what}.`,
      a + b,
    ];
  },
  ({ whole, one }) => {
    const [who, what, b, c] = [one("who", NAMES), one("what", THINGS), whole("b", 2, 12), whole("c", 2, 12)];
    const verb = one("verb", ["gives away", "sells", "loses"]);
    return [
      `${who} has ${b + c} ${what}. ${who} ${verb} ${b} ${what}. How many ${what} are left?`,
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
    const [who, what, a, b] = [one("who", NAMES), one("what", THINGS), whole("a", 2, 9), whole("b", 2, 9)];
    return [
      `${who} puts ${a * b} ${what} equally into ${a} boxes. How many ${what} does each box get?`,
      `Each box gets ${a * b} / ${a} = ${b} ${what}.`,
      b,
    ];
  },
  ({ whole, one }) => {
    const [who, what, a, b] = [one("who", NAMES), one("what", THINGS), whole("a", 2, 9), whole("b", 2, 9)];
    const c = whole("c", 2, 9);
    return [
      `${who} has ${a} boxes with ${b} ${what} each. ${who} finds ${c} more ${what}. ` +
      `How many ${what} does ${who} have now?`,
      `The boxes have ${a} * ${b} = ${a * b} ${what}. ${who} has ${a * b} + ${c} = ${a * b + c} ${what}.`,
      a * b + c,
    ];
  },
  ({ whole, one }) => {
    const [who, what, a, b] = [one("who", NAMES), one("what", THINGS), whole("a", 2, 9), whole("b", 2, 9)];
    const c = whole("c", 2, Math.min(9, a * b - 1));
    return [
      `${who} has ${a} boxes with ${b} ${what} each. ${who} loses ${c} ${what}. How many ${what} are left?`,
      `The boxes have ${a} * ${b} = ${a * b} ${what}. ${who} has ${a * b} - ${c} = ${a * b - c} ${what}.`,
      a * b - c,
    ];
  },
  ({ whole, one }) => {
    const [who, a, b] = [one("who", NAMES), whole("a", 2, 12), whole("b", 2, 12)];
    const [verb, unit] = one("verb", [["rides", "miles"], ["works", "hours"], ["pays", "dollars"]]);
    return [
      `${who} ${verb} ${a} ${unit} and then ${b} more ${unit}. How many ${unit} are that?`,
      `${who} ${verb} ${a} + ${b} = ${a + b} ${unit}.`,
      a + b,
    ];
  },
  ({ whole, one }) => {
    const [who, b, c] = [one("who", NAMES), whole("b", 2, 12), whole("c", 2, 12)];
    return [
      `${who} earns ${b + c} dollars and spends ${b} dollars. How many dollars are left?`,
      `${who} has ${b + c} - ${b} = ${c} dollars.`,
      c,
    ];
  },
  ({ whole, one }) => {
    const [who, a, b] = [one("who", NAMES), whole("a", 2, 12), whole("b", 2, 12)];
    const kin = one("kin", ["sister", "brother", "friend"]);
    return [
      `${who} has a ${kin} of ${a} years. How old will the ${kin} be in ${b} years?`,
      `The ${kin} will be ${a} + ${b} = ${a + b} years old.`,
      a + b,
    ];
  },
];

/** Prices, speeds, wages, sharing, ages: the same arithmetic and the same words in other stories. */
const FAMILY_B: readonly Template[] = [
  ({ whole, one }) => {
    const [who, what, a, b] = [one("who", NAMES), one("what", THINGS), whole("a", 2, 9), whole("b", 2, 9)];
    return [
      `${who} buys ${a} ${what} at ${b} dollars each. How many dollars does ${who} pay?`,
      `${who} pays ${a} * ${b} = ${a * b} dollars.`,
      a * b,
    ];
  },
  ({ whole, one }) => {
    const [who, a, b] = [one("who", NAMES), whole("a", 2, 9), whole("b", 2, 9)];
    const c = whole("c", 2, Math.min(9, a * b - 1));
    return [
      `${who} works ${a} hours at ${b} dollars an hour and spends ${c} dollars. How many dollars are left?`,
      `${who} earns ${a} * ${b} = ${a * b} dollars. ${who} has ${a * b} - ${c} = ${a * b - c} dollars.`,
      a * b - c,
    ];
  },
  ({ whole, one }) => {
    const [who, a, b] = [one("who", NAMES), whole("a", 2, 9), whole("b", 2, 9)];
    return [
      `${who} rides ${a} hours at ${b} miles an hour. How many miles are that?`,
      `${who} rides ${a} * ${b} = ${a * b} miles.`,
      a * b,
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
    const [who, a, b] = [one("who", NAMES), whole("a", 2, 9), whole("b", 2, 9)];
    const kin = one("kin", ["sister", "brother", "friend"]);
    const c = whole("c", 2, 9);
    return [
      `${who} is ${a} years old and has a ${kin} ${b} times as old. How old will the ${kin} be in ${c} years?`,
      `The ${kin} is ${a} * ${b} = ${a * b} years old. The ${kin} will be ${a * b} + ${c} = ${a * b + c} years old.`,
      a * b + c,
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
 * Family `a` has objects that are got, given away and boxed; family `b` prices, wages, speeds, sharing and ages, mostly
 * in words that `a` has too. Both add, subtract, multiply and divide whole numbers, with results of at most 90. Each has more than 10,000
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
