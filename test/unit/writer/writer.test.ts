import { beforeEach, describe, expect, test } from 'vitest';
import { objectKey } from '../../../src/domain/pod.ts';
import { aWish, uidOf, type WishOptions } from '../../support/wishes.ts';
import { BUCKET, LOCK, WriterBench } from '../../support/writer-bench.ts';

let bench: WriterBench;
type Replica = ReturnType<WriterBench['replica']>;

beforeEach(() => {
  bench = new WriterBench();
});

const wish = ({ table }: Replica, podName: string, options: WishOptions = {}) =>
  table.setWishes(objectKey('trading', podName), uidOf(podName), [aWish({ podName, ...options })]);
const gone = ({ table }: Replica, podName: string) => table.setWishes(objectKey('trading', podName), undefined, []);
const leads = ({ writer }: Replica) => bench.clock.until(() => writer.leading, 30_000);
const keyOf = ({ table }: Replica, podName: string) =>
  [...table.rows()].find((row) => row.wish.pod.name === podName)?.key ?? 'none';
const stopped = async (replica: Replica) => {
  let over = false;
  void replica.ended.then(() => {
    over = true;
  });
  replica.stop.abort();
  await bench.clock.until(() => over, 5_000);
};
const SILENT = { written() {}, batch() {}, lapsed() {}, missing() {}, conflict() {}, audited() {} };
const keysStored = () =>
  bench.stream.history().filter((entry) => entry.kind === 'stored' && entry.message.body.length > 0).length;
const lockIsFree = () => bench.stream.last(LOCK)?.operation !== 'PUT';

/** The view is right as of now; whether the list that was awaited has come. */
const proven = (isConfirmed: boolean) => ({ isConfirmed, atMs: () => Number.POSITIVE_INFINITY });

describe('a planned end releases the lock', () => {
  test('while a batch is under way', async () => {
    const replica = bench.replica('a');
    await leads(replica);
    wish(replica, 'pod-1');
    await bench.clock.advance(0.5);
    await stopped(replica);
    expect(lockIsFree()).toBe(true);
    expect(Object.values(bench.values())).toMatchObject([{ status: 'ACTIVE' }]);
  });

  test('although a key was changed by somebody else', async () => {
    const replica = bench.replica('a');
    await leads(replica);
    wish(replica, 'pod-1');
    await bench.clock.advance(100);
    bench.stream.put(`$KV.${BUCKET}.${keyOf(replica, 'pod-1')}`, 'somebody else');
    gone(replica, 'pod-1');
    await stopped(replica);
    expect(lockIsFree()).toBe(true);
  });

  test('while the registry is read back', async () => {
    const first = bench.replica('a');
    await leads(first);
    await stopped(first);
    const second = bench.replica('b');
    await bench.clock.until(() => bench.stream.last(LOCK)?.headers['Rollcall-Holder'] === 'b', 10_000);
    expect(second.writer.leading).toBe(false);
    await stopped(second);
    expect(lockIsFree()).toBe(true);
  });
});

test.each([
  0, 1, 2, 3, 4, 6, 8, 10, 12, 15, 20,
])('what is stored is settled by a term that ends %d ms into a sweep', async (ms) => {
  let written = 0;
  const replica = bench.replica('a', {
    observer: {
      ...SILENT,
      written: () => {
        written += 1;
      },
    },
  });
  await leads(replica);
  for (let i = 0; i < 2_500; i += 1) wish(replica, `pod-${i}`);
  await bench.clock.advance(5_000);
  // Every row is due at once in a new term.
  bench.stream.wipe(LOCK);
  await bench.clock.until(() => !replica.writer.leading, 15_000);
  await leads(replica);
  await bench.clock.advance(ms);
  await stopped(replica);
  expect(written).toBe(keysStored());
});

test('the replica that led last says that the registry is away', async () => {
  const replica = bench.replica('a');
  await leads(replica);
  await bench.clock.advance(3_000);
  replica.registry.setLink('disconnected');
  await bench.clock.advance(10_000);
  expect(replica.writer.leading).toBe(false);
  expect(replica.writer.health()).toMatchObject({ kind: 'broken', reason: 'RegistryUnavailable' });
  expect(replica.writer.voice).toBe('last');
});

