/**
 * `--help`: a table made from a command's flags.
 *
 * @module
 */

import { commandLine } from "../../dsl/command_line.ts";
import { allowedWords, type Flag, type Flags, kebab } from "./flags.ts";
import type { Command } from "./parse.ts";

/** Characters of a help line. */
const WIDTH = 110;

/** Words in lines of at most `width` characters. */
function wrapped(words: string, width: number): readonly string[] {
  const lines = [""];
  for (const word of words.split(" ")) {
    const last = lines[lines.length - 1];
    if (last !== "" && last.length + 1 + word.length > width) lines.push(word);
    else lines[lines.length - 1] = last === "" ? word : `${last} ${word}`;
  }
  return lines;
}

/** What follows a flag's help: its values and its default. */
function remark(flag: Flag<unknown>): string {
  const values = flag.kind === "text" || flag.kind === "boolean" ? [] : [allowedWords(flag)];
  const fallback = flag.required ? ["required"] : flag.default === undefined ? [] : [`default ${flag.default}`];
  const parts = [...values, ...fallback];
  return parts.length === 0 ? "" : ` (${parts.join("; ")})`;
}

/**
 * A command's help text.
 *
 * @param command The command
 */
export function helpText<F extends Flags>(command: Command<F>): string {
  const rows = [
    ...Object.entries(command.flags).map(([name, flag]) =>
      [
        `--${flag.kind === "boolean" && flag.default === true ? "[no-]" : ""}${kebab(name)}${
          flag.kind === "boolean" ? "" : ` ${flag.value}`
        }`,
        flag.help + remark(flag),
      ] as const
    ),
    ["--config FILE", "JSON or YAML file with the same names; flags win"] as const,
    ["--help", "Print this and stop"] as const,
  ];
  const column = Math.max(...rows.map(([left]) => left.length)) + 4;
  const lines = rows.flatMap(([left, right]) =>
    wrapped(right, WIDTH - column).map((line, index) => `  ${index === 0 ? left : ""}`.padEnd(column) + line)
  );
  return [command.summary, "", `Usage: ${commandLine(command.name)} [--flag value ...]`, "", ...lines].join("\n");
}
