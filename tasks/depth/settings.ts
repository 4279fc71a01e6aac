/**
 * Settings of monocular depth alone.
 *
 * @module
 */
import { boolean, fromRecipe, integer, number, type SettingsOf } from "../trainer/setting.ts";

/** Settings of monocular depth alone. */
export interface DepthSettings {
  /** Mirroring, crops and brightness, or none. */
  readonly augment: boolean;
  /** Evaluate the mean of a picture's and its mirror image's predictions. */
  readonly flip?: boolean;
  /** Pictures shown after training. */
  readonly samples?: number;
  /** Steps of the depth maps of `pairs:` in a metre. */
  readonly depthScale?: number;
  /** Metres of `pairs:` that count at most. */
  readonly maxDepth?: number;
}

/** Their declarations. */
export const depthSettings: SettingsOf<DepthSettings> = {
  augment: fromRecipe(boolean({ training: true, help: "mirroring, crops and brightness (default: true)" })),
  flip: boolean({ aside: true, help: "evaluate the mean of a picture's and its mirror image's predictions" }),
  depthScale: number({ help: "steps per metre in the depth maps of pairs:, such as 1000 for millimetres", above: 0 }),
  maxDepth: number({ help: "largest depth in metres that counts in pairs: (default 80)", above: 0 }),
  samples: integer({ aside: true, training: true, help: "pictures shown after training; 0 for none", min: 0 }),
};
