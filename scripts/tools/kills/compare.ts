/**
 * Compares two run folders, named as arguments: exit code 1 and the names of the files that differ.
 *
 * @module
 */
import { differences } from "./same.ts";

const [run, other] = Deno.args;
const different = await differences(run, other);
for (const path of different) console.log(`${path} differs`);
Deno.exit(different.length === 0 ? 0 : 1);
