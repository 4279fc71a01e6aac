/// <reference no-default-lib="true" />
/// <reference lib="dom" />
/// <reference lib="dom.iterable" />
/// <reference lib="esnext" />
/** The element of the page that a selector names. */
export function find<Kind extends Element>(selector: string): Kind {
  return document.querySelector<Kind>(selector)!;
}
