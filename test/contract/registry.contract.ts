// What every implementation of the port `Registry` has to do, told as tests: run against the fake in fake time and
// against a real nats-server in real time. What only a real server can do is in `test/integration/registry.test.ts`.

import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { BatchMessage, CommitOutcome, Registry, Revision, StoredMessage } from '../../src/writer/registry.ts';

export type RegistryUnderTest = {
  /** Connected, and its bucket inspected: empty, history 1, markers of 60 s. */
  readonly registry: Registry;
  /** Another client of the same bucket, in the same state. */
  readonly other: Registry;
  readonly bucket: string;
  /** Somebody who knows nothing of Rollcall writes without TTL. `key` is without the `$KV.{bucket}.` of its subject. */
  putByStranger(key: string, body: string): Promise<void>;
  /** Awaits while time goes on. */
  run<T>(promise: Promise<T>): Promise<T>;
  sleep(ms: number): Promise<void>;
  close(): Promise<void>;
};

/** The server measures 0-340 ms; a busy machine adds to that. */
const LAPSE_DELAY_MAX_MS = 1_200;

export function registryContract(name: string, makeRegistry: () => Promise<RegistryUnderTest>): void {
  describe(`${name} as a registry`, () => {
    let it: RegistryUnderTest;
    let signal: AbortSignal;
    let stop: AbortController;
    beforeEach(async () => {
      it = await makeRegistry();
      stop = new AbortController();
      ({ signal } = stop);
    });
    afterEach(async () => {
      stop.abort();
      await it.close();
    });

    const lock = () => `$ROLLCALL.${it.bucket}.operator.lock`;
    const key = (instance: string | number) => `$KV.${it.bucket}.service-instances.service.${instance}`;
    const commit = (...messages: BatchMessage[]) => it.run(it.registry.commit(messages, signal));
    const read = async (subject: string) => (await it.run(it.registry.read([subject], signal)))[0];
    const readBack = (...filters: string[]) => it.run(collect(it.registry.readBack(filters, signal)));
    const follow = (subject: string) => {
      const seen: StoredMessage[] = [];
      const ended = it.registry.follow(subject, (message) => seen.push(message), signal);
      return { seen, ended };
    };
    const until = async (condition: () => boolean, limitMs = 5_000) => {
      for (let waitedMs = 0; !condition() && waitedMs < limitMs; waitedMs += 20) await it.sleep(20);
      expect(condition()).toBe(true);
    };

    test('announce stores a message without a body beside everything else, until its TTL is over', async () => {
      const subject = `$ROLLCALL.${it.bucket}.operator.replica.a`;
      const announce = (age: number) =>
        it.registry.announce({ subject, ttlSeconds: 1, headerLines: `Rollcall-View-Age: ${age}\r\n` });
      announce(1);
      let stored: StoredMessage | undefined;
      const isStored = async (age: string) => {
        for (let tries = 0; stored?.headers['Rollcall-View-Age'] !== age && tries < 100; tries += 1) {
          await it.sleep(10);
          stored = await read(subject);
        }
      };
      await isStored('1');
      expect(stored).toMatchObject({ operation: 'PUT', ttlSeconds: 1, headers: { 'Rollcall-View-Age': '1' } });
      expect(stored?.body).toHaveLength(0);
      announce(2);
      await isStored('2');
      expect(
        (await readBack(`$ROLLCALL.${it.bucket}.operator.replica.*`)).flat().map(({ headers }) => headers),
      ).toEqual([{ 'Rollcall-View-Age': '2' }]);
      await it.sleep(1_000 + LAPSE_DELAY_MAX_MS);
      expect((await read(subject))?.operation).toBe('MaxAge');
    });

    describe('commit', () => {
      test('creates on empty subjects with consecutive revisions in the order given', async () => {
        const first = revisionOf(await commit(put(lock(), 0), put(key(1), 0), put(key(2), 0)));
        const second = revisionOf(await commit(put(lock(), first - 2), put(key(2), first)));
        expect(second).toBe(first + 2);
        expect((await read(lock()))?.revision).toBe(first + 1);
        expect((await read(key(1)))?.revision).toBe(first - 1);
        expect((await read(key(2)))?.revision).toBe(first + 2);
      });

      test('stores body, headers, TTL and time', async () => {
        const headerLines = 'Rollcall-Owner: op/ns/pod/uid\r\nRollcall-Term: 7\r\n';
        await commit(put(key(1), 0, { headerLines, ttlSeconds: 30, body: bytes('{"status":"ACTIVE"}') }));
        const stored = await read(key(1));
        expect(stored).toMatchObject({ subject: key(1), operation: 'PUT', ttlSeconds: 30 });
        expect(stored?.headers).toEqual({ 'Rollcall-Owner': 'op/ns/pod/uid', 'Rollcall-Term': '7' });
        expect(text(stored)).toBe('{"status":"ACTIVE"}');
        expect(stored?.storedAtMs).toBeGreaterThan(Date.UTC(2020, 0, 1));
      });

      test('a wrong expectation refuses the whole batch and tells the actual revision', async () => {
        const lastRevision = revisionOf(await commit(put(lock(), 0), put(key(1), 0)));
        const outcome = await commit(put(lock(), lastRevision - 1), put(key(2), 0), put(key(1), lastRevision + 7));
        expect(outcome).toEqual({ kind: 'conflict', actualRevision: lastRevision });
        expect((await read(lock()))?.revision).toBe(lastRevision - 1);
        expect(await read(key(2))).toBeUndefined();
      });

      test('of several wrong expectations the first in the batch is told', async () => {
        const lastRevision = revisionOf(await commit(put(lock(), 0), put(key(1), 0), put(key(2), 0)));
        const outcome = await commit(put(lock(), lastRevision - 2), put(key(2), 0), put(key(1), 0));
        expect(outcome).toEqual({ kind: 'conflict', actualRevision: lastRevision });
      });

      test('expecting a revision of an empty subject is a conflict with 0', async () => {
        expect(await commit(put(key(1), 4))).toEqual({ kind: 'conflict', actualRevision: 0 });
      });

      test('a stale batch is refused whole, however late it comes', async () => {
        const first = revisionOf(await commit(put(lock(), 0), put(key(1), 0)));
        const second = revisionOf(
          await it.run(it.other.commit([put(lock(), first - 1, { body: bytes('B') })], signal)),
        );
        expect(await commit(put(lock(), first - 1), put(key(1), first))).toEqual({
          kind: 'conflict',
          actualRevision: second,
        });
        expect((await read(key(1)))?.revision).toBe(first);
        expect(text(await read(lock()))).toBe('B');
      });

      test('500 keys behind the lock', async () => {
        const keys = Array.from({ length: 500 }, (_, i) => put(key(i), 0));
        const lastRevision = revisionOf(await commit(put(lock(), 0), ...keys));
        expect((await read(key(499)))?.revision).toBe(lastRevision);
        expect((await read(key(0)))?.revision).toBe(lastRevision - 499);
      });

      test('1,000 messages are accepted', async () => {
        expect((await commit(...Array.from({ length: 1_000 }, (_, i) => put(key(i), 0)))).kind).toBe('committed');
      });

      test.each<[string, (subject: string) => BatchMessage[]]>([
        ['none', () => []],
        ['1,001 messages', (s) => Array.from({ length: 1_001 }, (_, i) => put(`${s}${i}`, 0))],
        ['a subject twice', (s) => [put(s, 0), put(s, 0)]],
        ['a wildcard', (s) => [put(`${s}.*`, 0)]],
        ['an endless wildcard', (s) => [put(`${s}.>`, 0)]],
        ['a space in a subject', (s) => [put(`${s} x`, 0)]],
        ['a subject that breaks the protocol line', (s) => [put(`${s}${'x'.repeat(5_000)}`, 0)]],
        ['no TTL', (s) => [put(s, 0, { ttlSeconds: 0 })]],
        ['half a second of TTL', (s) => [put(s, 0, { ttlSeconds: 0.5 })]],
        ['a negative expectation', (s) => [put(s, -1)]],
      ])('rejects as a bug of the caller: %s', async (_name, messages) => {
        await expect(commit(...messages(key('x')))).rejects.toThrow(RangeError);
        expect(await readBack(`$KV.${it.bucket}.>`)).toEqual([]);
      });
    });

    describe('time to live', () => {
      test('a value lapses into a marker, whose revision the next create has to expect', async () => {
        await commit(put(key(1), 0, { ttlSeconds: 1 }));
        const created = await read(key(1));
        const { seen } = follow(key(1));
        await until(() => seen.some(({ operation }) => operation === 'MaxAge'));
        const marker = await read(key(1));
        expect(marker).toMatchObject({ operation: 'MaxAge', ttlSeconds: 60, headers: {} });
        expect(marker?.body.length).toBe(0);
        const lifeMs = (marker?.storedAtMs ?? 0) - (created?.storedAtMs ?? 0);
        expect(lifeMs).toBeGreaterThanOrEqual(1_000);
        expect(lifeMs).toBeLessThan(1_000 + LAPSE_DELAY_MAX_MS);
        expect(await commit(put(key(1), 0))).toEqual({ kind: 'conflict', actualRevision: marker?.revision });
        expect(await commit(put(key(1), created?.revision ?? 0))).toMatchObject({ kind: 'conflict' });
        expect((await commit(put(key(1), marker?.revision ?? 0))).kind).toBe('committed');
      });

      test('counts from the last write', async () => {
        let revision = revisionOf(await commit(put(key(1), 0, { ttlSeconds: 2 })));
        for (let refresh = 0; refresh < 3; refresh++) {
          await it.sleep(1_000);
          revision = revisionOf(await commit(put(key(1), revision, { ttlSeconds: 2 })));
        }
        expect(await read(key(1))).toMatchObject({ operation: 'PUT', revision });
      });

      test("a stranger's write without TTL makes the key permanent", async () => {
        const revision = revisionOf(await commit(put(key(1), 0, { ttlSeconds: 1 })));
        await it.run(it.putByStranger('service-instances.service.1', 'mine'));
        await it.sleep(1_000 + LAPSE_DELAY_MAX_MS);
        const stored = await read(key(1));
        expect(stored).toMatchObject({ operation: 'PUT', headers: {} });
        expect(stored?.ttlSeconds).toBeUndefined();
        expect(text(stored)).toBe('mine');
        expect(await commit(put(key(1), revision))).toEqual({ kind: 'conflict', actualRevision: stored?.revision });
      });
    });

    describe('purge', () => {
      test('leaves a marker, in one batch with writes to other subjects', async () => {
        const first = revisionOf(await commit(put(lock(), 0), put(key(1), 0)));
        const second = revisionOf(await commit(purge(lock(), first - 1, 1), put(key(1), first)));
        expect(await read(lock())).toMatchObject({ operation: 'PURGE', revision: second - 1, ttlSeconds: 1 });
        expect(await read(key(1))).toMatchObject({ operation: 'PUT', revision: second });
        expect(await it.run(it.registry.readRevision(first - 1, signal))).toBeUndefined();
        expect((await commit(put(lock(), second - 1))).kind).toBe('committed');
      });

      test('the marker lapses without leaving another', async () => {
        const first = revisionOf(await commit(put(key(1), 0)));
        await commit(purge(key(1), first, 1));
        await it.sleep(1_000 + LAPSE_DELAY_MAX_MS);
        expect(await read(key(1))).toBeUndefined();
        expect((await commit(put(key(1), 0))).kind).toBe('committed');
      });
    });

    describe('reading', () => {
      test('several subjects in the order asked, undefined where there is nothing', async () => {
        const lastRevision = revisionOf(await commit(put(key(1), 0), put(key(2), 0)));
        const found = await it.run(it.registry.read([key(2), key(9), key(1)], signal));
        expect(found.map((message) => message?.revision)).toEqual([lastRevision, undefined, lastRevision - 1]);
        expect(await it.run(it.registry.read([], signal))).toEqual([]);
      });

      test('by revision, undefined when it is gone or never was', async () => {
        const first = revisionOf(await commit(put(key(1), 0)));
        expect(await it.run(it.registry.readRevision(first, signal))).toMatchObject({
          subject: key(1),
          revision: first,
        });
        await commit(put(key(1), first));
        expect(await it.run(it.registry.readRevision(first, signal))).toBeUndefined();
        expect(await it.run(it.registry.readRevision(first + 1_000, signal))).toBeUndefined();
      });

      test('back: nothing', async () => {
        expect(await readBack(`$KV.${it.bucket}.>`)).toEqual([]);
        await commit(put(lock(), 0));
        expect(await readBack(`$KV.${it.bucket}.>`)).toEqual([]);
      });

      test('back: three subjects, markers included, others left out', async () => {
        const first = revisionOf(await commit(put(lock(), 0), put(key(1), 0), put(key(2), 0), put(key(3), 0)));
        await commit(purge(key(1), first - 2, 30));
        await it.run(it.putByStranger('definition', '{}'));
        const pages = await readBack(`$KV.${it.bucket}.service-instances.>`);
        expect(pages.map((page) => page.map(({ subject, operation }) => [subject, operation]))).toEqual([
          [
            [key(2), 'PUT'],
            [key(3), 'PUT'],
            [key(1), 'PURGE'],
          ],
        ]);
      });

      test('back: under several filters, as one, in the order of revisions', async () => {
        const oneToken = `$KV.${it.bucket}.service-instances_service_1`;
        await commit(put(lock(), 0), put(oneToken, 0), put(key(1), 0), put(`${oneToken}x`, 0));
        await it.run(it.putByStranger('deeper.key', '{}'));
        const pages = await readBack(`$KV.${it.bucket}.service-instances.>`, `$KV.${it.bucket}.*`);
        expect(pages.flat().map(({ subject }) => subject)).toEqual([oneToken, key(1), `${oneToken}x`]);
      });

      test('back: 2,500 subjects in pages of at most 1,000, in the order of revisions', async () => {
        for (const start of [0, 1_000, 2_000]) {
          const length = Math.min(1_000, 2_500 - start);
          await commit(...Array.from({ length }, (_, i) => put(key(start + i), 0, { body: bytes(`${start + i}`) })));
        }
        const pages = await readBack(`$KV.${it.bucket}.>`);
        const messages = pages.flat();
        expect(messages.length).toBe(2_500);
        expect(Math.max(...pages.map((page) => page.length))).toBeLessThanOrEqual(1_000);
        expect(messages.every((message, i) => i === 0 || message.revision > (messages[i - 1]?.revision ?? 0))).toBe(
          true,
        );
        expect(messages.every((message) => message.subject === key(text(message)))).toBe(true);
      });

      test('back: the reader may leave early', async () => {
        await commit(...Array.from({ length: 500 }, (_, i) => put(key(i), 0)));
        const leaving = async () => {
          for await (const page of it.registry.readBack([`$KV.${it.bucket}.>`], signal)) return page.length;
          return 0;
        };
        expect(await it.run(leaving())).toBeGreaterThan(0);
      });
    });

    describe('follow', () => {
      test('tells the last message, then values, purges and lapses, each once', async () => {
        const first = revisionOf(await commit(put(lock(), 0)));
        const { seen } = follow(lock());
        await until(() => seen.length === 1);
        const second = revisionOf(await commit(put(lock(), first)));
        const third = revisionOf(await commit(purge(lock(), second, 30)));
        const fourth = revisionOf(await commit(put(lock(), third, { ttlSeconds: 1 })));
        await commit(put(key(1), 0));
        await until(() => seen.length === 5);
        expect(seen.map(({ revision, operation }) => [revision, operation])).toEqual([
          [first, 'PUT'],
          [second, 'PUT'],
          [third, 'PURGE'],
          [fourth, 'PUT'],
          [expect.any(Number), 'MaxAge'],
        ]);
      });

      test('waits for the first message of an empty subject, and ends with the signal', async () => {
        const { seen, ended } = follow(lock());
        await it.sleep(300);
        expect(seen).toEqual([]);
        await commit(put(lock(), 0));
        await until(() => seen.length === 1);
        stop.abort();
        await it.run(ended);
      });
    });

    test('inspect says what the stream is like', async () => {
      const lastRevision = revisionOf(await commit(put(key(1), 0), put(key(2), 0)));
      const report = await it.run(it.registry.inspect(signal));
      expect(report).toMatchObject({
        kind: 'usable',
        lastRevision,
        messages: 2,
        maxAgeSeconds: 0,
        markerTtlSeconds: 60,
        history: 1,
        replicas: 1,
      });
      expect(Math.abs((report.kind === 'usable' && report.clockOffsetMs) || 0)).toBeLessThan(500);
      const again = await it.run(it.other.inspect(signal));
      expect(again.kind === 'usable' && again.incarnation).toBe(report.kind === 'usable' && report.incarnation);
    });

    test('nothing is sent after the signal has aborted', async () => {
      stop.abort();
      expect((await commit(put(key(1), 0))).kind).toBe('retry');
      await expect(it.run(it.registry.read([key(1)], signal))).rejects.toMatchObject({ kind: 'transient' });
    });
  });
}

export function put(subject: string, expectedRevision: Revision, other: Partial<BatchMessage> = {}): BatchMessage {
  return { subject, expectedRevision, ttlSeconds: 30, operation: 'PUT', headerLines: '', body: bytes('{}'), ...other };
}

export function purge(subject: string, expectedRevision: Revision, ttlSeconds: number): BatchMessage {
  return put(subject, expectedRevision, { operation: 'PURGE', ttlSeconds, body: bytes('') });
}

export function revisionOf(outcome: CommitOutcome): Revision {
  if (outcome.kind !== 'committed') throw new Error(`not committed: ${JSON.stringify(outcome)}`);
  return outcome.lastRevision;
}

export const bytes = (value: string): Uint8Array => new TextEncoder().encode(value);

export const text = (message: StoredMessage | undefined): string => new TextDecoder().decode(message?.body);

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}
