/**
 * `deno task report`: makes a run's `report.html` again, and compares runs of classifiers.
 *
 * @module
 */
import { commandLine } from "../../dsl/command_line.ts";
import { claimFolder } from "../../dsl/files/claim.ts";
import { writeWhole } from "../../dsl/files/write.ts";
import { calibrationChart } from "../../tasks/report/calibration.ts";
import { svgFile } from "../../tasks/report/chart.ts";
import { runCalibration } from "../../tasks/report/folder.ts";
import { REPORT, writeReport } from "../../tasks/report/report.ts";
import { attempt } from "../cli/attempt.ts";
import { main, required, text } from "../cli/mod.ts";
import { placesIn } from "../cli/places.ts";

const flags = {
  run: required(text({ help: "Folder of a run, or several separated by commas", value: "DIR,..." })),
  calibration: text({
    help:
      "Draw these runs' error distribution and calibration side by side (SVG), from the evaluation.json in each: what " +
      `${commandLine("evaluate")} --run DIR --json prints`,
    value: "FILE",
  }),
};

await main(
  { name: "report", summary: "Makes a run's report.html from its folder.", flags },
  attempt(async ({ options: { run, calibration } }) => {
    const folders = (await placesIn(run)).map((folder) => folder.replace(/(?<=.)\/+$/, ""));
    for (const folder of folders) {
      using _owned = await claimFolder(folder, "report");
      await writeReport(folder);
      console.log(`${folder}/${REPORT}`);
    }
    if (calibration === undefined) return;
    const chart = svgFile(calibrationChart(await Promise.all(folders.map(runCalibration))));
    await writeWhole(calibration, chart);
    console.log(calibration);
  }),
);
