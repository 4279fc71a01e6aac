/// <reference no-default-lib="true" />
/// <reference lib="dom" />
/// <reference lib="dom.iterable" />
/// <reference lib="esnext" />
/**
 * The curve of the losses, and the bars of what the models make of a picture.
 *
 * @module
 */
import { find } from "./find.ts";
import type { Logits } from "../messages.ts";

/** The losses of all steps of a training; emptied before the next. */
export const losses: number[] = [];

/** Draws the curve on by a step. */
export function drawCurve(step: number, loss: number): void {
  losses.push(loss);
  const most = Math.max(...losses);
  const points = losses.map((each, i) =>
    `${(8 + 284 * i / Math.max(59, losses.length - 1)).toFixed(1)} ${(132 - 120 * each / most).toFixed(1)}`
  );
  find("#line").setAttribute("d", `M${points.join("L")}`);
  find("#progress").textContent = `step ${step}: loss ${loss.toFixed(3)}`;
}

for (let digit = 0; digit < 10; digit++) {
  const cells = ["before", "after"].map((when) => `<td class="${when}"><div><span><i></i></span><b></b></div></td>`)
    .join("");
  find("#bars tbody").insertAdjacentHTML("beforeend", `<tr><th scope="row">${digit}</th>${cells}</tr>`);
}

function probabilities({ labels, values }: Logits): ReadonlyMap<string, number> {
  const most = Math.max(...values);
  const powers = values.map((value) => Math.exp(value - most));
  const sum = powers.reduce((total, each) => total + each, 0);
  return new Map(labels.map((label, i) => [label, powers[i] / sum]));
}

/** Shows what a model makes of a picture. */
export function showBars(when: "before" | "after", logits: Logits | undefined): void {
  const found = logits && probabilities(logits);
  document.querySelectorAll(`#bars td.${when}`).forEach((cell, digit) => {
    const share = found?.get(`${digit}`);
    cell.querySelector("i")!.style.width = `${100 * (share ?? 0)}%`;
    cell.querySelector("b")!.textContent = share === undefined ? "" : `${(100 * share).toFixed(1)} %`;
  });
}
