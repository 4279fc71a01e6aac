/**
 * Text inside HTML and SVG. What is made here is well-formed XML too, so that any XML reader can check it.
 *
 * @module
 */

/** Markup: text in which nothing is left to escape. */
export type Markup = string;

const ENTITIES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

/**
 * Text with U+FFFD in place of what XML has no place for: control characters and halves of pairs.
 *
 * @param text Any text
 */
export function plainText(text: string): string {
  // deno-lint-ignore no-control-regex -- control characters are what is looked for
  return text.toWellFormed().replace(/[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufffe\uffff]/g, "\ufffd");
}

/**
 * Any text as markup that shows it, in content and in attributes.
 *
 * @param text Any text
 */
export function escaped(text: string): Markup {
  return plainText(text).replace(/[&<>"']/g, (character) => ENTITIES[character]);
}

/**
 * An element.
 *
 * @param name Its name
 * @param attributes Its attributes, any text
 * @param content What is in it, markup; without any it is closed at once
 */
export function element(
  name: string,
  attributes: Readonly<Record<string, string | number>> = {},
  ...content: readonly Markup[]
): Markup {
  const written = Object.entries(attributes).map(([key, value]) => ` ${key}="${escaped(String(value))}"`).join("");
  return content.length === 0 ? `<${name}${written} />` : `<${name}${written}>${content.join("")}</${name}>`;
}
