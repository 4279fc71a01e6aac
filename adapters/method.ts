/**
 * How a method describes itself: its name, its settings, what it does to a model and how PEFT stores it. Everything that
 * names methods (specifications, `--help`, the exchange with PEFT) derives from the descriptions in `methods.ts`.
 *
 * @module
 */
import type { Json } from "../dsl/files/json.ts";
import type { AnyLayer } from "../dsl/layer.ts";
import type { LinearLayer } from "../dsl/linear.ts";
import type { Path } from "../dsl/tree.ts";
import type { Fields } from "./exchange/fields.ts";

/** A change of a model, data-last for `pipe`. */
export type ModelChange = <Model extends AnyLayer>(model: Model) => Model;

/** What a setting's value can be. */
export type SettingValue = string | number | boolean;

/** A setting of a method: how its text is read, and what it means. */
export interface Setting<Value extends SettingValue = SettingValue> {
  /** What it decides, a few words. */
  readonly help: string;
  /** How its value is written in `--help`, e.g. `N`; a setting without one is written by its name alone. */
  readonly value?: string;
  /** What its text may be, in words. */
  readonly allowed: string;
  /** The value of a text (undefined: the name stood alone), or undefined if that is not allowed. */
  readonly read: (text: string | undefined) => Value | undefined;
}

/** Settings by name. */
export type Settings = Readonly<Record<string, Setting>>;

/** The values of settings, each of its own type; what is not given is absent. */
export type ValuesOf<S extends Settings> = {
  readonly [Name in keyof S]?: S[Name] extends Setting<infer V> ? V : never;
};

/** Values of any method's settings. */
export type SettingValues = Readonly<Record<string, SettingValue>>;

function numeric(text: string | undefined): number | undefined {
  const number = Number(text);
  return text !== undefined && text.trim() !== "" && Number.isFinite(number) && number > 0 ? number : undefined;
}

/**
 * A setting that takes a positive whole number.
 *
 * @param help What it decides
 */
export function wholeNumber(help: string): Setting<number> {
  const read = (text: string | undefined) => Number.isInteger(numeric(text)) ? numeric(text) : undefined;
  return { help, value: "N", allowed: "a positive integer", read };
}

/**
 * A setting that takes a positive number.
 *
 * @param help What it decides
 */
export function positiveNumber(help: string): Setting<number> {
  return { help, value: "X", allowed: "a positive number", read: numeric };
}

/**
 * A setting that takes a number from 0 to below 1.
 *
 * @param help What it decides
 */
export function share(help: string): Setting<number> {
  const read = (text: string | undefined) => {
    const number = text === undefined || text.trim() === "" ? NaN : Number(text);
    return number >= 0 && number < 1 ? number : undefined;
  };
  return { help, value: "X", allowed: "a number at least 0 and below 1", read };
}

/**
 * A setting that is on where its name stands alone.
 *
 * @param help What it switches on
 */
export function flag(help: string): Setting<boolean> {
  const read = (text = "true") => text === "true" ? true : text === "false" ? false : undefined;
  return { help, allowed: "true, false", read };
}

/**
 * A setting that takes one of some names.
 *
 * @param names The names
 * @param help What it decides
 */
export function oneOf<const Names extends readonly string[]>(names: Names, help: string): Setting<Names[number]> {
  const read = (text: string | undefined) => names.find((name) => name === text);
  return { help, value: names.join("|"), allowed: names.join(", "), read };
}

/**
 * A setting that takes a path pattern; alternatives stand in braces, `{query,value}`.
 *
 * @param help Which layers it picks
 */
export function pattern(help: string): Setting<string> {
  const read = (text: string | undefined) => text === undefined || text === "" ? undefined : text;
  return { help, value: "PATTERN", allowed: "a path pattern", read };
}

/** Linear layers of an adapted model, as PEFT's configuration lists modules. */
export type PeftModules = (where: (layer: LinearLayer, path: Path) => boolean) => readonly string[];

/** The target, as `at` takes it, that a field's list or regular expression of modules means. */
export type PeftTarget = (field: string) => string;

/** A parameter as PEFT stores it. */
export interface PeftTensor {
  /** Its key below its module. */
  readonly key: string;
  /** Its dimensions in the file, where they differ from its own. */
  readonly shape?: (shape: readonly number[]) => readonly number[];
}

/** How Hugging Face PEFT stores a method. */
export interface PeftFormat<Values> {
  /** `peft_type`. */
  readonly type: string;
  /** Every parameter that PEFT knows by its own name; a layer with any other is not stored in this format. */
  readonly tensors: Readonly<Record<string, PeftTensor>>;
  /** The parameter that is LoRA's B of rank 1, if the method is LoRA with an A of ones. */
  readonly loraB?: string;
  /** The fields of `adapter_config.json` that belong to the method. */
  fields(values: Values, modules: PeftModules): Json;
  /**
   * The settings that a file's fields say, or undefined if they describe another method of the same type.
   *
   * @throws OneloraError for a field that means nothing here
   */
  values(fields: Fields, target: PeftTarget): Values | undefined;
}

/** When a setting does something. */
export interface Condition<Values> {
  /** What it needs, as it is written in a specification, e.g. `size=reference`. */
  readonly beside: string;
  /** Whether it does something among these. */
  holds(values: Values): boolean;
}

/** A method, described. */
export interface MethodDescription<S extends Settings> {
  /** Its name in specifications. */
  readonly name: string;
  /** What it computes or trains, one line. */
  readonly summary: string;
  /** Other names, each with the settings it stands for. */
  readonly aliases?: Readonly<Record<string, ValuesOf<S>>>;
  /** Its settings by name. */
  readonly settings: S;
  /**
   * Settings that do something only beside certain others.
   *
   * @internal
   */
  readonly conditions?: { readonly [Name in keyof S]?: Condition<ValuesOf<S>> };
  /** What it does to a model's linear layers at `target`, or to the model. */
  build(values: ValuesOf<S>, target: string): ModelChange;
  /** Whether what it adds to a layer is linear in what it trains, so that adapters of it are weighted by their parameters. */
  readonly isLinear?: true;
  /** How PEFT stores it, if PEFT has it. */
  readonly peft?: PeftFormat<ValuesOf<S>>;
  /** The layers that it trains whole and that PEFT saves as `modules_to_save`. */
  readonly savedWhole?: (layer: AnyLayer) => boolean;
}

/** A method, described; whatever its settings. */
export interface Method extends MethodDescription<Settings> {
  /** What tells it from everything else that a file exports. */
  readonly kind: "method";
}

/**
 * Describes a method.
 *
 * @param description Name, settings, what it does
 *
 * @example
 * ```ts
 * import { at, lora, method, wholeNumber } from "@onelora/onelora/adapters";
 * import { assertEquals } from "@std/assert";
 * const described = method({
 *   name: "small",
 *   summary: "LoRA",
 *   settings: { rank: wholeNumber("rank r") },
 *   build: ({ rank }, target) => at(target, lora({ rank })),
 * });
 * assertEquals(described.settings.rank.read("4"), 4);
 * ```
 */
export function method<S extends Settings>(description: MethodDescription<S>): Method {
  return { ...description, kind: "method" };
}
