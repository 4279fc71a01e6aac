/**
 * Settings of image generation alone.
 *
 * @module
 */
import { boolean, fromRecipe, integer, number, type SettingsOf, text } from "../trainer/setting.ts";

/** Settings of image generation alone. */
export interface GenerationSettings {
  /** Mirror half of the images. */
  readonly augment: boolean;
  /** Steps of a sample. */
  readonly samplingSteps: number;
  /** Scale of classifier-free guidance; 1 for none. */
  readonly guidance: number;
  /** Model in whose features the distance of samples is measured. */
  readonly features?: string;
  /** Autoencoder of a model of latents. */
  readonly vae?: string;
  /** Pictures sampled in an evaluation. */
  readonly samples: number;
}

/** Their declarations. */
export const generationSettings: SettingsOf<GenerationSettings> = {
  augment: fromRecipe(
    boolean({ training: true, help: "mirror half of the images (default: true except for digits and letters)" }),
  ),
  samplingSteps: fromRecipe(integer({ aside: true, help: "steps of a sample", min: 1 })),
  guidance: fromRecipe(number({ aside: true, help: "scale of classifier-free guidance; 1 for none", min: 0 })),
  features: text({
    aside: true,
    help:
      "model whose features the samples are measured in: a vit or inception_v3 (default for grey pictures: vit-micro)",
    value: "NAME|DIR",
  }),
  vae: text({
    help: "autoencoder of a model of latents (default: vae/ in the model's folder or beside it)",
    value: "NAME|DIR",
  }),
  samples: fromRecipe(
    integer({ aside: true, help: "pictures sampled in an evaluation; 0 for the loss alone", min: 0 }),
  ),
};
