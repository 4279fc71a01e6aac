/**
 * TeX, Markdown and typographic signs as plain text.
 *
 * @module
 */

/** Signs that are another way to write something. */
const SIGNS: readonly (readonly [RegExp, string])[] = [
  [/[\u2010-\u2015\u2212\uFE63\uFF0D]/g, "-"],
  [/[\u00A0\u2000-\u200A\u202F\u205F\u3000]/g, " "],
  [/[\u200B\u2060\uFEFF]/g, ""],
  [/\u03C0/g, "\\pi "],
  [/\u221E/g, "\\infty "],
  [/[\u00D7\u2715]/g, "\\times "],
  [/\u00B7|\u22C5/g, "\\cdot "],
  [/\u2264/g, "\\leq "],
  [/\u2265/g, "\\geq "],
  [/\u00B2/g, "^2"],
  [/\u00B3/g, "^3"],
  [/\u00B0/g, "^\\circ"],
  [/\u221A\s*/g, "\\sqrt "],
  [/\bsqrt\s*\(([^()]*)\)/g, "\\sqrt{$1}"],
];

/** TeX that changes how an answer looks but not what it says. */
const LOOKS: readonly (readonly [RegExp, string])[] = [
  [/\\\\+/g, "\\"],
  [/\\(?:left|right|displaystyle|bigl?|bigr|Bigl?|Bigr|limits)(?![a-zA-Z])/g, ""],
  [/\\[()[\]]/g, ""],
  [/\{,\}/g, ","],
  [/(?<=\d)\\[!,;: ](?=\d)/g, ""],
  [/,\\!/g, ","],
  [/\\!/g, ""],
  [/\\[,;: ]|~|\\(?:quad|qquad)(?![a-zA-Z])/g, " "],
  [/\\le(?![a-z])/g, "\\leq"],
  [/\\ge(?![a-z])/g, "\\geq"],
  [/\\[dtc]frac(?![a-z])/g, "\\frac"],
  [/\\%/g, "%"],
  [/\\$/g, ""],
];

/** Commands whose braces hold what is meant. */
const WRAPPERS: readonly string[] = ["boxed", "fbox", "text", "textbf", "textit", "textrm", "mathrm", "mathbf", "mbox"];

/** A command's argument: what its braces hold, or the one sign after it. */
function argument(text: string, from: number): { readonly value: string; readonly end: number } | undefined {
  let at = from;
  while (text[at] === " ") at++;
  if (text[at] === undefined || text[at] === "}") return undefined;
  if (text[at] !== "{") {
    const sign = /^(?:\\[a-zA-Z]+|[^])/.exec(text.slice(at))![0];
    return { value: sign, end: at + sign.length };
  }
  let depth = 0;
  for (let end = at; end < text.length; end++) {
    depth += text[end] === "{" ? 1 : text[end] === "}" ? -1 : 0;
    if (depth === 0) return { value: text.slice(at + 1, end), end: end + 1 };
  }
  return undefined;
}

/** A part of a fraction, in parentheses unless it is a number or a single letter. */
function group(part: string): string {
  const text = part.trim();
  return /^[+-]?\d*\.?\d*$/.test(text) || text.length === 1 ? text : `(${text})`;
}

/** A text with the commands that have arguments written plainly; a command without what it needs stays as it is. */
function withoutCommands(text: string): string {
  const found = /\\([a-zA-Z]+)/g;
  for (let match = found.exec(text); match !== null; match = found.exec(text)) {
    const [whole, name] = match;
    const [begin, after] = [match.index, match.index + whole.length];
    const before = text.slice(0, begin);
    const first = argument(text, after);
    if (first === undefined) continue;
    if (WRAPPERS.includes(name) && text.slice(after).trimStart().startsWith("{")) {
      // 5\text{cm} is 5 cm.
      const gap = /[\d}]$/.test(before) && /^[a-zA-Z]/.test(first.value) && name !== "boxed" ? " " : "";
      return withoutCommands(`${before}${gap}${first.value}${text.slice(first.end)}`);
    }
    if (name === "sqrt" && text[after] !== "[") {
      return `${before}\\sqrt{${withoutCommands(first.value)}}${withoutCommands(text.slice(first.end))}`;
    }
    const second = name === "frac" ? argument(text, first.end) : undefined;
    if (second !== undefined) {
      // 1\frac{2}{3} is a mixed number, and so is -1\frac{2}{3}.
      const gap = /\d\s*$/.test(before) ? " " : "";
      const [a, b] = [first, second].map(({ value }) => group(withoutCommands(value)));
      return `${before.trimEnd()}${before.endsWith(" ") && gap === "" ? " " : gap}${a}/${b}${
        withoutCommands(text.slice(second.end))
      }`;
    }
  }
  return text;
}

/** Halves, thirds, ... that are one sign: 1½ is 1 1/2. */
function withoutVulgar(text: string): string {
  return text.replaceAll(/(\d?)\s*([\u00BC-\u00BE\u2150-\u215E])/g, (_, whole, sign) => {
    return `${whole}${whole === "" ? "" : " "}${sign.normalize("NFKC").replace("\u2044", "/")}`;
  });
}

/**
 * An answer without what only changes its looks: TeX's spacing, `\left` and `\right`, delimiters of mathematics, commands such
 * as `\text{}` and `\boxed{}` around something, Markdown's stars; `\frac{a}{b}` is a/b, `\sqrt2` is `\sqrt{2}`, and signs
 * beyond ASCII are their TeX.
 *
 * @param answer The answer
 */
export function plainAnswer(answer: string): string {
  const ascii = SIGNS.reduce(
    (text, [pattern, plain]) => text.replace(pattern, plain),
    withoutVulgar(answer).replaceAll(/[\uFF01-\uFF5E]/g, (sign) => String.fromCharCode(sign.charCodeAt(0) - 0xFEE0)),
  );
  const unmarked = ascii.trim().replaceAll(/\*\*|__|`/g, "").replace(/^\*(.*)\*$/, "$1").replace(/^"(.*)"$/, "$1");
  const looks = LOOKS.reduce((text, [pattern, plain]) => text.replace(pattern, plain), unmarked);
  return withoutCommands(looks).replaceAll(/\s+/g, " ").trim();
}
