/** The table that says which goals are met on a card. @module */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { goals, goalTable } from "../../scripts/tools/gpu/goals.ts";
import { type CardAnswer, type CardJob, groups, isTorch } from "../../scripts/tools/gpu/job.ts";
import { type Row, rowsOf, torch } from "../../scripts/tools/gpu/processes.ts";
import { denoCommand } from "../../scripts/cli/deno.ts";

const jobs = Object.values(groups).flatMap(({ jobs }) => jobs);

function row(job: CardJob, answer: Partial<CardAnswer>): Row {
  return { job, answer: { first: 1, ms: 1, least: 1, losses: [], ...answer } };
}

Deno.test("every goal has a job that is measured, and one that it is compared with", () => {
  const isMeasured = (which: Partial<CardJob>) =>
    jobs.some((job) => Object.entries(which).every(([key, value]) => job[key as keyof CardJob] === value));
  for (const { text, ours, other } of goals) {
    assert(isMeasured(ours), text);
    assert(other === undefined || isMeasured(other), text);
  }
});

Deno.test("the table says of every goal what was measured, and whether it is met", () => {
  const [eager, compiled, whole] = groups["1lora"].jobs;
  const [again] = groups.again.jobs;
  const rows: readonly Row[] = [
    row(eager, { ms: 50, bytes: 4e9 }),
    { job: compiled, failed: "no answer" },
    row(whole, { ms: 20 }),
    row(again, { ms: 19, first: 12 }),
    row(groups.memory.jobs[0], { ms: 30, bytes: 2e9 }),
  ];
  const lines = goalTable(rows).split("\n");
  assertEquals(lines.length, goals.length + 1);
  const line = (start: string) => lines.find((each) => each.startsWith(start))!;
  assertMatch(line("1LoRA, bf16"), / 20\.0 ms +50\.0 ms +0\.400 +0\.5 +0\.3 +met$/);
  assertMatch(line("the same, PyTorch compiled"), / 20\.0 ms +- +- +1 +0\.7 +not measured$/);
  assertMatch(line("memory, 1LoRA, bf16"), / 2\.00 GB +4\.00 GB +0\.500 +0\.8 +0\.5 +as aimed$/);
  assertMatch(line("second start"), / 12\.0 s +- +- +10 +3 +MISSED$/);
  assertMatch(line("DoRA, bf16"), / - +- +- +0\.4 +0\.2 +not measured$/);
});

Deno.test("a process that answers for some steps, or for none, or is not there, loses those alone", async () => {
  const list = jobs.filter((job) => isTorch(job) && job.model === "vit-base").slice(0, 3);
  const said = `PyTorch\n{"first": 1, "ms": 2, "least": 1, "losses": []}\n{"failed": "no memory"}\n{"first": 1, "m`;
  assertEquals(rowsOf(list, said).map(({ answer, failed }) => answer?.ms ?? failed), [2, "no memory"]);

  const notes: string[] = [];
  const place = { out: ".", note: (line: string) => notes.push(line), seconds: () => 60 };
  // It does not know Python.
  const found = await torch(list.slice(0, 2), { ...place, python: await denoCommand() });
  assertEquals(found.map(({ failed }) => failed), ["no answer", "no answer"]);
  assertEquals(notes.length, 2);
  const missing = await torch(list, { ...place, python: "no-python" });
  assertEquals(missing.length, 3);
  assert(missing.every(({ failed }) => failed?.includes("does not start")));
});
