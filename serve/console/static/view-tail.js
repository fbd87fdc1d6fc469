// Outcomes as they come in, the newest first.

import { data, fill, h, say } from "./dom.js";
import { nameOf } from "./feed.js";
import { clock, count, number } from "./format.js";

const ROWS = 20;
const COLUMNS = ["Time", "Outcome", "Customer", "Offer", "Creative", "Channel", "Value"];

/** Return the function that draws the section into `root` from a world. */
export function tailView(root, most = ROWS) {
  const empty = h("p", { class: "empty" });
  const body = h("tbody");
  const caption = h("caption", {}, "");
  const head = h("thead", {}, h("tr", {}, COLUMNS.map((name) => h("th", { scope: "col", class: name === "Value" ? "number" : null }, name))));
  const table = h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Outcomes, table" }, h("table", { id: "tail-table" }, caption, head, body));
  fill(root, empty, table);
  let seen = "";

  return (world) => {
    const events = (world.history ?? []).slice(0, most);
    empty.hidden = events.length > 0;
    table.hidden = events.length === 0;
    if (events.length === 0) return say(empty, world.history === null ? "Reading …" : "No outcome yet.");
    say(caption, `The newest ${count(events.length)} events by their own time${world.position === null ? "" : `; the log is at position ${count(world.position)}`}.`);
    const names = events.map((event) => `${event.id} ${nameOf(world, event.offerId)}`).join();
    if (names === seen) return undefined; // nothing new: what somebody reads or selects stays
    seen = names;
    return fill(body, events.map((event) => row(world, event)));
  };
}

function row(world, event) {
  const text = [event.customerId, nameOf(world, event.offerId), event.creativeId ?? "–", event.channelId ?? "–"];
  const value = event.conversionValue;
  return h(
    "tr",
    {},
    h("td", { class: "time" }, h("time", { datetime: event.timestamp }, clock(event.timestamp))),
    h("td", {}, h("span", { class: `mark ${event.classification}`, "aria-hidden": "true" }), event.outcome, h("span", { class: "unseen" }, ` (${event.classification})`)),
    text.map((one) => h("td", {}, one)),
    h("td", { class: "number" }, data(value, value === null ? "" : number(value))),
  );
}
