// A bell of size one for a loop that sleeps: ringing it twice before anybody looks is ringing it once.

import type { Clock } from './clock.ts';

/** A reason at hand: without one, each abort makes an error that nobody looks at. */
const RUNG = 'rung';

export class Wakeup {
  readonly #clock: Clock;
  #rung = false;
  readonly #alarms = new Set<AbortController>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  ring(): void {
    this.#rung = true;
    for (const alarm of this.#alarms) alarm.abort(RUNG);
  }

  /** Resolves when the bell rings (or rang since the last wait), after `ms`, or when `signal` aborts. */
  async wait(ms: number, signal: AbortSignal): Promise<void> {
    if (!this.#rung && ms > 0 && !signal.aborted) {
      const alarm = new AbortController();
      const abort = () => alarm.abort(RUNG);
      signal.addEventListener('abort', abort, { once: true });
      this.#alarms.add(alarm);
      await this.#clock.sleep(ms, alarm.signal);
      this.#alarms.delete(alarm);
      signal.removeEventListener('abort', abort);
    }
    this.#rung = false;
  }
}
