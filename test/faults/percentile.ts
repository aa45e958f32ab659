/** The value below which `share` (0 to 1) of the samples lie: the nearest rank, so always one that occurred; 0 for none. */
export const percentile = (samples: readonly number[], share: number): number => {
  const sorted = Float64Array.from(samples).sort();
  return sorted[Math.max(1, Math.ceil(share * sorted.length)) - 1] ?? 0;
};
