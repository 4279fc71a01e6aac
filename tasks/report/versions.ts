/**
 * What a run was made with.
 *
 * @module
 */
import { version_core } from "@tensorflow/tfjs-core";
import { isPage } from "../../dsl/host.ts";
import manifest from "../../deno.json" with { type: "json" };

/** Versions of a run's software; in a page not those of Deno, which it has not. */
export type SoftwareVersions = Readonly<
  Record<"onelora" | "tfjs", string> & Partial<Record<"deno" | "v8" | "target", string>>
>;

/** Versions of this package and of what it runs on, for a run's `summary.json`. */
export function softwareVersions(): SoftwareVersions {
  const [onelora, tfjs] = [manifest.version, version_core];
  if (isPage()) return { onelora, tfjs };
  const { deno, v8 } = Deno.version;
  return { onelora, deno, v8, tfjs, target: Deno.build.target };
}
