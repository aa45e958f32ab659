// A limit to the writes of any second: that it is kept, that nothing lapses for it, and what it does to intervals and TTLs.

import { beforeEach, describe, expect, test } from 'vitest';
import { objectKey } from '../../../src/domain/pod.ts';
import { WriteBudget } from '../../../src/writer/write-budget.ts';
import { aWish, away, uidOf, type WishOptions } from '../../support/wishes.ts';
import { LOCK, WriterBench } from '../../support/writer-bench.ts';

let bench: WriterBench;
type Replica = ReturnType<WriterBench['replica']>;

beforeEach(() => {
  bench = new WriterBench();
});

const wish = ({ table }: Replica, podName: string, options: WishOptions = {}) =>
  table.setWishes(objectKey('trading', podName), uidOf(podName), [aWish({ podName, ...options })]);
const leads = ({ writer }: Replica) => bench.clock.until(() => writer.leading, 30_000);
const lapses = () => bench.stream.history().filter(({ kind }) => kind === 'lapsed');
/** Without the announcements of replicas, which are no part of it. */
const stored = (fromMs: number) =>
  bench.stream
    .history()
    .flatMap((entry) => (entry.kind === 'stored' && entry.atMs >= fromMs ? [entry] : []))
    .filter(({ message }) => !message.subject.includes('.replica.'));
/** Most messages that any second held. */
const busiestSecond = (fromMs = 0) => {
  const times = stored(fromMs).map(({ atMs }) => atMs);
  let first = 0;
  return times.reduce((most, atMs, last) => {
    while ((times[first] ?? 0) <= atMs - 1_000) first += 1;
    return Math.max(most, last - first + 1);
  }, 0);
};

test('a window, not a bucket: no second holds more', async () => {
  const budget = new WriteBudget(bench.clock, 10);
  expect(budget.keys).toBe(9);
  const answered = budget.spend(6);
  await bench.clock.advance(5_000);
  expect(budget.keys).toBe(3);
  answered();
  await bench.clock.advance(600);
  budget.spend(4)();
  expect(budget.keys).toBe(0);
  expect(budget.moreInMs).toBe(400);
  await bench.clock.advance(400);
  expect(budget.keys).toBe(5);
});

describe('300 keys each 10 s, of which the budget allows half', () => {
  const MAX = 22;
  let replica: Replica;

  beforeEach(async () => {
    replica = bench.replica('a', {}, MAX);
    await leads(replica);
    for (let i = 0; i < 300; i += 1) wish(replica, `pod-${i}`);
    await bench.clock.advance(60_000);
  });

  test('all stand and none lapses; the limit holds from the first write on', async () => {
    await bench.clock.advance(240_000);
    expect(Object.keys(bench.values())).toHaveLength(300);
    expect(lapses().filter(({ kind }) => kind === 'lapsed')).toEqual([]);
    // The lock that began the term is not counted.
    expect(busiestSecond()).toBeLessThanOrEqual(MAX + 1);
    expect(replica.table.stretch).toBeGreaterThan(2);
    const ttls = stored(bench.clock.monotonicMs() - 20_000)
      .filter(({ message }) => message.subject !== LOCK)
      .map(({ message }) => message.ttlSeconds);
    expect(new Set(ttls).size).toBe(1);
    expect(ttls[0]).toBeGreaterThanOrEqual(60);
  });

  test('what is urgent goes before refreshes, and a farewell keeps the TTL of the settings', async () => {
    const atMs = bench.clock.monotonicMs();
    wish(replica, 'pod-7', { state: away('Terminating') });
    await bench.clock.until(() => Object.values(bench.values()).some(({ status }) => status === 'UNHEALTHY'), 2_000);
    expect(bench.clock.monotonicMs() - atMs).toBeLessThanOrEqual(1_100);
    const farewell = stored(atMs).find(({ message }) => message.headers['Rollcall-Reason'] === 'Terminating');
    expect(farewell?.message.ttlSeconds).toBe(30);
  });

  test('a thousand changes a minute make no refresh late enough to lapse', async () => {
    for (let second = 0; second < 120; second += 1) {
      for (let i = 0; i < 16; i += 1) {
        const name = `pod-${(second * 16 + i) % 150}`;
        wish(replica, name, { version: `1.0.${second}` });
      }
      await bench.clock.advance(1_000);
    }
    expect(lapses()).toEqual([]);
  });

  test('with a new term nothing is called changed because its TTL was stretched', async () => {
    bench.stream.wipe(LOCK);
    await bench.clock.until(() => !replica.writer.leading, 15_000);
    const atMs = bench.clock.monotonicMs();
    await leads(replica);
    await bench.clock.advance(30_000);
    const reasons = stored(atMs).flatMap(({ message }) => message.headers['Rollcall-Reason'] ?? []);
    expect(new Set(reasons)).toEqual(new Set(['Refresh']));
    expect(lapses()).toEqual([]);
  });

  test('and when most of them go, intervals and TTLs are what they were, without a burst', async () => {
    for (let i = 0; i < 250; i += 1) {
      replica.table.setWishes(objectKey('trading', `pod-${i}`), undefined, []);
    }
    await bench.clock.advance(120_000);
    expect(replica.table.stretch).toBe(1);
    const atMs = bench.clock.monotonicMs() - 20_000;
    const keys = stored(atMs).filter(({ message }) => message.subject !== LOCK);
    expect(keys.length).toBeLessThanOrEqual(1.2 * 100);
    expect(new Set(keys.map(({ message }) => message.ttlSeconds))).toEqual(new Set([30]));
    expect(new Set(keys.map(({ message }) => message.headers['Rollcall-Reason']))).toEqual(new Set(['Refresh']));
  });
});
