// Charts as SVG of the width they are given, in pixels: type keeps its size from a phone to a wide screen.

import { s } from "./dom.js";
import { linear, thinned, ticks, upTo } from "./scales.js";

const LEFT = 46;
const RIGHT = 10;
const TOP = 8;
const BOTTOM = 26;
const LABEL_WIDTH = 62; // a label of the horizontal axis, with air

/** Return an SVG with a name for who cannot see it. */
export function frame(width, height, name, ...marks) {
  return s("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": name }, ...marks);
}

/**
 * Return curves over a common axis.
 *
 * @param curves [{points: [[x, y] …], colour, dash?, strong?, fill?, marker?: x}]; breaks where y is null
 * @param options {width, height, name, xs?, ys?, xTicks?: [[x, label]], yFormat?, xFormat}; no marks at the side without yFormat
 */
export function lines(curves, options) {
  const { width, height, name, yFormat } = options;
  const points = curves.flatMap((curve) => curve.points).filter(([, y]) => y !== null);
  const xs = options.xs ?? [Math.min(...points.map(([x]) => x)), Math.max(...points.map(([x]) => x))];
  const ys = options.ys ?? upTo(Math.max(0, ...points.map(([, y]) => y)), 0.001);
  const x = linear(xs, [LEFT, width - RIGHT]);
  const y = linear(ys, [height - BOTTOM, TOP]);
  const marks = curves.map((curve) => drawn(curve, x, y));
  const labels = options.xTicks ?? ticks(xs).map((value) => [value, options.xFormat(value)]);
  const across = yFormat ? horizontal(ticks(ys, 4), y, width, yFormat) : [];
  return frame(width, height, name, across, vertical(labels, x, width, height), ...marks);
}

function drawn(curve, x, y) {
  const runs = [[]];
  for (const [px, py] of curve.points) {
    if (py === null) runs.push([]);
    else runs.at(-1).push(`${x(px).toFixed(1)} ${y(py).toFixed(1)}`);
  }
  const path = runs.filter((run) => run.length > 1).map((run) => `M${run.join("L")}`).join("");
  const dots = runs.filter((run) => run.length === 1).map(([only]) => only.split(" "));
  const last = curve.points.findLast(([, value]) => value !== null);
  const base = y(0).toFixed(1);
  const [first] = curve.points;
  return s(
    "g",
    { class: curve.colour },
    curve.fill && path ? s("path", { class: "area", d: `${path}L${x(last[0]).toFixed(1)} ${base}L${x(first[0]).toFixed(1)} ${base}Z` }) : null,
    path ? s("path", { class: `path d${curve.dash ?? 0}${curve.strong ? " strong" : ""}`, d: path }) : null,
    dots.map(([cx, cy]) => s("circle", { class: "dot", cx, cy, r: 3.5 })),
    last && !curve.fill ? s("circle", { class: "dot", cx: x(last[0]).toFixed(1), cy: y(last[1]).toFixed(1), r: 3.5 }) : null,
    curve.marker === undefined ? null : s("line", { class: "marker", x1: x(curve.marker), x2: x(curve.marker), y1: base, y2: Number(base) + 6 }),
  );
}

/**
 * Return stacked columns.
 *
 * @param columns [{label, parts: [{value, colour, name}]}], the parts from the bottom up
 */
export function stacked(columns, { width, height, name, yFormat, top }) {
  const sums = columns.map((column) => column.parts.reduce((total, part) => total + part.value, 0));
  const ys = top === undefined ? upTo(Math.max(...sums), 0.01) : [0, top];
  const y = linear(ys, [height - BOTTOM, TOP]);
  const pitch = (width - LEFT - RIGHT) / columns.length;
  const wide = Math.max(1, Math.min(pitch - 2, 36));
  const centre = (i) => LEFT + pitch * (i + 0.5);
  const bars = columns.flatMap((column, i) => {
    let sum = 0;
    return column.parts.map((part) => {
      const bottom = y(sum);
      sum += part.value;
      const title = s("title", {}, `${column.label}, ${part.name}: ${yFormat(part.value)}`);
      const box = { x: (centre(i) - wide / 2).toFixed(1), y: y(sum).toFixed(1), width: wide.toFixed(1), height: Math.max(0, bottom - y(sum)).toFixed(1) };
      return s("rect", { class: `block ${part.colour}`, ...box }, title);
    });
  });
  const labels = columns.map((column, i) => [i, column.label]);
  return frame(width, height, name, horizontal(ticks(ys, 4), y, width, yFormat), vertical(labels, centre, width, height), ...bars);
}

