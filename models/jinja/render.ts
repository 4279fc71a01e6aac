/**
 * Writes by a template.
 *
 * @module
 */
import { evaluate, type Work } from "./evaluate.ts";
import type { Body, Parameters, Statement, Target } from "./statements.ts";
import { filterOf } from "./filters.ts";
import {
  type Args,
  Attributes,
  Callable,
  isEqual,
  isTrue,
  itemsOf,
  Tuple,
  Undefined,
  type Value,
  written,
} from "./values.ts";
import type { Expression } from "./syntax.ts";
import { Scope } from "./scope.ts";

/** How a body ended before its end. */
type Leaving = "break" | "continue" | undefined;

/** Whether a part of a template names something. */
function mentions(part: unknown, name: string): boolean {
  if (typeof part !== "object" || part === null) return false;
  const { kind, name: own } = part as { readonly kind?: unknown; readonly name?: unknown };
  return kind === "name" && own === name || Object.values(part).some((each) => mentions(each, name));
}

/** Writes statements. */
export class Writer {
  private out: string[] = [];

  /**
   * @param work What expressions are evaluated with
   * @param marks What is written around what the model writes itself, if anything
   */
  constructor(private readonly work: Work, private readonly marks?: readonly [string, string]) {}

  /** What a body writes. */
  text(body: Body, scope: Scope): string {
    const before = this.out;
    this.out = [];
    try {
      if (this.run(body, scope) !== undefined) throw new Error("a loop that is left from within a block of its own");
      return this.out.join("");
    } finally {
      this.out = before;
    }
  }

  private write(text: string): void {
    this.work.count(text);
    this.out.push(text);
  }

  private run(body: Body, scope: Scope): Leaving {
    for (const statement of body) {
      const leaving = this.one(statement, scope);
      if (leaving !== undefined) return leaving;
    }
  }

  private value(expression: Expression, scope: Scope): Value {
    return evaluate(expression, scope, this.work);
  }

  private one(statement: Statement, scope: Scope): Leaving {
    switch (statement.kind) {
      case "data":
        return void this.write(statement.text);
      case "output":
        return void this.write(written(this.value(statement.of, scope)));
      case "if": {
        const taken = statement.branches.find(([test]) => isTrue(this.value(test, scope)));
        return this.run(taken?.[1] ?? statement.otherwise, scope);
      }
      case "for":
        return this.loop(statement, this.value(statement.over, scope), scope, 1);
      case "set":
        return void this.assign(statement.target, this.value(statement.to, scope), scope);
      case "set block": {
        const text = this.text(statement.body, new Scope(scope));
        return void this.assign(statement.target, this.through(statement.filter, text, scope), scope);
      }
      case "macro": {
        const { name, parameters, body } = statement;
        return void scope.set(name, this.macro(name, parameters, body, scope));
      }
      case "call": {
        const { call, parameters, body } = statement;
        if (call.kind !== "call") throw new Error('"call" of something that is no call');
        const caller = this.macro("caller", parameters, body, scope);
        const with_ = {
          ...call.given,
          named: [...call.given.named, ["caller", { kind: "name", name: "\0caller" }] as const],
        };
        const inner = new Scope(scope, [["\0caller", caller]]);
        return void this.write(written(this.value({ ...call, given: with_ } as Expression, inner)));
      }
      case "filter": {
        const text = this.text(statement.body, new Scope(scope));
        return void this.write(written(this.through(statement.filter, text, scope)));
      }
      case "with": {
        const inner = new Scope(scope);
        const values = statement.set.map(([target, to]) => [target, this.value(to, scope)] as const);
        for (const [target, value] of values) this.assign(target, value, inner);
        return this.run(statement.body, inner);
      }
      case "generation": {
        const text = this.text(statement.body, new Scope(scope));
        const [begin, end] = this.marks ?? ["", ""];
        return void this.write(begin + text + end);
      }
      default:
        return statement.kind;
    }
  }

  /** A text through the filters of a block. */
  private through(filter: Expression | undefined, text: string, scope: Scope): Value {
    if (filter === undefined) return text;
    if (filter.kind !== "filter") throw new Error("a block's filter that is none");
    const input = filter.input === undefined ? text : this.through(filter.input, text, scope);
    return this.work.made(filterOf(filter.name)(input, this.work.args(filter.given, scope)));
  }

