/** Medians and percentiles of samples. Nothing here knows what was measured. */

/** The value below which `share` (0 to 1) of the samples lie: the nearest rank, so always a sample that occurred. */
export function percentile(samples: readonly number[], share: number): number {
  if (samples.length === 0) throw new RangeError('no samples');
  const sorted = Float64Array.from(samples).sort();
  const rank = Math.max(1, Math.ceil(share * sorted.length));
  return sorted[rank - 1] ?? Number.NaN;
}

export const median = (samples: readonly number[]): number => percentile(samples, 0.5);

/** To two decimals, which is more than any of these figures is worth. */
export const round = (value: number): number => Math.round(value * 100) / 100;
