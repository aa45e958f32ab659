// Silences objects that have too much to tell, as client-go's spam filter does: a burst, then one event per five
// minutes, per object. Knows nothing of events but whose they are.

import type { Clock } from '../clock.ts';

const BURST = 25;
const REFILL_MS = 5 * 60_000;
/** Objects remembered; forgetting one gives it a new burst. */
const OBJECTS_MAX = 4_096;

export class SpamFilter {
  readonly #clock: Clock;
  readonly #buckets = new Map<string, { tokens: number; atMs: number }>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Takes one token of the object's; false when there is none. */
  admits(uid: string): boolean {
    const now = this.#clock.monotonicMs();
    const known = this.#buckets.get(uid);
    const refilled = known === undefined ? BURST : Math.min(BURST, known.tokens + (now - known.atMs) / REFILL_MS);
    const admitted = refilled >= 1;
    // Set anew: the map's order is by last use.
    this.#buckets.delete(uid);
    this.#buckets.set(uid, { tokens: admitted ? refilled - 1 : refilled, atMs: now });
    const [oldest] = this.#buckets.keys();
    if (this.#buckets.size > OBJECTS_MAX && oldest !== undefined) this.#buckets.delete(oldest);
    return admitted;
  }
}
