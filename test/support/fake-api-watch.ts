// One watch of the fake API server, as the real one behaves (measured on 1.36): what happened since a version, then
// what happens; a bookmark a second after the versions moved when the timeout is 2 s away, and once a minute; an end at
// the timeout.

import { ApiError } from '../../src/kubernetes/api-transport.ts';
import type { Faults } from './fake-api-faults.ts';
import type { ApiObject, Change, Collection } from './fake-api-store.ts';
import type { FakeClock } from './fake-clock.ts';

export type WatchSpec = {
  readonly collection: Collection;
  readonly matches: (object: ApiObject) => boolean;
  /** Changes after this version; undefined: from now on. */
  readonly from: number | undefined;
  readonly initial: readonly ApiObject[] | undefined;
  readonly version: number;
  readonly bookmarks: boolean;
  readonly timeoutMs: number;
};

const BOOKMARK_EVERY_MS = 60_000;
const BOOKMARK_BEFORE_END_MS = 2_000;

export class FakeWatch {
  readonly #clock: FakeClock;
  readonly #faults: Faults;
  readonly #spec: WatchSpec;
  readonly #pieces: Buffer[] = [];
  readonly #keptBack: Buffer[] = [];
  readonly #timers: (() => void)[] = [];
  #sentVersion: number;
  readonly #waiting: (() => void)[] = [];
  /** When the last line that waits is sent. */
  #turnAtMs = Number.NEGATIVE_INFINITY;
  #end: 'open' | 'end' | 'reset' = 'open';
  #wake: () => void = () => {};
  readonly #close: () => void;

  constructor(clock: FakeClock, faults: Faults, spec: WatchSpec, onClose: (watch: FakeWatch) => void) {
    this.#clock = clock;
    this.#faults = faults;
    this.#spec = spec;
    this.#sentVersion = spec.from ?? spec.version;
    const onChange = (change: Change) => this.#changed(change);
    this.#close = () => {
      spec.collection.onChange.delete(onChange);
      for (const cancel of this.#timers.splice(0)) cancel();
      onClose(this);
    };
    this.#sendBacklog();
    spec.collection.onChange.add(onChange);
    this.#timers.push(clock.after(spec.timeoutMs, () => this.end('end')));
    if (spec.bookmarks) this.#scheduleBookmarks();
  }

  end(how: 'end' | 'reset'): void {
    if (this.#end === 'open') this.#end = how;
    this.#close();
    this.#wake();
  }

  /** Sends what was kept back while watches were silent. */
  release(): void {
    for (const piece of this.#keptBack.splice(0)) this.#pieces.push(piece);
    this.#wake();
  }

  async *body(signal: AbortSignal): AsyncGenerator<Uint8Array> {
    const onAbort = () => this.#wake();
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      while (!signal.aborted) {
        const piece = this.#pieces.shift();
        if (piece !== undefined) {
          yield piece;
          continue;
        }
        if (this.#end === 'end') return;
        if (this.#end === 'reset') throw new ApiError('transient', 'the watch broke: connection reset');
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    } finally {
      signal.removeEventListener('abort', onAbort);
      this.#close();
    }
  }

  #sendBacklog(): void {
    const { collection, matches, from, initial, version } = this.#spec;
    if (initial !== undefined) {
      for (const object of initial) this.#send(Buffer.from(`${JSON.stringify({ type: 'ADDED', object })}\n`), 'listed');
      this.#sendBookmark(version, { 'k8s.io/initial-events-end': 'true' });
      return;
    }
    if (from === undefined) return;
    // Versions grow along the log, and most watches begin near its end.
    const known = collection.log.findLastIndex(({ version: at }) => at <= from);
    for (const change of collection.log.slice(known + 1)) {
      this.#deliver(change, matches);
      // Also by what the selector leaves out, as the real one does: no bookmark follows for that alone.
      this.#sentVersion = change.version;
    }
  }

  #changed(change: Change): void {
    // Of what the watch asked to have behind it nothing is said, also where the cluster is not there yet.
    if (change.version <= (this.#spec.from ?? 0)) return;
    this.#inTurn(() => this.#deliver(change, this.#spec.matches));
  }

  /** Late by what the faults say, and never before what happened earlier. */
  #inTurn(act: () => void): void {
    const nowMs = this.#clock.monotonicMs();
    const atMs = Math.max(nowMs + this.#faults.eventDelayMs, this.#turnAtMs);
    if (atMs <= nowMs && this.#waiting.length === 0) return act();
    this.#turnAtMs = atMs;
    this.#waiting.push(act);
    // Whichever timer comes first, what waits longest goes: sums of times are not exact.
    this.#timers.push(this.#clock.after(atMs - nowMs, () => this.#waiting.shift()?.()));
  }

  /** An object that begins or ceases to match is added or deleted, for who watches with a selector. */
  #deliver(change: Change, matches: (object: ApiObject) => boolean): void {
    const { type, object, before, version } = change;
    const after = type !== 'DELETED' && matches(object);
    const had = before !== undefined && matches(before);
    if (!after && !had) return;
    this.#sentVersion = Math.max(this.#sentVersion, version);
    const seen = after ? (had ? 'MODIFIED' : 'ADDED') : 'DELETED';
    this.#send(seen === type ? change.line : Buffer.from(`${JSON.stringify({ type: seen, object })}\n`));
  }

  #scheduleBookmarks(): void {
    const again = (afterMs: number) => {
      this.#timers.push(
        this.#clock.after(afterMs, () => {
          this.#bookmark();
          again(BOOKMARK_EVERY_MS);
        }),
      );
    };
    again(BOOKMARK_EVERY_MS);
    const beforeEndMs = this.#spec.timeoutMs - BOOKMARK_BEFORE_END_MS;
    if (beforeEndMs > 0) this.#timers.push(this.#clock.after(beforeEndMs, () => this.#bookmark()));
  }

  #bookmark(): void {
    const { cacheVersion } = this.#spec.collection;
    if (this.#faults.noBookmarks) return;
    // A server that is behind with events is behind with what it says of itself.
    this.#inTurn(() => {
      if (cacheVersion <= this.#sentVersion) return;
      this.#sentVersion = cacheVersion;
      this.#sendBookmark(cacheVersion, undefined);
    });
  }

  #sendBookmark(version: number, annotations: Readonly<Record<string, string>> | undefined): void {
    const { kind } = this.#spec.collection.resource;
    const metadata = { resourceVersion: String(version), ...(annotations === undefined ? {} : { annotations }) };
    this.#send(Buffer.from(`${JSON.stringify({ type: 'BOOKMARK', object: { kind, metadata } })}\n`));
  }

  /** What a list is made of does not get lost: a list that lacks something is another fault (`emptyLists`). */
  #send(line: Buffer, what?: 'listed'): void {
    const { plural } = this.#spec.collection.resource;
    const fate = this.#faults.lineFate(plural);
    if (fate === 'drop' && what !== 'listed') return;
    if (fate === 'cut') {
      this.#pieces.push(line.subarray(0, line.length >> 1));
      return this.end('reset');
    }
    const queue = this.#faults.isSilent(plural) ? this.#keptBack : this.#pieces;
    queue.push(line);
    if (fate === 'double') queue.push(line);
    this.#wake();
  }
}
