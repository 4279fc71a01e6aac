/**
 * Fields of `adapter_config.json`, each checked as it is read.
 *
 * @module
 */
import { OneloraError } from "../../dsl/error.ts";
import { type Json, show } from "../../dsl/files/json.ts";
import { readJsonFile } from "../../dsl/files/python_json.ts";

/** A configuration file being read: its fields, each checked on the way out. */
export interface Fields {
  /** All of them. */
  readonly json: Json;
  /** The error for a field that cannot be used. */
  wrong(name: string, allowed: string): OneloraError;
  /** Text, if the field is there. */
  string(name: string): string | undefined;
  /** A number, if the field is there. */
  number(name: string): number | undefined;
  /** Whether the field is there and true. */
  flag(name: string): boolean;
}

/**
 * PEFT's `r`.
 *
 * @param fields The file's
 * @throws OneloraError if it is not a positive integer
 */
export function peftRank(fields: Fields): number {
  const rank = fields.number("r");
  if (rank === undefined || !Number.isInteger(rank) || rank < 1) throw fields.wrong("r", "a positive integer");
  return rank;
}

/**
 * Opens a folder's `adapter_config.json`.
 *
 * @param folder The adapter's folder
 */
export async function readFields(folder: string): Promise<Fields> {
  const path = `${folder}/adapter_config.json`;
  const attempted = `reading ${path}`;
  const { json } = await readJsonFile(path);
  const wrong = (name: string, allowed: string) =>
    new OneloraError({ attempted: `${attempted}, field "${name}"`, found: show(json[name]), allowed });
  const optional = <Type>(name: string, type: string): Type | undefined => {
    const value = json[name] ?? undefined;
    if (value !== undefined && typeof value !== type) throw wrong(name, `a ${type}`);
    return value as Type | undefined;
  };
  return {
    json,
    wrong,
    string: (name) => optional<string>(name, "string"),
    number: (name) => optional<number>(name, "number"),
    flag: (name) => optional<boolean>(name, "boolean") ?? false,
  };
}
