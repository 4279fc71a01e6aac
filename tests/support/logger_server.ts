/**
 * MLflow's and W&B's interfaces on this machine, as far as a run's numbers need them; and what goes wrong on demand.
 *
 * @module
 */

/** A request that came in. */
export interface Asked {
  /** Path and query. */
  readonly path: string;
  /** The `authorization` header. */
  readonly key: string | null;
  /** The JSON that it brought. */
  // deno-lint-ignore no-explicit-any
  readonly body: any;
}

/** The services, running. */
export interface LoggerServer extends AsyncDisposable {
  /** Their address. */
  readonly address: string;
  /** Requests so far. */
  readonly asked: Asked[];
  /** Answers such a status to paths that match, from now on. */
  fault: { readonly path: RegExp; readonly status: number } | undefined;
}

/** Answers of MLflow 3.17 and of what the client of W&B 0.31 reads, by the last part of the path. */
function answer(path: string, { query = "", variables = {} }: Asked["body"], lines: number, step: number): Response {
  const last = path.split(/[/?]/).findLast((part) => /^[a-z_-]+$/.test(part));
  const project = { name: variables.project, entity: { name: variables.entity ?? "me" } };
  switch (last) {
    case "get-by-name":
      return Response.json({ error_code: "RESOURCE_DOES_NOT_EXIST", message: "Could not find it" }, { status: 404 });
    case "create":
      return Response.json(
        path.includes("experiments") ? { experiment_id: "7" } : { run: { info: { run_id: "0123456789abcdef" } } },
      );
    case "graphql":
      return Response.json({
        data: query.startsWith("query")
          ? { model: { bucket: { id: "x", historyLineCount: lines, summaryMetrics: `{"_step": ${step}}` } } }
          : { upsertBucket: { bucket: { id: "x", name: variables.name, project } } },
      });
    default:
      return Response.json({});
  }
}

/** Starts the services. */
export function serveLoggers(): LoggerServer {
  const asked: Asked[] = [];
  const control = new AbortController();
  const { signal } = control;
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {}, signal }, async (request) => {
    const url = new URL(request.url);
    const path = `${url.pathname}${url.search}`;
    const text = await request.text();
    const body = text === "" ? {} : JSON.parse(text);
    asked.push({ path, key: request.headers.get("authorization"), body });
    const { fault } = running;
    if (fault?.path.test(path)) {
      const echoed = { message: `no entry with ${atob((request.headers.get("authorization") ?? "").slice(6))}` };
      return Response.json(echoed, { status: fault.status });
    }
    const history = asked.slice(0, -1).flatMap(({ body }) => body.files?.["wandb-history.jsonl"]?.content ?? []);
    return answer(path, body, history.length, history.length === 0 ? 0 : JSON.parse(history.at(-1))._step);
  });
  const running: LoggerServer = {
    address: `http://127.0.0.1:${server.addr.port}`,
    asked,
    fault: undefined,
    [Symbol.asyncDispose]: async () => {
      control.abort();
      await server.finished;
    },
  };
  return running;
}
