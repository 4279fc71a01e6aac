/**
 * A thread that does what hostile files make parsers do.
 *
 * @module
 */
import { OneloraError } from "../../../dsl/error.ts";
import { serveApart } from "../../../dsl/files/apart.ts";

serveApart<string, unknown>((request) => {
  if (request === "loop") { for (;;); }
  if (request === "swell") {
    const held: unknown[] = [];
    for (;;) held.push(new Array(1e6).fill(held.length + 0.5));
  }
  if (request === "refuse") throw new OneloraError({ attempted: "a", found: "b", allowed: "c" }, { exitCode: 2 });
  if (request === "fail") throw new TypeError("a slip");
  if (request === "abandon") {
    Promise.reject(new Error("nobody waits"));
    return new Promise((resolve) => setTimeout(() => resolve("there"), 50));
  }
  return Promise.resolve({ said: request, bytes: Uint8Array.of(1, 2, 3).subarray(1) });
});
