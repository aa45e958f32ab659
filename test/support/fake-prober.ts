// The port `Prober` in memory: a simulation or a test says who listens. Takes no time but a turn of the fake clock.

import type { ProbeOutcome, Prober, ProbeTarget } from '../../src/controllers/prober.ts';
import type { FakeClock } from './fake-clock.ts';

export class FakeProber implements Prober {
  /** Every target asked so far, as `host:port`. */
  readonly asked: string[] = [];
  readonly #clock: FakeClock;
  readonly #outcomeOf: (target: ProbeTarget) => ProbeOutcome;

  constructor(clock: FakeClock, outcomeOf: (target: ProbeTarget) => ProbeOutcome) {
    this.#clock = clock;
    this.#outcomeOf = outcomeOf;
  }

  async probe(target: ProbeTarget, signal: AbortSignal): Promise<ProbeOutcome> {
    this.asked.push(`${target.host}:${target.port}`);
    await this.#clock.yield();
    return signal.aborted ? 'impossible' : this.#outcomeOf(target);
  }
}
