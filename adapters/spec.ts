/**
 * Methods by name: `1lora`, `lora:rank=4,alpha=8`, `1lora+norms`, ... as model changes.
 *
 * @module
 */
import { OneloraError, unknownName } from "../dsl/error.ts";
import { type AnyLayer, unfreeze } from "../dsl/layer.ts";
import type { Path } from "../dsl/tree.ts";
import type { Condition, Method, ModelChange, SettingValue, SettingValues } from "./method.ts";
import * as described from "./methods.ts";

/** Settings shared by all methods of a specification; a method's own settings (`lora:rank=4`) win. */
export interface MethodOptions {
  /** Rank r of LoRA, DoRA, VeRA (default 1). */
  readonly rank?: number;
  /** LoRA's and DoRA's alpha (default: the rank). */
  readonly alpha?: number;
  /** Share of their inputs that LoRA and DoRA drop out in training steps (default 0). */
  readonly dropout?: number;
  /** Which linear layers (default `all-linear`). */
  readonly target?: string;
  /** Further layers, with settings of their own. */
  readonly groups?: readonly LayerGroup[];
  /** Paths of layers that are trained whole beside the methods. */
  readonly whole?: readonly Path[];
}

/** Some layers and what is different there. */
export interface LayerGroup {
  /** Which layers. */
  readonly target: string;
  /** Rank r there, of methods that have one. */
  readonly rank?: number;
  /** LoRA's and DoRA's alpha there. */
  readonly alpha?: number;
}

/** One method of a specification, resolved. */
export interface ChosenMethod {
  /** Its name. */
  readonly name: string;
  /** Its settings. */
  readonly options: SettingValues;
  /** What it does to a model. */
  readonly change: ModelChange;
}

function isMethod(value: unknown): value is Method {
  return typeof value === "object" && value !== null && "kind" in value && value.kind === "method";
}

/** Every method, by name. */
export const methods: readonly Method[] = Object.values<unknown>(described).filter(isMethod)
  .sort((a, b) => a.name < b.name ? -1 : 1);

/** What a name of a specification stands for: a method, and the settings that an alias has. */
const NAMED: ReadonlyMap<string, readonly [Method, SettingValues]> = new Map(
  methods.flatMap((each) => [
    [each.name, [each, {}]] as const,
    ...Object.entries(each.aliases ?? {}).map(([alias, implied]) => [alias, [each, given(implied)]] as const),
  ]),
);

/** Every name a specification may use. */
export const methodNames: readonly string[] = [...NAMED.keys()];

/** Settings without those that are undefined. */
function given(values: Readonly<Record<string, SettingValue | undefined>>): SettingValues {
  return Object.fromEntries(
    Object.entries(values).flatMap(([name, value]) => value === undefined ? [] : [[name, value]]),
  );
}

/** Every name with its settings, as `--help` shows them: `lora[:rank=N,alpha=X,rslora]`. */
export function methodForms(): readonly string[] {
  return methods.flatMap(({ name, settings, aliases = {} }) => {
    const forms = Object.entries(settings).map(([key, { value }]) => value === undefined ? key : `${key}=${value}`);
    return [forms.length === 0 ? name : `${name}[:${forms.join(",")}]`, ...Object.keys(aliases)];
  });
}

/**
 * Names of the methods that have a setting, aliases left out.
 *
 * @param setting E.g. `rank`
 */
export function methodsWith(setting: string): readonly string[] {
  return methods.filter(({ settings }) => Object.hasOwn(settings, setting)).map(({ name }) => name);
}

/** When a method's setting does something, if not always. */
function conditionOf(name: string, setting: string): Condition<SettingValues> | undefined {
  return NAMED.get(name)?.[0].conditions?.[setting];
}

/** What a setting of a method needs that is not among those that it has, if anything. */
function lacks(name: string, setting: string, values: SettingValues): string | undefined {
  const condition = conditionOf(name, setting);
  return condition?.holds(values) === false ? condition.beside : undefined;
}

