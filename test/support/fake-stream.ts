// A JetStream stream in memory, as far as the registry depends on it: revisions, expectations, TTLs, markers, atomic
// batches. Every client of a simulation shares one (`fake-registry.ts`). Keeps a raw log of all that ever happened.

import type { Random } from '../../src/clock.ts';
import type { BatchMessage, CommitOutcome, Revision, StoredMessage } from '../../src/writer/registry.ts';
import type { FakeClock } from './fake-clock.ts';

export type LogEntry =
  | {
      readonly kind: 'stored';
      readonly atMs: number;
      readonly message: StoredMessage;
      /** The client's name, `foreign`, `server` for markers, or `restored` for what a crash brought back. */
      readonly by: string;
      /** Messages of one batch have the same number; 0 outside batches. */
      readonly batch: number;
    }
  /** A message reached its TTL; with markers on, the next entry is the marker unless this was one. */
  | { readonly kind: 'lapsed'; readonly atMs: number; readonly subject: string; readonly revision: Revision }
  /** Purged through the API, or gone with the whole stream. */
  | { readonly kind: 'removed'; readonly atMs: number; readonly subject: string; readonly revision: Revision };

/** The server's expiry comes so much after the deadline at most, measured on nats-server 2.15. */
const LAPSE_DELAY_MAX_MS = 340;
/** Between the server's decision that there shall be a marker and the marker, which comes over whatever is written meanwhile. */
const MARKER_DELAY_MAX_MS = 100;
const EMPTY = new Uint8Array(0);

type Draft = Omit<StoredMessage, 'revision' | 'storedAtMs'>;

export class FakeStream {
  readonly clock: FakeClock;
  readonly random: Random;
  readonly bucket: string;
  /** 0: a lapse leaves nothing behind. */
  readonly markerTtlSeconds: number;
  /** False: as after somebody deleted the bucket. */
  exists = true;
  /** A full bucket of a single server: what replaces something is stored, what is new is not. */
  full = false;
  /** Subjects that nobody may publish to. */
  denied: RegExp | undefined;
  /** Of a body; -1: no limit. */
  maxMessageBytes = -1;
  incarnation: string;
  lastRevision: Revision = 0;
  /** What the server's clock is ahead of the world's. */
  clockOffsetMs = 0;
  readonly #log: LogEntry[] = [];
  /** Last message per subject, in the order of revisions. */
  readonly #last = new Map<string, StoredMessage>();
  readonly #subjectByRevision = new Map<Revision, string>();
  /** Cancels of markers that are decided upon. */
  readonly #markers = new Set<() => void>();
  readonly #lapses = new Map<Revision, { readonly message: StoredMessage; atMs: number; cancel: () => void }>();
  /** All that was stored and not purged, in the order of revisions, replaced or not: what a crash may bring back. */
  #disk: { readonly message: StoredMessage; readonly batch: number }[] = [];
  readonly #listeners = new Set<(message: StoredMessage) => void>();
  #batches = 0;

  constructor(clock: FakeClock, random: Random, bucket = 'service-registry', markerTtlSeconds = 60) {
    this.clock = clock;
    this.random = random;
    this.bucket = bucket;
    this.markerTtlSeconds = markerTtlSeconds;
    this.incarnation = this.#now();
  }

  /** Everything that was ever stored or went, oldest first, over all incarnations. */
  history(): readonly LogEntry[] {
    return this.#log;
  }

