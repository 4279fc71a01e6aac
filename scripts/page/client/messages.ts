/**
 * What the page and its thread say to each other.
 *
 * @module
 */

/** A digit: 28 x 28 bytes, light on dark, and what it is. */
export interface Digit {
  /** Bytes in rows. */
  readonly pixels: Uint8Array;
  /** `0` to `9`. */
  readonly label: string;
}

/** What a model makes of a picture: a number for each class. */
export interface Logits {
  /** Names of the classes. */
  readonly labels: readonly string[];
  /** One for each. */
  readonly values: readonly number[];
}

/** What came of training, or of an adapter that was given. */
export interface Trained {
  /** Parameters of the adapter, of the head, and of the whole model. */
  readonly parameters: { readonly adapter: number; readonly head: number; readonly total: number };
  /** Bytes of the adapter's two files. */
  readonly bytes: number;
  /** Share of digits that it has not seen that it knows, from 0 to 1, where there were such digits. */
  readonly accuracy?: number;
  /** Seconds of training. */
  readonly seconds?: number;
}

/** An adapter's two files. */
export interface AdapterFiles {
  /** `adapter_config.json`. */
  readonly config: Uint8Array<ArrayBuffer>;
  /** `adapter_model.safetensors`. */
  readonly tensors: Uint8Array<ArrayBuffer>;
}

/** What the page asks, by name, and what it is answered. */
export interface Questions {
  /** Starts the engine, one by name or the fastest, and reads the model. */
  readonly open: { readonly asked: { readonly backend?: string }; readonly answer: { readonly engine: string } };
  /** Logits of the model as it was, and of the trained one if there is one. */
  readonly predict: {
    readonly asked: { readonly pixels: Uint8Array };
    readonly answer: { readonly before: Logits; readonly after?: Logits };
  };
  /** Trains on digits, and on some of MNIST's. */
  readonly train: {
    readonly asked: { readonly digits: readonly Digit[]; readonly start: number; readonly steps?: number };
    readonly answer: Trained;
  };
  /** The trained adapter. */
  readonly save: { readonly asked: Record<never, never>; readonly answer: AdapterFiles };
  /** Takes an adapter. */
  readonly load: { readonly asked: AdapterFiles; readonly answer: Trained };
}

/** What the page sends. */
export type Request = {
  [Name in keyof Questions]: { readonly id: number; readonly name: Name; readonly asked: Questions[Name]["asked"] };
}[keyof Questions];

/** What the thread sends: answers, and steps on the way to one. */
export type Reply =
  | { readonly id: number; readonly answer: Questions[keyof Questions]["answer"] }
  | { readonly id: number; readonly problem: string }
  | { readonly step: number; readonly loss: number };