/**
 * Whether a setting does something in one of a specification's methods.
 *
 * @param spec See {@linkcode parseMethods}
 * @param setting E.g. `rank`
 * @param value What it is given as
 * @throws OneloraError (exit code 2) for an unknown method
 */
export function heeds(spec: string, setting: string, value: SettingValue): boolean {
  const able = methodsWith(setting);
  return parseMethods(spec).some(({ name, options }) =>
    able.includes(name) && lacks(name, setting, { [setting]: value, ...options }) === undefined
  );
}

/**
 * Refuses settings that do nothing in any of a specification's methods, and those in it that do nothing in theirs.
 *
 * @param spec See {@linkcode parseMethods}
 * @param options Settings that were given beside it
 * @throws OneloraError (exit code 2) for a rank or an alpha without effect
 */
export function refuseIdle(spec: string, options: Pick<MethodOptions, "rank" | "alpha">): void {
  for (const setting of ["rank", "alpha"] as const) {
    const value = options[setting];
    if (value === undefined || heeds(spec, setting, value)) continue;
    const able = methodsWith(setting).map((name) => [name, conditionOf(name, setting)?.beside ?? []].flat().join(":"));
    throw new OneloraError({
      attempted: `setting \`${setting}: ${value}\``,
      found: `adapter "${spec}", which has none`,
      allowed: `a method with one: ${able.join(", ")}`,
    }, { exitCode: 2 });
  }
  for (const { name, options: own } of parseMethods(spec)) {
    for (const [setting, value] of Object.entries(own)) {
      const allowed = lacks(name, setting, own);
      if (allowed === undefined) continue;
      const problem = { attempted: `setting ${setting} of ${name}`, found: `${value}, which does nothing there` };
      throw new OneloraError({ ...problem, allowed: `${allowed} beside it` }, { exitCode: 2 });
    }
  }
}

function readSetting({ name, settings }: Method, key: string, text: string | undefined): SettingValue {
  if (!Object.hasOwn(settings, key)) throw unknownName(`a setting of ${name}`, key, Object.keys(settings));
  const value = settings[key].read(text);
  if (value !== undefined) return value;
  const problem = {
    attempted: `setting ${key} of ${name}`,
    found: `"${text ?? ""}"`,
    allowed: settings[key].allowed,
  };
  throw new OneloraError(problem, { exitCode: 2 });
}