/** Return an interval with its mean on a common scale: the small chart of a table's row. */
export function intervalBar(arm, range, { width, height, colour, curve }) {
  const x = linear(range, [4, width - 4]);
  const middle = height - 6;
  const top = curve === null ? 0 : Math.max(...curve.map(([, y]) => y));
  const y = linear([0, top || 1], [middle, 2]);
  const outline = curve?.map(([px, py]) => `${x(px).toFixed(1)} ${y(py).toFixed(1)}`).join("L");
  return s(
    "svg",
    { width, height, viewBox: `0 0 ${width} ${height}`, class: colour, "aria-hidden": "true" },
    outline ? s("path", { class: "area", d: `M${x(curve[0][0])} ${middle}L${outline}L${x(curve.at(-1)[0])} ${middle}Z` }) : null,
    s("line", { class: "base", x1: 4, x2: width - 4, y1: middle, y2: middle }),
    s("line", { class: "ci", "stroke-width": 4, x1: x(arm.ciLower), x2: x(arm.ciUpper), y1: middle, y2: middle }),
    s("circle", { class: "dot", cx: x(arm.mean), cy: middle, r: 4 }),
  );
}

/** Return estimates with intervals below each other, and a dashed line at `reference`. */
export function intervals(rows, { width, name, format, reference = null }) {
  const known = rows.flatMap((row) => [row.lower, row.upper, row.value]).concat(reference === null ? [] : [reference]);
  const spread = Math.max(...known) - Math.min(...known) || 0.01;
  const xs = [Math.min(...known) - 0.08 * spread, Math.max(...known) + 0.08 * spread];
  const left = Math.min(150, width * 0.35);
  const x = linear(xs, [left, width - 24]);
  const height = TOP + 30 * rows.length + BOTTOM;
  const floor = height - BOTTOM;
  const marks = rows.map((row, i) => {
    const y = TOP + 30 * i + 15;
    return s(
      "g",
      { class: row.colour },
      s("text", { x: 0, y: y + 4 }, shortened(row.name, left / 7)),
      s("line", { class: "ci thick", x1: x(row.lower), x2: x(row.upper), y1: y, y2: y }),
      s("circle", { class: "dot", cx: x(row.value), cy: y, r: 5 }),
    );
  });
  const line = reference === null ? null : s("line", { class: "reference", x1: x(reference), x2: x(reference), y1: TOP, y2: floor });
  return frame(width, height, name, line, vertical(ticks(xs).map((value) => [value, format(value)]), x, width, height, left), ...marks);
}

/** Return a text of at most so many characters. */
export function shortened(text, most) {
  return text.length <= most ? text : `${text.slice(0, Math.max(1, Math.floor(most) - 1))}…`;
}

function horizontal(values, y, width, format) {
  return [
    s("g", { class: "grid" }, values.map((value) => s("line", { x1: LEFT, x2: width - RIGHT, y1: y(value), y2: y(value) }))),
    s("g", { class: "tick" }, values.map((value) => s("text", { x: LEFT - 8, y: y(value) + 4, "text-anchor": "end" }, format(value)))),
  ];
}

function vertical(labels, x, width, height, left = LEFT) {
  const shown = thinned(labels, Math.max(2, Math.floor((width - LEFT) / LABEL_WIDTH)));
  return [
    s("line", { class: "base", x1: left, x2: width - RIGHT, y1: height - BOTTOM, y2: height - BOTTOM }),
    s("g", { class: "tick" }, shown.map(([value, label]) => under(label, x(value), width, height - BOTTOM + 17))),
  ];
}

/** Return a label below a place, moved inwards where it would leave the chart. */
function under(label, x, width, y) {
  const half = 3.8 * label.length; // of the label, at some 7.6 px a letter
  const inside = Math.min(Math.max(x, half), width - half);
  return s("text", { x: inside, y, "text-anchor": "middle" }, label);
}
