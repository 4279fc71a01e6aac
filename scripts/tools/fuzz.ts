/**
 * `deno task fuzz`: feeds every reader of files from elsewhere with files that are nearly right. Each is read or refused in one
 * line, within ten seconds and a budget of memory.
 *
 * @module
 */
import { OneloraError } from "../../dsl/error.ts";
import { attempt } from "../cli/attempt.ts";
import { integer, main, text } from "../cli/mod.ts";
import { fuzzTarget, MOST_MEMORY, startFuzzing } from "./fuzz/run.ts";
import { targets } from "./fuzz/targets.ts";

await main(
  {
    name: "fuzz",
    summary: "Feeds the readers of files with files that are nearly right.",
    flags: {
      count: integer({ help: "Mutations of all readers together", min: 1, default: 10_000 }),
      seed: integer({ help: "Decides the mutations", min: 0, default: 0 }),
      only: text({ help: "Readers", value: "NAME,..." }),
    },
  },
  attempt(async ({ options: { count, seed, only } }) => {
    const names = only?.split(",") ?? Object.keys(targets);
    const unknown = names.find((name) => !Object.hasOwn(targets, name));
    if (unknown !== undefined) {
      const allowed = Object.keys(targets).join(", ");
      throw new OneloraError({ attempted: "reading --only", found: `"${unknown}"`, allowed }, { exitCode: 2 });
    }
    const thread = startFuzzing();
    let [bad, all] = [0, 0];
    for (const name of names) {
      const tally = await fuzzTarget(thread, name, seed, Math.ceil(count / names.length));
      const { read, refused, faults, hangs, slowest, memory } = tally;
      all += read + refused + faults.length + hangs.length;
      bad += faults.length + hangs.length + (memory > MOST_MEMORY ? 1 : 0);
      console.log(
        `${
          name.padEnd(14)
        } ${read} read, ${refused} refused, ${faults.length} faults, ${hangs.length} hangs; slowest ` +
          `${(slowest / 1000).toFixed(2)} s, ${(memory / 1e6).toFixed(0)} MB`,
      );
      for (const { index, what } of faults.slice(0, 3)) console.log(`  mutation ${index}: ${what}`);
      if (hangs.length > 0) console.log(`  without an end: ${hangs.slice(0, 10).join(", ")}`);
    }
    await thread.close();
    console.log(`${all} mutations, ${bad} that came to something else than a value or a line`);
    if (bad === 0) return;
    const allowed = "files that are read, or refused in one line";
    throw new OneloraError({ attempted: "feeding readers", found: `${bad} faults`, allowed });
  }),
);
