/**
 * Fields of the files beside the weights, with one clear line for what cannot be used.
 *
 * @module
 */
import { OneloraError } from "../../dsl/error.ts";
import { show } from "../../dsl/files/json.ts";

/**
 * The error for a setting that cannot be used.
 *
 * @param file The file
 * @param name The setting
 * @param value What it holds
 * @param allowed What it may hold
 */
export function wrongSetting(file: string, name: string, value: unknown, allowed: string): OneloraError {
  return new OneloraError({ attempted: `reading "${name}" of ${file}`, found: show(value), allowed });
}
