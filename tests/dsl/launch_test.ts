import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { addInPairs, addPairs, spanOf } from "../../dsl/ranks.ts";
import { denoCommand } from "../../scripts/cli/deno.ts";

const deno = await denoCommand();

/** What a process with these variables knows of its launch, or why it ends. */
async function under(variables: Readonly<Record<string, string>>) {
  const { success, stdout, stderr } = await new Deno.Command(deno, {
    args: ["run", "--no-prompt", "--config=deno.json", "--allow-env", "tests/support/launched.ts"],
    env: { NO_COLOR: "1", ...variables },
    stdin: "null",
  }).output();
  if (!success) return new TextDecoder().decode(stderr);
  return JSON.parse(new TextDecoder().decode(stdout));
}

/** What launchers set for the second process of this machine, the sixth of eight, as they were seen to. */
const launchers = {
  "Open MPI's mpirun": { OMPI_COMM_WORLD_SIZE: "8", OMPI_COMM_WORLD_RANK: "5", OMPI_COMM_WORLD_LOCAL_RANK: "1" },
  "MPICH's mpirun": { PMI_SIZE: "8", PMI_RANK: "5", MPI_LOCALRANKID: "1" },
  "srun --mpi=pmi2": {
    ...{ PMI_SIZE: "8", PMI_RANK: "5", SLURM_LOCALID: "1", SLURM_PROCID: "5" },
    ...{ SLURM_NTASKS: "8", SLURM_STEP_NUM_TASKS: "8" },
  },
  "srun --mpi=pmix": {
    ...{ PMIX_RANK: "5", SLURM_LOCALID: "1", SLURM_PROCID: "5" },
    ...{ SLURM_NTASKS: "8", SLURM_STEP_NUM_TASKS: "8" },
  },
} as const;

for (const [launcher, variables] of Object.entries(launchers)) {
  Deno.test(`${launcher}: a process knows its number among all and on its machine, and takes the card of that number`, async () => {
    // PMIx leaves the number of all to Slurm.
    const known = { size: "8", rank: 5, local: 1 };
    assertEquals(await under(variables), { ...known, card: "1" });
    // Cards that a scheduler gives are shared out in their order, one that it gives each process stays.
    for (const [seen, card] of [["2,3", "3"], ["GPU-a,GPU-b,GPU-c", "GPU-b"], ["7", "7"], ["", ""]]) {
      assertEquals(await under({ ...variables, CUDA_VISIBLE_DEVICES: seen }), { ...known, card });
    }
  });
}

Deno.test("more processes than cards share them", async () => {
  const { "Open MPI's mpirun": variables } = launchers;
  for (const [cards, card] of [["1", "0"], ["2", "1"], ["0", "1"]]) {
    assertEquals((await under({ ...variables, TEST_CARDS: cards })).card, card);
  }
});

Deno.test("a process that no launcher has started is alone; tasks of Slurm without MPI are refused", async () => {
  assertEquals(await under({}), { size: "undefined" });
  assertEquals(await under({ SLURM_NTASKS: "4", SLURM_PROCID: "0" }), { size: "undefined" });
  const refused = await under({ SLURM_STEP_NUM_TASKS: "4", SLURM_PROCID: "2" });
  assert(typeof refused === "string");
  assertStringIncludes(refused, "--mpi=pmix");
});

Deno.test("sums over processes are made pair by pair, whatever MPI would do", () => {
  const numbers = (...values: number[]) => Float32Array.from(values);
  // (1 + 2^-24) + (2^-24 + 0): in single precision 1, and 1 + 2^-23 in the other order.
  assertEquals([...addPairs([numbers(1), numbers(2 ** -24), numbers(2 ** -24), numbers(0)])], [1]);
  assertEquals([...addPairs([numbers(0), numbers(1), numbers(2 ** -24), numbers(2 ** -24)])], [1 + 2 ** -23]);
  assertEquals([...addPairs([numbers(1, 2), numbers(3, 4), numbers(5, 6)])], [9, 12]);
});

Deno.test("sums of what is each process's are the sum of all in the same order, however many there are", async () => {
  // Numbers whose sum depends on the order.
  const row = (count: number) =>
    Array.from({ length: count }, (_, i) => Float32Array.of(Math.fround(Math.exp(5 * Math.sin(i)))));
  for (const count of [1, 2, 3, 4, 6, 7, 12]) {
    const [whole] = addPairs(row(count));
    for (let size = 1; size <= 9; size++) {
      const spans = Array.from({ length: size }, (_, rank) => spanOf([0, count], rank, size));
      assertEquals(spans.flatMap(([begin, end]) => Array.from({ length: end - begin }, (_, i) => begin + i)), [
        ...Array(count).keys(),
      ]);
      const numbers = row(count);
      const sums = await Promise.all(
        spans.map(async (span) =>
          span[0] === span[1] ? Float32Array.of(0) : (await addInPairs(span, (i) => Promise.resolve(numbers[i])))!
        ),
      );
      assertEquals([...addPairs(sums)], [whole], `${count} by ${size}`);
    }
  }
  assertEquals(await addInPairs([0, 4], (i) => Promise.resolve(i === 1 ? undefined : Float32Array.of(i))), undefined);
});
