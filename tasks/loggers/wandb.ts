/**
 * Weights & Biases, by the requests of its own client (`wandb` 0.31, MIT): a run is made by GraphQL, and its numbers are
 * lines of files that grow.
 *
 * @module
 */
import { isObject, type Json, writeNumbers } from "../../dsl/files/json.ts";
import { OneloraError } from "../../dsl/error.ts";
import { grantedVariable } from "../../dsl/permission.ts";
import type { Ending, LoggedRun, LoggerKind, Point, RunLog } from "./logger.ts";
import { basic, call, failure, type Service, webAddress } from "./service.ts";

const HOST = "https://api.wandb.ai";

/** What the client says of an ending. */
const EXIT_CODE: Readonly<Record<Ending, number>> = { finished: 0, failed: 1, interrupted: 255 };

const UPSERT = `mutation UpsertBucket($name: String, $project: String, $entity: String, $displayName: String,
  $config: JSONString) {
  upsertBucket(input: {name: $name, modelName: $project, entityName: $entity, displayName: $displayName,
    config: $config}) {
    bucket { id name project { name entity { name } } }
  }
}`;

const RESUME = `query RunResumeStatus($project: String, $entity: String, $name: String!) {
  model(name: $project, entityName: $entity) {
    bucket(name: $name, missingOk: true) { id historyLineCount summaryMetrics }
  }
}`;

/** The object at a path of names; empty where there is none. */
function inside(json: unknown, ...names: readonly string[]): Json {
  const found = names.reduce<unknown>((part, name) => isObject(part) ? part[name] : undefined, json);
  return isObject(found) ? found : {};
}

async function graphql(service: Service, query: string, variables: object): Promise<Json> {
  const answer = await call(service, "/graphql", writeNumbers({ query, variables }));
  const [error] = Array.isArray(answer?.errors) ? answer.errors : [];
  if (error !== undefined) {
    throw failure(service, `a refusal (${inside(error).message ?? "without a reason"})`, "a project of that account");
  }
  return inside(answer, "data");
}

/** One line of JSON as Python reads it: numbers that JSON does not have are bare words, as the client writes them. */
function line(values: Readonly<Record<string, number>>): string {
  const fields = Object.entries(values).map(([name, value]) => `${JSON.stringify(name)}:${value}`);
  return `{${fields.join(",")}}`;
}

/** What the service has of an earlier session: lines of history, and the last step among them. */
async function reached(
  service: Service,
  names: { readonly project: string; readonly entity?: string; readonly name: string },
): Promise<{ readonly lines: number; readonly step: number }> {
  const bucket = inside(await graphql(service, RESUME, names), "model", "bucket");
  const lines = typeof bucket.historyLineCount === "number" ? bucket.historyLineCount : 0;
  const step = /"_step": ?(\d+)/.exec(typeof bucket.summaryMetrics === "string" ? bucket.summaryMetrics : "")?.[1];
  return { lines, step: Number(step ?? -1) };
}

async function open(
  service: Service,
  { entity, project }: { readonly entity?: string; readonly project: string },
  { name: displayName, settings, earlier }: LoggedRun,
): Promise<RunLog> {
  const id = earlier ?? crypto.randomUUID().replaceAll("-", "").slice(0, 8);
  const before = earlier === undefined ? { lines: 0, step: -1 } : await reached(service, { project, entity, name: id });
  const config = writeNumbers(Object.fromEntries(Object.entries(settings).map(([key, value]) => [key, { value }])));
  const made = await graphql(service, UPSERT, { name: id, project, entity, displayName, config });
  const bucket = inside(made, "upsertBucket", "bucket");
  const place = [inside(bucket, "project", "entity").name, inside(bucket, "project").name, bucket.name];
  if (!place.every((part) => typeof part === "string")) {
    throw failure(service, "no run in the answer", "the address of a W&B server");
  }
  const [owner, at, run] = place.map(encodeURIComponent);
  const begun = Date.now();
  let { lines, step: last } = before;
  let summary: Readonly<Record<string, number>> = {};
  const stream = (files: object, rest: object = {}) =>
    call(service, `/files/${owner}/${at}/${run}/file_stream`, writeNumbers({ files, ...rest }));
  const send = async (points: readonly Point[]) => {
    // The service takes steps in order; those computed again are the same numbers.
    const history = points.filter(({ step }) => step > last).map(({ step, time, values }) => {
      const meta = { _step: step, _timestamp: time / 1000, _runtime: (time - begun) / 1000 };
      return { ...values, ...meta };
    });
    if (history.length === 0) return;
    const next = { ...summary, ...Object.assign({}, ...history) };
    await stream({
      "wandb-history.jsonl": { offset: lines, content: history.map(line) },
      "wandb-summary.json": { offset: 0, content: [line(next)] },
    });
    [lines, last, summary] = [lines + history.length, history.at(-1)!._step, next];
  };
  return {
    id,
    page: `${service.address.replace(/^https:\/\/api\./, "https://")}/${owner}/${at}/runs/${run}`,
    most: 1000,
    send,
    end: async (how, { values }) => {
      const file = { "wandb-summary.json": { offset: 0, content: [line({ ...summary, ...values })] } };
      await stream(file, { complete: true, exitcode: EXIT_CODE[how] });
    },
  };
}

/** Weights & Biases. */
export const wandb: LoggerKind = {
  form: "[ENTITY/]PROJECT",
  at: (where, attempted) => {
    const parts = (where ?? "").split("/");
    if (parts.length > 2 || parts.some((part) => part === "" || part.length > 128 || /[\\#?%:\s]/.test(part))) {
      const found = where === undefined ? "no project" : JSON.stringify(where);
      throw new OneloraError({ attempted, found, allowed: "wandb:[ENTITY/]PROJECT" }, { exitCode: 2 });
    }
    const key = grantedVariable("WANDB_API_KEY") || undefined;
    const keys = "WANDB_API_KEY=KEY of the account";
    if (key === undefined) throw new OneloraError({ attempted, found: "no key", allowed: keys }, { exitCode: 2 });
    const given = grantedVariable("WANDB_BASE_URL") || HOST;
    const address = webAddress(given, attempted, "WANDB_BASE_URL=https://HOST");
    const service: Service = {
      attempted,
      address,
      headers: { authorization: basic("api", key) },
      secrets: [key],
      keys,
    };
    const project = parts.at(-1)!;
    const entity = parts.length === 2 ? parts[0] : undefined;
    const host = address === HOST ? "" : ` at ${address}`;
    return {
      place: `wandb:${where}${host}`,
      open: (run) => open({ ...service, signal: run.signal }, { entity, project }, run),
    };
  },
};
