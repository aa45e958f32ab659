// Reads everything there is, once: the last message of every subject under some filters, in pages, no faster than the reader
// takes them. Ends when the consumer has seen the stream as far as it reached at the time of the call.

import { RegistryError, type StoredMessage } from '../writer/registry.ts';
import { type ConsumerContext, consume } from './consumer.ts';

const PAGE_MESSAGES_MAX = 1_000;
/** Pages that wait for the reader before the server is asked to pause. */
const PAGES_AHEAD_MAX = 4;
/** A server with nothing more to tell that has not seen the stream's end for so long is behind, and may stay so. */
const BEHIND_MAX_MS = 3_000;

export type ReadBack = {
  readonly filters: readonly string[];
  /** Where the stream ended when the reading began. */
  readonly lastRevision: number;
  /** Who reads slower than others write would never be done: what is replaced meanwhile is not waited for. */
  readonly leaves: 'nothing' | 'what is replaced meanwhile';
  readonly bitsPerSecond: number;
  /** Called with each message as it comes, long before its page is full. */
  readonly onArrival: () => void;
};

/**
 * Pages of the last message of each subject, in the order of revisions. A subject that is written meanwhile may come
 * twice: its later message counts. @throws RegistryError
 */
export async function* readBack(
  context: ConsumerContext,
  { filters, lastRevision, leaves, bitsPerSecond, onArrival }: ReadBack,
  signal: AbortSignal,
): AsyncGenerator<readonly StoredMessage[]> {
  const { clock } = context;
  const stop = new AbortController();
  const pages = new Pages();
  let behindSinceMs: number | undefined;
  const end = (error?: unknown) => {
    pages.end(error);
    stop.abort();
  };
  const consuming = consume(context, { filters, bitsPerSecond }, AbortSignal.any([signal, stop.signal]), {
    onMessage: (message, pending) => {
      onArrival();
      pages.add(message);
      // `pending` alone may be 0 too early: on a replica that lags behind the leader.
      if (message.revision >= lastRevision && (pending === 0 || leaves !== 'nothing')) end();
    },
    onIdle: (seenRevision) => {
      if (seenRevision >= lastRevision) return end();
      behindSinceMs ??= clock.monotonicMs();
      if (clock.monotonicMs() - behindSinceMs >= BEHIND_MAX_MS)
        end(new RegistryError('transient', 'the server that is asked for the keys lags behind the stream'));
    },
    onFlowControl: (proceed) => pages.whenThereIsRoom(proceed),
  }).then(() => end(new RegistryError('transient', 'the read-back was interrupted')), end);
  try {
    for (;;) {
      const page = await pages.next();
      if (page === undefined) return;
      yield page;
      await clock.yield();
    }
  } finally {
    stop.abort();
    await consuming;
  }
}

/** Messages on their way from the socket to a slower reader, who gets them in pages. */
class Pages {
  #full: StoredMessage[][] = [];
  #current: StoredMessage[] = [];
  #ended = false;
  #error: Error | undefined;
  #wake: () => void = () => undefined;
  #proceed: (() => void) | undefined;

  add(message: StoredMessage): void {
    if (this.#ended) return;
    this.#current.push(message);
    if (this.#current.length === PAGE_MESSAGES_MAX) this.#turn();
  }

  /** Only the first end counts. */
  end(error?: unknown): void {
    if (this.#ended) return;
    this.#ended = true;
    if (error !== undefined)
      this.#error = error instanceof Error ? error : new Error('reading back failed', { cause: error });
    this.#turn();
  }

  whenThereIsRoom(proceed: () => void): void {
    if (this.#full.length <= PAGES_AHEAD_MAX) proceed();
    else this.#proceed = proceed;
  }

  /** Undefined after the last. @throws what `end` was given */
  async next(): Promise<readonly StoredMessage[] | undefined> {
    while (this.#full.length === 0 && !this.#ended) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    if (this.#error !== undefined) throw this.#error;
    const page = this.#full.shift();
    if (this.#full.length <= PAGES_AHEAD_MAX) {
      this.#proceed?.();
      this.#proceed = undefined;
    }
    return page;
  }

  #turn(): void {
    if (this.#current.length > 0) this.#full.push(this.#current);
    this.#current = [];
    this.#wake();
  }
}
