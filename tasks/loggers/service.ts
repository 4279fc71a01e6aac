/**
 * Requests to a service, with its keys in the headers alone: no message says one.
 *
 * @module
 */
import { OneloraError, printable } from "../../dsl/error.ts";
import { isObject, type Json } from "../../dsl/files/json.ts";
import { reason } from "../../models/hub/request.ts";

/** Cause of a failure that may pass: no answer, or a server in trouble. */
export class Passing extends Error {}

/** Where requests go, and how they say who sends them. */
export interface Service {
  /** What is being done, for error lines. */
  readonly attempted: string;
  /** The address, without a slash at its end. */
  readonly address: string;
  /** Headers of every request. */
  readonly headers: Readonly<Record<string, string>>;
  /** Keys, which no message may have. */
  readonly secrets: readonly string[];
  /** Where a key comes from, for the refusal of one. */
  readonly keys: string;
  /** Ends requests that have no answer yet. */
  readonly signal?: AbortSignal;
}

/**
 * An address of the web without a password in it.
 *
 * @param given The address
 * @param attempted What is being done, for the error line
 * @param allowed What would do
 * @throws OneloraError (exit code 2) for anything else
 */
export function webAddress(given: string, attempted: string, allowed: string): string {
  const url = URL.parse(given);
  const refuse = (found: string) => new OneloraError({ attempted, found, allowed }, { exitCode: 2 });
  if (url !== null && (url.username !== "" || url.password !== "")) throw refuse("an address with a password in it");
  if (url === null || !["https:", "http:"].includes(url.protocol)) throw refuse(JSON.stringify(given));
  return `${url.origin}${url.pathname.replace(/\/+$/, "")}`;
}

/** The `authorization` header for a name and its password. */
export function basic(name: string, password: string): string {
  return `Basic ${new TextEncoder().encode(`${name}:${password}`).toBase64()}`;
}

/** What a service says of a refusal. */
function saidIn(text: string): string {
  try {
    const json: unknown = JSON.parse(text);
    if (!isObject(json)) return "";
    return String(json.message ?? json.error ?? json.error_code ?? "");
  } catch {
    return "";
  }
}

/**
 * The failure of a request.
 *
 * @param service The service
 * @param found What was found
 * @param allowed What would do
 * @param cause {@linkcode Passing} where it may be another time
 */
export function failure(
  { attempted, secrets }: Service,
  found: string,
  allowed: string,
  cause?: Passing,
): OneloraError {
  const shown = secrets.reduce((text, secret) => text.replaceAll(secret, "***"), found);
  return new OneloraError({ attempted, found: printable(shown, 300), allowed }, { cause });
}

/**
 * Sends JSON and reads JSON.
 *
 * @param service The service
 * @param path What follows its address
 * @param body What is sent; without, the request is a GET
 * @param accepted A refusal that is returned as undefined
 * @throws OneloraError for a refusal, and, with {@linkcode Passing} as its cause, where there is no answer
 */
export async function call(
  service: Service,
  path: string,
  body?: string,
  accepted?: number,
): Promise<Json | undefined> {
  const { host, origin } = new URL(service.address);
  const response = await fetch(`${service.address}${path}`, {
    method: body === undefined ? "GET" : "POST",
    headers: { "content-type": "application/json", ...service.headers },
    body,
    signal: service.signal,
    // A key goes to the one address that was named.
    redirect: "error",
  }).catch((error) => {
    const found = `no answer from ${host} (${reason(error)})`;
    if (error instanceof Deno.errors.NotCapable) {
      const allowed = `ONELORA_NET=--allow-net=${host} in front of \`deno task\`, or --allow-net=${host} for deno run`;
      throw failure(service, `no permission to reach ${host}`, allowed);
    }
    throw failure(service, found, `${origin} in reach`, new Passing());
  });
  const text = await response.text().catch(() => "");
  if (response.status === accepted) return undefined;
  if (!response.ok) {
    const { status } = response;
    const said = saidIn(text);
    const found = `HTTP status ${status} of ${host}${said === "" ? "" : ` (${said})`}`;
    const passing = status >= 500 || status === 408 || status === 429 ? new Passing() : undefined;
    throw failure(service, found, status === 401 || status === 403 ? service.keys : "a request it takes", passing);
  }
  try {
    const json: unknown = text === "" ? {} : JSON.parse(text);
    if (isObject(json)) return json;
  } catch {
    // Said below.
  }
  throw failure(service, `an answer of ${host} that is no JSON object`, `the address of such a service`);
}
