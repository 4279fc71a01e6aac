/**
 * Names and their values within a part of a template.
 *
 * @module
 */
import type { Value } from "./values.ts";

/** Names of a part of a template; what it does not have, the part around it may. */
export class Scope {
  private readonly own: Map<string, Value>;

  /**
   * @param around What is around it
   * @param entries Its names
   */
  constructor(private readonly around?: Scope, entries: Iterable<readonly [string, Value]> = []) {
    this.own = new Map(entries);
  }

  /** The value of a name, if it has one. */
  get(name: string): Value | undefined {
    const found = this.own.get(name);
    return found === undefined ? this.around?.get(name) : found;
  }

  /** Gives a name a value here. */
  set(name: string, value: Value): void {
    this.own.set(name, value);
  }
}
