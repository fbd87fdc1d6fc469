// Numbers and times as people read them.

const DIGITS = 4; // significant ones, as in the report of an evaluation

/** Return a count: 12,345. */
export function count(value) {
  return Math.round(value).toLocaleString("en-US");
}

/** Return a number with four significant digits: 0.2516, 1,640. */
export function number(value) {
  if (value === 0 || Math.abs(value) >= 10 ** (DIGITS - 1)) return count(value);
  return Math.abs(value) >= 1e-5 ? value.toPrecision(DIGITS) : value.toExponential(2);
}

/** Return a share as percent: 0.253 → 25.3 %. */
export function percent(value) {
  return `${(100 * value).toFixed(1)} %`;
}

/** Return a rate a second: 0.4, 12, 1,640. */
export function rate(value) {
  return value === 0 ? "0" : value < 10 ? value.toFixed(1) : count(value);
}

/** Return seconds as ms or s: 3.2 ms, 1.4 s. */
export function duration(seconds) {
  if (seconds >= 1) return `${seconds.toFixed(1)} s`;
  const ms = seconds * 1000;
  return `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms`;
}

/** Return a time of day, local: 14:35:07. */
export function clock(time) {
  return new Date(time).toLocaleTimeString("en-GB");
}

/** Return how long ago a time was: 12 s, 3 min, 5 h, 9 d. */
export function age(time, now) {
  const seconds = Math.max(0, (now - new Date(time).getTime()) / 1000);
  if (seconds < 60) return `${Math.floor(seconds)} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  return seconds < 172800 ? `${Math.floor(seconds / 3600)} h ago` : `${Math.floor(seconds / 86400)} d ago`;
}

/** Return an interval: 0.2101 … 0.2933. */
export function interval(lower, upper) {
  return `${number(lower)} … ${number(upper)}`;
}

/** Return a day as on an axis: 2026-03-16 → 16 Mar. */
export function day(text) {
  const date = new Date(`${text}T00:00:00Z`);
  return date.toLocaleDateString("en-GB", { day: "numeric", month: "short", timeZone: "UTC" });
}
