/**
 * Which engines a test can run on.
 *
 * @module
 */
import { type BackendName, useBackend } from "../../dsl/engine/mod.ts";

/** The engines among those named that work on this machine. */
export async function available(...names: readonly BackendName[]): Promise<BackendName[]> {
  const found: BackendName[] = [];
  for (const name of names) if (await useBackend(name).then(() => true, () => false)) found.push(name);
  return found;
}
