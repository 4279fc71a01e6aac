/**
 * `deno task kernels`: compiles dsl/engine/wasm/assembly to dsl/engine/wasm/kernels.wasm.ts. The compiler is fetched on
 * first use.
 *
 * @module
 */

import { fileURLToPath } from "node:url";
import { OneloraError } from "../../dsl/error.ts";
import { writeWhole } from "../../dsl/files/write.ts";
import { attempt } from "../cli/attempt.ts";
import { boolean, main } from "../cli/mod.ts";
import { compileKernels } from "./kernels/compile.ts";
import { sourceDigest } from "./kernels/source.ts";

const path = "dsl/engine/wasm/kernels.wasm.ts";

/** Deflates and encodes. */
async function pack(code: Uint8Array<ArrayBuffer>): Promise<string> {
  const stream = new Blob([code]).stream().pipeThrough(new CompressionStream("deflate-raw"));
  return new Uint8Array(await new Response(stream).arrayBuffer()).toBase64();
}

/** The whole file. */
async function compiled(): Promise<string> {
  const [fused, plain] = [await compileKernels(true), await compileKernels(false)];
  return `/**
 * The folder assembly, compiled by \`deno task kernels\`: WebAssembly, deflated, in base64.
 *
 * @module
 */

/** SHA-256 of what it was compiled from. */
export const source: string = "${await sourceDigest()}";

/** With relaxed SIMD's fused multiply-add; ${fused.length} bytes. */
export const fused: string =
  "${await pack(fused)}";

/** With SIMD only; ${plain.length} bytes. */
export const plain: string =
  "${await pack(plain)}";
`;
}

await main(
  {
    name: "kernels",
    summary: "Compiles the kernels of the wasm backend.",
    flags: { check: boolean({ help: "Only check that the committed ones are what comes out" }) },
  },
  attempt(async ({ options }) => {
    const file = new URL(`../../${path}`, import.meta.url);
    const text = await compiled();
    if (!options.check) await writeWhole(fileURLToPath(file), text);
    else if (text !== await Deno.readTextFile(file)) {
      throw new OneloraError({
        attempted: `checking ${path}`,
        found: "another file than what comes out of the compiler",
        allowed: "the output of `deno task kernels`",
      });
    }
    console.log(`${path}: ${options.check ? "up to date" : "written"}`);
  }),
);
