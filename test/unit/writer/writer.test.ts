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
const lockIsFree = () => bench.stream.last(LOCK)?.operation !== 'PUT';

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
    expect(bench.lines.filter(({ message }) => message === 'a key cannot be written')).toHaveLength(1);
    wish(replica, 'large', { version: '1.0.0' });
    await bench.clock.until(() => Object.keys(bench.values()).length === 2, 1_000);
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
  const handOver = async (pods: number, seen: number) => {
    const first = bench.replica('a');
    await leads(first);
    for (let i = 0; i < pods; i += 1) wish(first, `pod-${i}`);
    await bench.clock.advance(1_000);
    await stopped(first);
    const second = bench.replica('b');
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

  test('are held for a minute when they are many, and then decided about', async () => {
    const replica = await handOver(100, 79);
    const { table } = replica;
    expect(table.held).toBe(21);
    expect(table.unseenPods()).toEqual([]);
    await bench.clock.advance(58_000);
    expect(unhealthy()).toBe(0);
    expect(Object.keys(bench.values())).toHaveLength(100);
    await bench.clock.advance(2_000);
    expect(table.unseenPods()).toHaveLength(21);
    for (const pod of table.unseenPods()) table.setWishes(pod, undefined, []);
    await bench.clock.advance(1_000);
    expect(unhealthy()).toBe(21);
    expect(table.unseenPods()).toEqual([]);
  });

  test('are decided about at once when their pods come into view', async () => {
    const replica = await handOver(100, 0);
    for (let i = 0; i < 100; i += 1) wish(replica, `pod-${i}`);
    expect(replica.table.held).toBe(0);
    await bench.clock.advance(1_000);
    expect(unhealthy()).toBe(0);
  });
});
