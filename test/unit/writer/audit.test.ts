import { beforeEach, describe, expect, test } from 'vitest';
import { generatedInstanceId } from '../../../src/domain/names.ts';
import { objectKey } from '../../../src/domain/pod.ts';
import { encodeInstance } from '../../../src/domain/service-instance.ts';
import type { StoredMessage } from '../../../src/writer/registry.ts';
import { aWish, away, uidOf, type WishOptions } from '../../support/wishes.ts';
import { BUCKET, WriterBench } from '../../support/writer-bench.ts';

const NONE = { ghosts: 0, missing: 0, drifted: 0, foreign: 0 };
/** The first audit of a term, and one more. */
const AN_AUDIT_MS = 16_000;
const TWO_AUDITS_MS = 80_000;
/** A refresh finds what is wrong with its own key: so seldom that the audit comes before it. */
const SELDOM = { ttlMs: 900_000, intervalMs: 250_000 };

let bench: WriterBench;
type Replica = ReturnType<WriterBench['replica']>;

beforeEach(() => {
  bench = new WriterBench();
});

const wish = ({ table }: Replica, podName: string, options: WishOptions = {}) =>
  table.setWishes(objectKey('trading', podName), uidOf(podName), [aWish({ podName, ...options })]);
const subject = (key: string) => `$KV.${BUCKET}.${key}`;
/** The row that is refreshed last, long after the audit. */
const lateOne = ({ table }: Replica) => {
  const [last] = [...table.rows()].toSorted((a, b) => b.refreshDueMs - a.refreshDueMs);
  if (last === undefined) throw new Error('no rows');
  return last;
};
const leader = async (keys: number, options: WishOptions = {}, over = {}) => {
  const replica = bench.replica('a', over);
  for (let i = 0; i < keys; i += 1) wish(replica, `pod-${i}`, options);
  await bench.clock.until(() => replica.writer.leading && replica.table.standing() === keys, 30_000);
  return replica;
};
/** Under which the pod `idle` has its key. */
const IDLE = `service-instances.trading-service.${generatedInstanceId('trading-service', uidOf('idle'), 8)}`;
/** What a leader of ours might have written for a pod. */
const plant = (key: string, podName: string, status: 'ACTIVE' | 'UNHEALTHY' = 'ACTIVE', ttlSeconds = 600) => {
  const { head, tail } = encodeInstance(aWish({ podName }).content, key.split('.')[2] ?? '', status);
  bench.stream.put(subject(key), `${head}2026-11-23T09:00:00.000Z${tail}`, {
    ttlSeconds,
    headers: { 'Rollcall-Owner': `test/trading/${podName}/${uidOf(podName)}`, 'Rollcall-Term': '1' },
  });
};

test('finds nothing and does nothing where all is well', async () => {
  const replica = await leader(600, SELDOM);
  plant('service-instances.trading-service.left-to-lapse', 'old', 'UNHEALTHY');
  bench.stream.put(subject('service-instances.other.theirs'), 'theirs', { ttlSeconds: 600 });
  const before = bench.stream.history().length;
  await bench.clock.advance(TWO_AUDITS_MS);
  expect(bench.audits).toEqual([
    { ...NONE, compared: 602, foreign: 1 },
    { ...NONE, compared: 602, foreign: 1 },
  ]);
  const since = bench.stream.history().slice(before);
  const reasons = since.map((entry) =>
    entry.kind === 'stored' ? entry.message.headers['Rollcall-Reason'] : entry.kind,
  );
  // The lock's messages have no reason.
  expect(new Set(reasons)).toEqual(new Set(['Refresh', undefined]));
  expect(replica.writer.leading).toBe(true);
});

test('a key of ours of a pod that nobody knows gets its farewell', async () => {
  await leader(3, SELDOM);
  const ghost = 'service-instances.trading-service.ghost';
  plant(ghost, 'ghost');
  await bench.clock.advance(AN_AUDIT_MS);
  expect(bench.audits).toEqual([{ ...NONE, compared: 4, ghosts: 1 }]);
  expect(bench.values()[ghost]).toMatchObject({ status: 'UNHEALTHY' });
  await bench.clock.advance(TWO_AUDITS_MS);
  expect(bench.audits.at(-1)).toEqual({ ...NONE, compared: 4 });
});

test('what was left to lapse when its pod went is no ghost, whatever its resource says by now', async () => {
  const replica = await leader(3, SELDOM);
  wish(replica, 'going', { ...SELDOM, whenNotReady: 'Lapse' });
  await bench.clock.advance(1_000);
  const [row] = replica.table.rowsOf(objectKey('trading', 'going'), uidOf('going'), 'trading-service');
  replica.table.setWishes(objectKey('trading', 'going'), undefined, []);
  await bench.clock.advance(AN_AUDIT_MS);
  expect(bench.audits).toEqual([{ ...NONE, compared: 4 }]);
  expect(bench.values()[row?.key ?? '']).toMatchObject({ status: 'ACTIVE' });
});

