/**
 * A hub of a few files on this machine: the answers of huggingface.co's interface as far as a download needs them, its large
 * files on a second host as there, and what goes wrong on demand.
 *
 * @module
 */
import { createHash } from "node:crypto";

/** A repository: files by revision. */
export interface Repository {
  /** Commits by branch or tag. */
  readonly branches: Record<string, string>;
  /** Files by commit and path; those of 1 kB and more are large. */
  readonly commits: Readonly<Record<string, Readonly<Record<string, Uint8Array<ArrayBuffer>>>>>;
  /** Whether only `hf_right` may have its files. */
  readonly gated?: boolean;
}

/** What goes wrong with large files. */
export interface Faults {
  /** The connection ends after so many bytes. */
  cutAfter?: number;
  /** One byte is another. */
  corrupt?: boolean;
  /** Ranges are not known. */
  wholeOnly?: boolean;
}

/** A hub that runs. */
export interface HubServer extends AsyncDisposable {
  /** Its address. */
  readonly endpoint: string;
  /** Requests so far: method, path, and the range asked for. */
  readonly requests: string[];
  /** What goes wrong from now on. */
  readonly faults: Faults;
}

const isLarge = (bytes: Uint8Array) => bytes.length >= 1000;
const gitSha1 = (bytes: Uint8Array) => createHash("sha1").update(`blob ${bytes.length}\0`).update(bytes).digest("hex");
const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

function listed(path: string, bytes: Uint8Array): object {
  const file = { type: "file", path, size: bytes.length, oid: gitSha1(bytes) };
  return isLarge(bytes) ? { ...file, lfs: { oid: sha256(bytes), size: bytes.length, pointerSize: 134 } } : file;
}

function refusal(status: number, code: string): Response {
  return Response.json({ error: code }, { status, headers: { "x-error-code": code } });
}

/** Bytes, from the byte that the range begins with. */
function content(request: Request, bytes: Uint8Array<ArrayBuffer>, faults: Faults): Response {
  const from = faults.wholeOnly ? 0 : Number(/^bytes=(\d+)-$/.exec(request.headers.get("range") ?? "")?.[1] ?? 0);
  const sent = bytes.slice(from);
  if (faults.corrupt) sent[sent.length - 1] ^= 1;
  const body = faults.cutAfter === undefined ? sent : new ReadableStream({
    start: (controller) => controller.enqueue(sent.subarray(0, faults.cutAfter)),
    // The second pull comes when the first bytes have gone.
    pull: (controller) => new Promise((done) => setTimeout(() => done(controller.error(new Error("cut"))), 20)),
  });
  const range: Record<string, string> = from > 0
    ? { "content-range": `bytes ${from}-${bytes.length - 1}/${bytes.length}` }
    : {};
  const headers = { "content-length": `${sent.length}`, "content-type": "application/octet-stream", ...range };
  return new Response(body, { status: from > 0 ? 206 : 200, headers });
}

/** Starts a hub. */
export function startHub(repositories: Readonly<Record<string, Repository>>): HubServer {
  const requests: string[] = [];
  const faults: Faults = {};
  const note = (request: Request) => {
    const range = request.headers.get("range");
    const { pathname } = new URL(request.url);
    requests.push(`${request.method} ${pathname}${range === null ? "" : ` ${range}`}`);
  };
  const quiet = {
    hostname: "127.0.0.1",
    port: 0,
    onListen: () => {},
    onError: () => new Response(null, { status: 500 }),
  };
  const large = new Map(
    Object.values(repositories).flatMap(({ commits }) =>
      Object.values(commits).flatMap(Object.values<Uint8Array<ArrayBuffer>>)
    )
      .map((bytes) => [sha256(bytes), bytes]),
  );
  const storage = Deno.serve(quiet, (request) => {
    note(request);
    // As the real storage does with what is meant for the hub alone.
    if (request.headers.has("authorization")) return new Response("signed twice", { status: 400 });
    return content(request, large.get(new URL(request.url).pathname.slice(1))!, faults);
  });
  const hub = Deno.serve(quiet, (request) => {
    note(request);
    const { pathname, searchParams, origin } = new URL(request.url);
    const parts = pathname.slice(1).split("/").map(decodeURIComponent);
    const isInterface = parts[0] === "api";
    const [org, name, kind, revision, ...rest] = isInterface ? parts.slice(2) : parts;
    const repository = repositories[`${org}/${name}`];
    if (repository === undefined) return refusal(401, "RepoNotFound");
    const commit = repository.branches[revision] ?? revision;
    const files = repository.commits[commit];
    if (files === undefined) return refusal(404, "RevisionNotFound");
    if (kind === "revision") return Response.json({ _id: "1", id: `${org}/${name}`, sha: commit });
    if (kind === "tree") {
      // Two pages, as of repositories with a thousand files.
      const all = Object.entries(files).map(([path, bytes]) => listed(path, bytes));
      const half = Math.ceil(all.length / 2);
      if (searchParams.has("cursor")) return Response.json(all.slice(half));
      const next = `<${origin}${pathname}?recursive=true&cursor=2>; rel="next"`;
      return Response.json([{ type: "directory", path: "folder", size: 0, oid: "" }, ...all.slice(0, half)], {
        headers: { link: next },
      });
    }
    const bytes = files[rest.join("/")];
    if (bytes === undefined) return refusal(404, "EntryNotFound");
    if (repository.gated && request.headers.get("authorization") !== "Bearer hf_right") {
      return refusal(request.headers.has("authorization") ? 403 : 401, "GatedRepo");
    }
    const headers = { "x-repo-commit": commit, etag: `"${gitSha1(bytes)}"` };
    if (!isLarge(bytes)) return new Response(bytes, { headers });
    const linked = { "x-linked-etag": `"${sha256(bytes)}"`, "x-linked-size": `${bytes.length}` };
    const location = `http://127.0.0.1:${storage.addr.port}/${sha256(bytes)}`;
    return new Response(null, { status: 302, headers: { ...headers, ...linked, location } });
  });
  return {
    endpoint: `http://127.0.0.1:${hub.addr.port}`,
    requests,
    faults,
    [Symbol.asyncDispose]: async () => {
      await hub.shutdown();
      await storage.shutdown();
    },
  };
}
