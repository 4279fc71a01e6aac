/**
 * What a trained model is used for: predictions for pictures, and making something anew.
 *
 * @module
 */
import type { Layer } from "../../dsl/layer.ts";
import type { Params } from "../../dsl/tree.ts";
import type { Model } from "../../models/mod.ts";
import type { BatchSize, Needs } from "./needs.ts";
import type { SettingsOf } from "./setting.ts";

/** An adapted model and its parameters. */
export interface TrainedModel {
  /** The model's description. */
  readonly model: Model;
  /** Its adapted layer. */
  readonly layer: Layer;
  /** All parameters. */
  readonly params: Params;
}

/** What a prediction takes besides its input. */
export interface PredictionRun<Own extends object = object> {
  /** The task's own settings. */
  readonly own: Partial<Own>;
  /** Seed of what is random in it (default 0). */
  readonly seed?: number;
}

/** A decoded picture and its file. */
export interface NamedPicture {
  /** The file. */
  readonly path: string;
  /** [height, width, 3] bytes. */
  readonly pixels: Uint8Array;
  /** Rows. */
  readonly height: number;
  /** Columns. */
  readonly width: number;
}

/** What is printed of a picture: as data and as lines. */
export interface Printed {
  /** For JSON. */
  readonly data: Readonly<Record<string, unknown>>;
  /** For people. */
  readonly lines: readonly string[];
}

/** How a task predicts for pictures in files. */
export interface PicturePrediction<Place = unknown> {
  /** What is written besides what is printed, if anything, in words. */
  readonly writes?: string;
  /**
   * Where what is written of each picture goes; refuses places that are no good before a model is loaded.
   *
   * @param pictures The files
   * @param output What the user named
   */
  places(pictures: readonly string[], output?: string): readonly Place[];
  /** How much the model is given for a picture. */
  size(model: Model, picture: NamedPicture): BatchSize;
  /** Predicts for a picture, and writes what is to be written. */
  predict(trained: TrainedModel, picture: NamedPicture, place: Place): Promise<Printed>;
}

/** What a model made anew. */
export interface Made {
  /** What to say of the work, e.g. `20 tokens, 31.2 a second`. */
  readonly said: string;
  /** A file that was written. */
  readonly file?: string;
  /** What was made and how long it took, for JSON. */
  readonly data?: Readonly<Record<string, unknown>>;
}

/** Who one talks with. */
export interface Terminal {
  /** What is said, line by line, until it ends. */
  readonly lines: AsyncIterable<string>;
  /** Writes an answer as it comes. */
  readonly write: (text: string) => void;
  /** Says something that is no answer. */
  readonly note: (line: string) => void;
  /** Begins an answer: its signal ends it, and nothing else. */
  readonly answering: () => Promise<Disposable & { readonly signal: AbortSignal }>;
}

/** How a task's models make something anew: a text goes on, pictures are sampled. */
export interface Making<Own extends object = object> {
  /** What a line of help says of it. */
  readonly summary: string;
  /** Its settings. */
  readonly settings: SettingsOf<Own>;
  /**
   * What making it takes by plan.
   *
   * @param model The model's description
   * @param settings The settings
   *
   * @internal
   */
  needs(model: Model, settings: Own): Promise<Needs>;
  /**
   * Makes it.
   *
   * @param model The model's description
   * @param open Opens it, once all else has proved usable
   * @param settings The settings, and the seed of what is random
   * @param write Takes text as it comes; without it all is prepared first, so that the time taken is that of the work alone
   */
  make(
    model: Model,
    open: () => Promise<TrainedModel>,
    settings: Own & { readonly seed: number },
    write?: (text: string) => void,
  ): Promise<Made>;
  /** Whether these settings ask for a conversation instead. */
  isConversation?(settings: Own): boolean;
  /** Talks with someone, question by question. */
  converse?(
    model: Model,
    open: () => Promise<TrainedModel>,
    settings: Own & { readonly seed: number },
    terminal: Terminal,
  ): Promise<Made>;
}