  private assign(target: Target, value: Value, scope: Scope): void {
    if (target.kind === "name") return scope.set(target.name, value);
    if (target.kind === "attribute") {
      const space = scope.get(target.of);
      if (!(space instanceof Attributes) || space.kind !== "namespace") {
        throw new Error(`setting an attribute of "${target.of}", which is no namespace`);
      }
      if (target.name.startsWith("_")) throw new Error(`the attribute "${target.name}"`);
      return void space.all.set(target.name, value);
    }
    const items = itemsOf(value);
    if (items.length !== target.items.length) {
      throw new Error(`${items.length} values for ${target.items.length} names`);
    }
    target.items.forEach((each, i) => this.assign(each, items[i], scope));
  }

  private loop(statement: Extract<Statement, { kind: "for" }>, over: Value, scope: Scope, depth: number): Leaving {
    const { target, test, body, recursive } = statement;
    const inScope = (item: Value) => {
      const inner = new Scope(scope);
      this.assign(target, item, inner);
      return inner;
    };
    const items = itemsOf(over).filter((item) => test === undefined || isTrue(this.value(test, inScope(item))));
    this.work.count(items);
    let changed: Value | undefined;
    const state = (index: number): Attributes => {
      const count = items.length;
      const entry = (
        name: string,
        value: number | Value,
      ): [string, Value] => [name, typeof value === "number" ? BigInt(value) : value];
      return new Attributes(
        "loop",
        new Map([
          entry("index", index + 1),
          entry("index0", index),
          entry("revindex", count - index),
          entry("revindex0", count - index - 1),
          entry("first", index === 0),
          entry("last", index === count - 1),
          entry("length", count),
          entry("depth", depth),
          entry("depth0", depth - 1),
          entry("previtem", index === 0 ? new Undefined("an item before the first") : items[index - 1]),
          entry("nextitem", index === count - 1 ? new Undefined("an item behind the last") : items[index + 1]),
          entry(
            "cycle",
            new Callable("cycle", ({ args }) => {
              if (args.length === 0) throw new Error("cycle with nothing");
              return args[index % args.length];
            }),
          ),
          entry(
            "changed",
            new Callable("changed", ({ args }) => {
              const now = new Tuple(args);
              const differs = changed === undefined || !isEqual(changed, now);
              changed = now;
              return differs;
            }),
          ),
        ]),
        recursive
          ? new Callable("loop", ({ args }) => {
            const before = this.out;
            this.out = [];
            try {
              this.loop(statement, args[0] ?? null, scope, depth + 1);
              return this.out.join("");
            } finally {
              this.out = before;
            }
          })
          : undefined,
      );
    };
    for (const [index, item] of items.entries()) {
      const inner = inScope(item);
      inner.set("loop", state(index));
      if (this.run(body, inner) === "break") return;
    }
    return items.length === 0 ? this.run(statement.otherwise, new Scope(scope)) : undefined;
  }

  private macro(name: string, { names, defaults }: Parameters, body: Body, scope: Scope): Callable {
    const first = names.length - defaults.length;
    const [takesMore, takesNamed, takesCaller] = ["varargs", "kwargs", "caller"].map((each) => mentions(body, each));
    const call = ({ args, named }: Args): Value => {
      const inner = new Scope(scope);
      const left = new Map(named);
      if (args.length > names.length && !takesMore) throw new Error(`the macro "${name}" with ${args.length} values`);
      names.forEach((each, i) => {
        if (i < args.length && left.has(each)) throw new Error(`the macro "${name}" with "${each}" twice`);
        const given = i < args.length ? args[i] : left.get(each);
        left.delete(each);
        const otherwise = () => i < first ? new Undefined(`"${each}"`) : this.value(defaults[i - first], inner);
        inner.set(each, given === undefined ? otherwise() : given);
      });
      if (takesMore) inner.set("varargs", new Tuple(args.slice(names.length)));
      if (takesCaller) {
        inner.set("caller", left.get("caller") ?? new Undefined('"caller"'));
        left.delete("caller");
      }
      if (takesNamed) inner.set("kwargs", this.work.dict(left));
      else if (left.size > 0) throw new Error(`the macro "${name}" with "${[...left.keys()][0]}"`);
      return this.text(body, inner);
    };
    return new Callable(name, call, true);
  }
}
