/**
 * Flags that several commands share.
 *
 * @module
 */
import { methodNames } from "../adapters/mod.ts";
import { type BackendName, backendNames } from "../dsl/mod.ts";
import { choice, integer, number, text } from "./cli/mod.ts";

/** The method and where it goes. */
export const methodFlags = {
  adapter: text({
    help: `Method, or methods joined by +: ${methodNames.join(", ")}; settings as lora:rank=4,alpha=8`,
    value: "SPEC",
    default: "1lora",
  }),
  rank: integer({ help: "Rank of LoRA, DoRA, VeRA (default 1)", min: 1 }),
  alpha: number({ help: "LoRA's and DoRA's alpha (default: the rank)", above: 0 }),
  target: text({
    help: "Which linear layers: all-linear (heads and embedders excepted), qkv, or a path pattern",
    value: "PATTERN",
    default: "all-linear",
  }),
};

/** The engine. */
export const backendFlag = {
  backend: choice({
    help: "Engine; auto takes the first that works",
    allowed: ["auto", ...backendNames] as readonly ("auto" | BackendName)[],
    default: "auto",
  }),
};
