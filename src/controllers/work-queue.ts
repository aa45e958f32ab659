// A queue of keys to reconcile, with the meaning of client-go's: a key waits at most once, is never worked on twice at
// the same time, and comes again if it was added while it was worked on; failures come back with growing delays, and not
// before the one who refused wants it, whatever happens meanwhile.
// It carries keys, never objects: whoever works reads the latest state. Unlike client-go's it is fair: namespaces take
// turns, so that one with thousands of keys waiting delays no other by more than one key of its own.

import type { Clock, Random } from '../clock.ts';
import { Wakeup } from '../wakeup.ts';
import { retryAfterMsOf } from './cluster.ts';

const BACKOFF_FLOOR_MS = 50;
const BACKOFF_CEILING_MS = 30_000;
/** Many keys are told the same time to wait: they do not come back together. */
const SCATTER_MS = 1_000;
/** Synchronous work goes on for this long before pending I/O gets its turn. */
const SLICE_MS = 6;

/** What a work queue tells; the names are those of client-go's metrics. */
export type QueueObserver = {
  added(depth: number): void;
  worked(outcome: 'success' | 'error', waitedMs: number, tookMs: number): void;
  retried(): void;
};

/** A queue at this moment. */
export type QueueReading = {
  readonly depth: number;
  /** For how long the keys that are worked on have been. */
  readonly workingSeconds: readonly number[];
};

export class WorkQueue<K extends string> {
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #observer: QueueObserver;
  readonly #bell: Wakeup;
  readonly #namespaceOf: (key: K) => string;
  /** The namespaces that have keys waiting, whose turn is next first. */
  readonly #waiting = new Map<string, Line<K>>();
  #turn = this.#waiting.entries();
  #depth = 0;
  /** Keys that are worked on, with the monotonic ms since when. */
  readonly #working = new Map<K, number>();
  /** Added while they were worked on. */
  readonly #again = new Set<K>();
  /** Keys for later, with the monotonic ms when, and the earliest of these. */
  readonly #delayed = new Map<K, number>();
  #earliestMs = Number.POSITIVE_INFINITY;
  readonly #failures = new Map<K, number>();
  /** Keys that somebody asked not to come back with before this monotonic ms. */
  readonly #notBeforeMs = new Map<K, number>();

  constructor(clock: Clock, random: Random, observer: QueueObserver, namespaceOf: (key: K) => string) {
    this.#clock = clock;
    this.#random = random;
    this.#observer = observer;
    this.#namespaceOf = namespaceOf;
    this.#bell = new Wakeup(clock);
  }