/** `key=value,key` as settings; commas in braces belong to a pattern. */
function readSettings(method: Method, text: string): SettingValues {
  const pairs = text.split(/,(?![^{]*\})/).filter((pair) => pair !== "").map((pair) => {
    const [key, ...value] = pair.split("=");
    return [key, readSetting(method, key, value.length === 0 ? undefined : value.join("="))] as const;
  });
  return Object.fromEntries(pairs);
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
export function parseMethods(spec: string, options: MethodOptions = {}): readonly ChosenMethod[] {
  const { target = "all-linear", groups = [], dropout } = options;
  const places = [{ target, rank: options.rank, alpha: options.alpha }, ...groups];
  const chosen = spec.split("+").map((part) => {
    const [typed, ...rest] = part.trim().split(":");
    const named = NAMED.get(typed);
    if (named === undefined) throw unknownName("adapter", typed, methodNames);
    const [method, implied] = named;
    const typedSettings = readSettings(method, rest.join(":"));
    const changes = places.map((place) => {
      const common = Object.entries(given({ rank: place.rank, alpha: place.alpha, dropout }))
        .filter(([key]) => Object.hasOwn(method.settings, key))
        .map(([key, value]) => [key, readSetting(method, key, `${value}`)] as const);
      const settings = { ...implied, ...Object.fromEntries(common), ...typedSettings };
      return { settings, change: method.build(settings, place.target) };
    });
    const change: ModelChange = (model) => changes.reduce((changed, each) => each.change(changed), model);
    return { name: method.name, options: changes[0].settings, change };
  });
  if ((dropout ?? 0) > 0 && !chosen.some(({ options }) => options.dropout !== undefined)) {
    throw new OneloraError({
      attempted: `setting dropout ${dropout}`,
      found: `adapter "${spec}"`,
      allowed: `a method that drops something out: ${methodsWith("dropout").join(", ")}`,
    }, { exitCode: 2 });
  }
  const twice = chosen.find(({ name }, i) => chosen.findIndex((other) => other.name === name) !== i);
  if (twice !== undefined) {
    throw new OneloraError({
      attempted: `reading adapter "${spec}"`,
      found: `${twice.name} twice`,
      allowed: "each once",
    }, {
      exitCode: 2,
    });
  }
  return chosen;
}

/**
 * The specification of one method with settings; rank, alpha and dropout stay options of all methods.
 *
 * @param method The method
 * @param values Its settings
 *
 * @example
 * ```ts
 * import { loraMethod } from "./lora.ts";
 * import { specify } from "./spec.ts";
 * import { assertEquals } from "@std/assert";
 * assertEquals(specify(loraMethod, { rank: 2, rslora: true }), { adapter: "rslora", rank: 2, alpha: undefined });
 * ```
 */
export function specify(
  { name, aliases = {} }: Method,
  values: Readonly<Record<string, SettingValue | undefined>>,
): MethodOptions & { readonly adapter: string } {
  const { rank, alpha, dropout, ...own } = values;
  const shared = {
    rank: asNumber(rank),
    alpha: asNumber(alpha),
    ...(dropout === undefined ? {} : { dropout: asNumber(dropout) }),
  };
  const settings = given(own);
  const same = (implied: Readonly<Record<string, SettingValue | undefined>>) => {
    const others = given(implied);
    return Object.keys(others).length === Object.keys(settings).length &&
      Object.entries(settings).every(([key, value]) => others[key] === value);
  };
  const alias = Object.keys(settings).length === 0
    ? undefined
    : Object.keys(aliases).find((each) => same(aliases[each]));
  const written = Object.entries(settings).map(([key, value]) => value === true ? key : `${key}=${value}`).join(",");
  return { adapter: alias ?? (written === "" ? name : `${name}:${written}`), ...shared };
}

function asNumber(value: SettingValue | undefined): number | undefined {
  return typeof value === "number" ? value : undefined;
}

/**
 * A specification with more methods, except those that it names already.
 *
 * @param spec As for {@linkcode parseMethods}
 * @param others Names of the methods that belong to it
 *
 * @example
 * ```ts
 * import { joinMethods } from "./spec.ts";
 * import { assertEquals } from "@std/assert";
 * assertEquals(joinMethods("lora:rank=2+head", ["labels", "head"]), "lora:rank=2+head+labels");
 * ```
 */
export function joinMethods(spec: string, others: readonly string[]): string {
  const named = parseMethods(spec).map(({ name }) => name);
  return [spec, ...others.filter((name) => !named.includes(name))].join("+");
}

/**
 * Applies methods by name to a model: `pipe(model, adapt("1lora+norms"))`.
 *
 * @param spec As for {@linkcode parseMethods}
 * @param options Settings for every method that has them
 * @throws OneloraError (exit code 2) for an unknown method, setting or value
 *
 * @example
 * ```ts
 * import { pipe } from "fp-ts/function";
 * import { adapt, parameterCounts } from "@onelora/onelora/adapters";
 * import { linear, serial } from "@onelora/onelora/dsl";
 * import { assertEquals } from "@std/assert";
 *
 * const model = serial({ query: linear(4, 8, { role: "qkv" }), mlp: linear(8, 8) });
 * assertEquals(parameterCounts(pipe(model, adapt("1lora"))).adapter, 8 + 8);
 * assertEquals(parameterCounts(pipe(model, adapt("lora:rank=2", { target: "qkv" }))).adapter, 2 * (4 + 8));
 * ```
 */
export function adapt(spec: string, options: MethodOptions = {}): ModelChange {
  const methods = parseMethods(spec, options);
  const whole = new Set(options.whole);
  const last: ModelChange = whole.size === 0 ? (model) => model : unfreeze((_, path) => whole.has(path));
  return <Model extends AnyLayer>(model: Model) =>
    last(methods.reduce((changed, { change }) => change(changed), model));
}
