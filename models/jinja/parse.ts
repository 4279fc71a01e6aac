/**
 * Expressions of Jinja, by Python's Jinja's own grammar.
 *
 * @module
 */
import type { Token, TokenKind } from "./lex.ts";
import type { Expression, Given } from "./syntax.ts";

const NOTHING: Given = { args: [], named: [] };
const COMPARING = ["==", "!=", ">", ">=", "<", "<="];
const CONSTANTS: Readonly<Record<string, null | boolean>> = {
  true: true,
  True: true,
  false: false,
  False: false,
  none: null,
  None: null,
};

/** Reads expressions, a token at a time. */
export class Parser {
  private at = 0;

  constructor(private readonly tokens: readonly Token[]) {}

  /** The token that comes next. */
  get next(): Token {
    return this.tokens[this.at];
  }

  /** Whether the next token is of a kind, and of a text if one is given. */
  is(kind: TokenKind, text?: string): boolean {
    return this.next.kind === kind && (text === undefined || this.next.text === text);
  }

  /** Takes the next token if it is as asked. */
  takes(kind: TokenKind, text?: string): boolean {
    const found = this.is(kind, text);
    if (found) this.at++;
    return found;
  }

  /** Takes the next token, which must be as asked. */
  expect(kind: TokenKind, text?: string): string {
    const { next } = this;
    if (!this.takes(kind, text)) throw new Error(`unexpected "${next.text}", not ${text ?? kind}`);
    return next.text;
  }

  private operator(text: string): boolean {
    return this.takes("operator", text);
  }

  /** One expression, or with commas a tuple of several. */
  tuple(options: { readonly conditions?: boolean; readonly parentheses?: boolean } = {}): Expression {
    const { conditions = true, parentheses = false } = options;
    const items: Expression[] = [];
    let isTuple = false;
    for (;;) {
      if (items.length > 0 && !this.operator(",")) break;
      if (items.length > 0) isTuple = true;
      if (["variable_end", "block_end"].includes(this.next.kind) || this.is("operator", ")") || this.endsTarget()) {
        break;
      }
      items.push(conditions ? this.expression() : this.or());
    }
    if (!isTuple && items.length > 0) return items[0];
    if (items.length === 0 && !parentheses) throw new Error(`an expression before "${this.next.text}" is missing`);
    return { kind: "tuple", items };
  }

  private endsTarget(): boolean {
    return this.is("name", "in") || this.is("operator", "=");
  }

  /** An expression, with conditions. */
  expression(): Expression {
    let found = this.or();
    while (this.takes("name", "if")) {
      const test = this.or();
      const otherwise = this.takes("name", "else") ? this.expression() : undefined;
      found = { kind: "condition", test, then: found, otherwise };
    }
    return found;
  }

  /** An expression without conditions. */
  or(): Expression {
    let left = this.and();
    while (this.takes("name", "or")) left = { kind: "or", left, right: this.and() };
    return left;
  }

  private and(): Expression {
    let left = this.not();
    while (this.takes("name", "and")) left = { kind: "and", left, right: this.not() };
    return left;
  }

  private not(): Expression {
    return this.takes("name", "not") ? { kind: "not", of: this.not() } : this.compare();
  }

  private compare(): Expression {
    const first = this.sum();
    const others: (readonly [string, Expression])[] = [];
    for (;;) {
      const { kind, text } = this.next;
      const [second] = this.tokens.slice(this.at + 1);
      if (kind === "operator" && COMPARING.includes(text)) this.at++;
      else if (kind === "name" && text === "in") this.at++;
      else if (kind === "name" && text === "not" && second?.kind === "name" && second.text === "in") this.at += 2;
      else break;
      others.push([text === "not" ? "not in" : text, this.sum()]);
    }
    return others.length === 0 ? first : { kind: "compare", first, others };
  }

  private binary(operators: readonly string[], of: () => Expression): Expression {
    let left = of();
    while (this.next.kind === "operator" && operators.includes(this.next.text)) {
      const operator = this.expect("operator");
      left = { kind: "binary", operator, left, right: of() };
    }
    return left;
  }

  private sum(): Expression {
    return this.binary(["+", "-"], () => this.concat());
  }

  private concat(): Expression {
    const parts = [this.product()];
    while (this.operator("~")) parts.push(this.product());
    return parts.length === 1 ? parts[0] : { kind: "concat", parts };
  }

  private product(): Expression {
    return this.binary(["*", "/", "//", "%"], () => this.binary(["**"], () => this.unary(true)));
  }

  /** Something with a sign, what follows it, and filters and tests. */
  unary(filtered: boolean): Expression {
    let found: Expression;
    if (this.operator("-")) found = { kind: "minus", of: this.unary(false) };
    else if (this.operator("+")) found = { kind: "plus", of: this.unary(false) };
    else found = this.primary();
    found = this.postfix(found);
    return filtered ? this.filters(found) : found;
  }

