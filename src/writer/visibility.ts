// How soon a Ready pod can be seen in the registry, as a reader sees it: a consumer of our own waits for one new key
// every few seconds. It begins when the key is acknowledged, so what it tells is an upper bound by the few ms that making
// a consumer takes; one that stood all the time would cost the server a seventh more on every message.

import type { Clock } from '../clock.ts';
import { Wakeup } from '../wakeup.ts';
import type { Registry } from './registry.ts';

/** One sample in this time at most. */
const SAMPLE_EVERY_MS = 5_000;
/** Whatever is not seen by then is no matter of visibility: the registry is away. */
const GIVE_UP_AFTER_MS = 10_000;

export class Visibility {
  readonly #registry: Pick<Registry, 'follow'>;
  readonly #clock: Clock;
  readonly #onSeen: (tookMs: number) => void;
  readonly #bell: Wakeup;
  #next: { readonly subject: string; readonly sinceMs: number } | undefined;
  #waiting = false;

  constructor(registry: Pick<Registry, 'follow'>, clock: Clock, onSeen: (tookMs: number) => void) {
    this.#registry = registry;
    this.#clock = clock;
    this.#onSeen = onSeen;
    this.#bell = new Wakeup(clock);
  }

  /** The key of a pod that has been Ready since `sinceMs` was acknowledged. Taken as the next sample, or let go. */
  offer(subject: string, sinceMs: number): void {
    if (!this.#waiting || this.#next !== undefined) return;
    this.#next = { subject, sinceMs };
    this.#bell.ring();
  }

  /** Samples until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      this.#waiting = true;
      await this.#bell.wait(SAMPLE_EVERY_MS, signal);
      const sample = this.#next;
      if (sample === undefined) continue;
      this.#waiting = false;
      this.#next = undefined;
      await this.#see(sample.subject, sample.sinceMs, signal);
      await this.#clock.sleep(SAMPLE_EVERY_MS, signal);
    }
  }

  async #see(subject: string, sinceMs: number, signal: AbortSignal): Promise<void> {
    const done = new AbortController();
    const until = AbortSignal.any([signal, done.signal]);
    const following = this.#registry.follow(
      subject,
      ({ operation }) => {
        if (operation !== 'PUT' || done.signal.aborted) return;
        this.#onSeen(this.#clock.monotonicMs() - sinceMs);
        done.abort();
      },
      until,
    );
    await this.#clock.sleep(GIVE_UP_AFTER_MS, until);
    done.abort();
    await following;
  }
}
