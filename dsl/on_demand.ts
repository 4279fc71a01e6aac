/**
 * Packages that only some need: fetched when they are first imported, at the exact version that `on_demand.lock` has.
 *
 * @module
 */
import { firstLine, OneloraError } from "./error.ts";

/**
 * Loads a package. Its name is a variable where it is imported, so that nobody who does not need it fetches it.
 *
 * @param specifier Registry, name and version: `npm:NAME@1.2.3`
 * @param cause What the error has as its cause, made of what went wrong (default: that itself)
 * @throws OneloraError if it can neither be fetched nor is in Deno's cache
 */
export async function onDemand<Library>(
  specifier: string,
  cause: (error: unknown) => unknown = (error) => error,
): Promise<Library> {
  try {
    return await import(specifier);
  } catch (error) {
    const allowed = "an npm registry in reach on first use; later uses need no network";
    const problem = { attempted: `loading ${specifier}`, found: firstLine(error), allowed };
    throw new OneloraError(problem, { cause: cause(error) });
  }
}
