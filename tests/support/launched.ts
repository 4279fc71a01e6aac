/** Prints what a process knows of its launch, and the card that it takes. @module */
import { launchOf } from "../../dsl/engine/mpi/join.ts";
import { takeCard } from "../../dsl/engine/tensorflow_environment.ts";

const { size, rank, local } = launchOf() ?? {};
/** How many cards the machine has, if the test says. */
const cards = Deno.env.get("TEST_CARDS");
if (local !== undefined) takeCard(local, cards === undefined ? undefined : Number(cards));
console.log(JSON.stringify({ size: `${size}`, rank, local, card: Deno.env.get("CUDA_VISIBLE_DEVICES") }));
