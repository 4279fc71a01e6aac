/**
 * Where the hub and its cache are: as Hugging Face's own tools have it, by the same environment variables.
 *
 * @module
 */
import { OneloraError } from "../../dsl/error.ts";

/** How far a file's transfer is. */
export interface Transfer {
  /** The file's path in its repository. */
  readonly file: string;
  /** Bytes that are here. */
  readonly bytes: number;
  /** Its size, bytes. */
  readonly total: number;
}

/** Where models of the hub come from and go. */
export interface HubOptions {
  /** The cache (default: HF_HUB_CACHE, HF_HOME/hub, or ~/.cache/huggingface/hub). */
  readonly cache?: string;
  /** The hub's address (default: HF_ENDPOINT, or https://huggingface.co). */
  readonly endpoint?: string;
  /** Access token (default: HF_TOKEN, or what `hf auth login` has kept). */
  readonly token?: string;
  /** Whether only the cache is used (default: HF_HUB_OFFLINE=1). */
  readonly offline?: boolean;
  /** Called at the beginning, during and at the end of each transfer. */
  readonly onProgress?: (transfer: Transfer) => void;
}

/** The options with every default in place. */
export interface Hub extends Pick<HubOptions, "token" | "onProgress"> {
  /** The cache's folder. */
  readonly cache: string;
  /** The hub's address, without a slash at its end. */
  readonly endpoint: string;
  /** Whether only the cache is used. */
  readonly offline: boolean;
}

/** A variable of the environment; one that is empty or may not be read is none. */
function variable(name: string): string | undefined {
  try {
    return Deno.env.get(name) || undefined;
  } catch {
    return undefined;
  }
}

/** Hugging Face's folder in the user's home. */
function home(): string | undefined {
  const user = variable("HOME") ?? variable("USERPROFILE");
  const caches = variable("XDG_CACHE_HOME") ?? (user === undefined ? undefined : `${user}/.cache`);
  return variable("HF_HOME") ?? (caches === undefined ? undefined : `${caches}/huggingface`);
}

/** The token that `hf auth login` has kept, if any. */
async function keptToken(): Promise<string | undefined> {
  const folder = home();
  if (folder === undefined) return undefined;
  return (await Deno.readTextFile(`${folder}/token`).catch(() => "")).trim() || undefined;
}

/** An address as given, if it is one of the web's. */
function address(given: string): string {
  const url = URL.parse(given);
  if (url?.protocol === "https:" || url?.protocol === "http:") return given.replace(/\/+$/, "");
  throw new OneloraError({ attempted: "finding the hub", found: given, allowed: "HF_ENDPOINT=https://HOST" });
}

/**
 * The options with every default in place.
 *
 * @param options What is given
 * @throws OneloraError if nothing says where the cache is
 */
export async function settle(options: HubOptions): Promise<Hub> {
  const folder = home();
  const cache = options.cache ?? variable("HF_HUB_CACHE") ?? (folder === undefined ? undefined : `${folder}/hub`);
  if (cache === undefined) {
    throw new OneloraError({
      attempted: "finding the cache of models",
      found: "neither HF_HOME nor HOME",
      allowed: "HF_HOME=FOLDER, and the permission to read it",
    });
  }
  return {
    cache,
    endpoint: address(options.endpoint ?? variable("HF_ENDPOINT") ?? "https://huggingface.co"),
    token: options.token ?? variable("HF_TOKEN") ?? await keptToken(),
    offline: options.offline ?? ["1", "true", "yes", "on"].includes((variable("HF_HUB_OFFLINE") ?? "").toLowerCase()),
    onProgress: options.onProgress,
  };
}
