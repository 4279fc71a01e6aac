/**
 * Answers a browser with the files of a page: whole or by ranges, and with what lets a page's threads share memory.
 *
 * @module
 */
import type { Site } from "./site.ts";

const TYPES: Readonly<Record<string, string>> = {
  html: "text/html; charset=utf-8",
  css: "text/css; charset=utf-8",
  js: "text/javascript; charset=utf-8",
  json: "application/json",
  wasm: "application/wasm",
};

/** What every answer has: isolation from other origins, and code and data of this one alone. */
export const HEADERS: Readonly<Record<string, string>> = {
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-embedder-policy": "require-corp",
  "cross-origin-resource-policy": "same-origin",
  "content-security-policy":
    "default-src 'self'; script-src 'self' 'wasm-unsafe-eval' blob:; worker-src 'self' blob:; " +
    "img-src 'self' data: blob:; style-src 'self' 'unsafe-inline'",
  "x-content-type-options": "nosniff",
  "cache-control": "no-cache",
  "accept-ranges": "bytes",
};

/** First and last byte of a range that was asked for; undefined for what is no range of the file. */
function rangeOf(header: string, size: number): readonly [number, number] | undefined {
  const [, from = "", to = ""] = /^bytes=(\d*)-(\d*)$/.exec(header) ?? [];
  if (from === "" && to === "") return undefined;
  const begin = from === "" ? Math.max(0, size - Number(to)) : Number(from);
  const end = from === "" || to === "" ? size - 1 : Math.min(size - 1, Number(to));
  return begin <= end ? [begin, end] : undefined;
}

/**
 * What answers requests with files.
 *
 * @param site The files
 */
export function answering(site: Site): (request: Request) => Response {
  return ({ method, url, headers }) => {
    if (method !== "GET" && method !== "HEAD") return new Response(null, { status: 405, headers: HEADERS });
    const path = decodeURIComponent(new URL(url).pathname.slice(1)) || "index.html";
    const bytes = site.get(path);
    if (bytes === undefined) return new Response("no such file\n", { status: 404, headers: HEADERS });
    const type = TYPES[path.slice(path.lastIndexOf(".") + 1)] ?? "application/octet-stream";
    const answer = (status: number, body: Uint8Array<ArrayBuffer>, more: Readonly<Record<string, string>> = {}) =>
      new Response(method === "HEAD" ? null : body, {
        status,
        headers: { ...HEADERS, "content-type": type, "content-length": `${body.length}`, ...more },
      });
    const asked = headers.get("range");
    if (asked === null) return answer(200, bytes);
    const range = rangeOf(asked, bytes.length);
    if (range === undefined) {
      return new Response(null, { status: 416, headers: { ...HEADERS, "content-range": `bytes */${bytes.length}` } });
    }
    const [begin, end] = range;
    return answer(206, bytes.subarray(begin, end + 1), { "content-range": `bytes ${begin}-${end}/${bytes.length}` });
  };
}
