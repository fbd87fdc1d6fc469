// Densities of what models believe.

const LANCZOS = [
  676.5203681218851, -1259.1392167224028, 771.32342877765313, -176.61502916214059, 12.507343278686905,
  -0.13857109526572012, 9.9843695780195716e-6, 1.5056327351493116e-7,
];
const HALF_95 = 1.959963984540054; // standard deviations of a normal on each side of its middle 95 %

/** Return ln Γ(x), x > 0 (Lanczos 1964, g = 7, nine terms). */
export function lnGamma(x) {
  if (x < 0.5) return Math.log(Math.PI / Math.sin(Math.PI * x)) - lnGamma(1 - x);
  const t = x + 6.5;
  const sum = LANCZOS.reduce((total, c, i) => total + c / (x + i), 0.99999999999980993);
  return 0.5 * Math.log(2 * Math.PI) + (x - 0.5) * Math.log(t) - t + Math.log(sum);
}

/** Return the density of Beta(a, b) as a function of x in 0..1. */
export function betaDensity(a, b) {
  const scale = lnGamma(a + b) - lnGamma(a) - lnGamma(b);
  return (x) => {
    if (x <= 0 || x >= 1) return 0;
    return Math.exp(scale + (a - 1) * Math.log(x) + (b - 1) * Math.log(1 - x));
  };
}

/** Return the density of a normal as a function of x. */
export function normalDensity(mean, deviation) {
  const scale = 1 / (deviation * Math.sqrt(2 * Math.PI));
  return (x) => scale * Math.exp(-0.5 * ((x - mean) / deviation) ** 2);
}

/** Return the density that a model has for an offer, null for one that is a point. */
export function posterior(modelType, arm) {
  const { alpha, beta } = arm.parameters;
  if (modelType === "thompson_bandit" && alpha > 0 && beta > 0) return betaDensity(alpha, beta);
  const deviation = (arm.ciUpper - arm.ciLower) / 2 / HALF_95;
  return deviation > 0 ? normalDensity(arm.mean, deviation) : null;
}

/** Return the range that shows all of the arms' intervals, with some air, within 0..1 for shares. */
export function range(arms) {
  const lower = Math.min(...arms.map((arm) => arm.ciLower));
  const upper = Math.max(...arms.map((arm) => arm.ciUpper));
  const air = 0.12 * (upper - lower || Math.abs(upper) || 1);
  const isShare = lower >= 0 && upper <= 1;
  return isShare ? [Math.max(0, lower - air), Math.min(1, upper + air)] : [lower - air, upper + air];
}

/** Return the part of a range in which an arm's density is more than a line. */
export function peak(arm, [from, to]) {
  const spread = arm.ciUpper - arm.ciLower;
  return [Math.max(from, arm.ciLower - spread), Math.min(to, arm.ciUpper + spread)];
}

/** Return a density at `points` places of a range as [x, y] pairs. */
export function sampled(density, [from, to], points) {
  return Array.from({ length: points + 1 }, (_, i) => {
    const x = from + ((to - from) * i) / points;
    return [x, density(x)];
  });
}

/** Return a quantile of a histogram from its cumulative buckets [[upper bound, count], …]; null if it is empty. */
export function quantile(buckets, q) {
  const total = buckets.length ? buckets[buckets.length - 1][1] : 0;
  if (total <= 0) return null;
  let [before, below] = [0, 0];
  for (const [bound, n] of buckets) {
    if (n >= q * total) {
      if (!Number.isFinite(bound)) return before;
      return n === below ? bound : before + ((bound - before) * (q * total - below)) / (n - below);
    }
    [before, below] = [bound, n];
  }
  return before;
}
