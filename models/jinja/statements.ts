/**
 * Statements of Jinja.
 *
 * @module
 */
import { tokens } from "./lex.ts";
import { Parser } from "./parse.ts";
import type { Expression } from "./syntax.ts";

/** What is set: names, or an attribute of a namespace. */
export type Target =
  | { readonly kind: "name"; readonly name: string }
  | { readonly kind: "attribute"; readonly of: string; readonly name: string }
  | { readonly kind: "tuple"; readonly items: readonly Target[] };

/** A macro's parameters; those with a default are the last. */
export interface Parameters {
  readonly names: readonly string[];
  readonly defaults: readonly Expression[];
}

/** A statement. */
export type Statement =
  | { readonly kind: "data"; readonly text: string }
  | { readonly kind: "output"; readonly of: Expression }
  | { readonly kind: "if"; readonly branches: readonly (readonly [Expression, Body])[]; readonly otherwise: Body }
  | {
    readonly kind: "for";
    readonly target: Target;
    readonly over: Expression;
    readonly test: Expression | undefined;
    readonly recursive: boolean;
    readonly body: Body;
    readonly otherwise: Body;
  }
  | { readonly kind: "set"; readonly target: Target; readonly to: Expression }
  | {
    readonly kind: "set block";
    readonly target: Target;
    readonly filter: Expression | undefined;
    readonly body: Body;
  }
  | { readonly kind: "macro"; readonly name: string; readonly parameters: Parameters; readonly body: Body }
  | { readonly kind: "call"; readonly call: Expression; readonly parameters: Parameters; readonly body: Body }
  | { readonly kind: "filter"; readonly filter: Expression; readonly body: Body }
  | { readonly kind: "with"; readonly set: readonly (readonly [Target, Expression])[]; readonly body: Body }
  | { readonly kind: "generation"; readonly body: Body }
  | { readonly kind: "break" | "continue" };

/** Statements one behind the other. */
export type Body = readonly Statement[];

/** Statements that exist but are about other files. */
const ELSEWHERE = ["include", "import", "from", "extends", "block", "autoescape", "do", "trans", "debug"];

class Statements extends Parser {
  /** Statements up to one of some names, which is left. */
  body(...ends: readonly string[]): Body {
    const found: Statement[] = [];
    for (;;) {
      if (this.is("data")) found.push({ kind: "data", text: this.expect("data") });
      else if (this.takes("variable_begin")) {
        found.push({ kind: "output", of: this.tuple() });
        this.expect("variable_end");
      } else if (this.takes("block_begin")) {
        if (this.is("name") && ends.includes(this.next.text)) return found;
        found.push(this.statement());
      } else if (this.is("end") && ends.length === 0) return found;
      else throw new Error(`the end of the template, not ${ends.join(" or ")}`);
    }
  }

  private end(): void {
    this.expect("block_end");
  }

  private closed(name: string): Body {
    const body = this.body(name);
    this.expect("name", name);
    this.end();
    return body;
  }

  private statement(): Statement {
    const name = this.expect("name");
    switch (name) {
      case "if":
        return this.ifs();
      case "for":
        return this.loop();
      case "set":
        return this.set();
      case "macro": {
        const called = this.expect("name");
        const parameters = this.parameters();
        this.end();
        return { kind: "macro", name: called, parameters, body: this.closed("endmacro") };
      }
      case "call": {
        const parameters = this.is("operator", "(") ? this.parameters() : { names: [], defaults: [] };
        const call = this.expression();
        this.end();
        return { kind: "call", call, parameters, body: this.closed("endcall") };
      }
      case "filter": {
        const filter = this.chain();
        this.end();
        return { kind: "filter", filter, body: this.closed("endfilter") };
      }
      case "with": {
        const set: (readonly [Target, Expression])[] = [];
        while (!this.is("block_end")) {
          if (set.length > 0) this.expect("operator", ",");
          const target = this.target(false);
          this.expect("operator", "=");
          set.push([target, this.expression()]);
        }
        this.end();
        return { kind: "with", set, body: this.closed("endwith") };
      }
      case "generation":
        this.end();
        return { kind: "generation", body: this.closed("endgeneration") };
      case "break":
      case "continue":
        this.end();
        return { kind: name };
    }
    const why = ELSEWHERE.includes(name) ? ", which is not known here" : "";
    throw new Error(`the statement "${name}"${why}`);
  }

