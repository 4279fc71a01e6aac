/**
 * Hugging Face's client: it knows the addresses, pages and uploads of the hub's interface.
 *
 * @module
 */
import { OneloraError } from "../../dsl/error.ts";
import { NoAnswer } from "./request.ts";

const LIBRARY = "npm:@huggingface/hub@2.17.5";

/** What it says of a file. */
export interface Listed {
  readonly type: string;
  readonly path: string;
  readonly size: number;
  readonly oid?: string;
  readonly lfs?: { readonly oid: string; readonly size: number };
}

/** What is used of it. */
export interface Client {
  modelInfo(options: {
    name: string;
    revision: string;
    additionalFields: readonly string[];
    hubUrl: string;
    fetch: typeof fetch;
  }): Promise<{ readonly sha?: string }>;
  listFiles(options: {
    repo: string;
    revision: string;
    recursive: boolean;
    hubUrl: string;
    fetch: typeof fetch;
  }): AsyncIterable<Listed>;
  createRepo(options: {
    repo: { readonly type: "model"; readonly name: string };
    accessToken: string;
    visibility?: string;
    hubUrl: string;
    fetch: typeof fetch;
  }): Promise<unknown>;
  commit(options: {
    repo: { readonly type: "model"; readonly name: string };
    title: string;
    operations: readonly { readonly operation: string; readonly path: string; readonly content: Blob }[];
    useXet: boolean;
    hubUrl: string;
    fetch: typeof fetch;
  }): Promise<{ readonly commit: { readonly oid: string } } | undefined>;
}

/**
 * Loads it.
 *
 * @throws OneloraError where it is neither in Deno's cache nor in reach
 */
export async function loadClient(): Promise<Client> {
  try {
    // Not a literal at the point of import: only users of the hub need it.
    const specifier = LIBRARY;
    return await import(specifier);
  } catch (cause) {
    throw new OneloraError({
      attempted: `loading the hub's client ${LIBRARY}`,
      found: (cause as Error).message.split("\n")[0],
      allowed: "an npm registry in reach on first use",
    }, { cause: new NoAnswer("no npm registry", { cause }) });
  }
}
