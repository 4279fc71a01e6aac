/**
 * Python's regular expressions as trees, as `re` of Python 3.11 and newer reads them. What only a backtracking engine can
 * match (backreferences, atomic groups, possessive quantifiers, conditionals) and what Python refuses is refused by name.
 * Syntax: docs.python.org/3/library/re.html.
 *
 * @module
 */
import { classAt, escaped, isWord, literal, setOf } from "./characters.ts";
import { type Cursor, cursorOver, RegexError } from "./cursor.ts";

/** A regular expression, parsed. */
export type Node =
  | { readonly kind: "characters"; readonly holds: (character: string) => boolean }
  | { readonly kind: "sequence"; readonly nodes: readonly Node[] }
  | { readonly kind: "choice"; readonly nodes: readonly Node[] }
  | { readonly kind: "repeat"; readonly node: Node; readonly least: number; readonly most: number }
  | { readonly kind: "place"; readonly holds: (text: string, at: number) => boolean }
  | { readonly kind: "look"; readonly node: Node; readonly behind: boolean; readonly negated: boolean };

/** Longest expression; those of published adapters are below 500. */
const MOST_CHARACTERS = 4096;
/** Largest count of a `{m,n}`. */
const MOST_REPEATS = 1000;
/** Deepest nesting of groups. */
const MOST_DEPTH = 100;

/** What is switched on where an expression is being read. */
interface Flags {
  readonly ignoreCase: boolean;
  readonly multiline: boolean;
  readonly dotAll: boolean;
}

const wordAt = (text: string, at: number): boolean => at >= 0 && at < text.length && isWord(text[at]);
const isBoundary = (text: string, at: number): boolean => wordAt(text, at - 1) !== wordAt(text, at);
const place = (holds: (text: string, at: number) => boolean): Node => ({ kind: "place", holds });
const sequence = (nodes: readonly Node[]): Node => nodes.length === 1 ? nodes[0] : { kind: "sequence", nodes };

/** An expression that is being read. */
interface Reading extends Cursor {
  /** Names of its groups so far. */
  readonly groups: Set<string>;
  /** Groups around the place that is read. */
  readonly depth: number;
}

function withFlags({ refuse }: Reading, flags: Flags, on: string, off: string): Flags {
  const unknown = [...on, ...off].find((flag) => !"imsau".includes(flag));
  if (unknown !== undefined) refuse(`the flag ${unknown}`);
  const value = (flag: string, before: boolean) => !off.includes(flag) && (before || on.includes(flag));
  return {
    ignoreCase: value("i", flags.ignoreCase),
    multiline: value("m", flags.multiline),
    dotAll: value("s", flags.dotAll),
  };
}

/** A group, after `(`; a comment is nothing. */
function group(outer: Reading, flags: Flags): Node {
  const reading = { ...outer, depth: outer.depth + 1 };
  const { peek, next, takes, takeMatch, groups, refuse } = reading;
  if (reading.depth > MOST_DEPTH) refuse(`more than ${MOST_DEPTH} groups in each other`);
  const closed = (node: Node): Node => takes(")") ? node : refuse("a ( without its )");
  if (!takes("?")) return closed(choice(reading, flags));
  if (takes("#")) {
    while (peek() !== undefined && peek() !== ")") next();
    return closed(sequence([]));
  }
  const look = takeMatch(/<?[=!]/);
  if (look !== null) {
    const node = closed(choice(reading, flags));
    return { kind: "look", node, behind: look[0].startsWith("<"), negated: look[0].endsWith("!") };
  }
  const named = takeMatch(/P<([A-Za-z_]\w*)>/);
  if (named !== null) {
    if (groups.has(named[1])) refuse(`two groups of the name ${named[1]}`);
    groups.add(named[1]);
    return closed(choice(reading, flags));
  }
  const scoped = takeMatch(/([a-zA-Z]*)(?:-([a-zA-Z]+))?:/);
  if (scoped !== null) return closed(choice(reading, withFlags(reading, flags, scoped[1], scoped[2] ?? "")));
  return refuse(`the group (?${peek() ?? ""}${peek(1) ?? ""}`);
}

