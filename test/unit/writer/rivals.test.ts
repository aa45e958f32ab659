// A client that keeps taking a key of ours: how often we write, and when we stop.

import { beforeEach, expect, test } from 'vitest';
import { objectKey } from '../../../src/domain/pod.ts';
import { aWish, uidOf, type WishOptions } from '../../support/wishes.ts';
import { BUCKET, WriterBench } from '../../support/writer-bench.ts';

const REGISTRATION = objectKey('trading', 'trading-service');
const KEY = `$KV.${BUCKET}.service-instances.trading-service.pod-1`;
const STOLEN = '{"status":"ACTIVE","version":"9.9.9"}';

let bench: WriterBench;

beforeEach(() => {
  bench = new WriterBench();
});

const aLeader = async (options: WishOptions = {}) => {
  const replica = bench.replica('a');
  await bench.clock.until(() => replica.writer.leading, 30_000);
  replica.table.setWishes(objectKey('trading', 'pod-1'), uidOf('pod-1'), [
    aWish({ podName: 'pod-1', instanceIdMode: 'PodName', ...options }),
  ]);
  await bench.clock.advance(100);
  return replica;
};
const history = () =>
  bench.stream.history().flatMap((entry) => {
    if (entry.kind !== 'stored' || entry.message.subject !== KEY || entry.message.operation !== 'PUT') return [];
    return { atMs: entry.atMs, by: entry.by, reason: entry.message.headers['Rollcall-Reason'] };
  });
/** Whenever our write stands, a rival puts its own, for `heldMs`; time goes on for `ms`. */
const rival = async (ms: number, heldMs: number) => {
  const endMs = bench.clock.monotonicMs() + ms;
  while (bench.clock.monotonicMs() < endMs) {
    await bench.clock.advance(250);
    if (bench.stream.last(KEY)?.headers['Rollcall-Owner'] === undefined) continue;
    bench.stream.put(KEY, STOLEN, { ttlSeconds: heldMs / 1_000 });
  }
};

test('taken once: ours again within an interval of the other value going', async () => {
  await aLeader();
  bench.stream.put(KEY, STOLEN, { ttlSeconds: 25 });
  const takenAtMs = bench.clock.monotonicMs();
  await bench.clock.advance(60_000);
  const [back] = history().filter(({ by, atMs }) => by === 'a' && atMs > takenAtMs);
  expect(back?.reason).toBe('Registered');
  expect((back?.atMs ?? 0) - takenAtMs).toBeGreaterThan(25_000);
  expect((back?.atMs ?? 0) - takenAtMs).toBeLessThan(25_000 + 10_000 + 1_000);
});

test('taken again and again: written once each time, and after four times longer each time', async () => {
  const { table } = await aLeader();
  await rival(3_600_000, 15_000);
  const times = history().flatMap(({ by, atMs }) => (by === 'a' ? atMs : []));
  const gapsMs = times.slice(1).map((atMs, index) => atMs - (times[index] ?? 0));
  // So long it is left to the rival, whose value first has to lapse; and then until the next look, which is a refresh's
  // or the audit's.
  const leastMs = [15_000, 40_000, 160_000, 600_000];
  gapsMs.forEach((gapMs, index) => {
    const least = leastMs[index] ?? 600_000;
    expect(gapMs).toBeGreaterThanOrEqual(least);
    expect(gapMs).toBeLessThan(least + 15_000);
  });
  expect(gapsMs.length).toBeGreaterThan(6);
  expect(table.reports(REGISTRATION)).toMatchObject([
    { status: 'Conflict', reason: 'HeldByAnother', heldBy: expect.stringMatching(/taken from us \d+ times in a row/) },
  ]);
});

test('left in peace for ten intervals: the next time counts as the first', async () => {
  await aLeader();
  await rival(120_000, 15_000);
  await bench.clock.advance(300_000);
  const before = history().length;
  const takenAtMs = bench.clock.monotonicMs();
  bench.stream.put(KEY, STOLEN, { ttlSeconds: 15 });
  await bench.clock.advance(60_000);
  const [back] = history()
    .slice(before)
    .filter(({ by }) => by === 'a');
  expect((back?.atMs ?? 0) - takenAtMs).toBeLessThan(15_000 + 10_000 + 1_000);
});

test('a value without TTL is never written over', async () => {
  const { table } = await aLeader();
  bench.stream.put(KEY, STOLEN);
  const before = history().length;
  await bench.clock.advance(600_000);
  expect(history()).toHaveLength(before);
  expect(table.reports(REGISTRATION)).toMatchObject([
    { status: 'Conflict', key: KEY.slice(`$KV.${BUCKET}.`.length), heldBy: 'a client without an owner header' },
  ]);
  expect(bench.conflicts).toHaveLength(1);
});

test('Adopt takes it back, but not more often than it would be refreshed', async () => {
  await aLeader({ adopt: true });
  await rival(600_000, 600_000);
  const handovers = history().filter(({ reason }) => reason === 'Handover');
  expect(handovers.length).toBeGreaterThan(20);
  expect(handovers.length).toBeLessThanOrEqual(61);
});

test('Adopt against a client that writes all the time does not send batches all the time', async () => {
  const replica = await aLeader({ adopt: true });
  let batches = 0;
  const commit = replica.registry.commit.bind(replica.registry);
  replica.registry.commit = (...args) => {
    batches += 1;
    bench.stream.put(KEY, STOLEN);
    return commit(...args);
  };
  await bench.clock.advance(60_000);
  // The lock alone takes thirty.
  expect(batches).toBeLessThan(60);
});

test('two installations of one cluster: the second waits until the first is gone for half a TTL', async () => {
  const first = await aLeader();
  const second = bench.replica('b', { operatorId: 'other' });
  await bench.clock.until(() => second.writer.leading, 30_000);
  second.table.setWishes(objectKey('trading', 'pod-1'), uidOf('pod-1'), [
    aWish({ podName: 'pod-1', instanceIdMode: 'PodName' }),
  ]);
  await bench.clock.advance(60_000);
  expect(history().every(({ by }) => by === 'a')).toBe(true);
  expect(second.table.reports(REGISTRATION)).toMatchObject([{ heldBy: 'installation test for pod trading/pod-1' }]);
  const stoppedAtMs = bench.clock.monotonicMs();
  first.stop.abort();
  await bench.clock.advance(60_000);
  const [taken] = history().filter(({ by }) => by === 'b');
  const lastMs = Math.max(...history().flatMap(({ by, atMs }) => (by === 'a' ? atMs : [])));
  expect((taken?.atMs ?? 0) - lastMs).toBeGreaterThanOrEqual(15_000);
  expect((taken?.atMs ?? 0) - lastMs).toBeLessThan(30_000);
  expect(lastMs).toBeLessThan(stoppedAtMs + 1_000);
  const lapsed = bench.stream.history().some((entry) => entry.kind === 'lapsed' && entry.subject === KEY);
  expect(lapsed).toBe(false);
});
