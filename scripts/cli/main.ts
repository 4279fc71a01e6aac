/**
 * The border of every command line: what goes wrong inside is one line on stderr and an exit code.
 *
 * @module
 */

import { type Either, isLeft, left, right } from "fp-ts/Either";
import type { TaskEither } from "fp-ts/TaskEither";
import { OneloraError, printable } from "../../dsl/error.ts";
import { holdThreads } from "../../tasks/data/threads.ts";
import { readConfig } from "./config.ts";
import { type Flags, withFlags } from "./flags.ts";
import { helpText } from "./help.ts";
import { exitCode } from "./signals.ts";
import { type Command, type Parsed, readOptions, splitArguments } from "./parse.ts";

/** What a command does with its options. */
export type Body<F extends Flags> = (parsed: Parsed<F>) => TaskEither<OneloraError, void>;

/** Where a command reads from and writes to. */
export interface Border {
  /** The arguments. */
  readonly args: readonly string[];
  /** Prints a line for the user. */
  readonly out: (line: string) => void;
  /** Prints a line of error. */
  readonly err: (line: string) => void;
  /** Whether stacks are shown. */
  readonly debug: boolean;
}

/** Whether ONELORA_DEBUG asks for stacks; without the permission to read it, it does not. */
function isDebugging(): boolean {
  try {
    return Deno.env.get("ONELORA_DEBUG") === "1";
  } catch {
    return false;
  }
}

/**
 * Whether what was thrown is the doing of a file, a disk, a pipe, a missing permission or too little memory, and no fault of
 * the program.
 */
function isOfSurroundings(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const system = Object.values(Deno.errors) as readonly (new (message?: string) => Error)[];
  const { code } = error as { readonly code?: unknown };
  return system.some((each) => error instanceof each) || typeof code === "string" && /^E[A-Z]+$/.test(code) ||
    /\(os error \d+\)|Array buffer allocation failed|Invalid (?:typed )?array (?:buffer )?length/.test(error.message);
}

/** The error as one line, with the stack below it where it is asked for. */
function report(error: unknown, { err, debug }: Pick<Border, "err" | "debug">, flags: Flags): 1 | 2 {
  const isKnown = error instanceof OneloraError;
  const message = error instanceof Error ? error.message : String(error);
  const kind = isKnown || isOfSurroundings(error)
    ? ""
    : `unexpected ${error instanceof Error ? error.name : "failure"}: `;
  // An error of ours is made of parts that are bounded each.
  const line = isKnown ? message : printable(message.trim());
  err(`error: ${kind}${withFlags(flags, line)}`);
  if (debug && error instanceof Error) {
    err(error.stack ?? "no stack");
    if (error.cause !== undefined) err(`caused by ${error.cause instanceof Error ? error.cause.stack : error.cause}`);
  }
  return isKnown ? error.exitCode : 1;
}

/** What a command line asks for: help, or a run with options. */
async function understood<F extends Flags>(
  command: Command<F>,
  args: readonly string[],
): Promise<Either<OneloraError, Parsed<F> | "help">> {
  const spoken = splitArguments(command.flags, args, command.bare);
  if (isLeft(spoken)) return spoken;
  const { help, config, written } = spoken.right;
  if (help) return right("help");
  if (config === undefined) return readOptions(command.flags, [written]);
  const file = await readConfig(command.flags, config)();
  return isLeft(file) ? left(file.left) : readOptions(command.flags, [written, file.right]);
}

/**
 * Runs a command.
 *
 * @param command What it accepts
 * @param body What it does
 * @param border Where it reads from and writes to
 * @returns The exit code: 0, 1 for a failure, 2 for wrong usage
 */
export async function run<F extends Flags>(command: Command<F>, body: Body<F>, border: Border): Promise<0 | 1 | 2> {
  try {
    const parsed = await understood(command, border.args);
    if (isLeft(parsed)) return report(parsed.left, border, command.flags);
    if (parsed.right === "help") {
      border.out(helpText(command));
      return 0;
    }
    const outcome = await body(parsed.right)();
    return isLeft(outcome) ? report(outcome.left, border, command.flags) : 0;
  } catch (error) {
    return report(error, border, command.flags);
  }
}

/** Whatever files say, what the console prints moves no cursor: control characters come out as their codes. */
function guardConsole(): void {
  for (const name of ["log", "error"] as const) {
    const print = console[name];
    const shown = (text: string) => text.split("\n").map((line) => printable(line, Infinity)).join("\n");
    console[name] = (...parts: unknown[]) =>
      print(...parts.map((part) => typeof part === "string" ? shown(part) : part));
  }
}

/**
 * Runs a command as the program, then leaves with its exit code. Failures outside the command's own chain of
 * promises (a timer, a worker) end it too, as one line.
 *
 * @param command What it accepts
 * @param body What it does
 */
export async function main<F extends Flags>(command: Command<F>, body: Body<F>): Promise<never> {
  guardConsole();
  const border: Border = { args: Deno.args, out: console.log, err: console.error, debug: isDebugging() };
  const stop = (event: Event, error: unknown) => {
    event.preventDefault();
    Deno.exit(report(error, border, command.flags));
  };
  globalThis.addEventListener("error", (event) => stop(event, event.error));
  globalThis.addEventListener("unhandledrejection", (event) => stop(event, event.reason));
  // Pictures are decoded by a thread that may do nothing else.
  holdThreads();
  Deno.exit(exitCode(await run(command, body, border)));
}