test('many of them are held: the view may be wrong', async () => {
  await leader(30, SELDOM);
  for (let i = 0; i < 40; i += 1) plant(`service-instances.trading-service.ghost-${i}`, `ghost-${i}`);
  await bench.clock.advance(AN_AUDIT_MS);
  expect(bench.audits).toEqual([{ ...NONE, compared: 70, ghosts: 40 }]);
  expect(Object.values(bench.values()).every(({ status }) => status === 'ACTIVE')).toBe(true);
});

test('a key that went without a word is written again', async () => {
  const replica = await leader(30, SELDOM);
  const { key } = lateOne(replica);
  bench.stream.wipe(subject(key));
  await bench.clock.advance(AN_AUDIT_MS);
  expect(bench.audits).toEqual([{ ...NONE, compared: 29, missing: 1 }]);
  expect(bench.lapsed).toEqual([key]);
  expect(bench.values()[key]).toMatchObject({ status: 'ACTIVE' });
});

test('a value in our name that we did not write is written over', async () => {
  const replica = await leader(30, SELDOM);
  const {
    key,
    wish: { pod },
  } = lateOne(replica);
  plant(key, pod.name, 'UNHEALTHY');
  await bench.clock.advance(AN_AUDIT_MS);
  expect(bench.audits).toEqual([{ ...NONE, compared: 30, drifted: 1 }]);
  expect(bench.values()[key]).toMatchObject({ status: 'ACTIVE' });
});

test("a key that somebody overwrote is that one's", async () => {
  const replica = await leader(30, SELDOM);
  const { key } = lateOne(replica);
  bench.stream.put(subject(key), '{"status":"theirs"}', { ttlSeconds: 600 });
  await bench.clock.advance(AN_AUDIT_MS);
  expect(bench.audits).toEqual([{ ...NONE, compared: 30, foreign: 1 }]);
  expect(bench.conflicts).toEqual([key]);
  expect(bench.values()[key]).toEqual({ status: 'theirs' });
});

test('a key that the server refuses is missing, and is not tried more often for it', async () => {
  const replica = await leader(3, SELDOM);
  bench.stream.maxMessageBytes = 400;
  wish(replica, 'large', { ...SELDOM, version: `1.0.0-${'x'.repeat(300)}` });
  await bench.clock.advance(TWO_AUDITS_MS);
  expect(bench.audits).toEqual([
    { ...NONE, compared: 3, missing: 1 },
    { ...NONE, compared: 3, missing: 1 },
  ]);
  expect(bench.lines.filter(({ message }) => message === 'keys cannot be written')).toHaveLength(1);
});

test('what was written while the stream was read, and so may not have come, is not asked for', async () => {
  const { registry } = await leader(30);
  const [readBack, read] = [registry.readBack.bind(registry), registry.read.bind(registry)];
  registry.readBack = async function* (...args) {
    const lastRevision = bench.stream.messages().at(-1)?.revision ?? 0;
    await bench.clock.sleep(12_000);
    for await (const page of readBack(...args)) yield page.filter(({ revision }) => revision <= lastRevision);
  };
  let asked = 0;
  registry.read = (subjects, signal) => {
    asked += subjects.length;
    return read(subjects, signal);
  };
  await bench.clock.advance(30_000);
  expect(bench.audits).toEqual([{ ...NONE, compared: 0 }]);
  expect(asked).toBe(0);
});

test('nothing is compared with an old view', async () => {
  let fresh = true;
  await leader(3, SELDOM, { fresh: () => fresh });
  fresh = false;
  plant('service-instances.trading-service.ghost', 'ghost');
  await bench.clock.advance(TWO_AUDITS_MS);
  expect(bench.audits).toEqual([]);
});