test('when the leader is gone, and nobody can lead because a right is missing, whoever is left says so', async () => {
  const leader = bench.replica('a');
  await leads(leader);
  const left = bench.replica('b');
  await bench.clock.advance(3_000);
  expect(left.writer.holder).toBe('a');
  bench.stream.denied = /\.lock$/;
  await stopped(leader);
  await bench.clock.advance(10_000);
  expect(left.writer.health()).toMatchObject({ kind: 'broken', reason: 'RegistryDenied' });
  expect(left.writer.voice).toBe('substitute');
  bench.stream.denied = undefined;
  await leads(left);
});

describe('one key must not hold up the others', () => {
  test('a bucket that is full still takes the refreshes', async () => {
    const replica = bench.replica('a');
    await leads(replica);
    wish(replica, 'old');
    await bench.clock.advance(1_000);
    bench.stream.full = true;
    wish(replica, 'new');
    await bench.clock.advance(60_000);
    expect(Object.keys(bench.values())).toEqual([keyOf(replica, 'old')]);
    expect(replica.writer.health()).toMatchObject({ kind: 'broken', reason: 'RegistryFull' });
    expect(bench.lapsed).toEqual([]);
    expect(bench.lines.filter(({ message }) => message.startsWith('registry'))).toHaveLength(1);
    bench.stream.full = false;
    await bench.clock.until(() => Object.keys(bench.values()).length === 2, 5_000);
    await bench.clock.until(() => replica.writer.health().kind === 'writable', 5_000);
  });

  test('a value that is too large for the bucket is left out and told', async () => {
    bench.stream.maxMessageBytes = 400;
    const replica = bench.replica('a');
    await leads(replica);
    wish(replica, 'small');
    wish(replica, 'large', { version: `1.0.0-${'x'.repeat(300)}` });
    await bench.clock.advance(40_000);
    expect(Object.keys(bench.values())).toEqual([keyOf(replica, 'small')]);
    expect(bench.lines.filter(({ message }) => message === 'keys cannot be written')).toHaveLength(1);
    wish(replica, 'large', { version: '1.0.0' });
    await bench.clock.until(() => Object.keys(bench.values()).length === 2, 1_000);
  });
});

test('all values of a batch that are too large are found at once, and each says so of itself', async () => {
  bench.stream.maxMessageBytes = 400;
  const replica = bench.replica('a');
  await leads(replica);
  let sent = 0;
  const commit = replica.registry.commit.bind(replica.registry);
  replica.registry.commit = (messages, signal) => {
    sent += messages.some(({ body }) => body.length > 400) ? 1 : 0;
    return commit(messages, signal);
  };
  for (let i = 0; i < 200; i += 1) wish(replica, `large-${i}`, { version: `1.0.0-${'x'.repeat(300)}` });
  wish(replica, 'small');
  await bench.clock.advance(1_000);
  expect(Object.keys(bench.values())).toEqual([keyOf(replica, 'small')]);
  expect(sent).toBe(1);
  const reports = replica.table.reports(objectKey('trading', 'trading-service'));
  const told = new Set(reports.flatMap(({ refusal }) => refusal?.message ?? []));
  expect(told.size).toBe(200);
});

