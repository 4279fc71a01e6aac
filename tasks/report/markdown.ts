/**
 * Markdown as HTML that refers to nothing and runs nothing.
 *
 * @module
 */
import { Marked } from "marked";
import { element, escaped, type Markup, plainText } from "./markup.ts";

const marked = new Marked({
  // Addresses in plain text stay plain text.
  tokenizer: { url: () => undefined },
  renderer: {
    // Raw HTML is shown as text; a line break is all that our own tables use.
    html: ({ text }) => text === "<br>" ? "<br />" : escaped(text),
    image: ({ text }) => escaped(text),
    link({ tokens }) {
      return this.parser.parseInline(tokens);
    },
    heading({ tokens, depth }) {
      return element(`h${Math.min(depth + 2, 6)}`, {}, this.parser.parseInline(tokens));
    },
    br: () => "<br />",
    hr: () => "<hr />",
    checkbox: ({ checked }) => checked ? "\u2611 " : "\u2610 ",
  },
});

/**
 * Markdown as markup. Links and images are their texts, raw HTML is shown, headings are two levels lower.
 *
 * @param text The Markdown
 */
export function markdown(text: string): Markup {
  const html = marked.parse(plainText(text), { async: false });
  // Names of HTML's characters pass through the parser; XML knows but these.
  return html.replace(/&(?!(?:amp|lt|gt|quot|#39);)/g, "&amp;");
}
