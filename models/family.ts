/**
 * What a family of checkpoints is: presets, configuration, architecture and key names, all as data.
 *
 * @module
 */
import type { ModuleNames } from "../adapters/exchange/format.ts";
import { OneloraError } from "../dsl/error.ts";
import type { Layer } from "../dsl/layer.ts";
import { glob, type Path } from "../dsl/tree.ts";
import type { Json } from "./config.ts";
import type { Signature } from "./signature.ts";

/** How checkpoint keys relate to parameter paths. */
export interface KeyMap {
  /** Prefix of the published keys, which files of the bare backbone lack. */
  readonly prefix: string;
  /** Paths published without the prefix. */
  readonly unprefixed: readonly string[];
  /** Keys that carry nothing this model uses. */
  readonly ignored: readonly string[];
  /** How Python calls modules in memory where that differs from the published keys; the first that matches wins. */
  readonly modules: readonly Rename[];
}

/** How paths and module names begin where they differ, without the prefix; `*` is one segment, the same on both sides. */
export type Rename = readonly [path: string, module: string];

/** What an image model expects of its pixels. */
export interface ImageInput {
  /** Pixels. */
  readonly height: number;
  /** Pixels. */
  readonly width: number;
  /** 1 grey, 3 RGB. */
  readonly channels: number;
  /** Per channel, of values in 0..1. */
  readonly mean: number;
  /** Per channel, of values in 0..1. */
  readonly std: number;
}

/** An architecture with its own kind of configuration. */
export interface Architecture<Config> {
  /** `model_type` in `config.json`. */
  readonly name: string;
  /** Configurations by preset name. */
  readonly presets: Readonly<Record<string, Config>>;
  /** The declared model. */
  readonly build: (config: Config) => Layer;
  /** From `config.json`. */
  readonly readConfig: (json: Json) => Config;
  /** To `config.json`. */
  readonly writeConfig: (config: Config) => Json;
  /** Key names. */
  readonly keys: (config: Config) => KeyMap;
  /** Where the task head lives. */
  readonly headPath: Path;
  /** What it reads and writes. */
  readonly signature: (config: Config) => Signature;
  /** The configuration with a bias in every linear layer, if there is one: merging may give biases to layers without. */
  readonly withBiases?: (config: Config) => Config;
  /** What it expects of pixels, if it takes any. */
  readonly image?: (config: Config) => ImageInput;
  /** Its classes, if it has any. */
  readonly classes?: Classes<Config>;
}

/** The classes of an architecture that has some. */
export interface Classes<Config> {
  /** Their names. */
  readonly labels: (config: Config) => readonly string[];
  /** The configuration with other classes. */
  readonly withLabels: (config: Config, labels: readonly string[]) => Config;
}

/** One configuration of an architecture, with the configuration's type folded away. */
export interface Description {
  /** The architecture's name. */
  readonly family: string;
  /** The declared model. */
  readonly layer: Layer;
  /** Its `config.json`. */
  readonly config: Json;
  /** Key names. */
  readonly keys: KeyMap;
  /** Module names in Python, for the exchange of adapters. */
  readonly modules: ModuleNames;
  /** Where the task head lives. */
  readonly headPath: Path;
  /** What it reads and writes. */
  readonly signature: Signature;
  /** What it expects of pixels, if it takes any. */
  readonly image?: ImageInput;
  /** Names of its classes, if it has any. */
  readonly labels?: readonly string[];
  /** Whether the head is for other classes than the configuration's, so that published weights do not fit it. */
  readonly freshHead: boolean;
}

/** Options of {@linkcode Family}'s functions. */
export interface DescriptionOptions {
  /** Names of the classes, instead of the configuration's. */
  readonly labels?: readonly string[];
  /** A bias in every linear layer, where the architecture has a configuration for that. */
  readonly biases?: boolean;
}

/** A family of checkpoints: an architecture that can be opened by preset or `config.json`. */
export interface Family {
  /** `model_type` in `config.json`. */
  readonly name: string;
  /** Names of its presets. */
  readonly presets: readonly string[];
  /** A preset's description. */
  readonly preset: (name: string, options: DescriptionOptions) => Description;
  /** The description that a `config.json` gives. */
  readonly read: (json: Json, options: DescriptionOptions) => Description;
}

/**
 * An architecture as a family.
 *
 * @param architecture The architecture
 */
export function family<Config>(architecture: Architecture<Config>): Family {
  const { classes } = architecture;
  const describe = (given: Config, { labels, biases }: DescriptionOptions): Description => {
    const config = biases ? architecture.withBiases?.(given) ?? given : given;
    if (labels !== undefined && classes === undefined) {
      throw new OneloraError({
        attempted: `giving ${architecture.name} other classes`,
        found: `${labels.length} classes`,
        allowed: "none: it has no classes",
      }, { exitCode: 2 });
    }
    const sized = labels === undefined ? config : classes!.withLabels(config, labels);
    const keys = architecture.keys(sized);
    return {
      family: architecture.name,
      layer: architecture.build(sized),
      config: architecture.writeConfig(sized),
      keys,
      modules: moduleNames(keys),
      headPath: architecture.headPath,
      signature: architecture.signature(sized),
      image: architecture.image?.(sized),
      labels: classes?.labels(sized),
      freshHead: `${classes?.labels(config)}` !== `${classes?.labels(sized)}`,
    };
  };
  return {
    name: architecture.name,
    presets: Object.keys(architecture.presets),
    preset: (name, options) => describe(architecture.presets[name], options),
    read: (json, options) => describe(architecture.readConfig(json), options),
  };
}

/**
 * The parameter path of a checkpoint key, or undefined if the key is ignored.
 *
 * @param keys The family's names
 * @param key Key in the file
 */
export function pathOf(keys: KeyMap, key: string): Path | undefined {
  const path = key.startsWith(keys.prefix) ? key.slice(keys.prefix.length) : key;
  return keys.ignored.some((pattern) => glob(pattern)(path)) ? undefined : path;
}

/**
 * The published key of a parameter path.
 *
 * @param keys The family's names
 * @param path Parameter path
 */
export function keyOf(keys: KeyMap, path: Path): string {
  return keys.unprefixed.some((pattern) => glob(pattern)(path)) ? path : `${keys.prefix}${path}`;
}

/** The path with its beginning renamed, from one side of the first rule that matches to the other. */
function rename(rules: readonly Rename[], from: 0 | 1, path: Path): Path {
  for (const rule of rules) {
    const pattern = rule[from].replaceAll(".", "\\.").replaceAll("*", "([^.]+)");
    const match = new RegExp(`^${pattern}(?=\\.|$)`).exec(path);
    if (match === null) continue;
    const segments = match.slice(1);
    return rule[1 - from].replaceAll("*", () => segments.shift()!) + path.slice(match[0].length);
  }
  return path;
}

/**
 * A family's module names in Python: those in the memory of the newest transformers first, then the published keys', which
 * older ones use in memory too.
 *
 * @param keys The family's names
 */
export function moduleNames(keys: KeyMap): ModuleNames {
  return {
    toModules: (path) => {
      const published = keyOf(keys, path);
      const prefix = published.slice(0, published.length - path.length);
      return [...new Set([prefix + rename(keys.modules, 0, path), published])];
    },
    toPath: (module) =>
      rename(keys.modules, 1, module.startsWith(keys.prefix) ? module.slice(keys.prefix.length) : module),
  };
}
