/** Prints what a process knows of its launch, and the card that it takes. @module */
import { launchOf } from "../../dsl/engine/mpi/join.ts";
import { takeCard } from "../../dsl/engine/tensorflow_environment.ts";

const { size, rank, local } = launchOf() ?? {};
if (local !== undefined) takeCard(local);
console.log(JSON.stringify({ size: `${size}`, rank, local, card: Deno.env.get("CUDA_VISIBLE_DEVICES") }));
