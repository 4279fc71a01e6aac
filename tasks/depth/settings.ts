/**
 * Settings of monocular depth alone.
 *
 * @module
 */
import { boolean, fromRecipe, integer, type SettingsOf } from "../trainer/setting.ts";

/** Settings of monocular depth alone. */
export interface DepthSettings {
  /** Mirroring, crops and brightness, or none. */
  readonly augment: boolean;
  /** Evaluate the mean of a picture's and its mirror image's predictions. */
  readonly flip?: boolean;
  /** Pictures shown after training. */
  readonly samples?: number;
}

/** Their declarations. */
export const depthSettings: SettingsOf<DepthSettings> = {
  augment: fromRecipe(boolean({ help: "mirroring, crops and brightness (default: true)" })),
  flip: boolean({ aside: true, help: "evaluate the mean of a picture's and its mirror image's predictions" }),
  samples: integer({ aside: true, help: "pictures shown after training; 0 for none", min: 0 }),
};
