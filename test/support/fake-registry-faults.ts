// What can be wrong between one client and the fake stream beyond a link that is down (`FakeRegistry.setLink`): bytes that
// take seconds to arrive, answers that get lost, refusals now and then. No real server shows them at a wish, so the
// contract test knows nothing of them. Chance comes from the simulation.

import type { Random } from '../../src/clock.ts';
import type { CommitOutcome } from '../../src/writer/registry.ts';

export class RegistryFaults {
  readonly #random: Random;
  #uplinkMsMax = 0;
  #lostAnswers = 0;
  #refused: { readonly outcome: CommitOutcome; readonly fraction: number } | undefined;

  constructor(random: Random) {
    this.#random = random;
  }

  /** Batches reach the server so much later at most: long after the client has given them up, and maybe its term. */
  delayBatches(mostMs: number): void {
    this.#uplinkMsMax = mostMs;
  }

  /** Of so many batches no answer comes, though they are stored. */
  loseAnswers(fraction: number): void {
    this.#lostAnswers = fraction;
  }

  /** So many batches are refused so, and nothing of them is stored. */
  refuse(outcome: CommitOutcome, fraction: number): void {
    this.#refused = { outcome, fraction };
  }

  /** Everything is well again. What is under way still arrives when it does. */
  pass(): void {
    this.#uplinkMsMax = 0;
    this.#lostAnswers = 0;
    this.#refused = undefined;
  }

  uplinkMs(): number {
    return this.#uplinkMsMax === 0 ? 0 : this.#random() * this.#uplinkMsMax;
  }

  losesAnswer(): boolean {
    return this.#lostAnswers > 0 && this.#random() < this.#lostAnswers;
  }

  refusal(): CommitOutcome | undefined {
    return this.#refused !== undefined && this.#random() < this.#refused.fraction ? this.#refused.outcome : undefined;
  }
}
