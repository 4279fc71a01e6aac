/**
 * `deno task push`: an adapter to Hugging Face's hub, with a page that says what it is.
 *
 * @module
 */
import { listedFile, push, type PushedCommit, writableHub } from "../../models/hub/push.ts";
import { adapterCommit } from "../../tasks/push.ts";
import { attempt } from "../cli/attempt.ts";
import { boolean, main, required, text } from "../cli/mod.ts";

const flags = {
  adapter: required(
    text({ help: "The adapter's folder, or its run's; the flag's name may be left out", value: "DIR" }),
  ),
  to: required(text({ help: "Repository, created if it does not exist", value: "ORG/NAME" })),
  base: text({
    help: "The base model on the hub, for an adapter that names a local folder",
    value: "ORG/NAME",
  }),
  message: text({ help: "The commit's message" }),
  private: boolean({ help: "Make a new repository private (default: the account's setting)" }),
  dryRun: boolean({ help: "Print what would be sent, and send nothing" }),
};

/** Everything that is sent, the tensors by their checksum. */
function printed({ repository, title, files, isPrivate }: PushedCommit): string {
  const texts = files.filter(({ path }) => !path.endsWith(".safetensors"));
  return [
    `repository  ${repository}${isPrivate ? " (private, if it is new)" : ""}`,
    `message     ${title}`,
    ...files.map((file) => `file        ${listedFile(file)}`),
    ...texts.map(({ path, bytes }) => `\n==> ${path}\n${new TextDecoder().decode(bytes)}`),
  ].join("\n");
}

await main(
  {
    name: "push",
    summary:
      "Sends an adapter to Hugging Face's hub, with a page: what was trained, on what, how well, how to load it.",
    flags,
    bare: "adapter",
  },
  attempt(async ({ options: { adapter, to, base, message: title, private: isPrivate, dryRun } }) => {
    const commit = await adapterCommit(adapter, { to, base, title, isPrivate });
    if (dryRun) return console.log(printed(commit));
    // What would be sent is shown before it is refused.
    if (await writableHub({}) === undefined) console.log(printed(commit));
    const { commit: made, page } = await push(commit);
    console.log(`${page}\ncommit ${made}`);
  }),
);
