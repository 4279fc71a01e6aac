/**
 * The state dict in what a file holds.
 *
 * @module
 */
import { OneloraError } from "../../../dsl/error.ts";
import { show } from "../../../dsl/files/json.ts";
import { isKind, type StoredTensor, type Value } from "./value.ts";

/** Tensors by name. */
export interface StateDict {
  /** Tensors by name. */
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  /** The entry of the file that they are, where it has several. */
  readonly part?: string;
}

/**
 * What training code calls the weights among other things that it saves, the best first: the moving average of the weights
 * is what DiT's own code evaluates.
 */
const PARTS: readonly string[] = ["ema", "model_ema", "model", "state_dict", "model_state_dict", "module", "net"];

/** What DataParallel puts before every name. */
const WRAPPER = "module.";

/** Whether a value is a dict with tensors in it; one that is there many times is looked through once. */
function tensorDicts(): (value: Value | undefined) => value is Map<Value, Value> {
  const known = new Map<Value, boolean>();
  return (value): value is Map<Value, Value> => {
    if (!(value instanceof Map)) return false;
    const holds = known.get(value) ?? value.values().some((each) => isKind(each, "tensor"));
    known.set(value, holds);
    return holds;
  };
}

/**
 * The tensors of a saved value: a dict of them, or the best entry of a dict that holds such dicts.
 *
 * @param value The value
 * @param attempted What is being read, for error lines
 * @throws OneloraError if there is none, or no telling which
 */
export function stateIn(value: Value, attempted: string): StateDict {
  const allowed = `tensors by name, alone or under one of ${PARTS.join(", ")}`;
  if (!(value instanceof Map)) throw new OneloraError({ attempted, found: "no dict", allowed });
  const holdsTensors = tensorDicts();
  const entries = [...value].filter(([, each]) => holdsTensors(each)).map(([name]) => name);
  const part = holdsTensors(value)
    ? undefined
    : PARTS.find((name) => entries.includes(name)) ?? (entries.length === 1 ? entries[0] : null);
  if (part === null || (part !== undefined && typeof part !== "string")) {
    const names = show([...value.keys()].filter((name) => typeof name === "string").slice(0, 20));
    throw new OneloraError({ attempted, found: `a dict of ${value.size} entries, ${names}`, allowed });
  }
  const found = part === undefined ? value : value.get(part) as Map<Value, Value>;
  const tensors: (readonly [string, StoredTensor])[] = [];
  for (const [name, each] of found) {
    if (!isKind(each, "tensor")) continue;
    if (typeof name !== "string") throw new OneloraError({ attempted, found: "a tensor without a name", allowed });
    tensors.push([name, each]);
  }
  const wrapped = tensors.every(([name]) => name.startsWith(WRAPPER));
  const named = tensors.map(([name, each]) => [wrapped ? name.slice(WRAPPER.length) : name, each] as const);
  return { tensors: new Map(named), part };
}
