/**
 * What this process may do, asked without asking the user.
 *
 * @module
 */

/**
 * Whether something is permitted already.
 *
 * @param permission What
 */
export function isGranted(permission: Deno.PermissionDescriptor): boolean {
  return Deno.permissions.querySync(permission).state === "granted";
}

/**
 * A variable of the environment; nothing where it may not be read.
 *
 * @param name Its name
 */
export function grantedVariable(name: string): string | undefined {
  return isGranted({ name: "env", variable: name }) ? Deno.env.get(name) : undefined;
}