describe('a right to some keys is missing', () => {
  const ONE_TOKEN = /service-instances_/;
  const REGISTRATION = objectKey('trading', 'trading-service');
  const refusals = ({ table }: Replica) => table.reports(REGISTRATION).map(({ refusal }) => refusal?.message);

  test('the others are written and refreshed, each of those says which, and one round of batches is enough', async () => {
    bench.stream.denied = ONE_TOKEN;
    const replica = bench.replica('a');
    await leads(replica);
    for (let i = 0; i < 50; i += 1) wish(replica, `both-${i}`, { keyLayout: 'Underscore' });
    for (let i = 0; i < 50; i += 1) wish(replica, `double-${i}`, { keyLayout: 'DoubleUnderscore' });
    for (let i = 0; i < 50; i += 1) wish(replica, `plain-${i}`);
    await bench.clock.advance(60_000);
    expect(Object.keys(bench.values())).toHaveLength(100);
    expect(bench.lapsed).toEqual([]);
    expect(replica.writer.health().kind).toBe('writable');
    expect(refusals(replica).filter((message) => message !== undefined)).toHaveLength(100);
    expect(refusals(replica)).toContain(
      `The NATS user may not publish to $KV.${BUCKET}.${keyOf(replica, 'double-7')}: grant it $KV.${BUCKET}.*, which the key layout DoubleUnderscore needs.`,
    );
    const refreshes = bench.stream
      .history()
      .filter((entry) => entry.kind === 'stored' && entry.message.body.length > 0);
    // A minute of 100 keys each 10 s, and what came early.
    expect(refreshes.length).toBeLessThan(1.2 * 700);
    bench.stream.denied = undefined;
    await bench.clock.advance(5_000);
    expect(Object.keys(bench.values())).toHaveLength(200);
    expect(refusals(replica).every((message) => message === undefined)).toBe(true);
  });

  test('no refresh is lost when the batch after the refused one was planned already', async () => {
    const replica = bench.replica('a');
    await leads(replica);
    for (let i = 0; i < 1_500; i += 1) wish(replica, `pod-${i}`);
    bench.stream.denied = new RegExp(`${keyOf(replica, 'pod-7')}$`);
    await bench.clock.advance(2_000);
    // In the next term all of them are due at once, what is refused before the others.
    bench.stream.wipe(LOCK);
    await bench.clock.until(() => !replica.writer.leading, 15_000);
    await leads(replica);
    await bench.clock.advance(40_000);
    expect(Object.keys(bench.values())).toHaveLength(1_499);
    const lapsed = bench.stream.history().flatMap((entry) => (entry.kind === 'lapsed' ? entry.subject : []));
    expect(lapsed).toEqual([]);
  });

  test('the old key stays while the one of the new layout is refused', async () => {
    bench.stream.denied = ONE_TOKEN;
    const replica = bench.replica('a');
    await leads(replica);
    wish(replica, 'pod-1');
    await bench.clock.advance(500);
    const [old] = Object.keys(bench.values());
    wish(replica, 'pod-1', { keyLayout: 'DoubleUnderscore' });
    await bench.clock.advance(60_000);
    expect(Object.keys(bench.values())).toEqual([old]);
    bench.stream.denied = undefined;
    await bench.clock.advance(36_000);
    expect(Object.keys(bench.values())).toEqual([keyOf(replica, 'pod-1')]);
  });

  test('of many keys of a kind a few ask for it, and the first that is let through takes the others with it', async () => {
    const replica = bench.replica('a');
    await leads(replica);
    for (let i = 0; i < 1_000; i += 1) wish(replica, `plain-${i}`);
    await bench.clock.advance(1_000);
    bench.stream.denied = ONE_TOKEN;
    for (let i = 0; i < 1_000; i += 1) wish(replica, `double-${i}`, { keyLayout: 'DoubleUnderscore' });
    await bench.clock.advance(10_000);
    let asked = 0;
    const commit = replica.registry.commit.bind(replica.registry);
    replica.registry.commit = (messages, signal) => {
      asked += messages.filter(({ subject }) => ONE_TOKEN.test(subject)).length;
      return commit(messages, signal);
    };
    await bench.clock.advance(30_000);
    expect(asked).toBeGreaterThan(10);
    expect(asked).toBeLessThanOrEqual(45);
    bench.stream.denied = undefined;
    await bench.clock.until(() => Object.keys(bench.values()).length === 2_000, 4_000);
  });

  test('a farewell that comes while the key waits to be tried again is said once it may be', async () => {
    const replica = bench.replica('a');
    await leads(replica);
    wish(replica, 'pod-1');
    await bench.clock.advance(1_000);
    bench.stream.denied = /service-instances/;
    // The next refresh is refused, and asked for again each 3 s.
    await bench.clock.until(() => bench.lines.some(({ message }) => message === 'keys cannot be written'), 11_000);
    await bench.clock.advance(500);
    gone(replica, 'pod-1');
    bench.stream.denied = undefined;
    await bench.clock.advance(4_000);
    expect(Object.values(bench.values())).toMatchObject([{ status: 'UNHEALTHY' }]);
  });

  test('a farewell is said no more when the key has lapsed', async () => {
    const replica = bench.replica('a');
    await leads(replica);
    wish(replica, 'pod-1');
    await bench.clock.advance(1_000);
    bench.stream.denied = /service-instances/;
    gone(replica, 'pod-1');
    await bench.clock.advance(32_500);
    expect(bench.values()).toEqual({});
    expect(replica.table.size).toBe(0);
  });

  test('the lock is released all the same', async () => {
    bench.stream.denied = ONE_TOKEN;
    const replica = bench.replica('a');
    await leads(replica);
    wish(replica, 'pod-1', { keyLayout: 'DoubleUnderscore' });
    await stopped(replica);
    expect(lockIsFree()).toBe(true);
  });
});

