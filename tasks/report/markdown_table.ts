/**
 * Tables in Markdown.
 *
 * @module
 */

/**
 * Text that Markdown shows as it is, in one line of a table.
 *
 * @param text Any text
 */
export function plain(text: string): string {
  return text.trim().replaceAll(/[\\`*_{}[\]()<>#+\-.!|$~&]/g, "\\$&").replaceAll(/\r\n?|\n/g, "<br>");
}

/**
 * A row of a table.
 *
 * @param cells What is in it, in Markdown
 */
export function row(cells: readonly (string | number)[]): string {
  return `| ${cells.join(" | ")} |`;
}
