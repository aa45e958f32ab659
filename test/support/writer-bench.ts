// A writer on a table and a stream in memory, without a cluster: for tests of what the writer does with rows.

import { parseOffset } from '../../src/domain/service-instance.ts';
import { InstanceTable } from '../../src/table/instance-table.ts';
import type { Findings } from '../../src/writer/audit.ts';
import type { WriterContext } from '../../src/writer/context.ts';
import { lockSubject } from '../../src/writer/lock.ts';
import { WriteBudget } from '../../src/writer/write-budget.ts';
import { Writer } from '../../src/writer/writer.ts';
import { FakeClock } from './fake-clock.ts';
import { FakeRegistry } from './fake-registry.ts';
import { FakeStream } from './fake-stream.ts';

export const BUCKET = 'service-registry';
export const LOCK = lockSubject(BUCKET, 'test');

export type Line = { readonly fields: object; readonly message: string };

export class WriterBench {
  readonly clock = new FakeClock();
  readonly stream: FakeStream;
  readonly lapsed: string[] = [];
  /** How many keys each term found missing. */
  readonly missing: number[] = [];
  readonly conflicts: string[] = [];
  readonly lines: Line[] = [];
  readonly audits: Findings[] = [];

  constructor(random: () => number = () => 0.5) {
    this.stream = new FakeStream(this.clock, random, BUCKET);
  }

  /** A replica that has seen everything; `over` replaces what it thinks of that. */
  replica(name: string, over: Partial<WriterContext> = {}, maxWritesPerSecond?: number) {
    const { clock } = this;
    const registry = new FakeRegistry(this.stream, name);
    const listener = { onUrgent: () => writer.wake(), onReport: () => undefined };
    const table: InstanceTable = new InstanceTable(clock, listener, maxWritesPerSecond);
    const note = (fields: object, message: string) => void this.lines.push({ fields, message });
    const offset = parseOffset('Z');
    if (offset === undefined) throw new Error('no offset');
    const writer: Writer = new Writer(
      {
        registry,
        table,
        clock,
        random: this.stream.random,
        log: { debug: note, info: note, warn: note, error: note },
        bucket: BUCKET,
        operatorId: 'test',
        replicaId: name,
        offset,
        version: '0.0.0',
        budget: new WriteBudget(clock, maxWritesPerSecond),
        knowledge: () => 'complete',
        viewAgeMs: () => 0,
        fresh: () => true,
        isUnread: () => false,
        provenAtMs: () => Number.POSITIVE_INFINITY,
        doubt: () => undefined,
        sees: () => true,
        mayKeep: () => true,
        settingsOf: () => ({
          whenNotReady: 'MarkUnhealthy',
          apiOutage: { mode: 'Hold', maxHoldSeconds: 0 },
          refreshIntervalSeconds: 10,
        }),
        observer: {
          written: () => undefined,
          batch: () => undefined,
          lapsed: (row) => void this.lapsed.push(row.key),
          missing: (rows) => void this.missing.push(rows.length),
          conflict: (row) => void this.conflicts.push(row.key),
          audited: (found) => void this.audits.push(found),
        },
        ...over,
      },
      () => undefined,
    );
    const stop = new AbortController();
    const ended = writer.run(stop.signal);
    return { registry, table, writer, stop, ended };
  }

  /** Bodies under our keys, by key; markers left out. */
  values(): Readonly<Record<string, { readonly status: string; readonly version: string }>> {
    const keys = this.stream.messages(`$KV.${BUCKET}.>`).filter(({ operation }) => operation === 'PUT');
    return Object.fromEntries(
      keys.map(({ subject, body }) => [
        subject.slice(`$KV.${BUCKET}.`.length),
        JSON.parse(Buffer.from(body).toString()) as { status: string; version: string },
      ]),
    );
  }
}
