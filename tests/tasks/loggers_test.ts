/**
 * Runs that are logged to MLflow and W&B: what reaches them, and that nothing of theirs ends or changes a run.
 *
 * @module
 */
import { assert, assertEquals, assertMatch, assertRejects, assertThrows } from "@std/assert";
import wandbFixture from "../fixtures/loggers/wandb.json" with { type: "json" };
import { denoCommand, taskArguments } from "../../scripts/cli/deno.ts";
import { OneloraError } from "../../dsl/mod.ts";
import { fineTune } from "../../tasks/mod.ts";
import type { Point, RunLog } from "../../tasks/loggers/logger.ts";
import { openLoggers, placesOf } from "../../tasks/loggers/open.ts";
import { sending } from "../../tasks/loggers/send.ts";
import { Passing } from "../../tasks/loggers/service.ts";
import { inFolder } from "../support/data_folder.ts";
import { type Asked, serveLoggers } from "../support/logger_server.ts";

const KEY = "key-of-40-characters-that-nobody-may-see";

/** Variables of the environment for a while. */
function withVariables(variables: Readonly<Record<string, string>>): Disposable {
  for (const [name, value] of Object.entries(variables)) Deno.env.set(name, value);
  return { [Symbol.dispose]: () => Object.keys(variables).forEach((name) => Deno.env.delete(name)) };
}

const image = (grey: number) => ({ data: new Uint8Array(28 * 28).fill(grey), width: 28, height: 28 });
const data = Array.from({ length: 8 }, (_, i) => ({ image: image(i % 2 * 200 + i), label: i % 2 ? "light" : "dark" }));
const small = { model: "vit-micro", data, backend: "wasm", batchSize: 2, steps: 4, evalEvery: 2 } as const;

const linesOf = (asked: readonly Asked[]) =>
  asked.flatMap(({ body }) => body.files?.["wandb-history.jsonl"]?.content ?? []).map((line) => JSON.parse(line));

Deno.test("a run's numbers reach MLflow and W&B, tags as TensorBoard's, and a resumed run goes on in the same ones", () =>
  inFolder(async (folder) => {
    await using server = serveLoggers();
    using _variables = withVariables({
      WANDB_API_KEY: KEY,
      WANDB_BASE_URL: server.address,
      MLFLOW_TRACKING_TOKEN: KEY,
      MLFLOW_EXPERIMENT_NAME: "digits",
    });
    const lines: string[] = [];
    const log = `mlflow:${server.address},wandb:me/digits`;
    const shared = { log, onLine: (line: string) => lines.push(line) };
    using first = await fineTune({ ...small, ...shared, threads: 1, out: `${folder}/run` });
    const { asked } = server;
    const to = (end: string) => asked.filter(({ path }) => path.split("?")[0].endsWith(end)).map(({ body }) => body);
    assertEquals(to("experiments/create"), [{ name: "digits" }]);
    const [run] = to("runs/create");
    assertEquals([run.experiment_id, run.run_name], ["7", "run"]);
    const batches = to("runs/log-batch");
    const params = Object.fromEntries(batches[0].params.map(({ key, value }: Record<string, string>) => [key, value]));
    assertEquals([params.adapter, params["batch-size"], params.backend], ["1lora", "2", "wasm"]);
    const metrics = batches.flatMap(({ metrics = [] }) => metrics);
    const logged = (await Deno.readTextFile(`${folder}/run/metrics.jsonl`)).trim().split("\n").map((line) =>
      JSON.parse(line)
    );
    const of = (key: string) =>
      metrics.filter((each: { key: string }) => each.key === key).map(({ step, value }: Record<string, number>) => [
        step,
        value,
      ]);
    assertEquals(of("train/loss"), logged.map(({ step, loss }) => [step, loss]));
    assertEquals(of("evaluation/accuracy").map(([step]: number[]) => step), [2, 4]);
    assertEquals(of("result/accuracy"), [[4, first.metrics.accuracy]]);
    assertEquals(to("runs/update"), [{
      run_id: "0123456789abcdef",
      status: "FINISHED",
      end_time: metrics.at(-1).timestamp,
    }]);
    assertEquals(linesOf(asked).map(({ _step, "train/loss": loss }) => [_step, loss]), of("train/loss"));
    assert(
      asked.every(({ path, key }) =>
        key === (path.startsWith("/api") ? `Bearer ${KEY}` : `Basic ${btoa(`api:${KEY}`)}`)
      ),
    );
    const [{ variables }] = to("graphql");
    assertEquals(JSON.parse(variables.config).adapter, { value: "1lora" });
    assertEquals(lines.filter((line) => line.startsWith("logged at")), [
      `logged at ${server.address}/#/experiments/7/runs/0123456789abcdef`,
      `logged at ${server.address}/me/digits/runs/${variables.name}`,
    ]);

    const before = asked.length;
    using again = await fineTune({ ...shared, data, resume: `${folder}/run`, steps: 6 });
    assertEquals(again.steps, 6);
    const { threads } = JSON.parse(await Deno.readTextFile(`${folder}/run/summary.json`));
    assertEquals(threads, 1, "a resumed run keeps its threads");
    const since = asked.slice(before);
    assert(!since.some(({ path }) => path.endsWith("runs/create")), "a second run was made");
    assertEquals(since.find(({ path }) => path.endsWith("runs/update"))?.body.status, "RUNNING");
    const files = since.flatMap(({ body }) => body.files?.["wandb-history.jsonl"] ?? []);
    assertEquals([files[0].offset, linesOf(since).map(({ _step }) => _step)], [4, [5, 6]]);
    const kept = await Promise.all(
      ["loggers.json", "config.json", "summary.json", "report.html"].map((name) =>
        Deno.readTextFile(`${folder}/run/${name}`)
      ),
    );
    for (const text of [...kept, ...lines]) assert(!text.includes(KEY), "a key was written");
  }));

