// How many messages may be written now: no second holds more than the limit, by the server's clock as well. Counts what was
// sent, the lock and what is sent again included, but not what each replica announces every 2 s. Who is written first within
// it is the table's.

import type { Clock } from '../clock.ts';

const SECOND_MS = 1_000;

/** `atMs`: when it was answered. */
type Sent = { atMs: number; readonly messages: number };

export class WriteBudget {
  readonly #clock: Clock;
  readonly #perSecond: number;
  /** Of the last second, oldest first. */
  readonly #sent: Sent[] = [];
  #total = 0;

  /** @param perSecond undefined: no limit */
  constructor(clock: Clock, perSecond: number | undefined) {
    this.#clock = clock;
    this.#perSecond = perSecond ?? Number.POSITIVE_INFINITY;
  }

  /** Keys that may be written now, with the lock that goes before them. */
  get keys(): number {
    if (!Number.isFinite(this.#perSecond)) return this.#perSecond;
    this.#forget();
    return Math.max(0, this.#perSecond - this.#total - 1);
  }

  /** Ms until there is more. */
  get moreInMs(): number {
    const oldest = this.#sent[0];
    return oldest === undefined ? 0 : Math.max(0, oldest.atMs + SECOND_MS - this.#clock.monotonicMs());
  }

  /**
   * So many are being sent. Call what this returns when there is an answer, or will be none: their second begins then, for
   * the server may have stored them at any time before.
   */
  spend(messages: number): () => void {
    if (!Number.isFinite(this.#perSecond)) return () => undefined;
    const sent: Sent = { atMs: Number.POSITIVE_INFINITY, messages };
    this.#sent.push(sent);
    this.#total += messages;
    return () => {
      sent.atMs = this.#clock.monotonicMs();
    };
  }

  #forget(): void {
    const fromMs = this.#clock.monotonicMs() - SECOND_MS;
    for (let oldest = this.#sent[0]; oldest !== undefined && oldest.atMs <= fromMs; oldest = this.#sent[0]) {
      this.#sent.shift();
      this.#total -= oldest.messages;
    }
  }
}
