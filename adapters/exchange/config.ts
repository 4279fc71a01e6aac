/**
 * `adapter_config.json`: what an adapter is and where it sits, in PEFT's words where PEFT has them.
 *
 * @module
 */
import type { Json } from "../../dsl/files/json.ts";
import { type AnyLayer, walk } from "../../dsl/layer.ts";
import { isLinear, type LinearLayer } from "../../dsl/linear.ts";
import type { Path } from "../../dsl/tree.ts";
import { everyLinear, type Placement, queryKeyValue } from "../adapter.ts";
import type { Method, PeftModules, PeftTarget } from "../method.ts";
import { joinMethods, type MethodOptions, methods, parseMethods, specify } from "../spec.ts";
import { type Fields, readFields } from "./fields.ts";
import { type AdapterLayout, layouts, type ModuleNames, OWN_LAYOUT, type Slot, wholeMethods } from "./format.ts";

/** Methods and their placement, as `adapt(spec.adapter, spec)` takes them. */
export interface AdapterSpec extends MethodOptions {
  /** The methods, e.g. `1lora+norms`. */
  readonly adapter: string;
}

/** What an `adapter_config.json` says. */
export interface AdapterConfig extends AdapterSpec {
  /** `peft_type`. */
  readonly layout: AdapterLayout;
  /** Name or folder of the model it was trained on, if it says so. */
  readonly baseModel?: string;
}

/** Version of what this package adds to PEFT's files. */
export const VERSION = 1;

const last = (name: string): string => name.slice(name.lastIndexOf(".") + 1);

/**
 * Names of some layers: the last segment alone where every layer that ends so is one of them, the whole name elsewhere.
 */
function moduleList(
  model: AnyLayer,
  names: ModuleNames,
  where: (layer: AnyLayer, path: Path) => boolean,
): readonly string[] {
  const named = [...walk(model)].filter(([path]) => path !== "").flatMap(([path, layer]) => {
    const chosen = where(layer, path);
    return names.toModules(path).map((module) => ({ module, chosen }));
  });
  const mixed = new Set(named.filter(({ chosen }) => !chosen).map(({ module }) => last(module)));
  const listed = named.filter(({ chosen }) => chosen)
    .map(({ module }) => mixed.has(last(module)) ? module : last(module));
  return [...new Set(listed)].sort();
}

/**
 * The content of `adapter_config.json`, keys sorted.
 *
 * @param method The method whose format in PEFT the file has; if none, it has this package's own
 * @param spec Methods and placement
 * @param model The adapted model
 * @param found Its slots
 * @param names Its names in Python
 * @param baseModel What to record as the model it was trained on
 */
export function formatConfig(
  method: Method | undefined,
  spec: AdapterSpec,
  model: AnyLayer,
  found: readonly Slot[],
  names: ModuleNames,
  baseModel: string,
): Json {
  const content = method?.peft === undefined
    ? {
      adapter: spec.adapter,
      alpha: spec.alpha ?? null,
      base_model_name_or_path: baseModel,
      peft_type: OWN_LAYOUT,
      rank: spec.rank ?? null,
      target: spec.target ?? null,
      version: VERSION,
    }
    : peftContent(method, method.peft, spec, model, found, names, baseModel);
  return Object.fromEntries(Object.entries(content).sort(([a], [b]) => a < b ? -1 : 1));
}

function peftContent(
  { name }: Method,
  peft: NonNullable<Method["peft"]>,
  spec: AdapterSpec,
  model: AnyLayer,
  found: readonly Slot[],
  names: ModuleNames,
  baseModel: string,
): Json {
  const whole = new Set(found.filter(({ spec }) => spec.adapter === undefined).map(({ owner }) => owner));
  const options = parseMethods(spec.adapter, spec).find((each) => each.name === name)?.options ?? {};
  const modules: PeftModules = (where) =>
    moduleList(model, names, (layer, path) => isLinear(layer) && layer.adapters.length > 0 && where(layer, path));
  return {
    base_model_name_or_path: baseModel,
    inference_mode: true,
    modules_to_save: whole.size > 0 ? moduleList(model, names, (_, path) => whole.has(path)) : null,
    peft_type: peft.type,
    target_modules: modules(() => true),
    task_type: null,
    ...peft.fields(options, modules),
  };
}

function layoutField({ json, wrong }: Fields): AdapterLayout {
  const layout = layouts.find((each) => each === json.peft_type);
  if (layout === undefined) throw wrong("peft_type", layouts.join(", "));
  return layout;
}

/**
 * The layout that a folder's `adapter_config.json` names.
 *
 * @param folder The adapter's folder
 */
export async function readLayout(folder: string): Promise<AdapterLayout> {
  return layoutField(await readFields(folder));
}

/** PEFT's fields that would change what the adapter computes in a way that this package does not know. */
const UNSUPPORTED = [
  "alora_invocation_tokens",
  "alpha_pattern",
  "arrow_config",
  "bias",
  "fan_in_fan_out",
  "kasa_config",
  "layer_replication",
  "layers_to_transform",
  "lora_bias",
  "monteclora_config",
  "rank_pattern",
  "target_parameters",
  "trainable_token_indices",
  "use_bdlora",
  "use_qalora",
];

/** Initialisations that leave the base weights as they are; others (PiSSA, OLoRA, LoftQ, bat, ...) change the model too. */
const INITIALISATIONS: readonly unknown[] = [undefined, null, true, false, "gaussian", "orthogonal", "eva"];

function isOff(value: unknown): boolean {
  return value === undefined || value === null || value === false || value === "none" ||
    (typeof value === "object" && Object.keys(value).length === 0);
}

