/**
 * Tables in Markdown.
 *
 * @module
 */

import { printable } from "../../dsl/error.ts";

/**
 * Text that Markdown shows as it is, in one line of a table; characters that cannot be shown as their codes.
 *
 * @param text Any text
 */
export function plain(text: string): string {
  const lines = text.trim().split(/\r\n?|\n/);
  return lines.map((line) => printable(line, Infinity).replaceAll(/[\\`*_{}[\]()<>#+\-.!|$~&]/g, "\\$&")).join("<br>");
}

/**
 * A row of a table.
 *
 * @param cells What is in it, in Markdown
 */
export function row(cells: readonly (string | number)[]): string {
  return `| ${cells.join(" | ")} |`;
}
