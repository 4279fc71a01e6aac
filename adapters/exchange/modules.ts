/**
 * Which layers PEFT's configurations mean: by name, by regular expression, by index, with exceptions.
 *
 * @module
 */
import { type AnyLayer, walk } from "../../dsl/layer.ts";
import { isLinear } from "../../dsl/linear.ts";
import type { ModuleNames, Path } from "../../dsl/tree.ts";
import { everyLinear, queryKeyValue } from "../adapter.ts";
import type { Fields } from "./fields.ts";
import { type PythonRegex, pythonRegex } from "./regex/match.ts";
import { RegexError } from "./regex/cursor.ts";
import { isOff } from "./settings.ts";

/** What transformers calls the output layer of language models, which PEFT's "all-linear" leaves out. */
const OUTPUT_EMBEDDINGS = "lm_head";
/** What PEFT takes for the head of a classifier. */
const CLASSIFIER_HEADS: readonly string[] = ["classifier", "score"];
/** Kinds of layers besides linear ones that PEFT's LoRA goes on. */
const OTHER_KINDS: readonly string[] = ["embedding", "convolution"];

/** A regular expression of a field. */
function regexOf({ wrong }: Fields, field: string, expression: string): PythonRegex {
  try {
    return pythonRegex(expression);
  } catch (error) {
    if (!(error instanceof RegexError)) throw error;
    throw wrong(
      field,
      `a regular expression of Python's that can be matched without backtracking, not ${error.message}`,
    );
  }
}

function nameList({ json, wrong }: Fields, field: string): readonly string[] {
  const value = json[field] ?? [];
  if (Array.isArray(value) && value.every((each) => typeof each === "string")) return value;
  throw wrong(field, "a list of module names");
}

const endsIn = (module: string) => (name: string): boolean => module.endsWith(`.${name}`);

/** The index of the layer that a module lies in, as PEFT counts: the first number after a layer list's name. */
function layerIndex(fields: Fields): (module: string) => number | undefined {
  const { layers_pattern: given } = fields.json;
  const patterns = isOff(given) || given === ""
    ? ["[^.]*"]
    : typeof given === "string"
    ? [given]
    : nameList(fields, "layers_pattern");
  // PEFT puts them into a longer expression as they are, where an alternative would be one of the whole.
  if (patterns.some((pattern) => pattern.includes("|"))) throw fields.wrong("layers_pattern", "patterns without |");
  const expressions = patterns.map((pattern) => regexOf(fields, "layers_pattern", pattern));
  const anyPattern = isOff(given) || given === "";
  const indexAt = (module: string, regex: PythonRegex, start: number): number | undefined => {
    const found = regex.endsFrom(module, start).flatMap((end) => /^\.(\d+)\./.exec(module.slice(end))?.[1] ?? []);
    if (new Set(found).size > 1) throw fields.wrong("layers_pattern", `a pattern that finds one index in ${module}`);
    return found.length === 0 ? undefined : Number(found[0]);
  };
  return (module) => {
    const dots = [...module].flatMap((character, at) => character === "." ? [at + 1] : []);
    // Without a pattern something stands before the list's name.
    const starts = anyPattern ? dots : [0, ...dots];
    for (const regex of expressions) {
      for (const start of starts) {
        const index = indexAt(module, regex, start);
        if (index !== undefined) return index;
      }
    }
    return undefined;
  };
}

/** Whether a module lies in one of the layers that are to be adapted; everywhere if none are named. */
function inLayers(fields: Fields): (module: string) => boolean {
  const { layers_to_transform: given } = fields.json;
  if (given === undefined || given === null || (Array.isArray(given) && given.length === 0)) {
    if (!isOff(fields.json.layers_pattern)) throw fields.wrong("layers_pattern", "layers_to_transform beside it");
    return () => true;
  }
  if (typeof fields.json.target_modules === "string") {
    throw fields.wrong("layers_to_transform", "nothing beside target_modules that is no list");
  }
  const indices = Array.isArray(given) ? given : [given];
  if (!indices.every((index) => Number.isInteger(index))) {
    throw fields.wrong("layers_to_transform", "indices of layers");
  }
  const indexOf = layerIndex(fields);
  return (module) => {
    const index = indexOf(module);
    return index !== undefined && indices.includes(index);
  };
}

/**
 * A list of names (each means itself and, in the layers that are named, what ends in `.name`) or a regular expression that
 * the whole name must match.
 */
function moduleMatcher(
  fields: Fields,
  field: string,
  within: (module: string) => boolean,
): (module: string) => boolean {
  const value = fields.json[field];
  if (typeof value === "string") return regexOf(fields, field, value).matchesWhole;
  const names = nameList(fields, field);
  return (module) => names.includes(module) || (names.some(endsIn(module)) && within(module));
}

