/**
 * What an expression comes to.
 *
 * @module
 */
import { filterOf, hasFilter } from "./filters.ts";
import { compared, itemOf, memberOf, operated, signed, sliceOf } from "./operators.ts";
import type { Expression, Given } from "./syntax.ts";
import type { Scope } from "./scope.ts";
import { passes } from "./tests.ts";
import {
  type Args,
  Attributes,
  Callable,
  Dict,
  isTrue,
  itemsOf,
  Safe,
  Tuple,
  Undefined,
  type Value,
  written,
  wrong,
} from "./values.ts";

/** What expressions are evaluated with. */
export interface Work {
  /** Counts what is made, and throws where that is too much. */
  readonly count: (value: string | readonly Value[]) => void;
  /** The same value, counted. */
  readonly made: (value: Value) => Value;
  /** What a call gives. */
  readonly args: (given: Given, scope: Scope) => Args;
  /** A dict of names. */
  readonly dict: (named: ReadonlyMap<string, Value>) => Value;
}

/**
 * What evaluation needs, within bounds.
 *
 * @param count Counts what is made
 */
export function workWithin(count: Work["count"]): Work {
  const work: Work = {
    count,
    made: (value) => {
      if (typeof value === "string" || Array.isArray(value)) count(value);
      return value;
    },
    args: ({ args, named, spread, spreadNamed }, scope) => {
      const more = spread === undefined ? [] : itemsOf(evaluate(spread, scope, work));
      const all = new Map(named.map(([name, each]) => [name, evaluate(each, scope, work)]));
      const moreNamed = spreadNamed === undefined ? undefined : evaluate(spreadNamed, scope, work);
      if (moreNamed !== undefined && !(moreNamed instanceof Dict)) throw wrong("names for a call", moreNamed);
      for (const [key, value] of moreNamed?.entries ?? []) {
        if (typeof key !== "string") throw wrong("a name for a call", key);
        if (all.has(key)) throw new Error(`a call with "${key}" twice`);
        all.set(key, value);
      }
      return { args: [...args.map((each) => evaluate(each, scope, work)), ...more], named: all };
    },
    dict: (named) => new Dict(named),
  };
  return work;
}

function called(callee: Value, given: Args, work: Work): Value {
  const callable = callee instanceof Attributes ? callee.call : callee;
  if (!(callable instanceof Callable)) throw wrong("a call", callee);
  return work.made(callable.call(given));
}

/**
 * The value of an expression.
 *
 * @param expression The expression
 * @param scope The names that it may use
 * @param work What it is evaluated with
 * @throws Error where Python's Jinja throws one, and for what is not known here
 */
export function evaluate(expression: Expression, scope: Scope, work: Work): Value {
  const of = (each: Expression) => evaluate(each, scope, work);
  switch (expression.kind) {
    case "constant":
      return expression.value;
    case "name": {
      const found = scope.get(expression.name);
      return found === undefined ? new Undefined(`"${expression.name}"`) : found;
    }
    case "list":
      return work.made(expression.items.map(of));
    case "tuple":
      return new Tuple(expression.items.map(of));
    case "dict":
      return new Dict(expression.entries.map(([key, value]) => [of(key), of(value)] as const));
    case "member":
      return memberOf(of(expression.object), expression.name);
    case "item":
      return itemOf(of(expression.object), of(expression.key));
    case "slice":
      return work.made(sliceOf(of(expression.object), expression.ends.map((end) => end && of(end))));
    case "call":
      return called(of(expression.callee), work.args(expression.given, scope), work);
    case "filter": {
      const input = of(expression.input!);
      return work.made(filterOf(expression.name)(input, work.args(expression.given, scope)));
    }
    case "test": {
      const input = of(expression.input);
      return passes(expression.name, input, work.args(expression.given, scope), hasFilter);
    }
    case "not":
      return !isTrue(of(expression.of));
    case "minus":
    case "plus":
      return signed(of(expression.of), expression.kind === "minus");
    case "and":
    case "or": {
      const left = of(expression.left);
      return isTrue(left) === (expression.kind === "and") ? of(expression.right) : left;
    }
    case "binary":
      return work.made(operated(expression.operator, of(expression.left), of(expression.right)));
    case "concat": {
      const parts = expression.parts.map(of);
      const safe = parts.find((part) => part instanceof Safe);
      if (safe !== undefined) throw wrong('"~"', safe);
      return work.made(parts.map(written).join(""));
    }
    case "compare": {
      let left = of(expression.first);
      for (const [operator, other] of expression.others) {
        const right = of(other);
        if (!compared(operator, left, right)) return false;
        left = right;
      }
      return true;
    }
    case "condition":
      if (isTrue(of(expression.test))) return of(expression.then);
      return expression.otherwise === undefined ? new Undefined("a condition without else") : of(expression.otherwise);
  }
}
