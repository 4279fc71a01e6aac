/**
 * MLflow's tracking server, by its REST interface (mlflow.org/docs/latest/rest-api.html), version 2.0.
 *
 * @module
 */
import { isObject, type Json, writeNumbers } from "../../dsl/files/json.ts";
import { OneloraError } from "../../dsl/error.ts";
import { grantedVariable } from "../../dsl/permission.ts";
import type { Ending, LoggedRun, LoggerKind, Point, RunLog } from "./logger.ts";
import { basic, call, failure, type Service, webAddress } from "./service.ts";

const API = "/api/2.0/mlflow";

/** Bounds of one `runs/log-batch`. */
const MOST = { metrics: 1000, params: 100, characters: 500 } as const;

/** What the service calls an ending. */
const STATUS: Readonly<Record<Ending, string>> = { finished: "FINISHED", failed: "FAILED", interrupted: "KILLED" };

/** A part of an answer that is an object. */
function part(json: Json | undefined, name: string): Json {
  const found = json?.[name];
  return isObject(found) ? found : {};
}

/** Names with what MLflow has in names alone. */
function named(name: string): string {
  return name.replace(/[^\w\-. /]/g, "_");
}

/** The experiment's number, made where there is none of that name. */
async function experiment(service: Service, name: string): Promise<string> {
  const query = `${API}/experiments/get-by-name?experiment_name=${encodeURIComponent(name)}`;
  const there = part(await call(service, query, undefined, 404), "experiment").experiment_id;
  const id = there ?? (await call(service, `${API}/experiments/create`, writeNumbers({ name })))?.experiment_id;
  if (typeof id === "string") return id;
  throw failure(service, "no experiment_id in the answer", "the address of an MLflow server");
}

/** Makes the run, with the settings as its parameters. */
async function created(service: Service, experimentId: string, { name, settings }: LoggedRun): Promise<string> {
  const tags = [{ key: "mlflow.source.name", value: "onelora" }, { key: "mlflow.source.type", value: "LOCAL" }];
  const run = { experiment_id: experimentId, run_name: name, start_time: Date.now(), tags };
  const { run_id: id } = part(part(await call(service, `${API}/runs/create`, writeNumbers(run)), "run"), "info");
  if (typeof id !== "string") throw failure(service, "no run_id in the answer", "the address of an MLflow server");
  const params = Object.entries(settings).map(([key, value]) => ({
    key: named(key),
    value: (typeof value === "string" ? value : writeNumbers(value)).slice(0, MOST.characters),
  }));
  for (let at = 0; at < params.length; at += MOST.params) {
    const batch = { run_id: id, params: params.slice(at, at + MOST.params) };
    await call(service, `${API}/runs/log-batch`, writeNumbers(batch));
  }
  return id;
}

async function open(service: Service, name: string, run: LoggedRun): Promise<RunLog> {
  const experimentId = await experiment(service, name);
  const update = (id: string, fields: object) =>
    call(service, `${API}/runs/update`, writeNumbers({ run_id: id, ...fields }), 404);
  // One that was deleted meanwhile is made again.
  const isThere = run.earlier !== undefined && await update(run.earlier, { status: "RUNNING" }) !== undefined;
  const id = isThere ? run.earlier! : await created(service, experimentId, run);
  const send = async (points: readonly Point[]) => {
    const metrics = points.flatMap(({ step, time, values }) =>
      Object.entries(values).map(([key, value]) => ({ key: named(key), value, timestamp: Math.round(time), step }))
    );
    for (let at = 0; at < metrics.length; at += MOST.metrics) {
      const batch = { run_id: id, metrics: metrics.slice(at, at + MOST.metrics) };
      await call(service, `${API}/runs/log-batch`, writeNumbers(batch));
    }
  };
  return {
    id,
    page: `${service.address}/#/experiments/${experimentId}/runs/${id}`,
    most: 100,
    send,
    end: async (how, results) => {
      await send([results]);
      await update(id, { status: STATUS[how], end_time: Math.round(results.time) });
    },
  };
}

/** MLflow. */
export const mlflow: LoggerKind = {
  form: "URL",
  at: (where, attempted) => {
    const allowed = "mlflow:http://HOST:PORT, or that address in MLFLOW_TRACKING_URI; a name and a password belong " +
      "into MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, a token into MLFLOW_TRACKING_TOKEN";
    const given = where ?? grantedVariable("MLFLOW_TRACKING_URI");
    if (given === undefined || given === "") {
      throw new OneloraError({ attempted, found: "no address", allowed }, { exitCode: 2 });
    }
    const address = webAddress(given, attempted, allowed);
    const [token, user, password] = ["TOKEN", "USERNAME", "PASSWORD"].map((name) =>
      grantedVariable(`MLFLOW_TRACKING_${name}`) || undefined
    );
    const authorization = user !== undefined && password !== undefined
      ? basic(user, password)
      : token === undefined
      ? undefined
      : `Bearer ${token}`;
    const service: Service = {
      attempted,
      address,
      headers: authorization === undefined ? {} : { authorization },
      secrets: [token, password].filter((secret) => secret !== undefined),
      keys: "MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, that it accepts",
    };
    const name = grantedVariable("MLFLOW_EXPERIMENT_NAME") || "Default";
    return { place: `mlflow:${address}`, open: (run) => open({ ...service, signal: run.signal }, name, run) };
  },
};