/** What follows `\`. */
function afterBackslash(reading: Reading, { ignoreCase }: Flags): Node {
  const { takes } = reading;
  if (takes("A")) return place((_, here) => here === 0);
  if (takes("Z")) return place((whole, here) => here === whole.length);
  if (takes("b")) return place(isBoundary);
  if (takes("B")) return place((whole, here) => !isBoundary(whole, here));
  return { kind: "characters", holds: classAt(reading) ?? literal(escaped(reading, false), ignoreCase) };
}

/** One character, set, place or group. */
function atom(reading: Reading, flags: Flags): Node {
  const character = reading.next();
  switch (character) {
    case "(":
      return group(reading, flags);
    case "[":
      return { kind: "characters", holds: setOf(reading, flags.ignoreCase) };
    case ".":
      return { kind: "characters", holds: (other) => flags.dotAll || other !== "\n" };
    case "^":
      return place((whole, here) => here === 0 || (flags.multiline && whole[here - 1] === "\n"));
    case "$":
      return place((whole, here) =>
        here === whole.length || (whole[here] === "\n" && (flags.multiline || here === whole.length - 1))
      );
    case "\\":
      return afterBackslash(reading, flags);
    default:
      if ("*+?".includes(character)) return reading.refuse(`the ${character} after nothing`);
      return { kind: "characters", holds: literal(character, flags.ignoreCase) };
  }
}

const QUANTIFIERS: Readonly<Record<string, readonly [number, number]>> = {
  "*": [0, Infinity],
  "+": [1, Infinity],
  "?": [0, 1],
};

/** How often an atom may occur, if that is said. */
function quantifier({ takeMatch, refuse }: Reading): readonly [least: number, most: number] | undefined {
  const short = takeMatch(/[*+?]/);
  if (short !== null) return QUANTIFIERS[short[0]];
  const counts = takeMatch(/\{(?=[\d,])(\d*)(,?)(\d*)\}/);
  if (counts === null) return undefined;
  const [, from, comma, to] = counts;
  const least = Number(from);
  const most = comma === "" ? least : to === "" ? Infinity : Number(to);
  if (most < least) refuse(`the counts ${counts[0]}`);
  if ([least, most].some((count) => count !== Infinity && count > MOST_REPEATS)) {
    refuse(`${counts[0]}, more than ${MOST_REPEATS},`);
  }
  return [least, most];
}

/** Atoms one after another, each with how often. */
function terms(reading: Reading, flags: Flags): Node {
  const { peek, takes, refuse } = reading;
  const nodes: Node[] = [];
  while (peek() !== undefined && peek() !== "|" && peek() !== ")") {
    const isGroup = peek() === "(";
    const node = atom(reading, flags);
    const counts = quantifier(reading);
    if (counts === undefined) {
      nodes.push(node);
      continue;
    }
    if (node.kind === "place" && !isGroup) refuse("a repeated place");
    // Lazy or not, the same texts match.
    if (!takes("?") && takes("+")) refuse("a possessive quantifier");
    if (quantifier(reading) !== undefined) refuse("a quantifier of a quantifier");
    nodes.push({ kind: "repeat", node, least: counts[0], most: counts[1] });
  }
  return sequence(nodes);
}

/** Alternatives. */
function choice(reading: Reading, flags: Flags): Node {
  const nodes = [terms(reading, flags)];
  while (reading.takes("|")) nodes.push(terms(reading, flags));
  return nodes.length === 1 ? nodes[0] : { kind: "choice", nodes };
}

/**
 * Reads an expression.
 *
 * @param text The expression
 * @throws RegexError saying what in it cannot be used
 */
export function parseRegex(text: string): Node {
  if (text.length > MOST_CHARACTERS) throw new RegexError(`more than ${MOST_CHARACTERS} characters`);
  const reading: Reading = { ...cursorOver(text), groups: new Set(), depth: 0 };
  let flags: Flags = { ignoreCase: false, multiline: false, dotAll: false };
  const GLOBAL = /\(\?([a-zA-Z]+)\)/;
  for (let global = reading.takeMatch(GLOBAL); global !== null; global = reading.takeMatch(GLOBAL)) {
    flags = withFlags(reading, flags, global[1], "");
  }
  const node = choice(reading, flags);
  return reading.peek() === undefined ? node : reading.refuse("a ) without its (");
}