/** Every beginning of a module's name that is a module's name itself. */
function containers(module: string): readonly string[] {
  const segments = module.split(".");
  return segments.map((_, i) => segments.slice(0, i + 1).join("."));
}

/** Layers that PEFT saves whole, containers with all that is in them: their paths. */
export function savedPaths(fields: Fields, model: AnyLayer, names: ModuleNames): ReadonlySet<Path> {
  const saved = nameList(fields, "modules_to_save");
  const isSaved = (module: string) => containers(module).some((each) => saved.some((name) => each.endsWith(name)));
  return new Set(
    [...walk(model)].filter(([path, { params }]) =>
      path !== "" && Object.keys(params).length > 0 && names.toModules(path).some(isSaved)
    ).map(([path]) => path),
  );
}

/** A layer that PEFT adapts. */
export interface Target {
  /** Where it lives. */
  readonly path: Path;
  /** Every name that it has had in Python. */
  readonly modules: readonly string[];
}

/**
 * The layers that a field of targets means.
 *
 * @param fields The file's
 * @param model The model before it is adapted
 * @param names Its names in Python
 * @param field The field
 * @throws OneloraError if there are none, or one is of a kind that PEFT does not adapt
 */
export function targetsIn(
  fields: Fields,
  model: AnyLayer,
  names: ModuleNames,
  field = "target_modules",
): readonly Target[] {
  const value = fields.json[field];
  const isEvery = typeof value === "string" && value.toLowerCase() === "all-linear";
  const heads = fields.json.task_type === "SEQ_CLS" ? CLASSIFIER_HEADS : [];
  const within = inLayers(fields);
  const isNamed = isEvery
    ? (module: string) => !heads.includes(module) && module !== OUTPUT_EMBEDDINGS
    : moduleMatcher(fields, field, within);
  const isExcluded = moduleMatcher(fields, "exclude_modules", () => true);
  const saved = nameList(fields, "modules_to_save")
    .map((name) => regexOf(fields, "modules_to_save", `(^|.*\\.)${name}($|\\..*)`));
  const layers = [...walk(model)].filter(([path, layer]) =>
    path !== "" && (isEvery ? isLinear(layer) : Object.keys(layer.params).length > 0)
  );
  const found = layers.filter(([path]) => {
    const modules = names.toModules(path);
    return modules.some(isNamed) &&
      !modules.some((module) => isExcluded(module) || saved.some((regex) => regex.matchesStart(module)));
  });
  if (found.length === 0) {
    const examples = layers.filter(([, layer]) => isLinear(layer)).slice(0, 6).map(([path]) =>
      names.toModules(path)[0]
    );
    throw fields.wrong(field, `names of linear layers, e.g. ${examples.join(", ")}`);
  }
  const odd = found.find(([, layer]) => !isLinear(layer) && !OTHER_KINDS.includes(layer.kind));
  if (odd !== undefined) {
    const allowed = `linear layers, embeddings and convolutions: "${names.toModules(odd[0])[0]}" is none`;
    throw fields.wrong(field, allowed);
  }
  return found.map(([path]) => ({ path, modules: names.toModules(path) }));
}

/**
 * Layers as a target of `at`: by name where a named placement means the same, else by their paths.
 *
 * @param model The model before it is adapted
 * @param paths Where they live
 */
export function targetOf(model: AnyLayer, paths: readonly Path[]): string {
  const wanted = `${paths}`;
  const picks = (where: typeof everyLinear) =>
    `${[...walk(model)].flatMap(([path, layer]) => isLinear(layer) && where(layer) ? [path] : [])}` === wanted;
  return picks(everyLinear) ? "all-linear" : picks(queryKeyValue) ? "qkv" : paths.join(",");
}

/**
 * The values that a pattern field has for single layers: of its first expression that matches the end of a layer's name.
 *
 * @param fields The file's
 * @param field `rank_pattern` or `alpha_pattern`
 * @param allowed What its values may be, in words
 * @param isAllowed Whether a value may be
 */
export function patternField(
  fields: Fields,
  field: string,
  allowed: string,
  isAllowed: (value: number) => boolean,
): (target: Target) => number | undefined {
  const value = fields.json[field] ?? {};
  if (typeof value !== "object" || Array.isArray(value)) throw fields.wrong(field, `module names with ${allowed}`);
  const entries = Object.entries(value).map(([name, each]) => {
    if (typeof each !== "number" || !isAllowed(each)) throw fields.wrong(field, `module names with ${allowed}`);
    return { name, regex: regexOf(fields, field, `(.*\\.)?(${name})$`), value: each };
  });
  return ({ modules }) =>
    entries.find(({ name, regex }) => modules.some((module) => module === name || regex.matchesStart(module)))?.value;
}
