/**
 * What this process may do, asked without asking the user.
 *
 * @module
 */
import { isPage } from "./host.ts";

/**
 * Whether something is permitted already; nothing is in a page, where there is none of it.
 *
 * @param permission What
 */
export function isGranted(permission: Deno.PermissionDescriptor): boolean {
  return !isPage() && Deno.permissions.querySync(permission).state === "granted";
}

/**
 * A variable of the environment; nothing where it may not be read.
 *
 * @param name Its name
 */
export function grantedVariable(name: string): string | undefined {
  return isGranted({ name: "env", variable: name }) ? Deno.env.get(name) : undefined;
}
