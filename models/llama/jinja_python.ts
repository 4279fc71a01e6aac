/**
 * What Jinja's library for JavaScript does otherwise than Python's: how values are written, when they are equal, what `strip` takes
 * away, and what a loop has written before it is left.
 *
 * @module
 */

import { SPELLED } from "../../dsl/files/python_json.ts";
import { pythonFloat, SpelledValue } from "./python_number.ts";

/** A value inside the library. */
export interface Value {
  readonly type?: string;
  readonly value?: unknown;
  readonly __bool__?: () => Value;
}

/** A part of a template. */
export interface Node {
  readonly type: string;
  readonly value?: unknown;
  readonly body?: unknown;
  readonly operator?: { readonly value: string };
  readonly left?: Node;
  readonly right?: Node;
  readonly callee?: Node;
  readonly object?: Node;
  readonly property?: Node;
  readonly computed?: boolean;
  readonly args?: readonly Node[];
  readonly operand?: Node;
  readonly filter?: Node;
}

/** What evaluates the parts of a template. */
export interface Interpreter {
  evaluate(node: Node | undefined, environment: unknown): Value;
  evaluateBlock(statements: readonly Node[], environment: unknown): Value;
}

/** Parts that are no expressions: what they give is written as it is. */
const STATEMENTS: readonly string[] = [
  "Program",
  "Set",
  "If",
  "For",
  "Macro",
  "CallStatement",
  "FilterStatement",
  "Comment",
];

/** A text as Python's `repr` quotes it. */
function quotedText(text: string): string {
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'";
  const escaped = text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n").replaceAll("\r", "\\r").replaceAll("\t", "\\t");
  return quote + escaped.replaceAll(quote, `\\${quote}`) + quote;
}

/** A value as Python's `repr` has it. */
function represented({ type, value }: Value): string {
  if (type === "StringValue") return quotedText(value as string);
  if (type === "UndefinedValue") return "Undefined";
  return written({ type, value });
}

/**
 * A value as Python writes it: `True`, `None`, `['a']`.
 *
 * @param given The value
 */
export function written(given: Value): string {
  const { type, value } = given;
  switch (type) {
    case "BooleanValue":
      return value ? "True" : "False";
    case "NullValue":
      return "None";
    case "UndefinedValue":
      return "";
    case "FloatValue":
      return pythonFloat(Number(value));
    case "ArrayValue":
      return `[${(value as readonly Value[]).map(represented).join(", ")}]`;
    case "TupleValue": {
      const parts = (value as readonly Value[]).map(represented);
      return `(${parts.join(", ")}${parts.length === 1 ? "," : ""})`;
    }
    case "ObjectValue": {
      const entries = [...(value as ReadonlyMap<string, Value>)];
      return `{${entries.map(([name, each]) => `${quotedText(name)}: ${represented(each)}`).join(", ")}}`;
    }
    case "StringValue":
    case "IntegerValue":
      return `${value}`;
    default:
      return `${given}`;
  }
}

const isNumeric = ({ type }: Value) => ["IntegerValue", "FloatValue", "BooleanValue"].includes(type!);
const isList = ({ type }: Value) => type === "ArrayValue";

/** Whether two values are equal to Python: true is 1, "1" is not, lists are by what is in them. */
function isEqual(a: Value, b: Value): boolean {
  if (isNumeric(a) && isNumeric(b)) return Number(a.value) === Number(b.value);
  if (a.type !== b.type) return false;
  if (isList(a) || a.type === "TupleValue") {
    const [left, right] = [a.value as readonly Value[], b.value as readonly Value[]];
    return left.length === right.length && left.every((each, i) => isEqual(each, right[i]));
  }
  if (a.type === "ObjectValue") {
    const [left, right] = [a.value as ReadonlyMap<string, Value>, b.value as ReadonlyMap<string, Value>];
    return left.size === right.size &&
      [...left].every(([name, each]) => right.has(name) && isEqual(each, right.get(name)!));
  }
  return a.value === b.value;
}

/** The ends of a text without some characters. */
function stripped(text: string, name: string, characters: string): string {
  const [letters, away] = [[...text], new Set(characters)];
  const isLeft = (letter: string) => !away.has(letter);
  const from = name === "rstrip" ? 0 : letters.findIndex(isLeft);
  const to = name === "lstrip" ? letters.length : letters.findLastIndex(isLeft) + 1;
  return from < 0 ? "" : letters.slice(from, to).join("");
}

/** A loop is left, or its next round begun. */
class Leaving extends Error {
  /** What was written before, in blocks within the loop's. */
  text = "";
  constructor(readonly ends: boolean) {
    super("outside of a loop");
  }
}

/** Loops that are being written, the innermost last. */
interface Loop {
  readonly body: unknown;
  ended: boolean;
}

/**
 * Makes an interpreter do as Python's.
 *
 * @param prototype The interpreters' prototype
 */
