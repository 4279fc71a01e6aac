/**
 * `adapter_config.json`: what an adapter is and where it sits, in PEFT's words where PEFT has them.
 *
 * @module
 */
import { isObject, type Json } from "../../dsl/files/json.ts";
import { type AnyLayer, walk } from "../../dsl/layer.ts";
import { isLinear, type LinearLayer } from "../../dsl/linear.ts";
import type { ModuleNames, Path } from "../../dsl/tree.ts";
import { placement } from "../adapter.ts";
import type { Method, PeftModules, PeftTarget } from "../method.ts";
import { joinMethods, type LayerGroup, type MethodOptions, methods, parseMethods, specify } from "../spec.ts";
import { type Fields, readFields } from "./fields.ts";
import { type AdapterLayout, layouts, methodsOfWhole, OWN_LAYOUT, type Slot, type WholeLayers } from "./format.ts";
import { patternField, savedPaths, type Target, targetOf, targetsIn } from "./modules.ts";
import { checkSettings } from "./settings.ts";

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
 * Names of layers that are saved whole. PEFT takes all modules whose names end in one of these, in the middle of a segment
 * too ("norm" is also "input_layernorm"), so a name stands whole where its last segment ends another's.
 */
function savedList(model: AnyLayer, names: ModuleNames, whole: ReadonlySet<Path>): readonly string[] {
  const all = [...walk(model)].filter(([path]) => path !== "")
    .flatMap(([path]) => names.toModules(path).map((module) => ({ module, saved: whole.has(path) })));
  const others = all.filter(({ saved }) => !saved).map(({ module }) => module);
  const listed = all.filter(({ saved }) => saved).map(({ module }) =>
    others.some((other) => other.endsWith(last(module))) ? module : last(module)
  );
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
      ...(spec.dropout === undefined ? {} : { dropout: spec.dropout }),
      ...(spec.groups === undefined ? {} : { groups: spec.groups }),
      ...(spec.whole === undefined ? {} : { whole: spec.whole }),
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
  const whole = new Set(found.filter(({ spec }) => spec.adapter === undefined).flatMap(({ owners }) => owners));
  const options = parseMethods(spec.adapter, spec).find((each) => each.name === name)?.options ?? {};
  const isAdapted = ({ params }: AnyLayer) => Object.values(params).some(({ adapter }) => adapter !== undefined);
  const modules: PeftModules = (where) =>
    moduleList(model, names, (layer, path) => isAdapted(layer) && where(layer as LinearLayer, path));
  return {
    base_model_name_or_path: baseModel,
    inference_mode: true,
    modules_to_save: whole.size > 0 ? savedList(model, names, whole) : null,
    peft_type: peft.type,
    target_modules: modules(() => true),
    task_type: null,
    ...peft.fields(options, modules),
    ...patterns(spec, model, names),
  };
}

/** What PEFT says of layers whose rank or alpha is their own. */
function patterns({ groups = [] }: AdapterSpec, model: AnyLayer, names: ModuleNames): Json {
  if (groups.length === 0) return {};
  const layers = [...walk(model)];
  const pattern = (of: (group: LayerGroup) => number | undefined) =>
    Object.fromEntries(
      groups.flatMap((group) => {
        const value = of(group);
        const members = layers.filter(([path, layer]) => isAmong(layer, path, group.target));
        return value === undefined
          ? []
          : members.flatMap(([path]) => names.toModules(path).map((name) => [name, value]));
      }),
    );
  return { alpha_pattern: pattern(({ alpha }) => alpha), rank_pattern: pattern(({ rank }) => rank) };
}

