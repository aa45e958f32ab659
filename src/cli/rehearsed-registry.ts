// A registry that can be read but is never written: what a batch would store is kept here, and seen by whoever reads it
// again. The lock counts as free, because this is a play and disturbs nobody who holds it.

import type { Clock } from '../clock.ts';
import type { BatchMessage, BucketReport, Registry, Revision, StoredMessage } from '../writer/registry.ts';

export type RehearsedRegistry = Registry & {
  /** What would be written to each subject, the lock's and later refreshes left out, in the order of writing. */
  readonly planned: ReadonlyMap<string, BatchMessage>;
};

export type RehearsedRegistryOptions = {
  /** Absent: it cannot be reached, and counts as empty. */
  readonly real: Registry | undefined;
  readonly report: BucketReport | undefined;
  readonly lockSubject: string;
  readonly clock: Clock;
  /** The server's wall clock minus ours. */
  readonly clockOffsetMs: number;
};

/** A bucket that is still to be made, or completed, is rehearsed as if that were done. */
const MADE_LATER: Extract<BucketReport, { kind: 'usable' }> = {
  kind: 'usable',
  serverVersion: '',
  incarnation: 'rehearsed',
  lastRevision: 0,
  messages: Number.MAX_SAFE_INTEGER,
  bytes: 0,
  maxBytes: -1,
  maxAgeSeconds: 0,
  markerTtlSeconds: 60,
  history: 1,
  replicas: 1,
};

export const rehearsedRegistry = (options: RehearsedRegistryOptions): RehearsedRegistry => {
  const { real, report, lockSubject, clock, clockOffsetMs } = options;
  const usable = report?.kind === 'usable' ? report : MADE_LATER;
  // Others cannot be read, or there is nothing to read in them.
  const readable = report?.kind === 'usable' ? real : undefined;
  const planned = new Map<string, BatchMessage>();
  const stored = new Map<string, StoredMessage>();
  const byRevision = new Map<Revision, StoredMessage>();
  let lastRevision = usable.lastRevision;

  const store = (message: BatchMessage): void => {
    lastRevision += 1;
    const kept: StoredMessage = {
      subject: message.subject,
      revision: lastRevision,
      storedAtMs: clock.wallMs() + clockOffsetMs,
      operation: message.operation,
      ttlSeconds: message.ttlSeconds,
      headers: headersOf(message.headerLines),
      body: message.body,
    };
    stored.set(message.subject, kept);
    byRevision.set(kept.revision, kept);
    // A play that takes longer than a refresh interval sees what it wrote refreshed, which is nothing new.
    const repeats = planned.has(message.subject) && kept.headers['Rollcall-Reason'] === 'Refresh';
    if (message.subject === lockSubject || repeats) return;
    planned.delete(message.subject);
    planned.set(message.subject, message);
  };

  return {
    planned,
    async commit(messages) {
      for (const message of messages) store(message);
      return { kind: 'committed', lastRevision };
    },
    async read(subjects, signal) {
      const unknown = subjects.filter((subject) => subject !== lockSubject && !stored.has(subject));
      const found = readable === undefined || unknown.length === 0 ? [] : await readable.read(unknown, signal);
      const asked = new Map(unknown.map((subject, index) => [subject, found[index]]));
      return subjects.map((subject) => stored.get(subject) ?? asked.get(subject));
    },
    readRevision: async (revision, signal) => byRevision.get(revision) ?? readable?.readRevision(revision, signal),
    readBack: (...asked) => readable?.readBack(...asked) ?? nothing(),
    // Frozen but for what is played: what others write meanwhile is no concern of this term.
    inspect: async () => ({ ...usable, lastRevision, messages: Number.MAX_SAFE_INTEGER }),
    follow: (_subject, _onMessage, signal) =>
      new Promise((resolve) => {
        if (signal.aborted) resolve();
        else signal.addEventListener('abort', () => resolve(), { once: true });
      }),
    announce: () => undefined,
    connected: () => true,
    onConnectionChange: () => undefined,
  };
};

async function* nothing(): AsyncGenerator<readonly StoredMessage[]> {}

const headersOf = (lines: string): Readonly<Record<string, string>> =>
  Object.fromEntries(
    lines
      .split('\r\n')
      .filter((line) => line.includes(': '))
      .map((line) => [line.slice(0, line.indexOf(': ')), line.slice(line.indexOf(': ') + 2)]),
  );
