/**
 * Compiles dsl/engine/wasm/assembly.
 *
 * @module
 */

import { sourceFile } from "./source.ts";

/** The compiler; its 100 MB are fetched on first use and are none of the packages that a checkout needs. */
const COMPILER = "npm:assemblyscript@0.28.20/asc";

/** What is used here of the compiler's interface. */
interface Compiler {
  main(args: readonly string[], files: {
    readFile: (name: string) => Promise<string | null>;
    writeFile: (name: string, contents: string | Uint8Array) => void;
    listFiles: () => readonly string[];
  }): Promise<{ readonly error: Error | null; readonly stderr: { toString(): string } }>;
}

/**
 * Binaryen's passes. Those that move an expression to where it is used are left out: they would nest the matrix
 * product's independent sums into chains that wait for each other.
 */
const passes = [
  "ssa-nomerge",
  "precompute-propagate",
  "dce",
  "vacuum",
  "remove-unused-brs",
  "remove-unused-names",
  "merge-blocks",
  "coalesce-locals",
  "vacuum",
  "reorder-locals",
];

/**
 * The kernels as a WebAssembly module that imports `env.memory`.
 *
 * @param fused Whether to use relaxed SIMD's fused multiply-add
 * @throws when the source does not compile
 */
export async function compileKernels(fused: boolean): Promise<Uint8Array<ArrayBuffer>> {
  const written = new Map<string, Uint8Array<ArrayBuffer>>();
  const features = ["simd", ...(fused ? ["relaxed-simd"] : [])];
  // Not a literal at the point of import, which would put the compiler into the lock file.
  const specifier = COMPILER;
  const { default: asc } = await import(specifier) as { readonly default: Compiler };
  const { error, stderr } = await asc.main([
    "mod.ts",
    ...["--outFile", "kernels.wasm", "--runtime", "stub", "--importMemory", "--noExportMemory", "--noAssert"],
    // What tfjs-wasm starts with; V8 leaves out checks of constant addresses below it.
    ...["--initialMemory", "256", "--maximumMemory", "65536"],
    ...features.flatMap((feature) => ["--enable", feature]),
    ...["--optimizeLevel", "0", "--runPasses", passes.join(",")],
    // "Exchange of v128": these functions are not exported from the module.
    ...["--disableWarning", "112"],
  ], {
    readFile: (name) => sourceFile(name, fused),
    writeFile: (name, contents) => {
      written.set(name, contents as Uint8Array<ArrayBuffer>);
    },
    listFiles: () => [],
  });
  const kernels = written.get("kernels.wasm");
  if (error !== null || kernels === undefined) throw new Error(stderr.toString());
  return kernels;
}