Deno.test("requests to W&B have the paths, headers and fields of its own client's", async () => {
  await using server = serveLoggers();
  using _variables = withVariables({ WANDB_API_KEY: "0".repeat(40), WANDB_BASE_URL: server.address });
  const { entity, project, name, settings, points, results } = wandbFixture.run;
  const [place] = placesOf(`wandb:${entity}/${project}`);
  const log = await place.open({ name, settings, earlier: undefined });
  const typed = (values: object) =>
    Object.fromEntries(Object.entries(values).map(([name, value]) => [name, Number(value)]));
  await log.send(
    points.map(({ step, values }) => ({ step, time: 0, values: typed(values) })),
  );
  await log.end("finished", { step: 2, time: 0, values: results });
  const bare = (line: string) => JSON.parse(line.replace(/:(NaN|-?Infinity)/g, ':"$1"'));
  const shown = (asked: readonly Asked[]) => {
    const files = asked.map(({ body }) => body.files ?? {});
    const all = (file: string) => files.flatMap((each) => each[file]?.content ?? []).map(bare);
    const last = asked.at(-1)!;
    return {
      key: asked[0].key,
      paths: [
        ...new Set(
          asked.map(({ path }) => path.replace(/\/files\/(.*)\/[^/]+\/file_stream/, "/files/$1/ID/file_stream")),
        ),
      ],
      history: all("wandb-history.jsonl"),
      offset: files.find((each) => "wandb-history.jsonl" in each)!["wandb-history.jsonl"].offset,
      summary: all("wandb-summary.json").at(-1),
      ending: [last.body.complete, last.body.exitcode],
    };
  };
  const timeless = (value: unknown) =>
    JSON.parse(
      JSON.stringify(value, (key, part) => ["_timestamp", "_runtime", "_wandb"].includes(key) ? undefined : part),
    );
  const official = wandbFixture.requests as readonly Asked[];
  assertEquals(timeless(shown(server.asked)), timeless(shown(official)));
  const variables = (asked: readonly Asked[]) => asked.find(({ path }) => path === "/graphql")!.body.variables;
  const [ours, theirs] = [variables(server.asked), variables(official)];
  for (const name of ["project", "entity", "displayName"]) assertEquals(ours[name], theirs[name]);
  assertEquals({ ...JSON.parse(theirs.config), _wandb: undefined }, { ...JSON.parse(ours.config), _wandb: undefined });
  const fields = (asked: readonly Asked[]) =>
    [...asked.find(({ path }) => path === "/graphql")!.body.query.matchAll(/(\w+): ?\$\w+/g)].map(([, name]) => name);
  for (const field of fields(server.asked)) assert(fields(official).includes(field), `upsertBucket has no ${field}`);
});

