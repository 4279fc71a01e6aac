/**
 * A repository on the hub and in the cache, whose layout is that of Hugging Face's own tools: what they have downloaded is
 * found here, what is downloaded here is found by them, and what two revisions share is there once. One file is added, the
 * list of a commit's files, so that a commit in the cache needs no network.
 *
 * @module
 */
import { OneloraError } from "../../dsl/error.ts";
import { guarded } from "../../dsl/files/file.ts";
import { dirname } from "../../dsl/files/path.ts";
import { writeWhole } from "../../dsl/files/write.ts";
import { type Listed, loadClient } from "./client.ts";
import { type HubName, hubName, isCommit, staysBelow } from "./name.ts";
import { NoAnswer, request } from "./request.ts";
import type { Hub } from "./settings.ts";
import { type HubFile, isThere, transfer } from "./transfer.ts";

/** The folder of a repository in the cache. */
function folderOf(hub: Hub, { repository }: Pick<HubName, "repository">): string {
  return `${hub.cache}/models--${repository.replace("/", "--")}`;
}

/**
 * Where a path of a repository lies in the cache.
 *
 * @param hub Where the cache is
 * @param name The repository, a commit and a path
 */
export function snapshotOf(hub: Hub, name: HubName): string {
  return `${folderOf(hub, name)}/snapshots/${name.revision}${name.path === "" ? "" : `/${name.path}`}`;
}

/** Puts a small text where it appears whole or not at all. */
async function keep(path: string, text: string): Promise<void> {
  await guarded(`writing ${path}`, "a cache that can be written", async () => {
    await Deno.mkdir(dirname(path), { recursive: true });
    await writeWhole(path, text);
  });
}

/**
 * The `fetch` that the client uses: refusals are said here, in this package's words.
 *
 * @param hub Where the hub is
 * @param attempted What this is for
 * @param accepted Statuses that are answers, too
 */
export function fetchOf(hub: Hub, attempted: string, accepted: readonly number[] = []): typeof fetch {
  return (input, init) => request(hub, input instanceof Request ? input.url : `${input}`, attempted, init, accepted);
}

function offline(attempted: string, found: string): OneloraError {
  return new OneloraError({ attempted, found, allowed: "what was downloaded before, or HF_HUB_OFFLINE unset" });
}

/**
 * The commit that a revision stands for: asked of the hub, and taken from the cache where there is no network.
 *
 * @param hub Where the hub is
 * @param name The repository and revision
 */
export async function commitOf(hub: Hub, name: HubName): Promise<string> {
  if (isCommit(name.revision)) return name.revision;
  const attempted = `finding ${hubName({ ...name, path: "" })}`;
  const path = `${folderOf(hub, name)}/refs/${name.revision}`;
  const known = (await Deno.readTextFile(path).catch(() => "")).trim();
  if (hub.offline) {
    if (isCommit(known)) return known;
    throw offline(attempted, `nothing of it in ${hub.cache}`);
  }
  try {
    const { sha = "" } = await (await loadClient()).modelInfo({
      name: name.repository,
      revision: name.revision,
      additionalFields: ["sha"],
      hubUrl: hub.endpoint,
      fetch: fetchOf(hub, attempted),
    });
    if (!isCommit(sha)) throw new TypeError("no commit in the hub's answer");
    if (sha !== known) await keep(path, sha);
    return sha;
  } catch (error) {
    if (!(error instanceof OneloraError)) throw strange(attempted, error);
    if (error.cause instanceof NoAnswer && isCommit(known)) return known;
    throw error;
  }
}

function strange(attempted: string, cause: unknown): OneloraError {
  const found = `an answer that is not the hub's (${(cause as Error).message.split("\n")[0]})`;
  return new OneloraError({ attempted, found, allowed: "HF_ENDPOINT of a hub" }, { cause });
}

/** A listed file, if its path and checksum are what they should be. */
function described({ path, size, oid, lfs }: Listed): readonly HubFile[] {
  const value = lfs?.oid ?? oid ?? "";
  const isDigest = lfs === undefined ? /^[0-9a-f]{40}$/ : /^[0-9a-f]{64}$/;
  const length = lfs?.size ?? size;
  if (!staysBelow(path) || !isDigest.test(value) || !Number.isSafeInteger(length) || length < 0) return [];
  return [{ path, size: length, digest: { algorithm: lfs === undefined ? "git-sha1" : "sha256", value } }];
}

/**
 * The files of a repository at a commit: as kept in the cache, else as the hub says. Undefined where there is no network and
 * Hugging Face's tools, which keep no list, have downloaded the commit.
 *
 * @param hub Where the hub is
 * @param name The repository and commit
 */
export async function filesOf(hub: Hub, name: HubName): Promise<readonly HubFile[] | undefined> {
  const attempted = `listing ${hubName({ ...name, path: "" })}`;
  const path = `${folderOf(hub, name)}/.onelora/${name.revision}.json`;
  const listed: Listed[] = [];
  const kept = await Deno.readTextFile(path).catch(() => undefined);
  try {
    if (kept !== undefined) return (JSON.parse(kept) as readonly Listed[]).flatMap(described);
  } catch { /* asked for again, as if it had not been kept */ }
  const isCached = await Deno.stat(snapshotOf(hub, { ...name, path: "" })).then(() => true, () => false);
  if (hub.offline) {
    if (isCached) return undefined;
    throw offline(attempted, `nothing of it in ${hub.cache}`);
  }
  try {
    const files = (await loadClient()).listFiles({
      repo: name.repository,
      revision: name.revision,
      recursive: true,
      hubUrl: hub.endpoint,
      fetch: fetchOf(hub, attempted),
    });
    for await (const { type, path, size, oid, lfs } of files) {
      if (type === "file") listed.push({ type, path, size, oid, lfs: lfs && { oid: lfs.oid, size: lfs.size } });
    }
  } catch (error) {
    if (!(error instanceof OneloraError)) throw strange(attempted, error);
    if (error.cause instanceof NoAnswer && isCached) return undefined;
    throw error;
  }
  await keep(path, JSON.stringify(listed));
  return listed.flatMap(described);
}

/**
 * Brings a file into the cache, unless it is there, and returns where it is.
 *
 * @param hub Where the hub is
 * @param name The repository and commit
 * @param file The file
 */
export async function bring(hub: Hub, name: HubName, file: HubFile): Promise<string> {
  const pointer = snapshotOf(hub, { ...name, path: file.path });
  if (await isThere(pointer, file.size)) return pointer;
  const folder = folderOf(hub, name);
  const blob = `${folder}/blobs/${file.digest.value}`;
  if (!await isThere(blob, file.size)) {
    if (hub.offline) throw offline(`opening ${hubName({ ...name, path: file.path })}`, `no such file in ${hub.cache}`);
    const path = file.path.split("/").map(encodeURIComponent).join("/");
    const url = `${hub.endpoint}/${name.repository}/resolve/${name.revision}/${path}`;
    const lock = `${hub.cache}/.locks/${folder.slice(hub.cache.length + 1)}/${file.digest.value}.lock`;
    await transfer(hub, url, file, blob, lock);
  }
  await guarded(`writing ${pointer}`, "a cache that can be written", async () => {
    await Deno.mkdir(dirname(pointer), { recursive: true });
    await Deno.remove(pointer).catch(() => undefined);
    const up = "../".repeat(file.path.split("/").length + 1);
    // Where links may not be made, the file itself goes there, as Hugging Face's tools do it.
    await Deno.symlink(`${up}blobs/${file.digest.value}`, pointer).catch(() => Deno.rename(blob, pointer));
  });
  return pointer;
}