export function asPython(prototype: Interpreter): void {
  const { evaluate } = prototype;
  let loops: readonly Loop[] = [];
  const textOf = (self: Interpreter, text: string, environment: unknown) =>
    evaluate.call(self, { type: "StringLiteral", value: text }, environment);
  const loopOf = (self: Interpreter, node: Node, environment: unknown): Value => {
    const before = loops;
    loops = [...before, { body: node.body, ended: false }];
    try {
      return evaluate.call(self, node, environment);
    } finally {
      loops = before;
    }
  };
  const remainder = (self: Interpreter, left: Value, right: Value, environment: unknown): Value => {
    if (left.type !== "IntegerValue" || right.type !== "IntegerValue" || right.value === 0) {
      throw new Error(`the remainder of ${represented(left)} by ${represented(right)}`);
    }
    const [a, b] = [left.value as number, right.value as number];
    return evaluate.call(self, { type: "IntegerLiteral", value: ((a % b) + b) % b }, environment);
  };
  const filtered = (self: Interpreter, { operand, filter }: Node, environment: unknown): Value | undefined => {
    if (filter?.callee?.value === "join" && filter.args?.some(({ type }) => type === "KeywordArgumentExpression")) {
      throw new Error("join with named settings");
    }
    if (filter?.value !== "capitalize") return undefined;
    const text = self.evaluate(operand, environment);
    if (text.type !== "StringValue") throw new Error(`capitalize of ${represented(text)}`);
    const [first = "", ...rest] = text.value as string;
    return textOf(self, first.toUpperCase() + rest.join("").toLowerCase(), environment);
  };
  const binary = (self: Interpreter, node: Node, environment: unknown): Value | undefined => {
    const operator = node.operator!.value;
    if (!["==", "!=", "~", "%"].includes(operator)) return undefined;
    const [left, right] = [node.left!, node.right!].map((each) => self.evaluate(each, environment));
    if (operator === "%") return remainder(self, left, right, environment);
    if (operator === "~") return textOf(self, written(left) + written(right), environment);
    const Truth = left.__bool__!().constructor as new (value: boolean) => Value;
    return new Truth(isEqual(left, right) === (operator === "=="));
  };
  const strip = (self: Interpreter, { callee, args = [] }: Node, environment: unknown): Value | undefined => {
    const name = callee?.type === "MemberExpression" && !callee.computed ? callee.property?.value : undefined;
    if (args.length !== 1 || typeof name !== "string" || !["strip", "lstrip", "rstrip"].includes(name)) {
      return undefined;
    }
    const [text, characters] = [callee!.object!, args[0]].map((each) => self.evaluate(each, environment));
    if (text.type !== "StringValue") return undefined;
    if (characters.type !== "StringValue") {
      if (characters.type === "NullValue") return textOf(self, (text.value as string).trim(), environment);
      throw new Error(`${name} of something that is no text`);
    }
    return textOf(self, stripped(text.value as string, name, characters.value as string), environment);
  };
  /** The same value with numbers that Python writes otherwise than JavaScript as Python's. */
  const asWritten = (self: Interpreter, given: Value, environment: unknown): Value => {
    const number = (type: string, value: number, text: string) =>
      evaluate.call(self, { type, value: new SpelledValue(value, text) }, environment);
    if (given.type === "FloatValue") {
      return number("FloatLiteral", Number(given.value), pythonFloat(Number(given.value)));
    }
    if (isList(given)) {
      const list = given.value as Value[];
      list.forEach((each, i) => list[i] = asWritten(self, each, environment));
    }
    if (given.type !== "ObjectValue") return given;
    const entries = given.value as Map<string, Value>;
    const spelling = entries.get(SPELLED)?.value;
    if (typeof spelling === "string") {
      const value = Number(spelling);
      return /[.eE]/.test(spelling)
        ? number("FloatLiteral", value, pythonFloat(value))
        : number("IntegerLiteral", value, `${BigInt(spelling)}`);
    }
    for (const [name, each] of entries) entries.set(name, asWritten(self, each, environment));
    return given;
  };
  const member = (self: Interpreter, node: Node, environment: unknown): Value => {
    const found = evaluate.call(self, node, environment);
    // Looked at again only where nothing was found: what is not there has no parts.
    if (found.type !== "UndefinedValue" || self.evaluate(node.object, environment).type !== found.type) return found;
    throw new Error(`${node.computed ? "a part" : `"${node.property?.value}"`} of what is not defined`);
  };
  prototype.evaluate = function (node, environment) {
    switch (node?.type) {
      case "Program": {
        const { variables } = environment as { readonly variables: Map<string, Value> };
        for (const name of ["messages", "tools"]) {
          const given = variables.get(name);
          if (given !== undefined) variables.set(name, asWritten(this, given, environment));
        }
        return evaluate.call(this, node, environment);
      }
      case "MemberExpression":
        return member(this, node, environment);
      case "For":
        return loopOf(this, node, environment);
      case "Break":
      case "Continue":
        throw new Leaving(node.type === "Break");
      case "BinaryExpression":
        return binary(this, node, environment) ?? evaluate.call(this, node, environment);
      case "FilterExpression":
        return filtered(this, node, environment) ?? evaluate.call(this, node, environment);
      case "CallExpression":
        return strip(this, node, environment) ?? evaluate.call(this, node, environment);
      default:
        return evaluate.call(this, node, environment);
    }
  };
  prototype.evaluateBlock = function (statements, environment) {
    const loop = loops.at(-1);
    const isBody = loop?.body === statements;
    let text = "";
    try {
      // The library goes on with the rounds of a loop that was left.
      for (const statement of isBody && loop!.ended ? [] : statements) {
        const value = this.evaluate(statement, environment);
        const isSilent = STATEMENTS.includes(statement.type) && value.type === "NullValue";
        text += isSilent ? "" : written(value);
      }
    } catch (error) {
      if (!(error instanceof Leaving)) throw error;
      error.text = text + error.text;
      if (!isBody) throw error;
      loop!.ended = error.ends;
      text = error.text;
    }
    return textOf(this, text, environment);
  };
}