  /** Last messages of the subjects that match, markers included, in the order of revisions. */
  messages(filter = '>'): StoredMessage[] {
    return [...this.#last.values()].filter(({ subject }) => matches(filter, subject));
  }

  last(subject: string): StoredMessage | undefined {
    return this.#last.get(subject);
  }

  at(revision: Revision): StoredMessage | undefined {
    const subject = this.#subjectByRevision.get(revision);
    return subject === undefined ? undefined : this.#last.get(subject);
  }

  bytes(): number {
    let bytes = 0;
    for (const { subject, body } of this.#last.values()) bytes += subject.length + body.length;
    return bytes;
  }

  onStored(listener: (message: StoredMessage) => void): void {
    this.#listeners.add(listener);
  }

  /** As the server does: looks at the messages in their order and names the first that does not fit. */
  storeBatch(messages: readonly BatchMessage[], by: string): CommitOutcome {
    if (!this.exists) return { kind: 'retry', description: 'nobody answers (503)' };
    for (const { subject, expectedRevision } of messages) {
      const actualRevision = this.#last.get(subject)?.revision ?? 0;
      if (actualRevision !== expectedRevision) return { kind: 'conflict', actualRevision };
    }
    const denied = messages.flatMap(({ subject }) => (this.denied?.test(subject) ? subject : []));
    if (denied.length > 0) return { kind: 'rejected', reason: 'Denied', subjects: denied, description: 'denied' };
    const large = messages.flatMap(({ subject, body }) =>
      this.maxMessageBytes >= 0 && body.length > this.maxMessageBytes ? subject : [],
    );
    if (large.length > 0) {
      const descriptions = large.map((subject) => `${subject} is too large`);
      return { kind: 'rejected', reason: 'TooLarge', subjects: large, descriptions, description: 'too large' };
    }
    if (this.full && messages.some(({ subject }) => !this.#last.has(subject))) {
      return { kind: 'rejected', reason: 'Full', description: 'maximum bytes exceeded (10077)' };
    }
    const batch = ++this.#batches;
    for (const { subject, ttlSeconds, operation, headerLines, body } of messages) {
      this.#store({ subject, ttlSeconds, operation, headers: rollcallHeaders(headerLines), body }, by, batch);
    }
    return { kind: 'committed', lastRevision: this.lastRevision };
  }

  /** A message outside any batch, without a body or an answer. */
  storeAlone(subject: string, ttlSeconds: number, headerLines: string, by: string): void {
    if (!this.exists || this.denied?.test(subject) === true || (this.full && !this.#last.has(subject))) return;
    this.#store({ subject, ttlSeconds, operation: 'PUT', headers: rollcallHeaders(headerLines), body: EMPTY }, by, 0);
  }

  /** Somebody else's `kv.put`; without `ttlSeconds` the key never lapses. */
  put(
    subject: string,
    body: string | Uint8Array,
    options: { ttlSeconds?: number; headers?: StoredMessage['headers'] } = {},
  ) {
    const { ttlSeconds, headers = {} } = options;
    const bytes = typeof body === 'string' ? new TextEncoder().encode(body) : body;
    return this.#store(
      { subject, operation: 'PUT', headers, body: bytes, ...(ttlSeconds && { ttlSeconds }) },
      'foreign',
      0,
    );
  }

  /** Somebody else's `kv.purge`: a marker, for ever unless it has a TTL. */
  purge(subject: string, ttlSeconds?: number): Revision {
    const draft: Draft = { subject, operation: 'PURGE', headers: {}, body: EMPTY, ...(ttlSeconds && { ttlSeconds }) };
    return this.#store(draft, 'foreign', 0);
  }

  /** `nats stream purge`: the messages are gone without a trace, revisions go on. */
  wipe(filter = '>'): void {
    const purged = new Set(this.messages(filter));
    for (const message of purged) this.#remove(message, 'removed');
    this.#disk = this.#disk.filter(({ message }) => !matches(filter, message.subject));
  }

  /** Somebody deleted the bucket. */
  delete(): void {
    this.wipe();
    this.exists = false;
  }

  /** Deleted and made again: revisions begin anew. */
  remake(): void {
    this.delete();
    this.exists = true;
    this.lastRevision = 0;
    this.incarnation = this.#now();
  }

  // ---- faults that no real server can be made to show at a wish: the contract test knows nothing of them

  /** The server's wall clock jumps: TTLs are counted by it, so that forward much lapses at once. */
  jumpClock(ms: number): void {
    this.clockOffsetMs += ms;
    for (const [revision, lapse] of [...this.#lapses]) {
      lapse.cancel();
      this.#lapseAt(lapse.message, revision, lapse.atMs - ms);
    }
  }

  /**
   * A crash without fsync: the newest `count` messages are gone, with the rest of a batch that is cut, and revisions are
   * given a second time. What the lost ones had replaced is there again, unless its TTL has passed or it was purged.
   */
  loseNewest(count: number): void {
    const first = this.#disk.at(-count) ?? this.#disk[0];
    const from = this.#disk.findIndex((one) => one === first || (one.batch > 0 && one.batch === first?.batch));
    if (from === -1) return;
    const lost = this.#disk.splice(from).map(({ message }) => message);
    const subjects = new Set(lost.map(({ subject }) => subject));
    for (const message of lost) if (this.#last.get(message.subject) === message) this.#remove(message, 'removed');
    this.lastRevision = Math.min(...lost.map(({ revision }) => revision)) - 1;
    for (const { message } of this.#disk.toReversed()) {
      // Only the newest of those that are left.
      if (subjects.delete(message.subject)) this.#restore(message);
    }
    const ordered = this.messages().sort((a, b) => a.revision - b.revision);
    this.#last.clear();
    for (const message of ordered) this.#last.set(message.subject, message);
  }

  #restore(message: StoredMessage): void {
    const { ttlSeconds = Number.POSITIVE_INFINITY, storedAtMs, revision } = message;
    const leftMs = storedAtMs + ttlSeconds * 1_000 - this.wallMs();
    if (leftMs <= 0) return;
    const nowMs = this.clock.monotonicMs();
    this.#keep(message);
    this.#log.push({ kind: 'stored', atMs: nowMs, message, by: 'restored', batch: 0 });
    if (Number.isFinite(leftMs)) this.#lapseAt(message, revision, nowMs + leftMs);
  }

  /** Forgets the timers of what would still lapse, so that a test can look for leaked ones. */
  close(): void {
    for (const { cancel } of this.#lapses.values()) cancel();
    this.#lapses.clear();
    for (const cancel of this.#markers) cancel();
    this.#markers.clear();
  }

  #store(draft: Draft, by: string, batch: number): Revision {
    const previous = this.#last.get(draft.subject);
    if (previous !== undefined) this.#forget(previous);
    const revision = ++this.lastRevision;
    const message: StoredMessage = { ...draft, revision, storedAtMs: this.wallMs() };
    this.#keep(message);
    this.#disk.push({ message, batch });
    this.#log.push({ kind: 'stored', atMs: this.clock.monotonicMs(), message, by, batch });
    if (draft.ttlSeconds !== undefined) {
      const afterMs = draft.ttlSeconds * 1_000 + this.random() * LAPSE_DELAY_MAX_MS;
      this.#lapseAt(message, revision, this.clock.monotonicMs() + afterMs);
    }
    for (const listener of this.#listeners) listener(message);
    return revision;
  }

  #keep(message: StoredMessage): void {
    this.#last.set(message.subject, message);
    this.#subjectByRevision.set(message.revision, message.subject);
  }

  #lapseAt(message: StoredMessage, revision: Revision, atMs: number): void {
    const cancel = this.clock.after(atMs - this.clock.monotonicMs(), () => this.#lapse(message));
    this.#lapses.set(revision, { message, atMs, cancel });
  }

  #lapse(message: StoredMessage): void {
    // A purge's marker and the server's own vanish silently; a value and a DEL leave a marker.
    const isMarker = message.operation !== 'PUT' && message.operation !== 'DEL';
    if (isMarker || this.markerTtlSeconds === 0) return this.#remove(message, 'lapsed');
    this.#lapses.delete(message.revision);
    const cancel = this.clock.after(this.random() * MARKER_DELAY_MAX_MS, () => {
      this.#markers.delete(cancel);
      this.#mark(message);
    });
    this.#markers.add(cancel);
  }

  /** Expects nothing of the subject, so that a value which was accepted since it was decided is gone as well. */
  #mark(message: StoredMessage): void {
    const { subject } = message;
    const last = this.#last.get(subject);
    if (last !== undefined) this.#remove(last, last === message ? 'lapsed' : 'removed');
    this.#store(
      { subject, ttlSeconds: this.markerTtlSeconds, operation: 'MaxAge', headers: {}, body: EMPTY },
      'server',
      0,
    );
  }

  #remove(message: StoredMessage, kind: 'lapsed' | 'removed'): void {
    this.#forget(message);
    const { subject, revision } = message;
    this.#log.push({ kind, atMs: this.clock.monotonicMs(), subject, revision });
  }

  #forget({ subject, revision }: StoredMessage): void {
    this.#last.delete(subject);
    this.#subjectByRevision.delete(revision);
    this.#lapses.get(revision)?.cancel();
    this.#lapses.delete(revision);
  }

  /** The server's wall clock. */
  wallMs(): number {
    return this.clock.wallMs() + this.clockOffsetMs;
  }

  #now(): string {
    return `${new Date(this.clock.wallMs()).toISOString()}#${this.#log.length}`;
  }
}

/** NATS subject matching: `*` is one token, `>` one or more at the end. */
export function matches(filter: string, subject: string): boolean {
  if (filter === '>' || filter === subject) return true;
  if (!filter.includes('*') && !filter.endsWith('>')) return false;
  const wanted = filter.split('.');
  const tokens = subject.split('.');
  for (const [index, token] of wanted.entries()) {
    if (token === '>') return tokens.length > index;
    if (index >= tokens.length || (token !== '*' && token !== tokens[index])) return false;
  }
  return wanted.length === tokens.length;
}

function rollcallHeaders(lines: string): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const line of lines.split('\r\n')) {
    const colon = line.indexOf(':');
    if (line.startsWith('Rollcall-') && colon > 0) headers[line.slice(0, colon)] = line.slice(colon + 1).trim();
  }
  return headers;
}
