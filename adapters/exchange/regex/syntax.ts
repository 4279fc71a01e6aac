/**
 * Python's regular expressions as trees, as `re` of Python 3.11 and newer reads them. What only a backtracking engine can
 * match (backreferences, atomic groups, possessive quantifiers, conditionals) and what Python refuses is refused by name.
 * Syntax: docs.python.org/3/library/re.html.
 *
 * @module
 */

/** A regular expression, parsed. */
export type Node =
  | { readonly kind: "characters"; readonly holds: (character: string) => boolean }
  | { readonly kind: "sequence"; readonly nodes: readonly Node[] }
  | { readonly kind: "choice"; readonly nodes: readonly Node[] }
  | { readonly kind: "repeat"; readonly node: Node; readonly least: number; readonly most: number }
  | { readonly kind: "place"; readonly holds: (text: string, at: number) => boolean }
  | { readonly kind: "look"; readonly node: Node; readonly behind: boolean; readonly negated: boolean };

/** Why a text is no regular expression that can be used here. */
export class RegexError extends Error {}

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

type Holds = (character: string) => boolean;

const isDigit: Holds = (character) => character >= "0" && character <= "9";
const isWord: Holds = (character) => /^[\p{L}\p{N}_]$/u.test(character);
const isSpace: Holds = (character) => " \t\n\r\f\v\x1c\x1d\x1e\x1f\x85\xa0".includes(character);
const not = (holds: Holds): Holds => (character) => !holds(character);

const CLASSES: Readonly<Record<string, Holds>> = {
  d: isDigit,
  D: not(isDigit),
  w: isWord,
  W: not(isWord),
  s: isSpace,
  S: not(isSpace),
};
const CONTROLS: Readonly<Record<string, string>> = {
  a: "\x07",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
  v: "\v",
  "\\": "\\",
};
const HEXADECIMAL: Readonly<Record<string, number>> = { x: 2, u: 4 };

const wordAt = (text: string, at: number): boolean => at >= 0 && at < text.length && isWord(text[at]);
const isBoundary = (text: string, at: number): boolean => wordAt(text, at - 1) !== wordAt(text, at);
const place = (holds: (text: string, at: number) => boolean): Node => ({ kind: "place", holds });
const sequence = (nodes: readonly Node[]): Node => nodes.length === 1 ? nodes[0] : { kind: "sequence", nodes };

/**
 * Reads an expression.
 *
 * @param text The expression
 * @throws RegexError saying what in it cannot be used
 */