describe('a server that came back with values that lapsed long ago', () => {
  const left = 'service-instances.trading-service.left';

  /** Every read-back goes to a server that has this value as well, until another takes its place. */
  const hasToo = ({ registry }: Replica, ghost: () => StoredMessage) => {
    const readBack = registry.readBack.bind(registry);
    let covered = false;
    registry.readBack = async function* (...args) {
      const message = ghost();
      const last = bench.stream.last(message.subject);
      covered ||= last !== undefined && last.operation !== 'MaxAge' && last.revision > message.revision;
      if (!covered) yield [message];
      yield* readBack(...args);
    };
  };
  const stored = (key = left): StoredMessage => {
    const message = bench.stream.last(subject(key));
    if (message === undefined) throw new Error('nothing is stored');
    return message;
  };

  test.each(['ACTIVE', 'UNHEALTHY'] as const)('has them covered by a marker: %s', async (status) => {
    const replica = await leader(3, SELDOM);
    plant(left, 'old', status, 1);
    const ghost = stored();
    hasToo(replica, () => ghost);
    await bench.clock.advance(3_000);
    expect(stored().operation).toBe('MaxAge');
    await bench.clock.advance(AN_AUDIT_MS);
    expect(bench.audits).toEqual([{ ...NONE, compared: 4, ghosts: 1 }]);
    expect(stored()).toMatchObject({ operation: 'PURGE', ttlSeconds: 60 });
    await bench.clock.advance(31_000);
    expect(bench.audits.slice(1).map(({ ghosts }) => ghosts)).toEqual([0]);
    expect(bench.values()[left]).toBeUndefined();
  });

  describe('for a pod that is there', () => {
    const remembered = async (over: WishOptions) => {
      const replica = await leader(3, SELDOM);
      plant(IDLE, 'idle', 'ACTIVE', 1);
      const ghost = stored(IDLE);
      hasToo(replica, () => ghost);
      await bench.clock.advance(3_000);
      wish(replica, 'idle', { ...SELDOM, ...over });
      await bench.clock.advance(AN_AUDIT_MS);
      return replica;
    };

    test.each([
      'MarkUnhealthy',
      'Remove',
      'Lapse',
    ] as const)('has it covered while that is not Ready: %s', async (whenNotReady) => {
      const replica = await remembered({ state: away(), whenNotReady });
      expect(bench.audits).toEqual([{ ...NONE, compared: 4, ghosts: 1 }]);
      expect(stored(IDLE)).toMatchObject({ operation: 'PURGE', ttlSeconds: 60 });
      wish(replica, 'idle', SELDOM);
      await bench.clock.advance(1_000);
      expect(bench.values()[IDLE]).toMatchObject({ status: 'ACTIVE' });
    });

    test('is covered by the key of one that is Ready', async () => {
      await remembered({});
      expect(bench.audits).toEqual([{ ...NONE, compared: 4 }]);
      expect(bench.values()[IDLE]).toMatchObject({ status: 'ACTIVE' });
    });
  });

  test('has it covered when there is room again, and troubles a full bucket once a second until then', async () => {
    const replica = await leader(3, SELDOM);
    plant(left, 'old', 'ACTIVE', 1);
    const ghost = stored();
    hasToo(replica, () => ghost);
    await bench.clock.advance(3_000);
    bench.stream.wipe(subject(left));
    bench.stream.full = true;
    const { registry, writer } = replica;
    const commit = registry.commit.bind(registry);
    let refused = 0;
    registry.commit = async (...args) => {
      const outcome = await commit(...args);
      if (outcome.kind === 'rejected') refused += 1;
      return outcome;
    };
    const { term } = writer;
    await bench.clock.advance(60_000);
    expect(refused).toBeGreaterThan(10);
    expect(refused).toBeLessThan(60);
    expect(writer.term).toBe(term);
    // One that waits is told, and not looked for again and again.
    expect(bench.audits.map(({ ghosts }) => ghosts)).toEqual([1, 1, 1, 1, 1, 1, 1]);
    bench.stream.full = false;
    await bench.clock.advance(2_000);
    expect(stored().operation).toBe('PURGE');
  });

  test('looks again soon, as another server may have others, until it found none six times', async () => {
    const { registry } = await leader(3, SELDOM);
    plant(left, 'old');
    await bench.clock.advance(AN_AUDIT_MS);
    plant('service-instances.trading-service.left-too', 'old-too');
    const ghosts = () => bench.audits.map((found) => found.ghosts);
    let readBacks = 0;
    const readBack = registry.readBack.bind(registry);
    registry.readBack = (...args) => {
      readBacks += 1;
      return readBack(...args);
    };
    await bench.clock.advance(36_000);
    // Told until it is believed to be all.
    expect(ghosts()).toEqual([1, 1, 0]);
    expect(readBacks).toBe(7);
    await bench.clock.advance(58_000);
    expect(readBacks).toBe(7);
    await bench.clock.advance(4_000);
    expect(readBacks).toBe(8);
    expect(ghosts()).toEqual([1, 1, 0, 0]);
  });

  test('leaves it to the leader to expire what that has as well', async () => {
    const replica = await leader(3, SELDOM);
    plant(left, 'old', 'UNHEALTHY');
    hasToo(replica, () => ({ ...stored(), storedAtMs: 0 }));
    await bench.clock.advance(AN_AUDIT_MS);
    expect(bench.audits).toEqual([{ ...NONE, compared: 4 }]);
    expect(bench.values()[left]).toMatchObject({ status: 'UNHEALTHY' });
  });
});
