/**
 * Measures training steps on a machine with an NVIDIA card, ours beside PyTorch's, and prints one table:
 *
 *     deno run --allow-read --allow-write --allow-ffi --allow-env --allow-run scripts/tools/gpu.ts --minutes 9
 *
 * Rows come in the order of what matters most, each as soon as it is measured; what does not fit the time is left out, and what
 * fails or takes too long is told and passed over. At the end a table says which goals are met (gpu/goals.ts). All of it is kept in `gpu/results.jsonl`. `--only 1lora,torch` measures those groups alone (see gpu/job.ts). Programs of a
 * group are compiled all at once, one a process, and then timed one after the other: while one is timed, nothing else is at
 * work. `--counter` names the library of `gpu/kernels.c` for the milliseconds of every kernel.
 *
 * @module
 */
import { unknownName } from "../../dsl/error.ts";
import { choice, integer, main, text } from "../cli/mod.ts";
import { goalTable } from "./gpu/goals.ts";
import { groups, isTorch } from "./gpu/job.ts";
import { type Place, type Row, start, torch } from "./gpu/processes.ts";

const flags = {
  minutes: integer({ help: "Start no measurement after so many", min: 1, value: "MINUTES", default: 9 }),
  only: text({ help: `Groups, joined by commas: ${Object.keys(groups).join(", ")}`, value: "GROUPS" }),
  python: text({ help: "Interpreter with PyTorch", value: "PATH", default: "python3" }),
  counter: text({ help: "Library made of gpu/kernels.c", value: "PATH" }),
  out: text({ help: "Folder of the results", value: "DIR", default: "gpu" }),
  plan: choice({
    help: "Have XLA write down what it plans for the first row, which takes it some seconds more",
    allowed: ["yes", "no"],
    default: "yes",
  }),
};

const gigabytes = (bytes: number | undefined) => bytes === undefined ? "" : `${(bytes / 1e9).toFixed(2)} GB`;

/** A row in words. */
function rowText({ job, answer, failed }: Row): string {
  const { model, method, batch, length, precision, how, note = "" } = job;
  const what = `${model} ${method} ${batch}${length > 0 ? ` x ${length}` : ""} ${precision}`.padEnd(40);
  const who = `${isTorch(job) ? "PyTorch" : "ours"} ${how} ${note}`.trim().padEnd(36);
  if (answer === undefined) return `${what}${who}${failed}`;
  const { ms, least, sent, ahead, bytes, planned, first } = answer;
  const cells = [
    `${ms.toFixed(1)} (${least.toFixed(1)}) ms`.padStart(18),
    (sent === undefined ? "" : `${sent.toFixed(1)} ms sent`).padStart(14),
    (ahead === undefined ? "" : `${ahead.toFixed(1)} ms sent ahead`).padStart(20),
    gigabytes(bytes).padStart(10),
    (planned === undefined ? "" : `${gigabytes(planned)} planned`).padStart(18),
    `first step after ${first.toFixed(1)} s`.padStart(26),
  ];
  return what + who + cells.join("");
}

/** Seconds that a process may take at most, and that those which have begun when the time is over get besides. */
const [MOST_SECONDS, BEYOND] = [240, 60];

await main(
  { name: "gpu", summary: "Measures training steps on an NVIDIA card, ours beside PyTorch's", flags },
  ({ options }) => async () => {
    const began = performance.now();
    const { minutes, out, python, counter, plan } = options;
    const chosen = options.only?.split(",") ?? Object.keys(groups).filter((name) => !groups[name].aside);
    const unknown = chosen.find((name) => groups[name] === undefined);
    if (unknown !== undefined) throw unknownName("group", unknown, Object.keys(groups));
    await Deno.mkdir(out, { recursive: true });
    const rows: Row[] = [];
    const seconds = () => (performance.now() - began) / 1000;
    const left = () => Math.min(MOST_SECONDS, minutes * 60 + BEYOND - seconds());
    const place: Place = { out, python, counter, note: console.error, seconds: left };
    const keep = (row: Row) => {
      rows.push(row);
      console.log(`${seconds().toFixed(0).padStart(4)} s  ${rowText(row)}`);
      Deno.writeTextFileSync(`${out}/results.jsonl`, `${JSON.stringify(row)}\n`, { append: true });
    };
    const inTime = () => seconds() < minutes * 60;
    for (const name of chosen) {
      const group = groups[name];
      const theirs = group.jobs.filter(isTorch);
      const ours = group.jobs.filter((job) => !isTorch(job));
      if (theirs.length > 0 && inTime()) (await torch(theirs, place)).forEach(keep);
      if (!inTime()) continue;
      if (group.together) {
        const started = ours.map((job, i) => start(job, `${name}-${i}`, place, false));
        await Promise.all(started.map(({ first }) => first));
        console.log(`${seconds().toFixed(0).padStart(4)} s  ${name}: ready`);
        for (const { measure } of started) keep(await measure());
      } else {
        for (const [i, job] of ours.entries()) {
          const dump = plan === "yes" && name === "1lora";
          if (job.what === "kernels" && counter === undefined) continue;
          if (inTime()) keep(await start(job, `${name}-${i}`, place, dump).measure());
        }
      }
    }
    console.log(
      `\n${rows.map(rowText).join("\n")}\n\n${goalTable(rows)}\n${seconds().toFixed(0)} s in all`,
    );
    return { _tag: "Right" as const, right: undefined };
  },
);
