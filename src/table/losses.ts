// Keys that somebody else took from us. The first time we wait for no longer than an interval after the other value has
// gone; who takes a key again soon after we had it back is left to it for longer each time, rather than fought.

import type { Row } from './row.ts';

type Loss = { times: number; regainedAtMs: number };

/** A key that stood for so many intervals after we had it back is not fought over any more. */
const CALM_INTERVALS = 10;
const YIELD_GROWTH = 4;
const YIELD_MAX_MS = 600_000;

export class Losses {
  readonly #byRow = new Map<Row, Loss>();

  /** The key was ours and is somebody else's: returns for how many ms it is not to be written, whatever becomes of that. */
  lost(row: Row, nowMs: number): number {
    const { intervalMs, adopt } = row.wish;
    const before = this.#byRow.get(row);
    const isAgain = before !== undefined && nowMs - before.regainedAtMs < CALM_INTERVALS * intervalMs;
    const times = isAgain ? before.times + 1 : 1;
    this.#byRow.set(row, { times, regainedAtMs: nowMs });
    if (times === 1) return 0;
    // Who says Adopt wants it back, but not more often than it would be refreshed.
    return adopt ? intervalMs : Math.max(intervalMs, Math.min(intervalMs * YIELD_GROWTH ** (times - 1), YIELD_MAX_MS));
  }

  regained(row: Row, nowMs: number): void {
    const loss = this.#byRow.get(row);
    if (loss !== undefined) loss.regainedAtMs = nowMs;
  }

  /** How often in a row the key was taken. */
  times(row: Row): number {
    return this.#byRow.get(row)?.times ?? 0;
  }

  forget(row: Row): void {
    this.#byRow.delete(row);
  }
}
