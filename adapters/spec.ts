/**
 * Methods by name: `1lora`, `lora:rank=4,alpha=8`, `1lora+norms`, ... as model changes.
 *
 * @module
 */
import { OneloraError, unknownName } from "../dsl/error.ts";
import type { AnyLayer } from "../dsl/layer.ts";
import { at } from "./adapter.ts";
import { bitfit } from "./bitfit.ts";
import { difffit } from "./difffit.ts";
import { dora } from "./dora.ts";
import { lora } from "./lora.ts";
import { mora1, mora6 } from "./mora.ts";
import { oneLora } from "./one_lora.ts";
import { all, head, labels, type ModelChange, norms } from "./parts.ts";
import { scale } from "./scale.ts";
import { vera } from "./vera.ts";

/** Settings shared by all methods of a specification; a method's own settings (`lora:rank=4`) win. */
export interface MethodOptions {
  /** Rank r of LoRA, DoRA, VeRA (default 1). */
  readonly rank?: number;
  /** LoRA's and DoRA's alpha (default: the rank). */
  readonly alpha?: number;
  /** Which linear layers (default `all-linear`). */
  readonly target?: string;
}

/** One method of a specification, resolved. */
export interface Method {
  /** Its name in {@linkcode methodNames}. */
  readonly name: string;
  /** Its settings. */
  readonly options: Readonly<Record<string, string | number | boolean>>;
  /** What it does to a model. */
  readonly change: ModelChange;
}

type Settings = Readonly<Record<string, string | number | boolean>>;
type Build = (settings: Settings, target: string) => ModelChange;

interface Entry {
  readonly settings: readonly string[];
  readonly build: Build;
}

const onLinears = (make: (settings: Settings) => Parameters<typeof at>[1]): Build => (settings, target) =>
  at(target, make(settings));

const rankAlpha = (settings: Settings) => ({
  rank: settings.rank as number | undefined,
  alpha: settings.alpha as number | undefined,
  rankStabilised: settings.rslora as boolean | undefined,
});
const moraOptions = (settings: Settings) => ({
  rank: settings.rank as number | undefined,
  size: settings.size as "paper" | "reference" | undefined,
});

const METHODS: Readonly<Record<string, Entry>> = {
  "1lora": {
    settings: ["compression"],
    build: onLinears(({ compression }) => oneLora({ compression: compression as "sum" | "random" })),
  },
  lora: { settings: ["rank", "alpha", "rslora"], build: onLinears((settings) => lora(rankAlpha(settings))) },
  dora: { settings: ["rank", "alpha", "rslora"], build: onLinears((settings) => dora(rankAlpha(settings))) },
  vera: { settings: ["rank"], build: onLinears(({ rank }) => vera({ rank: rank as number })) },
  mora1: { settings: ["size", "rank"], build: onLinears((settings) => mora1(moraOptions(settings))) },
  mora6: { settings: ["size", "rank"], build: onLinears((settings) => mora6(moraOptions(settings))) },
  bitfit: { settings: [], build: onLinears(bitfit) },
  difffit: { settings: [], build: (_, target) => difffit(target) },
  bias: { settings: [], build: onLinears(bitfit) },
  scale: { settings: [], build: onLinears(scale) },
  norms: { settings: [], build: () => norms },
  labels: { settings: [], build: () => labels },
  head: { settings: [], build: () => head },
  all: { settings: [], build: () => all },
};

/** Other spellings, each with the settings it stands for. */
const ALIASES: Readonly<Record<string, readonly [name: string, settings: Settings]>> = {
  "1lora-random": ["1lora", { compression: "random" }],
  rslora: ["lora", { rslora: true }],
  diffit: ["difffit", {}],
  full: ["all", {}],
};

const CHOICES: Readonly<Record<string, readonly string[]>> = {
  compression: ["sum", "random"],
  size: ["paper", "reference"],
};

/** Every name a specification may use. */
export const methodNames: readonly string[] = [...Object.keys(METHODS), ...Object.keys(ALIASES)];

