/**
 * What a run was made with.
 *
 * @module
 */
import { version_core } from "@tensorflow/tfjs-core";
import manifest from "../../deno.json" with { type: "json" };

/** Versions of this package and of what it runs on, for a run's `summary.json`. */
export function softwareVersions(): Readonly<Record<"onelora" | "deno" | "v8" | "tfjs" | "target", string>> {
  const { deno, v8 } = Deno.version;
  return { onelora: manifest.version, deno, v8, tfjs: version_core, target: Deno.build.target };
}
