/**
 * `deno task compare`: answers of several runs to the same questions, side by side (paper, Appendix C).
 *
 * @module
 */
import { dispose, type Tensor } from "@tensorflow/tfjs-core";
import { writeNumbers } from "../../dsl/files/json.ts";
import { OneloraError, useBackend } from "../../dsl/mod.ts";
import { NO_METHOD } from "../../tasks/trainer/method.ts";
import { kebab } from "../../tasks/trainer/setting.ts";
import { methodSettings } from "../../tasks/trainer/settings.ts";
import { taskKinds } from "../../tasks/kinds.ts";
import { testData } from "../../tasks/trainer/task.ts";
import type { Answered, Answering, ComparedAnswers } from "../../tasks/trainer/answering.ts";
import { readRunConfig, type SavedRun } from "../../tasks/fine_tune/config.ts";
import type { Use } from "../../tasks/trainer/room.ts";
import { attempt } from "../cli/attempt.ts";
import { boolean, integer, main, required, text } from "../cli/mod.ts";
import { openNoting } from "../cli/opened.ts";
import { backendFlag, usage } from "../cli/options.ts";
import { placesIn } from "../cli/places.ts";

const flags = {
  run: required(text({ help: "Folders of the runs, separated by commas", value: "DIR,DIR" })),
  data: text({
    help: "Questions of another data set (default: those that the runs were validated with)",
    value: "DATA",
  }),
  samples: integer({ help: "Number of questions (default: the first run's)", min: 1 }),
  json: boolean({ help: "Print JSON instead of Markdown" }),
  ...backendFlag,
};

/** A run that answers, under its name. */
interface Named extends SavedRun {
  readonly folder: string;
  readonly name: string;
}

/** A run's method, with its place where that is not every linear layer. */
function methodOf({ adapter, target }: SavedRun["run"]): string {
  return adapter === NO_METHOD || target === methodSettings.target.default ? adapter : `${adapter}@${target}`;
}

/** The runs, named by their methods, or by their folders where two have the same. */
async function runsOf(written: string): Promise<readonly Named[]> {
  const folders = (await placesIn(written)).map((folder) => folder.replace(/(?<=.)\/+$/, ""));
  if (folders.length < 2) throw usage("reading --run", "one run", "two or more, separated by commas");
  if (new Set(folders).size < folders.length) throw usage("reading --run", "a run twice", "each once");
  const runs = await Promise.all(folders.map(async (folder) => ({ folder, ...await readRunConfig(folder) })));
  const names = runs.map(({ run }) => methodOf(run));
  const isShared = (name: string) => names.indexOf(name) !== names.lastIndexOf(name);
  return runs.map((each, i) => ({ ...each, name: isShared(names[i]) ? each.folder : names[i] }));
}

/** Questions of a task whose settings and data only it knows. */
type Asking = Answering<object, unknown>;

/** The questions of the runs' task; refuses runs that were not validated with the same ones. */
function askingOf([first, ...others]: readonly Named[], data: string | undefined): Asking {
  const attempted = "comparing answers";
  const strange = others.find(({ kind }) => kind.name !== first.kind.name);
  const { answering } = first.kind;
  if (strange !== undefined || answering === undefined) {
    const { folder, kind } = strange ?? first;
    const able = Object.values(taskKinds).filter((each) => each.answering !== undefined).map(({ name }) => name);
    throw new OneloraError({ attempted, found: `${folder}, of ${kind.name}`, allowed: able.join(", ") });
  }
  if (data !== undefined) return answering;
  const splitOf = ({ run: { data, seed, limit, validation, own } }: Named): Readonly<Record<string, unknown>> => ({
    ...{ data, seed, limit, validation },
    ...Object.fromEntries((answering.splitBy ?? []).map((name) => [kebab(name), own[name as keyof typeof own]])),
  });
  const split = splitOf(first);
  for (const other of others) {
    const its = splitOf(other);
    const differing = Object.keys(split).find((name) => its[name] !== split[name]);
    if (differing === undefined) continue;
    throw new OneloraError({
      attempted,
      found: `${differing} ${its[differing] ?? "nothing"} in ${other.folder}, ${
        split[differing] ?? "nothing"
      } in ${first.folder}`,
      // Another seed splits otherwise: one run would be asked what it has learned.
      allowed: "runs with the same validation questions, or questions that neither has learned in `data`",
    });
  }
  return answering;
}

/** What a run answers. */
async function answersOf(
  { folder, kind, run }: Named,
  asking: Asking,
  asked: SavedRun["run"],
): Promise<readonly Answered[]> {
  const adapter = run.adapter === NO_METHOD ? undefined : `${folder}/adapter`;
  const data = await testData(kind, asked);
  const use: Use = {
    attempted: `answering with ${folder}`,
    needs: (model) => asking.needs(model, data, asked),
  };
  const opened = await openNoting(run.model, adapter, { seed: run.seed, use });
  try {
    return await asking.answers(opened, data, asked);
  } finally {
    dispose(opened.params as Record<string, Tensor>);
  }
}

/** Questions with the answers of all runs. */
function together(runs: readonly Named[], answers: readonly (readonly Answered[])[]): readonly ComparedAnswers[] {
  return answers[0].map(({ query, truth }, i) => ({
    query,
    truth,
    answers: Object.fromEntries(runs.map(({ name }, run) => [name, answers[run][i].response])),
  }));
}

await main(
  { name: "compare", summary: "Answers of several runs to the same questions, side by side.", flags },
  attempt(async ({ options: { run: written, data, samples, json, backend, threads } }) => {
    const runs = await runsOf(written);
    const asking = askingOf(runs, data);
    const [{ run: first }] = runs;
    const asks = data === undefined ? {} : { data, validation: undefined };
    const own = samples === undefined ? first.own : { ...first.own, samples };
    await useBackend(backend, { threads });
    const answers: (readonly Answered[])[] = [];
    for (const run of runs) answers.push(await answersOf(run, asking, { ...first, ...asks, own }));
    const compared = together(runs, answers);
    console.log(json ? writeNumbers(compared, { indent: 2 }) : asking.report(compared));
  }),
);