Deno.test("a service that fails costs a run one line and nothing else, and its answer shows no key", () =>
  inFolder(async (folder) => {
    await using server = serveLoggers();
    using _variables = withVariables({ WANDB_API_KEY: KEY, WANDB_BASE_URL: server.address });
    server.fault = { path: /file_stream/, status: 400 };
    const lines: string[] = [];
    const onLine = (line: string) => lines.push(line);
    const out = `${folder}/run`;
    using run = await fineTune({ ...small, out, onLine, log: "wandb:digits" });
    assertEquals(run.steps, 4);
    const warnings = lines.filter((line) => line.startsWith("warning"));
    assertMatch(
      warnings[0],
      /^warning: logging to wandb:digits: found HTTP status 400 of \S+ \(no entry with api:\*\*\*\)/,
    );
    assert(warnings.length <= 2 && !lines.join().includes(KEY), warnings.join("\n"));

    server.fault = { path: /graphql/, status: 503 };
    lines.length = 0;
    const loggers = await openLoggers("wandb:digits", { name: "run", settings: {} }, {
      out,
      resume: true,
      line: onLine,
    });
    assertMatch(lines[0], /HTTP status 503 .*; the run is not logged to wandb:digits/);
    loggers.observer.onRecord?.({ step: 1, loss: 1 });
    await loggers.end("failed");

    server.fault = { path: /graphql/, status: 401 };
    const refused = await assertRejects(
      () => fineTune({ ...small, out: `${folder}/other`, log: "wandb:digits" }),
      OneloraError,
      "allowed: WANDB_API_KEY=KEY of the account",
    );
    assert(!refused.message.includes(KEY));
    lines.length = 0;
    const none = await openLoggers(undefined, { name: "run", settings: {} }, { out, resume: true, line: onLine });
    assertEquals(lines, [
      `note: earlier steps were logged to wandb:digits at ${server.address}, these are not: see \`log\``,
    ]);
    await none.end("finished");
  }));

Deno.test("points are sent in groups and in order, again after a failure that may pass, and not waited for longer than said", async () => {
  const sent: number[][] = [];
  const faults: Error[] = [new OneloraError({ attempted: "a", found: "b", allowed: "c" }, { cause: new Passing() })];
  const log: RunLog = {
    id: "1",
    page: "page",
    most: 3,
    send: (points) => {
      const fault = faults.pop();
      if (fault !== undefined) return Promise.reject(fault);
      sent.push(points.map(({ step }) => step));
      return Promise.resolve();
    },
    end: (_, { step }) => Promise.resolve(void sent.push([step])),
  };
  const point = (step: number): Point => ({ step, time: 0, values: {} });
  const lines: string[] = [];
  const pace = { every: 1, longest: 4, patience: 200 };
  const sender = sending(log, () => {}, (line) => lines.push(line), pace);
  for (let step = 1; step <= 4; step++) sender.add(point(step));
  await new Promise((done) => setTimeout(done, 30));
  assertEquals(sent, [[1, 2, 3], [4]]);
  sender.add(point(5));
  await sender.end("finished", point(5));
  assertEquals(sent, [[1, 2, 3], [4], [5], [5]]);
  assertEquals(lines, ["warning: a: found b; allowed: c; the run goes on, and it is tried again"]);

  lines.length = 0;
  let isHungUp = false;
  const silent = sending(
    { ...log, send: () => new Promise(() => {}) },
    () => isHungUp = true,
    (line) => lines.push(line),
    {
      ...pace,
      patience: 20,
    },
  );
  silent.add(point(1));
  await silent.end("finished", point(1));
  assertEquals([isHungUp, lines], [true, ["warning: 1 steps did not reach page; metrics.jsonl has them"]]);
});

Deno.test("a service that is not known, a place that is none and a key that is missing are refused before anything is done", () => {
  const refused = (log: string) => assertThrows(() => placesOf(log), OneloraError).problem;
  assertMatch(refused("tensorbord:x").allowed, /mlflow:URL, wandb:\[ENTITY\/\]PROJECT/);
  assertMatch(refused("tensorboard").allowed, /its file is in every run's folder; mlflow:URL, wandb:/);
  assertEquals(refused("mlflow").found, "no address");
  assertEquals(refused("mlflow:file:./mlruns").found, '"file:./mlruns"');
  const secret = refused("mlflow:http://me:hidden@host");
  assertEquals(secret.found, "an address with a password in it");
  assert(!JSON.stringify(secret).includes("hidden"));
  assertEquals(refused("wandb:digits").found, "no key");
  assertEquals(refused("wandb:a/b/c").found, '"a/b/c"');
  assertEquals(refused("mlflow:http://h,mlflow:http://h/").found, "mlflow:http://h twice");
});

Deno.test("the train task reaches no service that ONELORA_NET does not name", async () => {
  const args = ["run", "--no-prompt", ...taskArguments("train"), "scripts/commands/train.ts", "--backend", "wasm"];
  const { code, stderr } = await new Deno.Command(await denoCommand(), {
    args: [
      ...args,
      "--steps",
      "1",
      "--limit",
      "4",
      "--log",
      "mlflow:http://127.0.0.1:5999",
      "--out",
      `${await Deno.makeTempDir()}/run`,
    ],
  }).output();
  assertEquals(code, 1);
  assertMatch(
    new TextDecoder().decode(stderr),
    /^error: logging to mlflow:http:\/\/127\.0\.0\.1:5999: found no permission to reach 127\.0\.0\.1:5999; allowed: ONELORA_NET=--allow-net=127\.0\.0\.1:5999 in front/m,
  );
});