test('what was let go while the view was old stays gone in a new term', async () => {
  let known = true;
  const replica = bench.replica('a', { mayKeep: () => known });
  await leads(replica);
  wish(replica, 'pod-1');
  await bench.clock.advance(1_000);
  known = false;
  await bench.clock.advance(40_000);
  expect(bench.values()).toEqual({});
  bench.stream.wipe(LOCK);
  await bench.clock.until(() => !replica.writer.leading, 5_000);
  await leads(replica);
  await bench.clock.advance(20_000);
  expect(bench.values()).toEqual({});
  known = true;
  await bench.clock.until(() => Object.keys(bench.values()).length === 1, 2_000);
});

test('a key that is let go is taken up within 3 s when the view is fresh again', async () => {
  let mayKeep = true;
  const replica = bench.replica('a', { mayKeep: () => mayKeep });
  await leads(replica);
  wish(replica, 'pod-1');
  await bench.clock.until(() => Object.keys(bench.values()).length === 1, 1_000);
  await bench.clock.advance(5_000);
  mayKeep = false;
  await bench.clock.advance(17_000);
  const before = bench.stream.last(`$KV.${BUCKET}.${keyOf(replica, 'pod-1')}`)?.revision ?? 0;
  mayKeep = true;
  await bench.clock.advance(3_600);
  expect(bench.stream.last(`$KV.${BUCKET}.${keyOf(replica, 'pod-1')}`)?.revision).toBeGreaterThan(before);
  expect(bench.lapsed).toEqual([]);
});

test('keys that are gone after an outage are told together, also by a replica that never led', async () => {
  const first = bench.replica('a');
  await leads(first);
  const second = bench.replica('b');
  for (const replica of [first, second]) for (let i = 0; i < 30; i += 1) wish(replica, `pod-${i}`);
  await bench.clock.advance(20_000);
  expect(bench.missing).toEqual([]);
  bench.stream.remake();
  first.registry.setLink('disconnected');
  await bench.clock.until(() => second.writer.leading, 30_000);
  expect(bench.missing).toEqual([30]);
  await bench.clock.advance(2_000);
  expect(Object.keys(bench.values())).toHaveLength(30);
});

test('a key that should have lapsed and did not is looked at once per interval', async () => {
  const replica = bench.replica('a');
  await leads(replica);
  wish(replica, 'pod-1');
  await bench.clock.advance(1_000);
  const stored = bench.stream.last(`$KV.${BUCKET}.${keyOf(replica, 'pod-1')}`);
  wish(replica, 'pod-1', { state: { kind: 'away', reason: 'PodNotReady' }, whenNotReady: 'Lapse' });
  if (stored === undefined) throw new Error('nothing was written');
  bench.stream.put(stored.subject, stored.body, { headers: stored.headers });
  let reads = 0;
  const read = replica.registry.read.bind(replica.registry);
  replica.registry.read = (...args) => {
    reads += 1;
    return read(...args);
  };
  await bench.clock.advance(60_000);
  expect(reads).toBeGreaterThan(1);
  expect(reads).toBeLessThan(8);
});

test('a pod that goes while the registry is read back is said UNHEALTHY all the same', async () => {
  const first = bench.replica('a');
  await leads(first);
  for (let i = 0; i < 1_500; i += 1) wish(first, `pod-${i}`);
  await bench.clock.advance(1_000);
  const second = bench.replica('b');
  for (let i = 0; i < 1_500; i += 1) wish(second, `pod-${i}`);
  await stopped(first);
  await bench.clock.until(() => bench.stream.last(LOCK)?.headers['Rollcall-Holder'] === 'b', 10_000);
  const readBack = second.registry.readBack.bind(second.registry);
  second.registry.readBack = async function* (...args) {
    let pages = 0;
    for await (const page of readBack(...args)) {
      yield page;
      pages += 1;
      if (pages === 1) gone(second, 'pod-7');
    }
  };
  await leads(second);
  await bench.clock.advance(1_000);
  const statuses = Object.values(bench.values()).map(({ status }) => status);
  expect(statuses.filter((status) => status === 'UNHEALTHY')).toHaveLength(1);
});

