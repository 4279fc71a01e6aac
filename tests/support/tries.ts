/** What a thread that prepares examples tries to do, and what comes of it. @module */
import { fileURLToPath } from "node:url";
import { key } from "../../dsl/mod.ts";
import { loadSharp } from "../../tasks/data/sharp.ts";
import { holdThreads, takeThread } from "../../tasks/data/threads.ts";

/**
 * An example that is what came of each try.
 *
 * @param folder What the thread may read
 * @param outside What it may not
 */
export function tries(folder: string, outside: string): () => Promise<Readonly<Record<string, string>>> {
  const all: Readonly<Record<string, () => unknown>> = {
    inside: () => Deno.readTextFileSync(`${folder}/file`),
    pictures: async () => typeof await loadSharp(),
    outside: () => Deno.readTextFileSync(outside),
    list: () => [...Deno.readDirSync("/")],
    write: () => Deno.writeTextFileSync(`${folder}/file`, "theirs"),
    net: () => fetch("http://127.0.0.1:9999/"),
    run: () => new Deno.Command("deno").outputSync(),
    library: () => Deno.dlopen(".native/tensorflow/deps/lib/libtensorflow_framework.so.2", {}),
    host: () => Deno.hostname(),
  };
  return async () => {
    const came: Record<string, string> = {};
    for (const [name, act] of Object.entries(all)) {
      try {
        came[name] = String(await act());
      } catch (error) {
        came[name] = (error as Error).name;
      }
    }
    return came;
  };
}

if (import.meta.main) {
  using _threads = holdThreads();
  const [folder, outside] = Deno.args;
  const reads = [folder, fileURLToPath(new URL(".", import.meta.url))];
  const thread = takeThread(reads);
  const source = await thread.open(
    { module: import.meta.url, name: "tries", arguments: [folder, outside], reads },
    "it",
  );
  const [reading] = await thread.ask({ source, indices: Uint32Array.of(0), root: key(0) }, "it");
  thread.close();
  console.log(JSON.stringify("item" in reading ? reading.item : reading.fault));
}
