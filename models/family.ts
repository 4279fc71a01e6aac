/**
 * What a family of checkpoints is: presets, configuration, architecture and key names, all as data.
 *
 * @module
 */
import { isEqual } from "../dsl/equal.ts";
import { isObject, show } from "../dsl/files/json.ts";
import type { ModuleNames, Path } from "../dsl/tree.ts";
import { OneloraError } from "../dsl/error.ts";
import type { AnyLayer, Layer } from "../dsl/layer.ts";
import { keepFields } from "./companions/config.ts";
import type { ImageInput } from "./image_input.ts";
import { checkSettings, type Settings } from "./companions/settings.ts";
import { type Json, objectField } from "./config.ts";
import { type KeyMap, moduleNames } from "./checkpoint/keys.ts";
import type { Signature } from "./checkpoint/signature.ts";

/** Query, key and value projections: one linear layer of all three, or three. */
export type Qkv = "fused" | "split";

/** An architecture with its own kind of configuration. */
export interface Architecture<Config> {
  /** `model_type` in `config.json`. */
  readonly name: string;
  /** `_class_name` in `config.json`, if the model is one of diffusers. */
  readonly className?: string;
  /** Configurations by preset name. */
  readonly presets: Readonly<Record<string, Config>>;
  /** The declared model. */
  readonly build: (config: Config) => AnyLayer;
  /** From `config.json`. */
  readonly readConfig: (json: Json) => Config;
  /** To `config.json`. */
  readonly writeConfig: (config: Config) => Json;
  /** What becomes of each setting of `config.json`; without it no setting is checked. */
  readonly settings?: Settings;
  /** The same for its objects, by name. */
  readonly nestedSettings?: Readonly<Record<string, Settings>>;
  /** Key names. */
  readonly keys: (config: Config) => KeyMap;
  /** Where the task head lives, if there is one. */
  readonly headPath?: Path;
  /** What it reads and writes. */
  readonly signature: (config: Config) => Signature;
  /** What it reads and writes the other way round, if there is one: an autoencoder's latents to pixels. */
  readonly inverse?: (config: Config) => Signature;
  /** Methods that belong to every other, such as `labels` where a model learns new classes with any adapter. */
  readonly joined?: readonly string[];
  /** The configuration with a bias in every linear layer, if there is one: merging may give biases to layers without. */
  readonly withBiases?: (config: Config) => Config;
  /** The head that is another layer's table, and the configuration with one of its own, if the configuration shares it. */
  readonly tied?: (config: Config) => Tied<Config> | undefined;
  /** The configuration with query, key and value as one linear layer or as three, if there is a choice. */
  readonly withQkv?: (config: Config, qkv: Qkv) => Config;
  /** What it expects of pixels, if it takes any. */
  readonly image?: (config: Config) => ImageInput;
  /** Its classes, if it has any. */
  readonly classes?: Classes<Config>;
}

/** A head whose weight is that of another layer. */
export interface TiedLayers {
  /** Where the head lives. */
  readonly head: Path;
  /** Where the layer lives whose weight it takes. */
  readonly table: Path;
}

/** {@linkcode TiedLayers} of an architecture. */
export interface Tied<Config> extends TiedLayers {
  /** The configuration with a weight of the head's own, which starts as the table. */
  readonly untied: Config;
}

/** The classes of an architecture that has some. */
export interface Classes<Config> {
  /** Their names. */
  readonly labels: (config: Config) => readonly string[];
  /** The configuration with other classes. */
  readonly withLabels: (config: Config, labels: readonly string[]) => Config;
  /** The layer whose size they decide. */
  readonly part: ClassPart;
}

/** A layer with a row of its weight for each class. */
export interface ClassPart {
  /** Where it lives. */
  readonly path: Path;
  /** Rows that are no class: DiT has one for "no class given". */
  readonly extraRows: number;
}