  private ifs(): Statement {
    const branches: (readonly [Expression, Body])[] = [];
    let otherwise: Body = [];
    let test = this.tuple({ conditions: false });
    for (;;) {
      this.end();
      branches.push([test, this.body("elif", "else", "endif")]);
      if (this.takes("name", "elif")) test = this.tuple({ conditions: false });
      else break;
    }
    if (this.takes("name", "else")) {
      this.end();
      otherwise = this.body("endif");
    }
    this.expect("name", "endif");
    this.end();
    return { kind: "if", branches, otherwise };
  }

  private loop(): Statement {
    const target = this.target(true);
    this.expect("name", "in");
    const over = this.tuple({ conditions: false });
    const test = this.takes("name", "if") ? this.expression() : undefined;
    const recursive = this.takes("name", "recursive");
    this.end();
    const body = this.body("else", "endfor");
    let otherwise: Body = [];
    if (this.takes("name", "else")) {
      this.end();
      otherwise = this.body("endfor");
    }
    this.expect("name", "endfor");
    this.end();
    return { kind: "for", target, over, test, recursive, body, otherwise };
  }

  private set(): Statement {
    const target = this.target(true, true);
    if (this.takes("operator", "=")) {
      const to = this.tuple();
      this.end();
      return { kind: "set", target, to };
    }
    const filter = this.is("operator", "|") ? this.chain(false) : undefined;
    this.end();
    return { kind: "set block", target, filter, body: this.closed("endset") };
  }

  /** Filters of a block. */
  private chain(bare = true): Expression {
    let found = this.filter(undefined, bare);
    while (this.is("operator", "|")) found = this.filter(found, false);
    return found;
  }

  private target(tuples: boolean, attributes = false): Target {
    const one = (): Target => {
      if (this.takes("operator", "(")) {
        const inner = this.target(true);
        this.expect("operator", ")");
        return inner;
      }
      const name = this.expect("name");
      if (!attributes || !this.takes("operator", ".")) return { kind: "name", name };
      return { kind: "attribute", of: name, name: this.expect("name") };
    };
    const items = [one()];
    let isTuple = false;
    while (tuples && this.takes("operator", ",")) {
      isTuple = true;
      if (this.is("name", "in") || this.is("operator", "=") || this.is("operator", ")")) break;
      items.push(one());
    }
    return isTuple ? { kind: "tuple", items } : items[0];
  }

  private parameters(): Parameters {
    this.expect("operator", "(");
    const names: string[] = [];
    const defaults: Expression[] = [];
    while (!this.takes("operator", ")")) {
      if (names.length > 0) this.expect("operator", ",");
      names.push(this.expect("name"));
      if (this.takes("operator", "=")) defaults.push(this.expression());
      else if (defaults.length > 0) throw new Error("a parameter without a default behind one with it");
    }
    return { names, defaults };
  }
}

/**
 * Reads a template.
 *
 * @param source The template
 * @throws Error for what is no Jinja
 */
export function parse(source: string): Body {
  return new Statements(tokens(source)).body();
}

/** Whether a template says what the model writes itself. */
export function hasGeneration(body: Body): boolean {
  return body.some((each) => {
    switch (each.kind) {
      case "generation":
        return true;
      case "if":
        return each.branches.some(([, inner]) => hasGeneration(inner)) || hasGeneration(each.otherwise);
      case "for":
        return hasGeneration(each.body) || hasGeneration(each.otherwise);
      case "set block":
      case "macro":
      case "call":
      case "filter":
      case "with":
        return hasGeneration(each.body);
      default:
        return false;
    }
  });
}
