/**
 * How equal several processes are to one, task by task and method by method: `deno run -P=sweep --allow-run
 * --allow-write=/tmp scripts/tools/ranks/equal.ts [flags of train]`, such as `--backend tensorflow --batch-invariant on --tasks
 * depth,generation --methods 1lora,all --steps 50 --launched "Open MPI 2,MPICH 4"`. Prints a table in Markdown; needs the launchers.
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
/** Launchers by the names that Debian gives them, and what they want so as to start more processes than there are cores. */
const launchers: Readonly<Record<string, readonly string[]>> = {
  "Open MPI": ["mpirun.openmpi", "--oversubscribe"],
  MPICH: ["mpirun.mpich"],
};
const launched = taken("launched", "Open MPI 2,Open MPI 4,MPICH 2").map((each) => {
  const at = each.lastIndexOf(" ");
  return { launcher: each.slice(0, at), size: each.slice(at + 1) };
});

/** What is evaluated at the end is no concern of this. */
const quick: Readonly<Record<string, readonly string[]>> = {
  reasoning: ["--samples", "0"],
  generation: ["--samples", "2", "--sampling-steps", "2"],
};

const folder = await Deno.makeTempDir();

/** Trains, in several processes if some are to be launched; the run's folder. */
async function trained(task: string, method: string, by?: typeof launched[number]): Promise<string> {
  const out = `${folder}/${task}-${method}-${by?.launcher}-${by?.size}`;
  const words = ["run", "--quiet", "--no-prompt", ...taskArguments("train"), "scripts/commands/train.ts"];
  const args = ["--task", task, "--adapter", method, "--steps", steps, ...quick[task] ?? [], ...given, "--out", out];
  const [command, ...before] = by === undefined ? [deno] : [...launchers[by.launcher], "-n", by.size, deno];
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

/** The largest difference of two files' numbers, in the largest of their tensor. */
async function filesApart(
  one: string,
  other: string,
  isMeant: (name: string) => boolean = () => true,
): Promise<number> {
  await using a = await openSafetensors(one);
  await using b = await openSafetensors(other);
  let most = 0;
  for (const name of a.names.filter(isMeant)) {
    const [x, y] = await Promise.all([a, b].map(async (file) => (await file.read(name)).data as Float32Array));
    const scale = x.reduce((largest, value) => Math.max(largest, Math.abs(value)), 0);
    x.forEach((value, i) => most = Math.max(most, Math.abs(value - y[i]) / (scale || 1)));
  }
  return most;
}

const text = (value: number) => value === 0 ? "0" : value.toExponential(1);
const heads = launched.map(({ launcher, size }) => `${size} by ${launcher}: loss | gradients | adapter`);
console.log(`| method | task | ${heads.join(" | ")} |`);
console.log(`| --- | --- |${" ---: | ---: | ---: |".repeat(launched.length)}`);
try {
  for (const method of methods) {
    for (const task of tasks) {
      const one = await trained(task, method);
      const losses = await lossesOf(one);
      const cells: string[] = [];
      for (const by of launched) {
        const other = await trained(task, method, by);
        const found = await lossesOf(other);
        cells.push(text(losses.reduce((most, loss, i) => Math.max(most, Math.abs(loss - found[i])), 0)));
        // What AdamW has made of all gradients.
        const [moments, adapter] = ["checkpoint/last.safetensors", "adapter/adapter_model.safetensors"];
        cells.push(
          text(await filesApart(`${one}/${moments}`, `${other}/${moments}`, (name) => name.startsWith("optimiser"))),
        );
        cells.push(text(await filesApart(`${one}/${adapter}`, `${other}/${adapter}`)));
      }
      console.log(`| ${method} | ${task} | ${cells.join(" | ")} |`);
    }
  }
} finally {
  await Deno.remove(folder, { recursive: true });
}
