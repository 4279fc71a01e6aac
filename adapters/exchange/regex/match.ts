/**
 * Matching without backtracking. Instead of trying one way after another, all ends of a node's matches from a place are
 * found at once, and each is found once for each place: time grows with the third power of the text's length at worst
 * whatever the expression, where a backtracking engine (JavaScript's own) can be made to run for years. Libraries of
 * linear engines (RE2) lack the lookarounds that published adapters use.
 *
 * @module
 */
import { type Node, parseRegex } from "./syntax.ts";

/** A regular expression of Python's, ready to be matched. */
export interface PythonRegex {
  /** Python's `re.fullmatch`: whether it matches all of a text. */
  readonly matchesWhole: (text: string) => boolean;
  /** Python's `re.match`: whether it matches the beginning of a text. */
  readonly matchesStart: (text: string) => boolean;
  /** Where its matches from a place may end, in ascending order. */
  readonly endsFrom: (text: string, start: number) => readonly number[];
}

type Ends = ReadonlySet<number>;

const NONE: Ends = new Set();

/** The ends of a node's matches in one text, by where they begin. */
function matcher(text: string): (node: Node, start: number) => Ends {
  const known = new Map<Node, Map<number, Ends>>();
  const union = (starts: Iterable<number>, from: (start: number) => Ends): Ends => {
    const all = new Set<number>();
    for (const start of starts) for (const end of from(start)) all.add(end);
    return all;
  };
  const repeated = (node: Node, start: number, least: number, most: number): Ends => {
    let reached: Ends = new Set([start]);
    for (let count = 0; count < least && reached.size > 0; count++) reached = union(reached, (at) => ends(node, at));
    const all = new Set(reached);
    for (let count = least; count < most && reached.size > 0; count++) {
      reached = new Set([...union(reached, (at) => ends(node, at))].filter((end) => !all.has(end)));
      for (const end of reached) all.add(end);
    }
    return all;
  };
  const looks = (node: Node, behind: boolean, start: number): boolean =>
    behind
      ? Array.from({ length: start + 1 }, (_, from) => from).some((from) => ends(node, from).has(start))
      : ends(node, start).size > 0;
  const find = (node: Node, start: number): Ends => {
    const here: Ends = new Set([start]);
    switch (node.kind) {
      case "characters":
        return start < text.length && node.holds(text[start]) ? new Set([start + 1]) : NONE;
      case "sequence":
        return node.nodes.reduce((starts, each) => union(starts, (at) => ends(each, at)), here);
      case "choice":
        return union(node.nodes.keys(), (index) => ends(node.nodes[index], start));
      case "repeat":
        return repeated(node.node, start, node.least, node.most);
      case "place":
        return node.holds(text, start) ? here : NONE;
      case "look":
        return looks(node.node, node.behind, start) !== node.negated ? here : NONE;
    }
  };
  const ends = (node: Node, start: number): Ends => {
    const ofNode = known.get(node) ?? new Map<number, Ends>();
    known.set(node, ofNode);
    const found = ofNode.get(start) ?? find(node, start);
    ofNode.set(start, found);
    return found;
  };
  return ends;
}

/**
 * Compiles a regular expression of Python's.
 *
 * @param expression The expression
 * @throws RegexError for what Python refuses and what only a backtracking engine can match
 */
export function pythonRegex(expression: string): PythonRegex {
  const node = parseRegex(expression);
  return {
    matchesWhole: (text) => matcher(text)(node, 0).has(text.length),
    matchesStart: (text) => matcher(text)(node, 0).size > 0,
    endsFrom: (text, start) => [...matcher(text)(node, start)].sort((a, b) => a - b),
  };
}
