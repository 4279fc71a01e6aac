/**
 * Requests to the hub, and what its refusals mean.
 *
 * @module
 */
import { OneloraError } from "../../dsl/error.ts";
import type { Hub } from "./settings.ts";

/** Most redirections: from the hub to a renamed repository, to its storage, to a mirror of that. */
const MOST_HOPS = 6;
/** Milliseconds without a sign of life after which a server is given up. */
const PATIENCE = 60_000;
/** Bytes a millisecond of the slowest connection that something is sent by: nothing tells how far that is. */
const SLOWEST = 20;

/** The cause of an error where nothing answered. */
export class NoAnswer extends Error {}

/** A signal that aborts when it was not renewed for a while. */
export interface Watch {
  /** The signal. */
  readonly signal: AbortSignal;
  /** Begins the while anew. */
  readonly renew: () => void;
  /** Ends the watch. */
  readonly stop: () => void;
}

/**
 * Watches for silence.
 *
 * @param sent Bytes that are sent meanwhile
 */
export function watch(sent: number = 0): Watch {
  const control = new AbortController();
  const patience = Math.round(PATIENCE + sent / SLOWEST);
  const lapse = () => control.abort(new Error(`nothing for ${patience / 1000} s`));
  let timer = setTimeout(lapse, patience);
  return {
    signal: control.signal,
    renew: () => {
      clearTimeout(timer);
      timer = setTimeout(lapse, patience);
    },
    stop: () => clearTimeout(timer),
  };
}

/**
 * Why a connection failed, in a line.
 *
 * @param error What was thrown
 */
export function reason(error: unknown): string {
  const { message, cause } = error as { readonly message?: string; readonly cause?: { readonly message?: string } };
  return `${cause?.message ?? message ?? error}`.split("\n")[0].replace(/^.*client error \(\w+\): /, "");
}

/** What a refusal means. */
function refused(
  attempted: string,
  { status, headers }: Response,
  url: URL,
  { token }: Hub,
  isWriting: boolean,
): OneloraError {
  const code = headers.get("x-error-code") ?? "";
  const said = `HTTP status ${status}${code === "" ? "" : `, ${code}`}`;
  if (isWriting && (status === 401 || status === 403)) {
    const allowed = "HF_TOKEN=TOKEN that may write to a repository of that name";
    return new OneloraError({ attempted, found: `no permission to write (${said})`, allowed });
  }
  const page = `${url.origin}${url.pathname.split("/").slice(0, 3).join("/")}`;
  const signIn = token === undefined ? "HF_TOKEN=TOKEN of an account with access" : "a token with access in HF_TOKEN";
  const [found, allowed] = code === "GatedRepo"
    ? ["a gated repository", `its terms accepted at ${page}, and ${signIn}`]
    : code === "RevisionNotFound"
    ? ["no such revision", "a branch, a tag or a whole commit"]
    : code === "EntryNotFound"
    ? ["no such file", "a file of the repository"]
    : code === "RepoNotFound" || status === 401 || status === 403
    ? [`no such repository, or a private one`, `a repository of the hub; for a private one, ${signIn}`]
    : status === 404
    ? ["no such repository, revision or file", "one that is there"]
    : ["no success", "the hub in order: try again later"];
  return new OneloraError({ attempted, found: `${found} (${said})`, allowed });
}

/**
 * Sends a request, with the token to the hub alone, and follows redirections.
 *
 * @param hub Where the hub is
 * @param address Address
 * @param attempted What the request is for
 * @param init As for `fetch`; an answer 416 to a range is returned
 * @param accepted Other refusals that are returned
 * @throws OneloraError for refusals, and, with {@linkcode NoAnswer} as its cause, where there is no answer
 */
export async function request(
  hub: Hub,
  address: string,
  attempted: string,
  init: RequestInit = {},
  accepted: readonly number[] = [],
): Promise<Response> {
  let url = new URL(address);
  for (let hops = 0; hops <= MOST_HOPS; hops++) {
    const headers = new Headers(init.headers);
    // Storage hosts get signed addresses instead.
    const trusted = url.origin === new URL(hub.endpoint).origin;
    if (trusted && hub.token !== undefined) headers.set("authorization", `Bearer ${hub.token}`);
    else headers.delete("authorization");
    const silence = watch(init.body instanceof Blob ? init.body.size : 0);
    const signal = AbortSignal.any([silence.signal, ...(init.signal ? [init.signal] : [])]);
    const response = await fetch(url, { ...init, headers, signal, redirect: "manual" }).catch((error) => {
      const denied = error instanceof Deno.errors.NotCapable;
      const allowed = denied
        ? `--allow-net=${url.host} for deno run`
        : "a network with the hub in reach, or HF_ENDPOINT=https://MIRROR; what is cached needs none";
      const found = `no answer from ${url.host} (${reason(error)})`;
      throw new OneloraError({ attempted, found, allowed }, { cause: new NoAnswer(reason(error), { cause: error }) });
    }).finally(silence.stop);
    const location = response.headers.get("location");
    if (response.status >= 300 && response.status < 400 && location !== null) {
      await response.body?.cancel();
      url = new URL(location, url);
      continue;
    }
    if (response.ok || response.status === 416 || accepted.includes(response.status)) return response;
    await response.body?.cancel();
    throw refused(attempted, response, url, hub, (init.method ?? "GET") !== "GET");
  }
  throw new OneloraError({ attempted, found: `more than ${MOST_HOPS} redirections`, allowed: "fewer" });
}
