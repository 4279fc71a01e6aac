/**
 * `deno task kills`: ends training and sweeps by signals at moments that a seed decides, goes on, and compares what they come
 * to with runs that nobody disturbed.
 *
 * @module
 */
import { OneloraError } from "../../dsl/error.ts";
import { taskKind, taskNames } from "../../tasks/mod.ts";
import { attempt } from "../cli/attempt.ts";
import { integer, main, text } from "../cli/mod.ts";
import { chances } from "./fuzz/mutate.ts";
import { type Job, killed, noKills, undisturbed, type Whole } from "./kills/cases.ts";

await main(
  {
    name: "kills",
    summary: "Kills runs and sweeps at any moment; those that go on must end with the same bytes.",
    flags: {
      count: integer({ help: "Kills in all", min: 1, default: 100 }),
      seed: integer({ help: "Decides the moments and the signals", min: 0, default: 0 }),
      tasks: text({ help: "What is trained (default: every task with data of its own)", value: "NAME,..." }),
      backends: text({ help: "Engines (default: wasm)", value: "NAME,..." }),
      keep: text({ help: "Where the folders of runs stay (default: nowhere)", value: "DIR" }),
    },
  },
  attempt(async ({ options: { count, seed, keep, ...options } }) => {
    // A default that is a file's name is for the user to bring.
    const isBuiltIn = (name: string) => !/\.\w+$/.test(taskKind(name).data);
    const names = options.tasks?.split(",") ?? taskNames.filter(isBuiltIn);
    const backends = options.backends?.split(",") ?? ["wasm"];
    const jobs: readonly Job[] = backends.flatMap((backend) =>
      [false, true].flatMap((sweep) => names.map((task) => ({ task, backend, sweep })))
    );
    const folder = keep ?? await Deno.makeTempDir();
    const tally = noKills();
    const wholes = new Map<Job, Whole>();
    const chance = chances(seed);
    const killsSoFar = () => Object.values(tally.kills).reduce((sum, each) => sum + each, 0);
    try {
      for (let round = 0; killsSoFar() < count; round++) {
        // Sweeps take longer: every fourth round is of them.
        const mine = jobs.filter(({ sweep }) => sweep === (round % 4 === 3));
        const job = mine[chance(mine.length)];
        const name = `${job.sweep ? "sweep" : "run"}-${job.task}-${job.backend}`;
        if (!wholes.has(job)) wholes.set(job, await undisturbed(job, `${folder}/${name}`));
        const before = tally.faults.length;
        const out = `${folder}/${name}-${round}`;
        await killed(job, wholes.get(job)!, out, chance, tally, count - killsSoFar());
        for (const fault of tally.faults.slice(before)) console.log(fault);
        console.error(`${killsSoFar()} kills, ${tally.faults.length} differences: ${name}`);
        if (tally.faults.length === before && keep === undefined) await Deno.remove(out, { recursive: true });
      }
    } finally {
      if (keep === undefined && tally.faults.length === 0) await Deno.remove(folder, { recursive: true });
    }
    const { kills: { SIGKILL, SIGTERM, SIGINT }, late, early, inWrites, runs, faults } = tally;
    console.log(`${killsSoFar()} kills (${SIGKILL} KILL, ${SIGTERM} TERM, ${SIGINT} INT) of ${runs} runs and sweeps`);
    console.log(
      `${inWrites} left a half-written file, ${early} came before the settings were written, ${late} came late`,
    );
    console.log(`${faults.length} differences`);
    if (faults.length === 0) return;
    const allowed = "runs that end with the same bytes";
    throw new OneloraError({ attempted: "killing runs", found: `${faults.length} faults, see ${folder}`, allowed });
  }),
);
