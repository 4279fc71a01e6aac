/**
 * What a run leaves for people to look at.
 *
 * @module
 */
export * from "./calibration.ts";
export { svgFile } from "./chart.ts";
export * from "./events.ts";
export { runCalibration, writePicture } from "./folder.ts";
export * from "./records.ts";
export * from "./report.ts";
export * from "./versions.ts";