function parseSetting(method: string, name: string, value: string | undefined): string | number | boolean {
  const wrong = (allowed: string) =>
    new OneloraError({ attempted: `setting ${name} of ${method}`, found: `"${value ?? ""}"`, allowed }, {
      exitCode: 2,
    });
  if (name === "rslora") return true;
  if (name in CHOICES) {
    if (value === undefined || !CHOICES[name].includes(value)) throw wrong(CHOICES[name].join(", "));
    return value;
  }
  const number = Number(value);
  if (name === "rank" && !(Number.isInteger(number) && number > 0)) throw wrong("a positive integer");
  if (!(Number.isFinite(number) && number > 0)) throw wrong("a positive number");
  return number;
}

/**
 * Parses `method[:setting=value,...][+method...]`.
 *
 * @param spec E.g. `1lora`, `1lora+norms`, `lora:rank=4,alpha=8`, `1lora-random`, `bitfit+norms`
 * @param options Settings for every method that has them
 * @throws OneloraError (exit code 2) for an unknown method, setting or value
 *
 * @example
 * ```ts
 * import { parseMethods } from "@onelora/onelora/adapters";
 * import { assertEquals } from "@std/assert";
 * assertEquals(parseMethods("1lora+norms").map(({ name }) => name), ["1lora", "norms"]);
 * ```
 */
export function parseMethods(spec: string, options: MethodOptions = {}): readonly Method[] {
  const methods = spec.split("+").map((part) => {
    const [typed, ...rest] = part.trim().split(":");
    const [name, implied] = ALIASES[typed] ?? [typed, {}];
    const entry = METHODS[name];
    if (entry === undefined) throw unknownName("adapter", typed, methodNames);
    const written = rest.join(":").split(",").filter((pair) => pair !== "").map((pair) => {
      const [key, value] = pair.split("=");
      if (!entry.settings.includes(key)) throw unknownName(`a setting of ${name}`, key, entry.settings);
      return [key, parseSetting(name, key, value)];
    });
    const shared = Object.entries({ rank: options.rank, alpha: options.alpha })
      .filter(([key, value]) => value !== undefined && entry.settings.includes(key))
      .map(([key, value]) => [key, parseSetting(name, key, String(value))]);
    const settings: Settings = { ...implied, ...Object.fromEntries(shared), ...Object.fromEntries(written) };
    return { name, options: settings, change: entry.build(settings, options.target ?? "all-linear") };
  });
  const twice = methods.find(({ name }, i) => methods.findIndex((other) => other.name === name) !== i);
  if (twice !== undefined) {
    throw new OneloraError({
      attempted: `reading adapter "${spec}"`,
      found: `${twice.name} twice`,
      allowed: "each once",
    }, {
      exitCode: 2,
    });
  }
  return methods;
}

/**
 * A specification with more methods, except those that it names already.
 *
 * @param spec As for {@linkcode parseMethods}
 * @param others Names of the methods that belong to it
 *
 * @example
 * ```ts
 * import { joinMethods } from "@onelora/onelora/adapters";
 * import { assertEquals } from "@std/assert";
 * assertEquals(joinMethods("lora:rank=2+head", ["labels", "head"]), "lora:rank=2+head+labels");
 * ```
 */
export function joinMethods(spec: string, others: readonly string[]): string {
  const named = parseMethods(spec).map(({ name }) => name);
  return [spec, ...others.filter((name) => !named.includes(name))].join("+");
}

/**
 * Applies a specification to a model: `pipe(model, adapt("1lora+norms"))`.
 *
 * @param spec As for {@linkcode parseMethods}
 * @param options Settings for every method that has them
 */
export function adapt(spec: string, options: MethodOptions = {}): ModelChange {
  const methods = parseMethods(spec, options);
  return <Model extends AnyLayer>(model: Model) => methods.reduce((changed, { change }) => change(changed), model);
}
