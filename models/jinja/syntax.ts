/**
 * What expressions of Jinja consist of.
 *
 * @module
 */

/** An expression. */
export type Expression =
  | { readonly kind: "constant"; readonly value: null | boolean | bigint | number | string }
  | { readonly kind: "name"; readonly name: string }
  | { readonly kind: "list" | "tuple"; readonly items: readonly Expression[] }
  | { readonly kind: "dict"; readonly entries: readonly (readonly [Expression, Expression])[] }
  | { readonly kind: "member"; readonly object: Expression; readonly name: string }
  | { readonly kind: "item"; readonly object: Expression; readonly key: Expression }
  | { readonly kind: "slice"; readonly object: Expression; readonly ends: readonly (Expression | undefined)[] }
  | { readonly kind: "call"; readonly callee: Expression; readonly given: Given }
  | { readonly kind: "filter"; readonly input: Expression | undefined; readonly name: string; readonly given: Given }
  | { readonly kind: "test"; readonly input: Expression; readonly name: string; readonly given: Given }
  | { readonly kind: "not" | "minus" | "plus"; readonly of: Expression }
  | { readonly kind: "and" | "or"; readonly left: Expression; readonly right: Expression }
  | { readonly kind: "binary"; readonly operator: string; readonly left: Expression; readonly right: Expression }
  | { readonly kind: "concat"; readonly parts: readonly Expression[] }
  | {
    readonly kind: "compare";
    readonly first: Expression;
    readonly others: readonly (readonly [operator: string, Expression])[];
  }
  | {
    readonly kind: "condition";
    readonly test: Expression;
    readonly then: Expression;
    readonly otherwise: Expression | undefined;
  };

/** What a call gives. */
export interface Given {
  readonly args: readonly Expression[];
  readonly named: readonly (readonly [string, Expression])[];
  /** `*list` and `**dict`. */
  readonly spread?: Expression;
  readonly spreadNamed?: Expression;
}