/** One configuration of an architecture, with the configuration's type folded away. */
export interface Description {
  /** The architecture's name. */
  readonly family: string;
  /** The declared model. */
  readonly layer: Layer;
  /** Its `config.json`. */
  readonly config: Json;
  /** The text that it was read from, if it was: numbers that do not change keep their spelling. */
  readonly configText?: string;
  /** Key names. */
  readonly keys: KeyMap;
  /** Module names in Python, for the exchange of adapters. */
  readonly modules: ModuleNames;
  /** Where the task head lives, if there is one. */
  readonly headPath?: Path;
  /** What it reads and writes. */
  readonly signature: Signature;
  /** What it reads and writes the other way round, if there is one. */
  readonly inverse?: Signature;
  /** Its head that is another layer's table, if it has such a one. */
  readonly tied?: TiedLayers;
  /** Methods that belong to every other. */
  readonly joined: readonly string[];
  /** The file of its weights in a published folder. */
  readonly weightsFile: string;
  /** What it expects of pixels, if it takes any. */
  readonly image?: ImageInput;
  /** What of its files is not acted on and might be meant, one line each. */
  readonly notes: readonly string[];
  /** Names of its classes, if it has any. */
  readonly labels?: readonly string[];
  /** What they are to an image, `problem_type` of its configuration, if that says so. */
  readonly problem?: string;
  /** The layer whose size they decide. */
  readonly classPart?: ClassPart;
  /** Whether that layer is for other classes than the configuration's, so that published weights do not fit it. */
  readonly freshClasses: boolean;
  /** The same model described with other options: other classes, biases, another form of query, key and value. */
  readonly with: (options: DescriptionOptions) => Description;
}

/** Options of {@linkcode Family}'s functions. */
export interface DescriptionOptions {
  /** Names of the classes, instead of the configuration's. */
  readonly labels?: readonly string[];
  /** What the classes are to an image, `problem_type` of the configuration, instead of the configuration's. */
  readonly problem?: string;
  /** A bias in every linear layer, where the architecture has a configuration for that. */
  readonly biases?: boolean;
  /** Query, key and value as one linear layer or as three, instead of the configuration's. */
  readonly qkv?: Qkv;
  /** A weight of the head's own, where the configuration has it share another layer's. */
  readonly untied?: boolean;
}

/** A family of checkpoints: an architecture that can be opened by preset or `config.json`. */
export interface Family {
  /** `model_type` in `config.json`. */
  readonly name: string;
  /** `_class_name` in `config.json`, if the model is one of diffusers. */
  readonly className?: string;
  /** Names of its presets. */
  readonly presets: readonly string[];
  /** A preset's description. */
  readonly preset: (name: string, options: DescriptionOptions) => Description;
  /** The description that a `config.json` gives. */
  readonly read: (json: Json, options: DescriptionOptions, text?: string) => Description;
}

/** What `label2id` says otherwise than `id2label`, which counts, as in transformers' answers. */
function labelNotes({ id2label, label2id }: Json): readonly string[] {
  if (!isObject(id2label) || !isObject(label2id)) return [];
  const names = new Map(Object.entries(id2label).map(([id, name]) => [name, id]));
  const other = Object.entries(label2id).find(([name, id]) => names.has(name) && id2label[`${id}`] !== name);
  if (other === undefined) return [];
  const [name, id] = other;
  return [`config.json: "label2id" has ${show(name)} as ${show(id)}, "id2label" as ${names.get(name)}, which counts`];
}

/**
 * An architecture as a family.
 *
 * @param architecture The architecture
 */
