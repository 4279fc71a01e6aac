/**
 * Runs the project's commands as a user does: in a process of their own, with the permissions of their task.
 *
 * @module
 */
import { assert } from "@std/assert";
import { denoCommand, type TaskName, wordsOf } from "../../scripts/cli/deno.ts";

const root = new URL("../../", import.meta.url);
const deno = await denoCommand();

/** What came of a command. */
export interface Outcome {
  /** Exit code; 128 and more for a signal. */
  readonly code: number;
  /** What it printed. */
  readonly out: string;
  /** What it printed as errors and notes. */
  readonly err: string;
}

/** A command that runs. */
export interface Running {
  /** Its process. */
  readonly process: Deno.ChildProcess;
  /** What comes of it. */
  readonly outcome: Promise<Outcome>;
}

/**
 * The process of a task of `deno.json`.
 *
 * @param task Its name
 * @param stdin What it reads
 * @param args Its arguments; backslashes and spaces stay as they are
 */
export function spawn(task: string, stdin: "null" | "piped", args: readonly string[]): Deno.ChildProcess {
  const words = wordsOf(task as TaskName, deno);
  const at = words.indexOf("deno");
  // What stands before sets variables that change nothing but speed.
  assert(at >= 0 && words.slice(0, at).every((word) => word.includes("=")), `${task} runs ${words[0]}`);
  const fixed = words.slice(at + 1);
  return new Deno.Command(deno, { args: [...fixed, ...args], cwd: root, stdin, stdout: "piped", stderr: "piped" })
    .spawn();
}

/** The value in a JSON file. */
// deno-lint-ignore no-explicit-any -- tests say what they find in it
export async function json(path: string): Promise<any> {
  return JSON.parse(await Deno.readTextFile(path));
}

/** The weights that a run has trained, as bytes. */
export async function adapterBytes(run: string): Promise<Uint8Array<ArrayBuffer>> {
  return await Deno.readFile(`${run}/adapter/adapter_model.safetensors`);
}

/** The losses that a run has logged, by step. */
export async function losses(run: string): Promise<readonly (readonly [step: number, loss: number])[]> {
  return (await linesOf(`${run}/metrics.jsonl`)).map((line) => JSON.parse(line)).map(({ step, loss }) => [step, loss]);
}

/** Starts a task of `deno.json`, which reads nothing. */
export function start(task: string, ...args: readonly string[]): Running {
  const process = spawn(task, "null", args);
  const outcome = process.output().then(({ code, stdout, stderr }) => {
    const decoder = new TextDecoder();
    return { code, out: decoder.decode(stdout), err: decoder.decode(stderr) };
  });
  return { process, outcome };
}

/** Runs a task of `deno.json` to its end. */
export async function runTask(task: string, ...args: readonly string[]): Promise<Outcome> {
  return await start(task, ...args).outcome;
}

/** Runs a task that must succeed, and returns what it printed. */
export async function output(task: string, ...args: readonly string[]): Promise<string> {
  const { code, out, err } = await runTask(task, ...args);
  assert(code === 0, `${task} ${args.join(" ")}: exit code ${code}\n${err}`);
  return out;
}

/**
 * Runs a task that must fail with a single line.
 *
 * @returns The line, without `error: `, and the exit code
 */
export async function failure(
  task: string,
  ...args: readonly string[]
): Promise<readonly [code: number, line: string]> {
  const { code, err } = await runTask(task, ...args);
  const lines = err.trimEnd().split("\n");
  assert(lines.length === 1 && lines[0].startsWith("error: "), `not one line of error: ${err}`);
  return [code, lines[0].slice("error: ".length)];
}

/** Lines that a growing file has so far; none if it does not exist yet. */
export async function linesOf(path: string): Promise<readonly string[]> {
  try {
    return (await Deno.readTextFile(path)).split("\n").filter((line) => line !== "");
  } catch {
    return [];
  }
}

/** A CIFAR-10 folder of a few images, each class a colour with noise: fast to read and possible to learn. */
export async function smallCifar(folder: string, images: number = 60): Promise<string> {
  const records = (count: number, offset: number) => {
    const bytes = new Uint8Array(count * 3073);
    for (let i = 0; i < count; i++) {
      const label = (i + offset) % 10;
      bytes[i * 3073] = label;
      for (let at = 1; at < 3073; at++) {
        const colour = Math.floor((at - 1) / 1024);
        bytes[i * 3073 + at] = (label * 23 + colour * label * 7 + ((i * 31 + at * 17) % 29)) % 256;
      }
    }
    return bytes;
  };
  await Deno.mkdir(folder, { recursive: true });
  await Deno.writeFile(`${folder}/data_batch_1.bin`, records(images, 0));
  await Deno.writeFile(`${folder}/test_batch.bin`, records(20, 3));
  return `cifar10:${folder}`;
}