describe('keys of pods that the new leader does not see', () => {
  let doubts: number;
  const handOver = async (pods: number, seen: number, over: Parameters<WriterBench['replica']>[1] = {}) => {
    doubts = 0;
    const first = bench.replica('a');
    await leads(first);
    for (let i = 0; i < pods; i += 1) wish(first, `pod-${i}`);
    await bench.clock.advance(1_000);
    await stopped(first);
    const second = bench.replica('b', { doubt: () => void (doubts += 1), ...over });
    for (let i = 0; i < seen; i += 1) wish(second, `pod-${i}`);
    await leads(second);
    await bench.clock.advance(1_000);
    return second;
  };
  const unhealthy = () => Object.values(bench.values()).filter(({ status }) => status === 'UNHEALTHY').length;

  test('get their farewell when they are few', async () => {
    const { table } = await handOver(100, 80);
    expect(unhealthy()).toBe(20);
    expect(table.held).toBe(0);
  });

  test('wait until the view is proven right when it is older than the keys: their pods may be new', async () => {
    const provenAtMs = bench.clock.monotonicMs();
    const { table } = await handOver(100, 80, { provenAtMs: () => provenAtMs });
    await bench.clock.advance(5_000);
    expect(unhealthy()).toBe(0);
    // It is no brake.
    expect(table.held).toBe(0);
    expect(table.unseenPods({ isConfirmed: true, atMs: () => provenAtMs })).toEqual([]);
    const due = table.unseenPods(proven(true));
    expect(due).toHaveLength(20);
    for (const pod of due) table.setWishes(pod, undefined, []);
    await bench.clock.advance(1_000);
    expect(unhealthy()).toBe(20);
  });

  test('are kept up without a brake when their namespace may not be read, until it can be', async () => {
    const never = Number.NEGATIVE_INFINITY;
    const { table } = await handOver(100, 0, { isUnread: () => true, provenAtMs: () => never });
    await bench.clock.advance(90_000);
    expect([unhealthy(), doubts, table.held]).toEqual([0, 0, 0]);
    expect(Object.keys(bench.values())).toHaveLength(100);
    expect(table.unseenPods({ isConfirmed: true, atMs: () => never })).toEqual([]);
    expect(table.unseenPods(proven(true))).toHaveLength(100);
  });

  test('of pods that have another key by now get their farewell, however many they are', async () => {
    const first = bench.replica('a');
    await leads(first);
    for (let i = 0; i < 100; i += 1) wish(first, `pod-${i}`, { instanceIdMode: 'PodName' });
    await bench.clock.advance(1_000);
    await stopped(first);
    const second = bench.replica('b', { doubt: () => void (doubts += 1) });
    doubts = 0;
    for (let i = 0; i < 100; i += 1) wish(second, `pod-${i}`);
    await leads(second);
    await bench.clock.advance(1_000);
    expect([unhealthy(), doubts, second.table.held]).toEqual([100, 0, 0]);
    expect(Object.keys(bench.values())).toHaveLength(200);
  });

  test('are held for a minute when they are many, and then decided about', async () => {
    const replica = await handOver(100, 79);
    const { table } = replica;
    expect(table.held).toBe(21);
    expect(table.unseenPods(proven(false))).toEqual([]);
    await bench.clock.advance(58_000);
    expect(unhealthy()).toBe(0);
    expect(Object.keys(bench.values())).toHaveLength(100);
    await bench.clock.advance(12_000);
    // Another list is to say so first, however long it takes.
    expect(table.unseenPods(proven(false))).toEqual([]);
    expect(table.held).toBe(21);
    const some = table.unseenPods(proven(true)).length;
    expect(some).toBeGreaterThan(3);
    expect(some).toBeLessThan(18);
    await bench.clock.advance(10_000);
    expect(table.unseenPods(proven(true))).toHaveLength(21);
    expect(doubts).toBe(1);
    for (const pod of table.unseenPods(proven(true))) table.setWishes(pod, undefined, []);
    await bench.clock.advance(1_000);
    expect(unhealthy()).toBe(21);
    expect(table.unseenPods(proven(true))).toEqual([]);
  });

  test('are decided about at once when a person says so', async () => {
    const { table } = await handOver(100, 79);
    const [first] = [...table.rows()].filter(({ wish }) => wish.state.kind === 'live').map(({ wish }) => wish.pod.name);
    const atMs = bench.clock.monotonicMs();
    table.letGo(() => false);
    expect(table.held).toBe(21);
    table.letGo((_, sinceMs) => sinceMs < atMs - 2_000);
    expect(table.held).toBe(21);
    table.letGo(({ pod }, sinceMs) => pod.name === 'pod-99' && sinceMs < atMs);
    expect(table.held).toBe(20);
    expect(table.unseenPods(proven(true))).toEqual(['trading/pod-99']);
    expect(first).not.toBe('pod-99');
  });

  test('get their farewell, however many, when this replica saw them go', async () => {
    const first = bench.replica('a');
    await leads(first);
    const second = bench.replica('b');
    for (let i = 0; i < 100; i += 1) {
      wish(first, `pod-${i}`);
      wish(second, `pod-${i}`);
    }
    await bench.clock.advance(1_000);
    for (let i = 0; i < 60; i += 1) gone(second, `pod-${i}`);
    await stopped(first);
    await leads(second);
    await bench.clock.advance(1_000);
    expect(second.table.held).toBe(0);
    expect(unhealthy()).toBe(60);
  });

  test.each([
    ['gone', 60],
    ['left out, and perhaps taken in again since', 0],
  ])('with an old view those get it that were seen to be %s', async (how, told) => {
    const first = bench.replica('a');
    await leads(first);
    let fresh = true;
    const second = bench.replica('b', { fresh: () => fresh });
    for (let i = 0; i < 60; i += 1) {
      wish(first, `pod-${i}`);
      wish(second, `pod-${i}`);
    }
    await bench.clock.advance(1_000);
    for (let i = 0; i < 60; i += 1) {
      const name = `pod-${i}`;
      second.table.setWishes(objectKey('trading', name), how === 'gone' ? undefined : uidOf(name), []);
    }
    fresh = false;
    await stopped(first);
    await leads(second);
    await bench.clock.advance(1_000);
    expect(unhealthy()).toBe(told);
    expect(Object.keys(bench.values())).toHaveLength(60);
  });

  describe('whose resource is invalid', () => {
    const registration = objectKey('trading', 'by-hand');
    const settings = {
      whenNotReady: 'MarkUnhealthy',
      refreshIntervalSeconds: 10,
      apiOutage: { mode: 'Hold', maxHoldSeconds: 0 },
      registration,
      invalid: true,
    } as const;
    const handOverTo = async (sees: () => boolean) => {
      const first = bench.replica('a');
      await leads(first);
      for (let i = 0; i < 100; i += 1) wish(first, `pod-${i}`);
      await bench.clock.advance(1_000);
      await stopped(first);
      const second = bench.replica('b', { settingsOf: () => settings, sees });
      await leads(second);
      await bench.clock.advance(30_000);
      return second.table;
    };

    test('stay as they are until their pods are decided about', async () => {
      const table = await handOverTo(() => true);
      expect(unhealthy()).toBe(0);
      expect(Object.keys(bench.values())).toHaveLength(100);
      expect(table.held).toBe(0);
      expect(table.unseenPods(proven(false))).toHaveLength(100);
      expect(table.registrationsOf(objectKey('trading', 'pod-0'))).toEqual([registration]);
      // One is there, and its resource still invalid; one is gone.
      const stays = { kind: 'live' } as const;
      table.setWishes(objectKey('trading', 'pod-0'), uidOf('pod-0'), [], (held) => ({ ...held, state: stays }));
      table.setWishes(objectKey('trading', 'pod-1'), undefined, []);
      await bench.clock.advance(1_000);
      expect(unhealthy()).toBe(1);
    });

    test('are held like any others when many of their pods are not to be seen', async () => {
      const table = await handOverTo(() => false);
      expect(table.held).toBe(100);
      expect(table.unseenPods(proven(false))).toEqual([]);
    });
  });

  test('are decided about at once when their pods come into view', async () => {
    const replica = await handOver(100, 0);
    for (let i = 0; i < 100; i += 1) wish(replica, `pod-${i}`);
    expect(replica.table.held).toBe(0);
    await bench.clock.advance(1_000);
    expect(unhealthy()).toBe(0);
  });
});

