/**
 * Names of tensors as they are without what Python's wrappers put into them.
 *
 * @module
 */

/** What torch.compile, DataParallel, FSDP and checkpointing call what they wrap. */
const WRAPPERS: readonly string[] = ["_orig_mod", "module", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"];

/**
 * A tensor's name without the names of wrappers, wherever they stand.
 *
 * @param name E.g. `_orig_mod.model.layers.0.module.weight`
 */
export function unwrapped(name: string): string {
  return name.split(".").filter((segment) => !WRAPPERS.includes(segment)).join(".");
}
