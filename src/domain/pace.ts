// How often a key is refreshed, and how long it lives without: what its settings say, stretched by one factor for all keys
// where their refreshes are more than may be written. Pure. What the factor is: `table/stretch.ts`.

export type Pace = { readonly ttlMs: number; readonly intervalMs: number };

const SECOND_MS = 1_000;
/** An interval is at most a third of the TTL, so that two refreshes may fail. */
const REFRESHES_PER_TTL = 3;

/** The interval is stretched; the TTL grows only where the interval would be more than a third of it. */
export const paceOf = ({ ttlMs, intervalMs }: Pace, stretch: number): Pace => {
  if (stretch <= 1) return { ttlMs, intervalMs };
  const stretchedMs = Math.ceil((intervalMs * stretch) / SECOND_MS) * SECOND_MS;
  return { ttlMs: Math.max(ttlMs, REFRESHES_PER_TTL * stretchedMs), intervalMs: stretchedMs };
};
