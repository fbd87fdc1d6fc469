// From values to places on a chart.

const TICKS = 5;

/** Return a function from [from, to] to [start, end]. */
export function linear([from, to], [start, end]) {
  const span = to - from || 1;
  return (value) => start + ((value - from) / span) * (end - start);
}

/** Return about five round values within a range. */
export function ticks([from, to], wanted = TICKS) {
  const span = to - from;
  if (!(span > 0)) return [from];
  const rough = span / wanted;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((one) => one >= rough * 0.999);
  const first = Math.ceil(from / step - 1e-9);
  const last = Math.floor(to / step + 1e-9);
  return Array.from({ length: last - first + 1 }, (_, i) => Number(((first + i) * step).toPrecision(12)));
}

/** Return a range from 0 to a round value above the largest. */
export function upTo(largest, least = 1) {
  const top = Math.max(largest, least);
  const all = ticks([0, top]);
  const step = all.length > 1 ? all[1] - all[0] : top;
  return [0, Math.ceil(top / step - 1e-9) * step];
}

/** Return as few of the labels as fit: every n-th, the last one always. */
export function thinned(items, most) {
  const step = Math.max(1, Math.ceil(items.length / most));
  return items.filter((_, i) => (items.length - 1 - i) % step === 0);
}
