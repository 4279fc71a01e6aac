/**
 * Hugging Face's client: it knows the addresses, pages and uploads of the hub's interface.
 *
 * @module
 */
import { onDemand } from "../../dsl/on_demand.ts";
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
export function loadClient(): Promise<Client> {
  // Without it, what is in the hub's cache still is.
  return onDemand<Client>(LIBRARY, (cause) => new NoAnswer("no npm registry", { cause }));
}