  reading(): QueueReading {
    const nowMs = this.#clock.monotonicMs();
    return {
      depth: this.#depth,
      workingSeconds: Array.from(this.#working.values(), (sinceMs) => (nowMs - sinceMs) / 1_000),
    };
  }

  /** Nothing waits and nothing is worked on; keys for later do not count. */
  get idle(): boolean {
    return this.#depth === 0 && this.#working.size === 0;
  }

  add(key: K): void {
    if (this.#working.has(key)) {
      this.#again.add(key);
      return;
    }
    const early = (this.#notBeforeMs.get(key) ?? 0) - this.#clock.monotonicMs();
    if (early > 0) return this.addAfter(key, early);
    const namespace = this.#namespaceOf(key);
    const line = this.#waiting.get(namespace) ?? newLine<K>();
    if (line.keys.has(key)) return;
    line.keys.set(key, this.#clock.monotonicMs());
    this.#waiting.set(namespace, line);
    this.#depth += 1;
    this.#observer.added(this.#depth);
    this.#bell.ring();
  }

  /** Adds the key unless it failed and waits for its next turn: for who asks again and again. */
  remind(key: K): void {
    if (!this.#failures.has(key)) this.add(key);
  }

  /** Adds the key after `delayMs`; the earliest of several wins. */
  addAfter(key: K, delayMs: number): void {
    if (delayMs <= 0) return this.add(key);
    const dueMs = this.#clock.monotonicMs() + delayMs;
    const before = this.#delayed.get(key);
    if (before !== undefined && before <= dueMs) return;
    this.#delayed.set(key, dueMs);
    this.#earliestMs = Math.min(this.#earliestMs, dueMs);
    this.#bell.ring();
  }

  /**
   * Works until the signal aborts, on one key at a time. Several of these share the queue; one with `backlog` helps out
   * only while more keys than that wait.
   */
  async run(
    reconcile: (key: K, signal: AbortSignal) => Promise<void> | void,
    onError: (key: K, error: unknown) => void,
    signal: AbortSignal,
    backlog = 0,
  ): Promise<void> {
    let sliceFromMs = this.#clock.monotonicMs();
    while (!signal.aborted) {
      const waitMs = this.#promoteDelayed();
      const next = this.#depth > backlog ? this.#shift() : undefined;
      if (next === undefined) {
        await this.#bell.wait(waitMs, signal);
        sliceFromMs = this.#clock.monotonicMs();
        continue;
      }
      await this.#work(next.key, next.sinceMs, reconcile, onError, signal);
      if (this.#clock.monotonicMs() - sliceFromMs < SLICE_MS) continue;
      await this.#clock.yield();
      sliceFromMs = this.#clock.monotonicMs();
    }
  }

  async #work(
    key: K,
    sinceMs: number,
    reconcile: (key: K, signal: AbortSignal) => Promise<void> | void,
    onError: (key: K, error: unknown) => void,
    signal: AbortSignal,
  ): Promise<void> {
    const startedMs = this.#clock.monotonicMs();
    this.#working.set(key, startedMs);
    let outcome: 'success' | 'error' = 'success';
    try {
      const pending = reconcile(key, signal);
      if (pending !== undefined) await pending;
      this.#failures.delete(key);
      this.#notBeforeMs.delete(key);
    } catch (error) {
      outcome = 'error';
      if (!signal.aborted) onError(key, error);
      this.#retryLater(key, retryAfterMsOf(error));
    }
    this.#working.delete(key);
    this.#observer.worked(outcome, startedMs - sinceMs, this.#clock.monotonicMs() - startedMs);
    if (this.#again.delete(key)) this.add(key);
  }

  #retryLater(key: K, wantedMs: number | undefined): void {
    const failures = this.#failures.get(key) ?? 0;
    this.#failures.set(key, failures + 1);
    const delayMs = Math.min(BACKOFF_FLOOR_MS * 2 ** failures, BACKOFF_CEILING_MS);
    const jitteredMs = delayMs * (0.5 + this.#random() / 2);
    this.#observer.retried();
    if (wantedMs === undefined) this.#notBeforeMs.delete(key);
    else this.#notBeforeMs.set(key, this.#clock.monotonicMs() + wantedMs);
    this.addAfter(key, wantedMs === undefined ? jitteredMs : wantedMs + Math.min(jitteredMs, SCATTER_MS));
  }

  /** Moves what is due from later to now; returns how long the rest can wait. */
  #promoteDelayed(): number {
    const nowMs = this.#clock.monotonicMs();
    if (nowMs >= this.#earliestMs) {
      this.#earliestMs = Number.POSITIVE_INFINITY;
      for (const [key, dueMs] of this.#delayed) {
        if (dueMs > nowMs) {
          this.#earliestMs = Math.min(this.#earliestMs, dueMs);
          continue;
        }
        this.#delayed.delete(key);
        this.add(key);
      }
    }
    return Math.min(60_000, this.#earliestMs - nowMs);
  }

  /** The oldest key of the namespace whose turn it is; its next turn comes after all others'. */
  #shift(): { key: K; sinceMs: number } | undefined {
    if (this.#depth === 0) return undefined;
    let turn = this.#turn.next();
    if (turn.done === true) {
      this.#turn = this.#waiting.entries();
      turn = this.#turn.next();
    }
    if (turn.done === true) return undefined;
    const [namespace, line] = turn.value;
    const first = line.oldest.next();
    if (first.done === true) return undefined;
    const [key, sinceMs] = first.value;
    line.keys.delete(key);
    this.#waiting.delete(namespace);
    if (line.keys.size > 0) this.#waiting.set(namespace, line);
    this.#depth -= 1;
    return { key, sinceMs };
  }
}

/**
 * The keys of a namespace that wait, with the monotonic ms since when. `oldest` goes through them as they come: asking
 * for the first one anew would step over all that went before, 5 s for 150,000 keys.
 */
type Line<K> = { readonly keys: Map<K, number>; readonly oldest: MapIterator<[K, number]> };

const newLine = <K>(): Line<K> => {
  const keys = new Map<K, number>();
  return { keys, oldest: keys.entries() };
};
