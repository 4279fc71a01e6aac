/**
 * Measures training steps on a machine with an NVIDIA card, ours beside PyTorch's, and prints one table:
 *
 *     deno run --allow-read --allow-write --allow-ffi --allow-env --allow-run scripts/tools/gpu.ts --minutes 6
 *
 * Rows come in the order of what matters most, each as soon as it is measured; what does not fit the time is left out. All
 * of it is kept in `gpu/results.jsonl`. `--only 1lora,torch` measures those groups alone (see gpu/job.ts).
 *
 * @module
 */
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { unknownName } from "../../dsl/error.ts";
import { openModel } from "../../models/mod.ts";
import { choice, integer, main, text } from "../cli/mod.ts";
import { plannedBytes } from "./gpu/memory.ts";
import { type CardAnswer, type CardJob, isTorch, jobs } from "./gpu/job.ts";

const flags = {
  minutes: integer({ help: "Start no measurement after so many", min: 1, value: "MINUTES", default: 6 }),
  only: text({ help: `Groups, joined by commas: ${Object.keys(jobs).join(", ")}`, value: "GROUPS" }),
  python: text({ help: "Interpreter with PyTorch", value: "PATH", default: "python3" }),
  out: text({ help: "Folder of the results", value: "DIR", default: "gpu" }),
  memory: choice({
    help: "Have XLA write down what it plans, which takes a few seconds a row",
    allowed: ["yes", "no"],
    default: "yes",
  }),
};

const here = (name: string) => fileURLToPath(new URL(`./gpu/${name}`, import.meta.url));

/** A row of the table. */
interface Row {
  readonly job: CardJob;
  readonly answer?: CardAnswer;
  readonly failed?: string;
}

/** The last line that a process prints, or why there is none. */
async function lastLine(
  command: Deno.Command,
  input: string,
  note: (line: string) => void,
): Promise<readonly string[]> {
  const process = command.spawn();
  const writer = process.stdin.getWriter();
  await writer.write(new TextEncoder().encode(input));
  await writer.close();
  const { success, stdout, stderr } = await process.output();
  const lines = new TextDecoder().decode(stdout).split("\n").filter((line) => line.startsWith("{"));
  const said = new TextDecoder().decode(stderr).trim().split("\n");
  if (!success || lines.length === 0) note(said.slice(-8).join("\n"));
  return lines;
}

/** Measures our step in a process of its own. */
async function ours(
  job: CardJob,
  out: string,
  withMemory: boolean,
  note: (line: string) => void,
  withCache = true,
): Promise<Row> {
  const dump = join(out, "xla");
  await Deno.remove(dump, { recursive: true }).catch(() => {});
  const dumps = withMemory ? [`--xla_dump_to=${dump}`, "--xla_dump_hlo_as_text"] : [];
  const given = Deno.env.get("XLA_FLAGS") ?? "";
  const command = new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", "--no-prompt", "--cached-only", "--allow-read", "--allow-write", "--allow-ffi", "--allow-env"],
      here("ours.ts"),
      JSON.stringify(job),
    ],
    env: {
      XLA_FLAGS: [given, job.flags ?? "", ...dumps].join(" ").trim(),
      ...withCache ? {} : { TF_XLA_FLAGS: "--tf_xla_persistent_cache_directory=" },
    },
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  });
  const line = (await lastLine(command, "", note)).at(-1);
  if (line === undefined && withCache) {
    note("again, without the cache of compiled programs");
    return await ours({ ...job, note: [job.note, "no cache"].join(" ").trim() }, out, withMemory, note, false);
  }
  if (line === undefined) return { job, failed: "no answer" };
  return { job, answer: { ...JSON.parse(line), bytes: await plannedBytes(dump) } };
}

/** Measures PyTorch's steps, all in one process. */
async function torch(list: readonly CardJob[], python: string, note: (line: string) => void): Promise<readonly Row[]> {
  const described = await Promise.all(list.map(async (job) => {
    const { family, config } = await openModel(job.model);
    return { ...job, family, config };
  }));
  const command = new Deno.Command(python, {
    args: [here("torch_cuda.py")],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  });
  const lines = await lastLine(command, JSON.stringify(described), note);
  return list.map((job, i): Row => {
    const { failed, ...answer } = JSON.parse(lines[i] ?? `{"failed": "no answer"}`);
    return failed === undefined ? { job, answer } : { job, failed };
  });
}

/** A row in words. */
function rowText({ job, answer, failed }: Row): string {
  const { model, method, batch, length, precision, how, note = "" } = job;
  const what = `${model} ${method} ${batch}${length > 0 ? ` x ${length}` : ""} ${precision}`.padEnd(44);
  const who = `${isTorch(job) ? "PyTorch" : "ours"} ${how} ${note}`.trim().padEnd(42);
  if (answer === undefined) return `${what}${who}${failed}`;
  const { ms, least, sent, bytes, first } = answer;
  const cells = [
    `${ms.toFixed(1)} (${least.toFixed(1)}) ms`.padStart(18),
    (sent === undefined ? "" : `${sent.toFixed(1)} ms sent`).padStart(14),
    (bytes === undefined ? "" : `${(bytes / 1e9).toFixed(2)} GB`).padStart(10),
    `first step after ${first.toFixed(1)} s`.padStart(26),
  ];
  return what + who + cells.join("");
}

await main(
  { name: "gpu", summary: "Measures training steps on an NVIDIA card, ours beside PyTorch's", flags },
  ({ options }) => async () => {
    const began = performance.now();
    const { minutes, out, python } = options;
    const chosen = options.only?.split(",") ?? Object.keys(jobs).filter((name) => name !== "smoke");
    await Deno.mkdir(out, { recursive: true });
    const rows: Row[] = [];
    const keep = (row: Row) => {
      rows.push(row);
      console.log(rowText(row));
      Deno.writeTextFileSync(`${out}/results.jsonl`, `${JSON.stringify(row)}\n`, { append: true });
    };
    const inTime = () => (performance.now() - began) / 60_000 < minutes;
    for (const name of chosen) {
      const group = jobs[name];
      if (group === undefined) throw unknownName("group", name, Object.keys(jobs));
      const theirs = group.filter(isTorch);
      if (theirs.length > 0 && inTime()) (await torch(theirs, python, console.error)).forEach(keep);
      for (const job of group.filter((job) => !isTorch(job))) {
        // What is looked up in the cache is not planned again.
        const withMemory = options.memory === "yes" && name !== "again";
        if (inTime()) keep(await ours(job, out, withMemory, console.error));
      }
    }
    console.log(`\n${rows.map(rowText).join("\n")}\n${((performance.now() - began) / 1000).toFixed(0)} s in all`);
    return { _tag: "Right" as const, right: undefined };
  },
);