  private primary(): Expression {
    const { kind, text } = this.next;
    this.at++;
    switch (kind) {
      case "name":
        return Object.hasOwn(CONSTANTS, text)
          ? { kind: "constant", value: CONSTANTS[text] }
          : { kind: "name", name: text };
      case "string": {
        let value = text;
        while (this.is("string")) value += this.expect("string");
        return { kind: "constant", value };
      }
      case "integer":
        return { kind: "constant", value: BigInt(text) };
      case "float":
        return { kind: "constant", value: Number(text) };
      case "operator":
        if (text === "(") {
          const found = this.tuple({ parentheses: true });
          this.expect("operator", ")");
          return found;
        }
        if (text === "[") return { kind: "list", items: this.until("]", () => this.expression()) };
        if (text === "{") {
          const entry = (): readonly [Expression, Expression] => {
            const name = this.expression();
            this.expect("operator", ":");
            return [name, this.expression()];
          };
          return { kind: "dict", entries: this.until("}", entry) };
        }
    }
    throw new Error(`unexpected "${text}"`);
  }

  /** What stands between commas up to a bracket. */
  private until<Item>(end: string, item: () => Item): readonly Item[] {
    const items: Item[] = [];
    while (!this.operator(end)) {
      if (items.length > 0) this.expect("operator", ",");
      if (this.operator(end)) break;
      items.push(item());
    }
    return items;
  }

  private postfix(before: Expression): Expression {
    let found = before;
    for (;;) {
      if (this.operator(".")) {
        if (this.is("name")) found = { kind: "member", object: found, name: this.expect("name") };
        else found = { kind: "item", object: found, key: { kind: "constant", value: BigInt(this.expect("integer")) } };
      } else if (this.operator("[")) found = this.subscript(found);
      else if (this.is("operator", "(")) found = { kind: "call", callee: found, given: this.given() };
      else return found;
    }
  }

  private subscript(object: Expression): Expression {
    const parts = this.until("]", (): Expression | readonly (Expression | undefined)[] => {
      const ends: (Expression | undefined)[] = [undefined];
      const isEnd = () => this.is("operator", ":") || this.is("operator", "]") || this.is("operator", ",");
      if (!isEnd()) ends[0] = this.expression();
      if (!this.is("operator", ":")) return ends[0]!;
      while (ends.length < 3 && this.operator(":")) ends.push(isEnd() ? undefined : this.expression());
      return ends;
    });
    const [only] = parts;
    if (only === undefined) throw new Error("brackets with nothing in them");
    const isEnds = (part: typeof only): part is readonly (Expression | undefined)[] => Array.isArray(part);
    if (parts.length === 1 && isEnds(only)) return { kind: "slice", object, ends: only };
    if (parts.some(isEnds)) throw new Error("several slices in brackets");
    const items = parts as readonly Expression[];
    return { kind: "item", object, key: items.length === 1 ? items[0] : { kind: "tuple", items } };
  }

  /** What is given in parentheses. */
  given(): Given {
    this.expect("operator", "(");
    const args: Expression[] = [];
    const named: (readonly [string, Expression])[] = [];
    let spread: Expression | undefined;
    let spreadNamed: Expression | undefined;
    this.until(")", () => {
      const second = this.tokens[this.at + 1];
      if (this.operator("*")) spread = this.expression();
      else if (this.operator("**")) spreadNamed = this.expression();
      else if (this.is("name") && second?.kind === "operator" && second.text === "=") {
        const name = this.expect("name");
        this.at++;
        named.push([name, this.expression()]);
      } else if (named.length > 0 || spread !== undefined || spreadNamed !== undefined) {
        throw new Error("a value without a name behind those with one");
      } else args.push(this.expression());
    });
    return { args, named, spread, spreadNamed };
  }

  private dotted(): string {
    let name = this.expect("name");
    while (this.operator(".")) name += `.${this.expect("name")}`;
    return name;
  }

  /** Filters without what they act on, for blocks; the first has no bar before it where `bare`. */
  filter(input: Expression | undefined, bare: boolean): Expression {
    if (!bare) this.expect("operator", "|");
    const name = this.dotted();
    const given = this.is("operator", "(") ? this.given() : NOTHING;
    return { kind: "filter", input, name, given };
  }

  private filters(before: Expression): Expression {
    let found = before;
    for (;;) {
      if (this.is("operator", "|")) found = this.filter(found, false);
      else if (this.takes("name", "is")) found = this.test(found);
      else if (this.is("operator", "(")) found = { kind: "call", callee: found, given: this.given() };
      else return found;
    }
  }

  private test(input: Expression): Expression {
    const negated = this.takes("name", "not");
    const name = this.dotted();
    const { kind, text } = this.next;
    const begins = ["name", "string", "integer", "float"].includes(kind) ||
      kind === "operator" && ["(", "[", "{"].includes(text);
    let given = NOTHING;
    if (this.is("operator", "(")) given = this.given();
    else if (begins && !(kind === "name" && ["else", "or", "and"].includes(text))) {
      if (this.is("name", "is")) throw new Error("tests that are chained");
      given = { args: [this.postfix(this.primary())], named: [] };
    }
    const found: Expression = { kind: "test", input, name, given };
    return negated ? { kind: "not", of: found } : found;
  }
}
