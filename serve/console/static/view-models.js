// Models: champion and challengers side by side.

import { data, fill, h, say } from "./dom.js";
import { age, count, number, percent } from "./format.js";

const ORDER = ["champion", "challenger", "shadow", "draft"];
const ROWS = [
  ["Type", (model) => model.modelType],
  ["Status", (model) => h("span", { class: `badge ${model.status}` }, model.status)],
  ["Rewards learned", (model) => data(model.trainingSamples, count(model.trainingSamples))],
  ["Mean reward", (model) => metric(model, "meanReward", number)],
  ["Log-loss", (model) => metric(model, "logLoss", number), "less is better", Math.min],
  ["AUC", (model) => metric(model, "auc", number), "more is better", Math.max],
  ["Calibration error", (model) => errorCell(model), "less is better"],
  ["Drift", (model) => drift(model)],
  ["Last learned", (model) => (model.lastTrainedAt === null ? data(null) : age(model.lastTrainedAt, Date.now()))],
  ["Log position", (model) => data(model.position, count(model.position))],
];
const COMPARED = { "Log-loss": "logLoss", AUC: "auc" };

/** Return the function that draws the section into `root` from a world. */
export function modelsView(root) {
  const empty = h("p", { class: "empty" });
  const caption = h("caption", {}, "Each model predicts every reward before it learns it: the figures are honest without a test set. The better one is marked.");
  const head = h("thead");
  const body = h("tbody");
  const table = h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Models, table" }, h("table", { id: "models-table" }, caption, head, body));
  fill(root, empty, table);

  return (world) => {
    const models = (world.models ?? [])
      .filter((model) => ORDER.includes(model.status))
      .sort((a, b) => ORDER.indexOf(a.status) - ORDER.indexOf(b.status) || a.key.localeCompare(b.key));
    empty.hidden = models.length > 0;
    table.hidden = models.length === 0;
    if (models.length === 0) return say(empty, world.models === null ? "Reading …" : "This tenant has no model.");
    fill(head, h("tr", {}, h("th", { scope: "col" }, "Figure"), models.map((model) => h("th", { scope: "col", class: "number" }, model.key))));
    fill(body, ROWS.map((row) => line(row, models)));
  };
}

function line([name, cell, hint, better], models) {
  const compared = COMPARED[name];
  const values = models.map((model) => (compared ? model.metrics[compared] ?? null : null));
  const known = values.filter((value) => value !== null);
  const best = better && known.length > 1 ? better(...known) : null;
  const cells = models.map((model, i) => h("td", { class: best !== null && values[i] === best ? "number best" : "number" }, cell(model)));
  return h("tr", {}, h("th", { scope: "row" }, name, hint ? h("span", { class: "hint" }, ` ${hint}`) : null), cells);
}

function metric(model, name, format) {
  const value = model.metrics[name] ?? null;
  return data(value, value === null ? "" : format(value));
}

function errorCell(model) {
  const bins = model.metrics.calibration ?? [];
  const whole = bins.reduce((sum, bin) => sum + bin.count, 0);
  if (whole === 0) return data(null);
  const error = bins.reduce((sum, bin) => sum + bin.count * Math.abs(bin.predicted - bin.observed), 0) / whole;
  return data(error, percent(error));
}

function drift(model) {
  const found = model.metrics.drift;
  if (!found) return data(null);
  return found.detections === 0 ? "none" : `${count(found.detections)} ×, last at ${count(found.lastAtSample)}`;
}
