// Logs failed reconciles: the first of a controller at once, then one line per ten seconds with a count. While the API server
// is away every key that has something to write fails again and again, for one reason.

import type { Clock } from '../clock.ts';
import type { Log } from '../log.ts';

const LINE_EVERY_MS = 10_000;

export class ReconcileFailures {
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #last = new Map<string, { readonly atMs: number; untold: number }>();

  constructor(clock: Clock, log: Log) {
    this.#clock = clock;
    this.#log = log;
  }

  /** What a controller's queue calls for every failure. */
  readonly of =
    (controller: string) =>
    (key: string, error: unknown): void => {
      const nowMs = this.#clock.monotonicMs();
      const last = this.#last.get(controller);
      if (last !== undefined && nowMs - last.atMs < LINE_EVERY_MS) {
        last.untold += 1;
        return;
      }
      const more = last === undefined || last.untold === 0 ? {} : { moreSince: last.untold };
      this.#last.set(controller, { atMs: nowMs, untold: 0 });
      this.#log.warn({ controller, key, error: String(error), ...more }, 'reconcile failed; it is tried again');
    };
}
