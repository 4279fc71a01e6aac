/**
 * What a sweep consists of: a cell for every method, learning rate and seed.
 *
 * @module
 */
import { parseMethods } from "../../../adapters/mod.ts";
import { NO_METHOD } from "../../../tasks/trainer/method.ts";
import { usage } from "../../cli/options.ts";

/** One training run of a sweep. */
export interface Cell {
  /** Name of its folder. */
  readonly name: string;
  /** Its method as written: `lora@qkv`. */
  readonly method: string;
  /** The method: `lora`. */
  readonly adapter: string;
  /** Which linear layers, where the method says so: `qkv`. */
  readonly target?: string;
  /** Learning rate; undefined for the recipe's. */
  readonly rate?: number;
  /** Seed. */
  readonly seed: number;
  /** Whether only examples held out judge it: it is there to find a rate. */
  readonly testing?: false;
}

/**
 * Methods separated by commas. A comma followed by `name=` belongs to a method's settings: `lora:rank=4,alpha=8,1lora`
 * are two. `@` places a method: `lora@qkv`.
 *
 * @param written The list
 * @throws OneloraError (exit code 2) for an unknown method or one that is there twice
 */
export function readMethods(written: string): readonly string[] {
  const methods = written.split(/,(?!\s*[a-z]+=)/).map((method) => method.trim());
  for (const method of methods) {
    const { adapter, target } = placed(method);
    if (adapter !== NO_METHOD) parseMethods(adapter, { target });
  }
  return once("--adapters", methods);
}

/**
 * A method and where it goes.
 *
 * @param method As written: `lora@qkv`
 */
export function placed(method: string): { readonly adapter: string; readonly target?: string } {
  const [adapter, ...target] = method.split("@");
  return target.length === 0 ? { adapter } : { adapter, target: target.join("@") };
}

/**
 * Numbers separated by commas.
 *
 * @param flag The flag, for errors
 * @param written The list
 * @param isAllowed What each has to be
 * @param allowed The same in words
 * @throws OneloraError (exit code 2) for anything else, or a number that is there twice
 */
export function readNumbers(
  flag: string,
  written: string,
  isAllowed: (value: number) => boolean,
  allowed: string,
): readonly number[] {
  return once(
    flag,
    written.split(",").map((each) => {
      const value = each.trim() === "" ? NaN : Number(each);
      if (!isAllowed(value)) throw usage(`reading ${flag}`, `"${each}"`, allowed);
      return value;
    }),
  );
}

function once<Value>(flag: string, values: readonly Value[]): readonly Value[] {
  const twice = values.find((value, i) => values.indexOf(value) !== i);
  if (twice !== undefined) throw usage(`reading ${flag}`, `${twice} twice`, "each once");
  return values;
}

/** What is to be compared. */
export interface Grid {
  /** Methods. */
  readonly methods: readonly string[];
  /** Seeds. */
  readonly seeds: readonly number[];
  /** Learning rates of a method; none for the recipe's. */
  readonly rates: (method: string) => readonly number[];
}

/**
 * All cells of a sweep: every method with the first seed, then with the next, so that an unfinished sweep compares too.
 *
 * @param grid Methods, seeds, learning rates
 *
 * A rate means nothing to the unadapted model, which has one cell for each seed.
 */
export function planCells({ methods, seeds, rates }: Grid): readonly Cell[] {
  return seeds.flatMap((seed) =>
    methods.flatMap((method) => {
      const tried = method === NO_METHOD ? [] : rates(method);
      return (tried.length === 0 ? [undefined] : tried).map((rate) => {
        const parts = [method, ...(rate === undefined ? [] : [`lr${rate}`]), `seed${seed}`];
        return { name: parts.join("-").replace(/[^\w.+=@-]+/g, "-"), method, ...placed(method), rate, seed };
      });
    })
  );
}
