// The few figures that say whether all is well.

import { fill, h, say } from "./dom.js";
import { shownModel } from "./feed.js";
import { count, rate } from "./format.js";

const TILES = [
  ["Outcomes a second", "all tenants", (world) => world.rates.now && rate(world.rates.now.recorded)],
  ["Duplicates a second", "nothing is counted twice", (world) => world.rates.now && rate(world.rates.now.duplicates)],
  ["Refused a second", "outcomes, for what they say", (world) => world.rates.now && rate(world.rates.now.refused)],
  ["Rewards learned", (world) => `model ${shownModel(world)?.key ?? "–"}`, (world) => learned(world)],
  ["Log position", (world) => behind(world), (world) => (world.state === null ? null : count(world.state.position))],
  ["Learner lag", "the slowest", (world) => lag(world)],
];

/** Return the function that draws the tiles into `root` from a world. */
export function tiles(root) {
  const parts = TILES.map(([name, hint, value]) => {
    const figure = h("dd", { class: "figure" }, "–");
    const note = h("dd", { class: "hint" }, typeof hint === "string" ? hint : "");
    return { element: h("div", {}, h("dt", {}, name), figure, note), figure, note, hint, value };
  });
  fill(root, parts.map((part) => part.element));
  return (world) => {
    for (const { figure, note, hint, value } of parts) {
      say(figure, value(world) ?? "–");
      if (typeof hint === "function") say(note, hint(world));
    }
  };
}

function learned(world) {
  return world.state === null ? null : count(world.state.data.reduce((sum, arm) => sum + arm.pulls, 0));
}

function behind(world) {
  if (world.state === null || world.position === null) return "of this tenant's partition";
  const entries = Math.max(0, world.position - world.state.position);
  return entries === 0 ? "all of it is learned" : `${count(entries)} not learned yet`;
}

function lag(world) {
  const lags = (world.service?.learners ?? []).map((learner) => learner.lagMs);
  if (lags.length === 0) return null;
  const most = Math.max(...lags);
  return most >= 1e6 ? "starting" : `${count(most)} ms`;
}