function nameList({ json, wrong }: Fields, field: string): readonly string[] {
  const value = json[field] ?? [];
  if (Array.isArray(value) && value.every((each) => typeof each === "string")) return value;
  throw wrong(field, "a list of module names");
}

/** A list of names (each meets itself and what ends in `.name`) or a regular expression that the whole name must meet. */
function moduleMatcher(fields: Fields, field: string): (module: string) => boolean {
  const value = fields.json[field];
  if (typeof value === "string") {
    try {
      const expression = new RegExp(`^(?:${value})$`);
      return (module) => expression.test(module);
    } catch {
      throw fields.wrong(field, "a regular expression or a list of module names");
    }
  }
  const names = nameList(fields, field);
  return (module) => names.some((name) => module === name || module.endsWith(`.${name}`));
}

/** Whether a module is, or lies in, one that PEFT saves whole; such a one never carries an adapter. */
function savedWhole(fields: Fields): (module: string) => boolean {
  const saved = nameList(fields, "modules_to_save");
  return (module) => saved.some((name) => `.${module}.`.includes(`.${name}.`));
}

/** The methods that train what PEFT saved whole. */
function methodsOfSaved(fields: Fields, model: AnyLayer, names: ModuleNames): readonly string[] {
  if (isOff(fields.json.modules_to_save)) return [];
  const isSaved = savedWhole(fields);
  const saved = [...walk(model)].filter(([path]) => names.toModules(path).some(isSaved));
  const whole = wholeMethods.filter(({ savedWhole }) => saved.some(([, layer]) => savedWhole?.(layer)));
  if (whole.length === 0) throw fields.wrong("modules_to_save", "the head or the label table");
  return whole.map(({ name }) => name);
}

/** PEFT's target as one of this package's: by name where a named placement means the same layers, else by their paths. */
function target(fields: Fields, model: AnyLayer, names: ModuleNames, field = "target_modules"): string {
  const isTarget = fields.json[field] === "all-linear"
    ? (_module: string, layer: LinearLayer) => everyLinear(layer)
    : moduleMatcher(fields, field);
  const isExcluded = moduleMatcher(fields, "exclude_modules");
  const isSaved = savedWhole(fields);
  const linears = [...walk(model)].flatMap(([path, layer]) => isLinear(layer) ? [[path, layer] as const] : []);
  const pick = (where: Placement): readonly Path[] =>
    linears.filter(([path, layer]) => where(layer, path)).map(([path]) => path);
  const chosen = pick((layer, path) => {
    const modules = names.toModules(path);
    return modules.some((module) => isTarget(module, layer)) &&
      !modules.some((module) => isExcluded(module) || isSaved(module));
  });
  if (chosen.length === 0) {
    const examples = linears.slice(0, 6).map(([path]) => names.toModules(path)[0]);
    throw fields.wrong(field, `names of linear layers, e.g. ${examples.join(", ")}`);
  }
  if (`${chosen}` === `${pick(everyLinear)}`) return "all-linear";
  return `${chosen}` === `${pick(queryKeyValue)}` ? "qkv" : chosen.join(",");
}

/** The method that PEFT's fields describe. */
function peftMethod(layout: AdapterLayout, fields: Fields, targetOf: PeftTarget): AdapterSpec {
  const unsupported = UNSUPPORTED.find((name) => !isOff(fields.json[name]));
  if (unsupported !== undefined) throw fields.wrong(unsupported, "that field switched off");
  for (const name of ["init_lora_weights", "init_weights"]) {
    if (!INITIALISATIONS.includes(fields.json[name])) throw fields.wrong(name, INITIALISATIONS.slice(2).join(", "));
  }
  for (const method of methods) {
    const values = method.peft?.type === layout ? method.peft.values(fields, targetOf) : undefined;
    if (values !== undefined) return specify(method, values);
  }
  throw fields.wrong("peft_type", layouts.join(", "));
}

/** This package's own fields. */
function ownMethod(fields: Fields): AdapterSpec {
  if (fields.json.version !== VERSION) throw fields.wrong("version", `${VERSION}`);
  const spec = {
    adapter: fields.string("adapter") ?? "",
    rank: fields.number("rank"),
    alpha: fields.number("alpha"),
    target: fields.string("target"),
  };
  parseMethods(spec.adapter, spec);
  return spec;
}

/**
 * Reads what an adapter folder holds and where it goes: `adapt(config.adapter, config)(model)` declares the same. A folder
 * from PEFT gives LoRA, rsLoRA, DoRA, VeRA or (MISS of rank 1) 1LoRA, with `+head` or `+labels` if it saved those whole.
 *
 * Format: huggingface.co/docs/peft, "checkpoint format". Needs `--allow-read`.
 *
 * @param folder The adapter's folder
 * @param model The model before it is adapted; PEFT's targets are looked up in it
 * @param names The model's names in Python
 * @throws OneloraError for a missing or malformed file, an unknown `peft_type`, targets that do not exist in the model and
 *   settings that this package does not know, each named
 */
export async function readAdapterConfig(folder: string, model: AnyLayer, names: ModuleNames): Promise<AdapterConfig> {
  const fields = await readFields(folder);
  const layout = layoutField(fields);
  const baseModel = fields.string("base_model_name_or_path");
  if (layout === OWN_LAYOUT) return { ...ownMethod(fields), layout, baseModel };
  const spec = peftMethod(layout, fields, (field) => target(fields, model, names, field));
  const adapter = joinMethods(spec.adapter, methodsOfSaved(fields, model, names));
  return { ...spec, adapter, target: target(fields, model, names), layout, baseModel };
}
