/**
 * `deno task page`: a page that fine-tunes a model in the browser, served to this machine or written for any host.
 *
 * @module
 */
import { guarded } from "../../dsl/files/file.ts";
import { dirname } from "../../dsl/files/path.ts";
import { makeFolder, writeWhole } from "../../dsl/files/write.ts";
import { attempt } from "../cli/attempt.ts";
import { integer, main, text } from "../cli/mod.ts";
import { usage } from "../cli/options.ts";
import { newOrEmpty } from "../cli/new_folder.ts";
import { answering } from "../page/serve.ts";
import { buildSite, type Site } from "../page/site.ts";

const flags = {
  port: integer({ help: "Port on this machine; 0 for any free one", min: 0, below: 65536, default: 8000 }),
  out: text({ help: "Write the page's files into a new folder instead, for a host of your own", value: "DIR" }),
};

async function write(site: Site, folder: string): Promise<void> {
  for (const [name, bytes] of site) {
    const path = `${folder}/${name}`;
    await makeFolder(dirname(path), { within: folder });
    await writeWhole(path, bytes, { within: folder });
  }
}

/** Serves until the process ends. */
async function serve(site: Site, port: number): Promise<void> {
  const onListen = (address: Deno.NetAddr) => console.log(`http://localhost:${address.port}/ (Ctrl-C ends it)`);
  const server = await guarded(
    `serving on port ${port}`,
    "`port` of one that is free",
    () => Deno.serve({ hostname: "127.0.0.1", port, onListen }, answering(site)),
  );
  await server.finished;
}

await main(
  { name: "page", summary: "Serve a page that fine-tunes in the browser, or write its files", flags },
  attempt(async ({ options: { port, out }, given }) => {
    if (out !== undefined && given.has("port")) {
      throw usage("reading the command line", "--port beside --out", "one of them");
    }
    if (out === undefined) return await serve(await buildSite(), port);
    await newOrEmpty("writing the page", out);
    const site = await buildSite();
    await write(site, out);
    console.log(`${site.size} files in ${out}; docs/page.md lists the headers that a host must send`);
  }),
);