/** Whether a layer is one that `at` takes for a target. */
function isAmong(layer: AnyLayer, path: Path, target: string): boolean {
  return isLinear(layer) ? placement(target)(layer, path) : target.split(",").includes(path);
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

/** The method that PEFT's fields describe. */
function peftMethod(layout: AdapterLayout, fields: Fields, targetOf: PeftTarget): AdapterSpec {
  for (const method of methods) {
    const values = method.peft?.type === layout ? method.peft.values(fields, targetOf) : undefined;
    if (values !== undefined) return specify(method, values);
  }
  throw fields.wrong("peft_type", layouts.join(", "));
}

/** A method's settings where they differ from layer to layer: most layers' own, and groups of others. */
function placed(spec: AdapterSpec, fields: Fields, model: AnyLayer, targets: readonly Target[]): AdapterSpec {
  const rankOf = patternField(fields, "rank_pattern", "positive integers", (n) => Number.isInteger(n) && n > 0);
  const alphaOf = patternField(fields, "alpha_pattern", "positive numbers", (n) => n > 0);
  const settings = ({ rank, alpha }: Pick<AdapterSpec, "rank" | "alpha">) => `${rank} ${alpha}`;
  const all = targets.map((target) => ({
    path: target.path,
    rank: rankOf(target) ?? spec.rank,
    alpha: alphaOf(target) ?? spec.alpha,
  }));
  const groups = [...Map.groupBy(all, settings).values()].map((some) => ({
    target: targetOf(model, some.map(({ path }) => path)),
    rank: some[0].rank,
    alpha: some[0].alpha,
  }));
  const main = groups.find((group) => settings(group) === settings(spec)) ?? groups[0];
  const others = groups.filter((group) => group !== main);
  return { ...spec, ...main, ...(others.length === 0 ? {} : { groups: others }) };
}

/** Layers that PEFT saved whole, as methods and paths; none of them may have an adapter too. */
function savedWhole(fields: Fields, model: AnyLayer, names: ModuleNames, targets: readonly Target[]): WholeLayers {
  const saved = savedPaths(fields, model, names);
  const both = targets.find(({ path }) => saved.has(path));
  if (both !== undefined) {
    throw fields.wrong("modules_to_save", `names that no adapted module ends with, as ${both.modules[0]} does`);
  }
  return methodsOfWhole(model, saved);
}

/** Further groups of layers in this package's own layout. */
function ownGroups({ json, wrong }: Fields): readonly LayerGroup[] | undefined {
  const { groups } = json;
  if (groups === undefined || groups === null) return undefined;
  const isNumber = (value: unknown) => value === undefined || typeof value === "number";
  const isGroup = (value: unknown): value is LayerGroup =>
    isObject(value) && typeof value.target === "string" && isNumber(value.rank) && isNumber(value.alpha);
  if (Array.isArray(groups) && groups.every(isGroup)) return groups;
  throw wrong("groups", "a list of objects with target, rank and alpha");
}

/** Layers trained whole in this package's own layout. */
function ownWhole({ json, wrong }: Fields): readonly Path[] | undefined {
  const { whole } = json;
  if (whole === undefined || whole === null) return undefined;
  if (Array.isArray(whole) && whole.every((path) => typeof path === "string")) return whole;
  throw wrong("whole", "a list of paths");
}

/** This package's own fields. */
function ownMethod(fields: Fields): AdapterSpec {
  if (fields.json.version !== VERSION) throw fields.wrong("version", `${VERSION}`);
  const spec = {
    adapter: fields.string("adapter") ?? "",
    rank: fields.number("rank"),
    alpha: fields.number("alpha"),
    ...(fields.number("dropout") === undefined ? {} : { dropout: fields.number("dropout") }),
    target: fields.string("target"),
    groups: ownGroups(fields),
    whole: ownWhole(fields),
  };
  parseMethods(spec.adapter, spec);
  return spec;
}

/**
 * Reads what an adapter folder holds and where it goes: `adapt(config.adapter, config)(model)` declares the same. A folder
 * from PEFT gives LoRA, rsLoRA, DoRA, VeRA or (MISS of rank 1) 1LoRA, with `+head`, `+labels` or `+norms` if it saved those
 * whole, `whole` for other layers that it saved, and `groups` where rank or alpha differ from layer to layer.
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
  checkSettings(layout, fields);
  const modulesTarget: PeftTarget = (field) =>
    targetOf(model, targetsIn(fields, model, names, field).map(({ path }) => path));
  const spec = peftMethod(layout, fields, modulesTarget);
  const targets = targetsIn(fields, model, names);
  const { methods: whole, others } = savedWhole(fields, model, names, targets);
  const adapter = joinMethods(spec.adapter, whole);
  const groups = placed({ ...spec, adapter }, fields, model, targets);
  return { ...groups, ...(others.length === 0 ? {} : { whole: others }), layout, baseModel };
}