export function family<Config>(architecture: Architecture<Config>): Family {
  const { className, classes, withQkv } = architecture;
  const configOf = (json: Json, given: Config, sized: Config): Json => {
    const [before, after] = [architecture.writeConfig(given), architecture.writeConfig(sized)];
    const { num_labels: count, ...kept } = keepFields(json, before, after);
    // The weights that are saved are those of this class, and as many as the names are the classes.
    const whole = after.architectures === undefined ? kept : { ...kept, architectures: after.architectures };
    return count === undefined || !isEqual(before.id2label, after.id2label) ? whole : { ...whole, num_labels: count };
  };
  const notesOf = (json: Json): readonly string[] => {
    const { settings, nestedSettings = {} } = architecture;
    const whose = `a ${architecture.name}`;
    const nested = Object.entries(nestedSettings).flatMap(([field, settings]) =>
      checkSettings(objectField(json, field), settings, `"${field}" of config.json`, whose)
    );
    const own = settings === undefined ? [] : checkSettings(json, settings, "config.json", whose);
    return [...own, ...labelNotes(json), ...nested];
  };
  const describe = (given: Config, options: DescriptionOptions, json?: Json, text?: string): Description => {
    const { labels, problem, biases, qkv, untied } = options;
    if (qkv !== undefined && withQkv === undefined) {
      throw new OneloraError({
        attempted: `opening ${architecture.name} with ${qkv} qkv`,
        found: "one form only",
        allowed: "a family with both",
      }, { exitCode: 2 });
    }
    const divided = qkv === undefined ? given : withQkv!(given, qkv);
    const whole = biases ? architecture.withBiases?.(divided) ?? divided : divided;
    const config = untied ? architecture.tied?.(whole)?.untied ?? whole : whole;
    const shared = architecture.tied?.(config);
    if (labels !== undefined && classes === undefined) {
      throw new OneloraError({
        attempted: `giving ${architecture.name} other classes`,
        found: `${labels.length} classes`,
        allowed: "none: it has no classes",
      }, { exitCode: 2 });
    }
    const sized = labels === undefined ? config : classes!.withLabels(config, labels);
    const keys = architecture.keys(sized);
    const written = architecture.writeConfig(sized);
    const before = json === undefined ? written : configOf(json, given, sized);
    const described = problem === undefined ? before : { ...before, problem_type: problem };
    return {
      family: architecture.name,
      // What it takes is for its signature to say.
      layer: architecture.build(sized) as Layer,
      config: described,
      configText: text,
      keys,
      modules: moduleNames(keys),
      headPath: architecture.headPath,
      signature: architecture.signature(sized),
      inverse: architecture.inverse?.(sized),
      tied: shared && { head: shared.head, table: shared.table },
      joined: architecture.joined ?? [],
      weightsFile: className === undefined ? "model.safetensors" : "diffusion_pytorch_model.safetensors",
      image: architecture.image?.(sized),
      labels: classes?.labels(sized),
      problem: typeof described.problem_type === "string" ? described.problem_type : undefined,
      classPart: classes?.part,
      notes: json === undefined ? [] : notesOf(json),
      freshClasses: `${classes?.labels(config)}` !== `${classes?.labels(sized)}`,
      with: (others) => describe(given, { ...options, ...others }, json, text),
    };
  };
  return {
    name: architecture.name,
    className,
    presets: Object.keys(architecture.presets),
    preset: (name, options) => describe(architecture.presets[name], options),
    read: (json, options, text) => describe(architecture.readConfig(json), options, json, text),
  };
}

/**
 * Checks that a model is of the family that something is made for.
 *
 * @param model The model
 * @param family The family's name
 * @param attempted What it is to be used for
 * @throws OneloraError (exit code 2) if it is of another
 */
export function requireFamily(model: Pick<Description, "family">, family: string, attempted: string): void {
  requireFamilies(model, [family], attempted);
}

/**
 * Checks that a model is of one of the families that something is made for.
 *
 * @param model The model
 * @param allowed The families' names, the best known first
 * @param attempted What it is to be used for
 * @throws OneloraError (exit code 2) if it is of another
 */
export function requireFamilies(
  model: Pick<Description, "family">,
  allowed: readonly string[],
  attempted: string,
): void {
  if (allowed.includes(model.family)) return;
  const [family] = allowed;
  throw new OneloraError({ attempted, found: `a ${model.family} model`, allowed: `a ${family} model` }, {
    exitCode: 2,
  });
}
