/**
 * What becomes of each setting of a file beside the weights: honoured, without effect here, or refused by name. Nothing is
 * skipped in silence.
 *
 * The rule for a setting that no table knows: the reference's class does not know it either and ignores it, so it changes no
 * number, and a note names it. Settings of other architectures that would change numbers are in the tables and are refused
 * unless they are off.
 *
 * @module
 */
import { OneloraError } from "../../dsl/error.ts";
import { show } from "../../dsl/files/json.ts";
import { isEqual } from "../../dsl/equal.ts";

/** What becomes of a setting. */
export type Treatment =
  /** Read, and acted on as the reference does. */
  | { readonly kind: "honoured" }
  /** Of no effect on what this package does. */
  | { readonly kind: "no effect"; readonly why: string }
  /** Of no effect at these values; at others a note says what is different here. */
  | { readonly kind: "noted"; readonly values: readonly unknown[]; readonly why: string }
  /** Refused at all but these values, at which it changes nothing. */
  | { readonly kind: "refused"; readonly values: readonly unknown[]; readonly why: string };

/** Settings of one file by name. */
export type Settings = Readonly<Record<string, Treatment>>;

const HONOURED: Treatment = { kind: "honoured" };

/**
 * Settings that are acted on.
 *
 * @param names Their names
 */
export function honoured(...names: readonly string[]): Settings {
  return Object.fromEntries(names.map((name) => [name, HONOURED]));
}

/**
 * Settings without effect here.
 *
 * @param why Why not
 * @param names Their names
 */
export function noEffect(why: string, ...names: readonly string[]): Settings {
  return Object.fromEntries(names.map((name) => [name, { kind: "no effect", why }]));
}

/**
 * Settings that a note names unless they have a usual value.
 *
 * @param why What is different here
 * @param values The usual values; null always is one
 * @param names Their names
 */
export function noted(why: string, values: readonly unknown[], ...names: readonly string[]): Settings {
  return Object.fromEntries(names.map((name) => [name, { kind: "noted", values, why }]));
}

/**
 * Settings that are refused unless they are off.
 *
 * @param why What they would do
 * @param values The values at which they are off; null always is one
 * @param names Their names
 */
export function refused(why: string, values: readonly unknown[], ...names: readonly string[]): Settings {
  return Object.fromEntries(names.map((name) => [name, { kind: "refused", values, why }]));
}

function isAmong(value: unknown, values: readonly unknown[]): boolean {
  return value === null || value === undefined || values.some((each) => isEqual(each, value));
}

/**
 * Checks a file's settings against a table.
 *
 * @param json The settings
 * @param settings The table
 * @param file The file, for the words
 * @param whose What the settings are of, e.g. `a llama`
 * @returns Notes: settings that are not acted on and might be meant
 * @throws OneloraError for a setting that is refused
 */
export function checkSettings(
  json: Readonly<Record<string, unknown>>,
  settings: Settings,
  file: string,
  whose: string,
): readonly string[] {
  const notes: string[] = [];
  const strange: string[] = [];
  for (const [name, value] of Object.entries(json)) {
    const treatment = Object.hasOwn(settings, name) ? settings[name] : undefined;
    switch (treatment?.kind) {
      case undefined:
        // Off in every sense, or the file's own remarks.
        if (!isAmong(value, [false, ""]) && !name.startsWith("_")) strange.push(name);
        break;
      case "noted":
        if (!isAmong(value, treatment.values)) notes.push(`${file}: "${name}" ${show(value)}: ${treatment.why}`);
        break;
      case "refused":
        if (!isAmong(value, treatment.values)) {
          const usual = treatment.values.map(show).join(" or ") || "no such setting";
          throw new OneloraError({
            attempted: `reading "${name}" of ${file}`,
            found: `${show(value)}: ${treatment.why}`,
            allowed: usual,
          });
        }
    }
  }
  if (strange.length > 0) {
    notes.push(`${file}: ${strange.map((name) => `"${name}"`).join(", ")}: no setting of ${whose}, so ignored`);
  }
  return notes;
}
