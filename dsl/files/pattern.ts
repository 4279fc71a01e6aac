/**
 * Regular expressions from files, told apart before they are used: JavaScript's matcher takes time that is exponential in the
 * text for some of them.
 *
 * @module
 */

/** Longest pattern, characters. */
const MOST_CHARACTERS = 4096;
/** Most repetitions without an end in one alternative: the time grows with the text's length to this power. */
const MOST_REPETITIONS = 2;

/** What has been read of a group. */
interface Group {
  /** Whether it has a choice or a repetition in it, so that repeating it can match one text in many ways. */
  ambiguous: boolean;
  /** Repetitions without an end in the alternative at hand. */
  repetitions: number;
  /** The most of them in one alternative. */
  most: number;
}

/** The place after a class `[...]`, nested ones of the `v` flag counted. */
function afterClass(pattern: string, at: number): number {
  for (let depth = 0; at < pattern.length; at++) {
    if (pattern[at] === "\\") at++;
    else if (pattern[at] === "[") depth++;
    else if (pattern[at] === "]" && --depth === 0) return at + 1;
  }
  return at;
}

/** The place after a single character, class or escape. */
function afterAtom(pattern: string, at: number): number {
  if (pattern[at] === "[") return afterClass(pattern, at);
  if (pattern[at] !== "\\") return at + 1;
  return /^\\[pP]\{/.test(pattern.slice(at, at + 3)) ? pattern.indexOf("}", at) + 1 || pattern.length : at + 2;
}

/**
 * Why matching a pattern may take time without a useful bound; undefined where it does not: a repeated group holds no choice
 * and no repetition, and an alternative has at most two repetitions without an end.
 *
 * @param pattern A regular expression of JavaScript's
 */
export function slowToMatch(pattern: string): string | undefined {
  if (pattern.length > MOST_CHARACTERS) return `${pattern.length} characters`;
  const fresh = (): Group => ({ ambiguous: false, repetitions: 0, most: 0 });
  const open: Group[] = [fresh()];
  for (let at = 0; at < pattern.length;) {
    const group = open[open.length - 1];
    const character = pattern[at];
    if (character === "(") {
      open.push(fresh());
      const [head] = /^\((?:\?(?:[:=!]|<[=!]|<[^>]*>|[a-z]*(?:-[a-z]*)?:))?/.exec(pattern.slice(at, at + 64)) ?? ["("];
      at += head.length;
      continue;
    }
    if (character === "|") {
      group.ambiguous = true;
      group.repetitions = 0;
      at++;
      continue;
    }
    let atom: Group | undefined;
    if (character === ")") {
      if (open.length === 1) return "a parenthesis that closes nothing";
      atom = open.pop()!;
      at++;
    } else {
      at = afterAtom(pattern, at);
    }
    const into = open[open.length - 1];
    if (atom !== undefined) {
      into.ambiguous ||= atom.ambiguous;
      into.repetitions += atom.most;
    }
    const [whole, , lower, comma, upper] = /^([*+?]|\{(\d+)(,?)(\d*)\})[?+]?/.exec(pattern.slice(at, at + 32)) ?? [""];
    at += whole.length;
    if (whole !== "") {
      // As often as it says, a group matches in as many ways as once.
      into.ambiguous ||= comma === "," || lower === undefined;
      const isEndless = whole[0] === "*" || whole[0] === "+" || comma === "," && upper === "";
      const isLong = Number(upper || lower || 0) > 64;
      if ((isEndless || isLong) && atom?.ambiguous) return "a repeated group with a choice or a repetition in it";
      if (isEndless || isLong) into.repetitions++;
    }
    into.most = Math.max(into.most, into.repetitions);
    if (into.most > MOST_REPETITIONS) return `more than ${MOST_REPETITIONS} repetitions without an end in a row`;
  }
  return undefined;
}
