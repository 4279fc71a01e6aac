/**
 * Parts of Oniguruma's expressions that give nothing back once they match, written in a way that JavaScript has.
 *
 * @module
 */

/** Where a group, a class or an escape that begins at a place ends. */
function endOf(pattern: string, begin: number): number {
  switch (pattern[begin]) {
    case "\\": {
      const whole = /\\(?:[pPkgxu]\{[^}]*\}|k<[^>]*>|g<[^>]*>|x[\da-fA-F]{1,2}|u[\da-fA-F]{4}|c.|[^])/uy;
      whole.lastIndex = begin;
      return whole.test(pattern) ? whole.lastIndex : pattern.length;
    }
    case "[": {
      let at = begin + (pattern[begin + 1] === "^" ? 2 : 1);
      // A bracket that comes first stands for itself.
      if (pattern[at] === "]") at++;
      while (at < pattern.length && pattern[at] !== "]") at = "[\\".includes(pattern[at]) ? endOf(pattern, at) : at + 1;
      return at + 1;
    }
    case "(": {
      let at = begin + 1;
      while (at < pattern.length && pattern[at] !== ")") {
        at = "[\\(".includes(pattern[at]) ? endOf(pattern, at) : at + 1;
      }
      return at + 1;
    }
    default:
      return begin + String.fromCodePoint(pattern.codePointAt(begin)!).length;
  }
}

/**
 * The same pattern without atomic groups and possessive quantifiers: `(?>X)` is `(?=(?<n>X))\k<n>`, and so is `X*+` of `X*`.
 * What is looked ahead for is not looked for again.
 *
 * @param pattern The pattern
 * @param names Says how many such groups there are
 * @throws Error for one that numbers its groups, which would be others, and for `\\G`, which JavaScript lacks
 */
export function withoutAtoms(pattern: string, names: { count: number } = { count: 0 }): string {
  const before = names.count;
  let found = "";
  const kept = (inner: string) => {
    const name = `atom${names.count++}`;
    return `(?=(?<${name}>${inner}))\\k<${name}>`;
  };
  for (let at = 0; at < pattern.length;) {
    const end = endOf(pattern, at);
    let part = pattern.slice(at, end);
    if (part === "\\G") throw new Error('"\\G"');
    const opening = /^\((?:\?(?:>|:|=|!|<=|<!|<[^>]*>|[a-zA-Z-]*:))?/.exec(part)?.[0];
    if (opening !== undefined && part.endsWith(")")) {
      const inner = withoutAtoms(part.slice(opening.length, -1), names);
      part = opening === "(?>" ? kept(inner) : `${opening}${inner})`;
    }
    const quantifier = /^[?*+]\+/.exec(pattern.slice(end))?.[0];
    const isRepeated = opening === "(?>" && /^(?:[?*+]|\{\d)/.test(pattern.slice(end));
    if (quantifier !== undefined) part = kept(`${isRepeated ? `(?:${part})` : part}${quantifier[0]}`);
    else if (isRepeated) part = `(?:${part})`;
    found += part;
    at = end + (quantifier?.length ?? 0);
  }
  if (names.count > before && /\\[1-9]/.test(pattern)) {
    throw new Error("numbers of groups beside groups that give nothing back");
  }
  return found;
}
