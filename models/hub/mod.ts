/**
 * Models from Hugging Face's hub.
 *
 * @module
 */
export { type FetchedModel, fetchModel, type FetchOptions } from "./fetch.ts";
export { type HubName, hubName, parseHubName } from "./name.ts";
export type { HubOptions, Transfer } from "./settings.ts";