describe('keys of a layout that is not in force any more', () => {
  const DOUBLE = { keyLayout: 'DoubleUnderscore' } as const;
  /** A leader with other settings than the one before, which wrote `pod-1` and `pod-2` under dotted keys. */
  const handOver = async (over: readonly [name: string, options: WishOptions][]) => {
    const first = bench.replica('a');
    await leads(first);
    for (const name of ['pod-1', 'pod-2']) wish(first, name);
    await bench.clock.advance(1_000);
    await stopped(first);
    const second = bench.replica('b');
    for (const [name, options] of over) wish(second, name, options);
    await leads(second);
    return second;
  };
  const stored = (form: '.' | '__') =>
    Object.entries(bench.values()).filter(([key]) => key.startsWith(`service-instances${form}`));
  const written = (form: '.' | '__') =>
    bench.stream.history().flatMap((entry) => {
      if (entry.kind !== 'stored' || !entry.message.subject.includes(`service-instances${form}`)) return [];
      return entry.message.operation === 'PUT' ? [Buffer.from(entry.message.body).toString()] : [];
    });

  test('are succeeded by new ones, and lapse without another word', async () => {
    await handOver([
      ['pod-1', DOUBLE],
      ['pod-2', DOUBLE],
    ]);
    await bench.clock.advance(500);
    expect(stored('__').map(([, { status }]) => status)).toEqual(['ACTIVE', 'ACTIVE']);
    expect(stored('.')).toHaveLength(2);
    await bench.clock.advance(31_000);
    expect(stored('.')).toEqual([]);
    expect(stored('__')).toHaveLength(2);
    expect(written('.')).toHaveLength(2);
  });

  test('say UNHEALTHY when their pod has gone, before the new leader came or after', async () => {
    const second = await handOver([['pod-2', DOUBLE]]);
    await bench.clock.advance(500);
    const statuses = () => Object.fromEntries(stored('.').map(([key, { status }]) => [key, status]));
    expect(Object.values(statuses()).sort()).toEqual(['ACTIVE', 'UNHEALTHY']);
    gone(second, 'pod-2');
    await bench.clock.advance(500);
    expect(Object.values(statuses())).toEqual(['UNHEALTHY', 'UNHEALTHY']);
    expect(stored('__').map(([, { status }]) => status)).toEqual(['UNHEALTHY']);
  });

  test('are kept up while somebody else holds the new ones', async () => {
    const id = uidOf('pod-1').slice(0, 8);
    bench.stream.put(`$KV.${BUCKET}.service-instances__trading-service__trading-service-${id}`, '{}');
    await handOver([['pod-1', DOUBLE]]);
    await bench.clock.advance(60_000);
    expect(stored('.').map(([, { status }]) => status)).toEqual(['ACTIVE']);
    expect(bench.conflicts).toHaveLength(1);
  });

  test('give their id to the new ones', async () => {
    const [elder, younger] = ['6f1d2c3b-0000-4000-8000-000000000001', '6f1d2c3b-1111-4000-8000-000000000002'];
    const wishOf = ({ table }: Replica, uid: string, options: WishOptions) => {
      const made = aWish({ podName: uid, ...options });
      table.setWishes(objectKey('trading', uid), uid, [{ ...made, pod: { ...made.pod, uid } }]);
    };
    const first = bench.replica('a');
    await leads(first);
    for (const uid of [younger, elder]) {
      wishOf(first, uid, {});
      await bench.clock.advance(500);
    }
    await stopped(first);
    const second = bench.replica('b');
    for (const uid of [elder, younger]) wishOf(second, uid, DOUBLE);
    await leads(second);
    await bench.clock.advance(500);
    const ids = stored('__').map(([key]) => key.split('__')[2]);
    expect(new Set(ids)).toEqual(new Set(['trading-service-6f1d2c3b', 'trading-service-6f1d2c3b00004000']));
    expect(stored('.').map(([, { status }]) => status)).toEqual(['ACTIVE', 'ACTIVE']);
  });
});
