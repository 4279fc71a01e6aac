/**
 * A thread that prepares examples: it is told once how those of a source are made, then answers every request in turn.
 *
 * @module
 */

import { firstLine, OneloraError } from "../../dsl/error.ts";
import { type Answer, buffersIn, faultOf, type Request } from "./messages.ts";
import { remake } from "./origin.ts";
import { type Preparer, readAll } from "./readers.ts";

/** This thread's side of its channel. */
interface Channel {
  onmessage: ((event: MessageEvent<Request>) => void) | null;
  postMessage(message: Answer, transfer: ArrayBuffer[]): void;
}

const channel = globalThis as unknown as Channel;

/** By the numbers of their sources. */
const preparers = new Map<number, Preparer<unknown>>();

async function answer(request: Request): Promise<Answer> {
  if ("origin" in request) {
    preparers.set(request.source, await remake<Preparer<unknown>>(request.origin));
    return { readings: [] };
  }
  const { source, indices, root, stored } = request;
  const prepare = preparers.get(source)!;
  const readings = await readAll(indices, root, (index, key, place) => prepare(index, key, stored?.[place]));
  return { readings: readings.map((each) => each instanceof OneloraError ? { fault: faultOf(each) } : each) };
}

// What would end with pages on the terminal ends with a message.
globalThis.addEventListener("error", (event) => {
  event.preventDefault();
  channel.postMessage({ fatal: firstLine(event.error) }, []);
});

const send = (message: Answer) => channel.postMessage(message, [...buffersIn(message)]);

let last: Promise<void> = Promise.resolve();
channel.onmessage = ({ data }) => {
  last = last.then(() => answer(data)).then(send).catch((error) => send({ fault: faultOf(error) }));
};
