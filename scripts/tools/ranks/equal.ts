/**
 * How equal two and four processes are to one, task by task and method by method: `deno run -P=sweep --allow-run
 * --allow-write=/tmp scripts/tools/ranks/equal.ts [flags of train]`, such as `--backend wasm --tasks depth,generation
 * --methods 1lora,all --steps 50`. Prints a table in Markdown; needs Open MPI.
 *
 * @module
 */
import { openSafetensors } from "../../../dsl/safetensors/mod.ts";
import { denoCommand, taskArguments } from "../../cli/deno.ts";

const root = new URL("../../../", import.meta.url);
const deno = await denoCommand();
const given = [...Deno.args];

/** A flag of this tool, with what comes after it, taken out of those for training. */
function taken(name: string, fallback: string): readonly string[] {
  const at = given.indexOf(`--${name}`);
  return (at < 0 ? fallback : given.splice(at, 2)[1]).split(",");
}

const tasks = taken("tasks", "image-classification,depth,reasoning,generation");
const methods = taken("methods", "1lora,lora,all");
const [steps] = taken("steps", "50");
const sizes = taken("processes", "2,4").map(Number);

/** What is evaluated at the end is no concern of this. */
const quick: Readonly<Record<string, readonly string[]>> = {
  reasoning: ["--samples", "0"],
  generation: ["--samples", "2", "--sampling-steps", "2"],
};

const folder = await Deno.makeTempDir();

/** Trains in so many processes; the run's folder. */
async function trained(task: string, method: string, size: number): Promise<string> {
  const out = `${folder}/${task}-${method}-${size}`;
  const words = ["run", "--quiet", "--no-prompt", ...taskArguments("train"), "scripts/commands/train.ts"];
  const args = ["--task", task, "--adapter", method, "--steps", steps, ...quick[task] ?? [], ...given, "--out", out];
  const [command, before] = size === 1
    ? [deno, []]
    : ["mpirun.openmpi", ["--oversubscribe", "-n", `${size}`, deno]] as const;
  const { success, stderr } = await new Deno.Command(command, {
    args: [...before, ...words, ...args],
    cwd: root,
    env: { OMPI_ALLOW_RUN_AS_ROOT: "1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM: "1", NO_COLOR: "1" },
    stdin: "null",
  }).output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
  return out;
}

async function lossesOf(out: string): Promise<readonly number[]> {
  const lines = (await Deno.readTextFile(`${out}/metrics.jsonl`)).trimEnd().split("\n");
  return lines.map((line) => JSON.parse(line).loss);
}

/** The largest difference of two adapters' numbers, in the largest of their tensor. */
async function adaptersApart(one: string, other: string): Promise<number> {
  const path = (out: string) => `${out}/adapter/adapter_model.safetensors`;
  await using a = await openSafetensors(path(one));
  await using b = await openSafetensors(path(other));
  let most = 0;
  for (const name of a.names) {
    const [x, y] = await Promise.all([a, b].map(async (file) => (await file.read(name)).data as Float32Array));
    const scale = x.reduce((largest, value) => Math.max(largest, Math.abs(value)), 0);
    x.forEach((value, i) => most = Math.max(most, Math.abs(value - y[i]) / (scale || 1)));
  }
  return most;
}

const text = (value: number) => value === 0 ? "0" : value.toExponential(1);
console.log(`| method | task | ${sizes.map((size) => `${size} processes, loss | adapter`).join(" | ")} |`);
console.log(`| --- | --- |${" ---: | ---: |".repeat(sizes.length)}`);
try {
  for (const method of methods) {
    for (const task of tasks) {
      const one = await trained(task, method, 1);
      const losses = await lossesOf(one);
      const cells: string[] = [];
      for (const size of sizes) {
        const other = await trained(task, method, size);
        const found = await lossesOf(other);
        cells.push(text(losses.reduce((most, loss, i) => Math.max(most, Math.abs(loss - found[i])), 0)));
        cells.push(text(await adaptersApart(one, other)));
      }
      console.log(`| ${method} | ${task} | ${cells.join(" | ")} |`);
    }
  }
} finally {
  await Deno.remove(folder, { recursive: true });
}
