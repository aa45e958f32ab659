// By what factor all intervals are stretched so that the refreshes of all keys fit into the budget of writes. Counts
// the keys that are refreshed; what the factor does to a key is `domain/pace.ts`'s, keeping to the budget the writer's.

import { type Pace, paceOf } from '../domain/pace.ts';
import type { Row } from './row.ts';

/** What refreshes may take of the budget; the rest is for what changes, and for refreshes that were late. */
const REFRESH_SHARE = 0.75;
/** The lock goes with every batch, and refreshes gather into two a second. */
const LOCKS_PER_SECOND = 2;
/** Steps of the factor: one more key does not give all others another interval. */
const STEP = 1.1;

export class Stretch {
  readonly #refreshesPerSecond: number;
  readonly #keysByIntervalMs = new Map<number, number>();
  readonly #counted = new Map<Row, number>();
  #step = 0;
  #dirty = false;

  /** @param maxWritesPerSecond undefined: no limit, and nothing is counted */
  constructor(maxWritesPerSecond: number | undefined) {
    this.#refreshesPerSecond = ((maxWritesPerSecond ?? Number.POSITIVE_INFINITY) - LOCKS_PER_SECOND) * REFRESH_SHARE;
  }

  get isLimited(): boolean {
    return Number.isFinite(this.#refreshesPerSecond);
  }

  get factor(): number {
    return STEP ** this.#step;
  }

  pace(agreed: Pace): Pace {
    return paceOf(agreed, this.factor);
  }

  /** The row came, changed, or (`isThere` false) went. */
  note(row: Row, isThere = true): void {
    if (!this.isLimited) return;
    const before = this.#counted.get(row);
    const isRefreshed = isThere && row.wish.state.kind === 'live' && row.tenure !== 'retired';
    const after = isRefreshed ? row.wish.intervalMs : undefined;
    if (before === after) return;
    if (before !== undefined) this.#count(before, -1);
    if (after === undefined) this.#counted.delete(row);
    else {
      this.#counted.set(row, after);
      this.#count(after, 1);
    }
    this.#dirty = true;
  }

  /** Whether the factor changed since last asked: up as soon as it is too small, down when it is so by two steps. */
  adjust(): boolean {
    if (!this.#dirty) return false;
    this.#dirty = false;
    let demand = 0;
    for (const [intervalMs, keys] of this.#keysByIntervalMs) demand += (keys * 1_000) / intervalMs;
    const needed = demand / this.#refreshesPerSecond;
    const before = this.#step;
    this.#step = Math.max(stepOf(needed), Math.min(before, stepOf(needed * STEP)));
    return this.#step !== before;
  }

  #count(intervalMs: number, by: number): void {
    const keys = (this.#keysByIntervalMs.get(intervalMs) ?? 0) + by;
    if (keys === 0) this.#keysByIntervalMs.delete(intervalMs);
    else this.#keysByIntervalMs.set(intervalMs, keys);
  }
}

/** The least step that is enough. */
const stepOf = (needed: number): number => Math.max(0, Math.ceil(Math.log(needed) / Math.log(STEP)));
