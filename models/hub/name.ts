/**
 * Names of models on Hugging Face's hub: `hf:ORG/NAME`, then a folder or file in it, then `@` and a branch, tag or commit.
 *
 * @module
 */
import { OneloraError } from "../../dsl/error.ts";

/** What a name says. */
export interface HubName {
  /** `ORG/NAME`. */
  readonly repository: string;
  /** Folder or file in the repository; empty for its root. */
  readonly path: string;
  /** Branch, tag or commit. */
  readonly revision: string;
}

const PREFIX = "hf:";

/** Whether a path stays below where it begins, on any system. */
export function staysBelow(path: string): boolean {
  // deno-lint-ignore no-control-regex
  return path.split("/").every((part) => !/^\.{0,2}$|[\\:\u0000-\u001f]/.test(part));
}

/**
 * Whether a revision is a commit, which never changes, rather than a branch or tag.
 *
 * @param revision The revision
 */
export function isCommit(revision: string): boolean {
  return /^[0-9a-f]{40}$/.test(revision);
}

/**
 * What a name of the hub says, or undefined for other names.
 *
 * @param name The name
 * @throws OneloraError (exit code 2) for `hf:` and no repository's name
 *
 * @example
 * ```ts
 * import { parseHubName } from "@onelora/onelora/models";
 * import { assertEquals } from "@std/assert";
 * assertEquals(parseHubName("hf:facebook/DiT-XL-2-256/transformer@main"), {
 *   repository: "facebook/DiT-XL-2-256",
 *   path: "transformer",
 *   revision: "main",
 * });
 * assertEquals(parseHubName("vit-base"), undefined);
 * ```
 */
export function parseHubName(name: string): HubName | undefined {
  if (!name.startsWith(PREFIX)) return undefined;
  const found = /^([\w.-]+\/[\w.-]+)(?:\/([^@]+))?(?:@(.+))?$/.exec(name.slice(PREFIX.length));
  const [repository, path = "", revision = "main"] = found?.slice(1) ?? [""];
  if ([repository, path || "-", revision].every(staysBelow)) return { repository, path, revision };
  throw new OneloraError({
    attempted: "choosing a model",
    found: name,
    allowed: "hf:ORG/NAME, hf:ORG/NAME/FOLDER or hf:ORG/NAME/FILE, and @REVISION if not main",
  }, { exitCode: 2 });
}

/**
 * The name that says this.
 *
 * @param parts What it says
 */
export function hubName({ repository, path, revision }: HubName): string {
  return `${PREFIX}${repository}${path === "" ? "" : `/${path}`}@${revision}`;
}
