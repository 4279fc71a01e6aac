/**
 * Files to a model's repository on Hugging Face's hub, as one commit.
 *
 * @module
 */
import { builtin } from "../../dsl/host.ts";
import { OneloraError } from "../../dsl/error.ts";
import { parseHubName } from "./name.ts";
import { loadClient } from "./client.ts";
import { fetchOf } from "./repository.ts";
import { type Hub, type HubOptions, settle } from "./settings.ts";

/** A file to send. */
export interface SentFile {
  /** Its path in the repository. */
  readonly path: string;
  /** Its bytes. */
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** A commit to make. */
export interface PushedCommit {
  /** `ORG/NAME`. */
  readonly repository: string;
  /** Its message. */
  readonly title: string;
  /** The files that it adds or replaces; others stay. */
  readonly files: readonly SentFile[];
  /** Whether a repository that is made for it is private (default: as the account has it). */
  readonly isPrivate?: boolean;
}

/** What came of it. */
export interface Pushed {
  /** The commit. */
  readonly commit: string;
  /** The repository's page. */
  readonly page: string;
}

/**
 * A repository's name, checked.
 *
 * @param name `ORG/NAME`, or `hf:ORG/NAME`
 * @throws OneloraError (exit code 2) for anything else
 */
export function repositoryName(name: string): string {
  const bare = name.replace(/^hf:/, "");
  if (/^[\w.-]+\/[\w.-]+$/.test(bare) && parseHubName(`hf:${bare}`) !== undefined) return bare;
  throw new OneloraError({ attempted: "choosing a repository", found: name, allowed: "ORG/NAME" }, { exitCode: 2 });
}

/**
 * What a file is listed as: its path, size and SHA-256.
 *
 * @param file The file
 */
export function listedFile({ path, bytes }: SentFile): string {
  return `${path}  ${bytes.length} bytes  sha256 ${
    builtin("node:crypto").createHash("sha256").update(bytes).digest("hex")
  }`;
}

/**
 * The hub to push to, if there is a token for it.
 *
 * @param options Where it is
 */
export async function writableHub(options: HubOptions): Promise<(Hub & { readonly token: string }) | undefined> {
  const hub = await settle(options);
  return hub.token === undefined ? undefined : { ...hub, token: hub.token };
}

/**
 * Makes a commit, and the repository if it is not there. Large files go to the hub's storage first, as Git LFS does it. Needs
 * `--allow-net`, and `--allow-env` and `--allow-read` for what is not in the options.
 *
 * @param what The commit
 * @param options Where the hub is; a token that may write is needed
 * @throws OneloraError without a token, for refusals, and where there is no answer
 */
export async function push(what: PushedCommit, options: HubOptions = {}): Promise<Pushed> {
  const { repository, title, files, isPrivate } = what;
  const attempted = `pushing to ${repository}`;
  const hub = await writableHub(options);
  if (hub === undefined) {
    const allowed = "HF_TOKEN=TOKEN of an account that may write there, or `hf auth login`";
    throw new OneloraError({ attempted, found: "no token", allowed });
  }
  if (hub.offline) throw new OneloraError({ attempted, found: "HF_HUB_OFFLINE", allowed: "a hub in reach" });
  const { createRepo, commit } = await loadClient();
  const repo = { type: "model", name: repository } as const;
  const common = { repo, hubUrl: hub.endpoint };
  const taken = 409;
  // The client reads a refusal as one: that it is there already is what was wanted.
  const creating: typeof fetch = async (input, init) => {
    const answer = await fetchOf(hub, attempted, [taken])(input, init);
    if (answer.status !== taken) return answer;
    await answer.body?.cancel();
    return Response.json({ url: `${hub.endpoint}/${repository}` });
  };
  await createRepo({
    ...common,
    accessToken: hub.token,
    ...isPrivate && { visibility: "private" },
    fetch: creating,
  });
  const made = await commit({
    ...common,
    title,
    operations: files.map(({ path, bytes }) => ({ operation: "addOrUpdate", path, content: new Blob([bytes]) })),
    useXet: false,
    fetch: fetchOf(hub, attempted),
  });
  if (made === undefined) throw new TypeError("no commit in the hub's answer");
  return { commit: made.commit.oid, page: `${hub.endpoint}/${repository}` };
}
