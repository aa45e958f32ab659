// How long to wait after a failure: doubling with full jitter, forgotten after a time of health. Does not wait itself.

import type { Random } from '../clock.ts';

const FIRST_MS = 800;
/**
 * An operator has six watches, so that even without Retry-After an API server that comes back is asked about twice a
 * second; and every second longer that we are blind, keys of dead pods stay.
 */
const CAP_MS = 5_000;
/** No failure for this long: the next one is the first again. */
const HEALTHY_MS = 120_000;
/** Jitter may come out as nothing; a loop must not spin on that. */
const FLOOR_MS = 50;

export class Backoff {
  readonly #random: Random;
  #failures = 0;
  #lastFailureAtMs = Number.NEGATIVE_INFINITY;

  constructor(random: Random) {
    this.#random = random;
  }

  /** The wait after a failure at `nowMs` (monotonic), never shorter than the server asked for. */
  next(nowMs: number, options: { capMs?: number; retryAfterMs?: number | undefined } = {}): number {
    if (nowMs - this.#lastFailureAtMs >= HEALTHY_MS) this.#failures = 0;
    this.#lastFailureAtMs = nowMs;
    const capMs = Math.min(options.capMs ?? CAP_MS, FIRST_MS * 2 ** Math.min(this.#failures, 16));
    this.#failures++;
    const jitterMs = Math.max(FLOOR_MS, this.#random() * capMs);
    // Many clients are told the same Retry-After: the jitter keeps them from coming back together.
    return options.retryAfterMs === undefined ? jitterMs : options.retryAfterMs + Math.min(jitterMs, 1_000);
  }

  /** Failures in a row, as far as they are remembered. */
  get failures(): number {
    return this.#failures;
  }
}