export function parseRegex(text: string): Node {
  if (text.length > MOST_CHARACTERS) throw new RegexError(`more than ${MOST_CHARACTERS} characters`);
  let at = 0;
  let depth = 0;
  const groups = new Set<string>();
  const refuse = (what: string): never => {
    throw new RegexError(`${what} at character ${at}`);
  };
  const takes = (expected: string): boolean => {
    if (!text.startsWith(expected, at)) return false;
    at += expected.length;
    return true;
  };
  const takeMatch = (pattern: RegExp): RegExpExecArray | null => {
    const match = new RegExp(pattern.source, "y");
    match.lastIndex = at;
    const found = match.exec(text);
    if (found !== null) at += found[0].length;
    return found;
  };

  /** One character, after `\`. */
  const escaped = (inSet: boolean): string => {
    const hex = takeMatch(/x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}/);
    if (hex !== null) return String.fromCharCode(parseInt(hex[0].slice(1), 16));
    const octal = takeMatch(inSet ? /[0-7]{1,3}/ : /0[0-7]{0,2}|[1-3][0-7]{2}/);
    if (octal !== null) return String.fromCharCode(parseInt(octal[0], 8));
    const [character] = text.slice(at, at + 1);
    if (character === undefined) return refuse("a \\ at the end");
    if (isDigit(character)) return refuse(`the backreference \\${character}`);
    if (Object.hasOwn(HEXADECIMAL, character)) return refuse(`\\${character} without ${HEXADECIMAL[character]} digits`);
    at++;
    if (Object.hasOwn(CONTROLS, character)) return CONTROLS[character];
    if (inSet && character === "b") return "\b";
    return /[a-zA-Z]/.test(character) ? refuse(`\\${character}`) : character;
  };

  const literal = (character: string, { ignoreCase }: Flags): Node => {
    const lower = character.toLowerCase();
    return {
      kind: "characters",
      holds: ignoreCase ? (other) => other.toLowerCase() === lower : (other) => other === character,
    };
  };

  /** A set, after `[`. */
  const set = ({ ignoreCase }: Flags): Node => {
    const negated = takes("^");
    const members: Holds[] = [];
    const single = (): string | Holds => {
      if (!takes("\\")) return text[at++];
      const name = text[at];
      if (name === undefined || !Object.hasOwn(CLASSES, name)) return escaped(true);
      at++;
      return CLASSES[name];
    };
    for (let first = true; first || !takes("]"); first = false) {
      if (at >= text.length) refuse("a [ without its ]");
      const from = single();
      if (text[at] === "-" && text[at + 1] !== "]" && at + 1 < text.length) {
        at++;
        const to = single();
        if (typeof from !== "string" || typeof to !== "string" || from > to) return refuse("a bad range in a set");
        members.push((character) => character >= from && character <= to);
      } else {
        members.push(typeof from === "string" ? (character) => character === from : from);
      }
    }
    const among: Holds = (character) => members.some((holds) => holds(character));
    const folded: Holds = ignoreCase
      ? (character) => [character, character.toLowerCase(), character.toUpperCase()].some(among)
      : among;
    return { kind: "characters", holds: negated ? not(folded) : folded };
  };

  const withFlags = (flags: Flags, on: string, off: string): Flags => {
    const unknown = [...on, ...off].find((flag) => !"imsau".includes(flag));
    if (unknown !== undefined) refuse(`the flag ${unknown}`);
    const value = (flag: string, before: boolean) => !off.includes(flag) && (before || on.includes(flag));
    return {
      ignoreCase: value("i", flags.ignoreCase),
      multiline: value("m", flags.multiline),
      dotAll: value("s", flags.dotAll),
    };
  };

  const closed = (node: Node): Node => takes(")") ? node : refuse("a ( without its )");

  /** A group, after `(`; a comment is nothing. */
  const group = (flags: Flags): Node => {
    if (++depth > MOST_DEPTH) refuse(`more than ${MOST_DEPTH} groups in each other`);
    const made = groupBody(flags);
    depth--;
    return made;
  };
  const groupBody = (flags: Flags): Node => {
    if (!takes("?")) return closed(choice(flags));
    if (takes("#")) {
      while (at < text.length && text[at] !== ")") at++;
      return closed(sequence([]));
    }
    const look = takeMatch(/<?[=!]/);
    if (look !== null) {
      const node = closed(choice(flags));
      return { kind: "look", node, behind: look[0].startsWith("<"), negated: look[0].endsWith("!") };
    }
    const named = takeMatch(/P<([A-Za-z_]\w*)>/);
    if (named !== null) {
      if (groups.has(named[1])) refuse(`two groups of the name ${named[1]}`);
      groups.add(named[1]);
      return closed(choice(flags));
    }
    const scoped = takeMatch(/([a-zA-Z]*)(?:-([a-zA-Z]+))?:/);
    if (scoped !== null) return closed(choice(withFlags(flags, scoped[1], scoped[2] ?? "")));
    return refuse(`the group (?${text.slice(at, at + 2)}`);
  };

  /** One character, set, place or group. */
  const atom = (flags: Flags): Node => {
    const character = text[at++];
    switch (character) {
      case "(":
        return group(flags);
      case "[":
        return set(flags);
      case ".":
        return { kind: "characters", holds: (other) => flags.dotAll || other !== "\n" };
      case "^":
        return place((whole, here) => here === 0 || (flags.multiline && whole[here - 1] === "\n"));
      case "$":
        return place((whole, here) =>
          here === whole.length || (whole[here] === "\n" && (flags.multiline || here === whole.length - 1))
        );
      case "\\":
        break;
      default:
        return "*+?".includes(character) ? refuse(`the ${character} after nothing`) : literal(character, flags);
    }
    if (takes("A")) return place((_, here) => here === 0);
    if (takes("Z")) return place((whole, here) => here === whole.length);
    if (takes("b")) return place(isBoundary);
    if (takes("B")) return place((whole, here) => !isBoundary(whole, here));
    const name = text[at];
    if (name === undefined || !Object.hasOwn(CLASSES, name)) return literal(escaped(false), flags);
    at++;
    return { kind: "characters", holds: CLASSES[name] };
  };

  const QUANTIFIERS: Readonly<Record<string, readonly [number, number]>> = {
    "*": [0, Infinity],
    "+": [1, Infinity],
    "?": [0, 1],
  };
  /** How often an atom may occur, if that is said. */
  const quantifier = (): readonly [least: number, most: number] | undefined => {
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
  };

  const terms = (flags: Flags): Node => {
    const nodes: Node[] = [];
    while (at < text.length && text[at] !== "|" && text[at] !== ")") {
      const isGroup = text[at] === "(";
      const node = atom(flags);
      const counts = quantifier();
      if (counts === undefined) {
        nodes.push(node);
        continue;
      }
      if (node.kind === "place" && !isGroup) refuse("a repeated place");
      // Lazy or not, the same texts match.
      if (!takes("?") && takes("+")) refuse("a possessive quantifier");
      if (quantifier() !== undefined) refuse("a quantifier of a quantifier");
      nodes.push({ kind: "repeat", node, least: counts[0], most: counts[1] });
    }
    return sequence(nodes);
  };

  const choice = (flags: Flags): Node => {
    const nodes = [terms(flags)];
    while (takes("|")) nodes.push(terms(flags));
    return nodes.length === 1 ? nodes[0] : { kind: "choice", nodes };
  };

  let flags: Flags = { ignoreCase: false, multiline: false, dotAll: false };
  for (let global = takeMatch(/\(\?([a-zA-Z]+)\)/); global !== null; global = takeMatch(/\(\?([a-zA-Z]+)\)/)) {
    flags = withFlags(flags, global[1], "");
  }
  const node = choice(flags);
  return at < text.length ? refuse("a ) without its (") : node;
}
