import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { denoCommand, taskArguments } from "../../scripts/cli/deno.ts";
import { available } from "../support/available.ts";
import { adapterBytes, smallCifar } from "../support/command.ts";
import { tried } from "../support/commands.ts";

/** Launchers by the names that Debian gives them, and what they want so as to start more processes than there are cores. */
const launchers = {
  "Open MPI": { command: "mpirun.openmpi", args: ["--oversubscribe"] },
  MPICH: { command: "mpirun.mpich", args: [] },
} as const;

const missing: string[] = [];
for (const [name, { command }] of Object.entries(launchers)) if (!(await tried(command))?.success) missing.push(name);
const ignore = missing.length > 0;
if (ignore) console.log(`not tested: training with several processes, for want of ${missing.join(" and ")}`);

const deno = await denoCommand();

/** Runs the train command, by a launcher if one is given. */
async function train(launcher: keyof typeof launchers | undefined, size: number, ...args: readonly string[]) {
  const words = ["run", "--no-prompt", "--config=deno.json", ...taskArguments("train"), "scripts/commands/train.ts"];
  const { command, args: before } = launcher === undefined
    ? { command: deno, args: [] }
    : { command: launchers[launcher].command, args: [...launchers[launcher].args, "-n", `${size}`, deno] };
  const { code, stdout, stderr } = await new Deno.Command(command, {
    args: [...before, ...words, ...args.includes("--backend") ? [] : ["--backend", "wasm", "--threads", "1"], ...args],
    env: { OMPI_ALLOW_RUN_AS_ROOT: "1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM: "1", NO_COLOR: "1" },
    stdin: "null",
  }).output();
  return { code, out: new TextDecoder().decode(stdout), err: new TextDecoder().decode(stderr) };
}

/** A run's log without its times. */
async function logOf(folder: string): Promise<readonly Readonly<Record<string, unknown>>[]> {
  const lines = (await Deno.readTextFile(`${folder}/metrics.jsonl`)).trimEnd().split("\n");
  return lines.map((line) => ({ ...JSON.parse(line), seconds: 0 }));
}

/** A small model on small pictures: what processes share out and send each other is the same for any. */
const small = (data: string) => ["--model", "tests/fixtures/vit-rgb", "--data", data];

Deno.test({
  name: "several processes come to the bytes of one, and go on in another number by another MPI",
  ignore,
  fn: async () => {
    const folder = await Deno.makeTempDir();
    const [one, two] = [`${folder}/one`, `${folder}/two`];
    // Batches of 6, 6 and 1: shares are of unequal size, and the last has one for one process only.
    const lengths = ["--batch-size", "6", "--limit", "13", "--eval-every", "2", "--steps", "4"];
    try {
      const run = [...small(await smallCifar(`${folder}/cifar`)), ...lengths];
      const [alone, both] = await Promise.all([
        train(undefined, 1, ...run, "--out", one),
        train("Open MPI", 2, ...run, "--out", two),
      ]);
      assertEquals([alone.code, both.code], [0, 0], both.err);
      assertStringIncludes(both.out, "2 processes by Open MPI");
      assertEquals(both.out.split("run folder:").length, 2, "the first process speaks, the others do not");
      assert(!both.out.includes("\u001b["), "what goes through a launcher may end in a file: no bar is drawn");
      assertEquals(await logOf(two), await logOf(one));
      assertEquals(await adapterBytes(two), await adapterBytes(one));

      const more = await train("MPICH", 4, "--resume", two, "--steps", "6");
      assertEquals(more.code, 0, more.err);
      assertStringIncludes(more.out, "4 processes by MPICH");
      assertEquals((await train(undefined, 1, "--resume", one, "--steps", "6")).code, 0);
      assertEquals(await logOf(two), await logOf(one));
      assertEquals(await adapterBytes(two), await adapterBytes(one));
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
});

for (const backend of await available("tensorflow", "wasm")) {
  Deno.test({
    name: `batch-invariant runs come to the same bytes in any number of processes (${backend})`,
    ignore,
    fn: async () => {
      const folder = await Deno.makeTempDir();
      const [one, many] = [`${folder}/one`, `${folder}/many`];
      const engine = ["--backend", backend, ...backend === "wasm" ? ["--threads", "1"] : []];
      // Batches of 6 and 4: shares are of unequal size.
      const settings = ["--batch-size", "6", "--limit", "10", "--adapter", "all", "--batch-invariant", "on"];
      try {
        const run = [...small(await smallCifar(`${folder}/cifar`)), ...settings];
        const [alone, three] = await Promise.all([
          train(undefined, 1, ...engine, ...run, "--steps", "2", "--out", one),
          train("Open MPI", 3, ...engine, ...run, "--steps", "2", "--out", many),
        ]);
        assertEquals([alone.code, three.code], [0, 0], three.err);
        assertEquals(await logOf(many), await logOf(one));
        assertEquals(await adapterBytes(many), await adapterBytes(one));
        assertEquals(JSON.parse(await Deno.readTextFile(`${many}/config.json`))["batch-invariant"], "on");
        // Who passes messages is no engine's affair: one of them goes on by another MPI.
        if (backend !== "wasm") return;
        const [again, two] = await Promise.all([
          train(undefined, 1, ...engine, "--resume", one, "--steps", "4"),
          train("MPICH", 2, ...engine, "--resume", many, "--steps", "4"),
        ]);
        assertEquals([again.code, two.code], [0, 0], two.err);
        assertEquals(await logOf(many), await logOf(one));
        assertEquals(await adapterBytes(many), await adapterBytes(one));
        const { code, err } = await train(undefined, 1, ...engine, "--resume", one, "--batch-invariant", "off");
        assertEquals(code, 2);
        assertStringIncludes(err, "--batch-invariant");
      } finally {
        await Deno.remove(folder, { recursive: true });
      }
    },
  });
}

Deno.test({
  name: "several processes train a language model whose weights stay in four bits",
  ignore: ignore || (await available("tensorflow")).length === 0,
  fn: async () => {
    const run = ["--task", "reasoning", "--quantise", "nf4", "--samples", "0", "--limit", "4", "--steps", "1"];
    const folder = await Deno.makeTempDir();
    try {
      const { code, out, err } = await train(
        "Open MPI",
        2,
        "--backend",
        "tensorflow",
        ...run,
        "--out",
        `${folder}/run`,
      );
      assertEquals(code, 0, err);
      assertStringIncludes(out, "2 processes by Open MPI");
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
});

Deno.test({
  name: "an error of all processes ends them with one line, and one of them takes the others along",
  ignore,
  fn: async () => {
    const { code, out, err } = await train("MPICH", 2, "--data", "idx:/nowhere", "--steps", "2");
    assert(code !== 0);
    assertEquals(`${out}${err}`.split("\n").filter((line) => line.startsWith("error: ")).length, 1, err);
  },
});
