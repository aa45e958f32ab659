import { expect, test } from 'vitest';
import { type QueueObserver, WorkQueue } from '../../../src/controllers/work-queue.ts';
import { FakeClock } from '../../support/fake-clock.ts';

const SILENT: QueueObserver = { added: () => undefined, worked: () => undefined, retried: () => undefined };

const start = (reconcile: (key: string) => Promise<void> | void, workers = 1) => {
  const clock = new FakeClock();
  const queue = new WorkQueue<string>(
    clock,
    () => 0.5,
    SILENT,
    (key) => key.slice(0, key.indexOf('/')),
  );
  const stop = new AbortController();
  const errors: string[] = [];
  const running = Array.from({ length: workers }, () => queue.run(reconcile, (key) => errors.push(key), stop.signal));
  const end = async () => {
    stop.abort();
    await Promise.all(running);
  };
  return { clock, queue, errors, end };
};

test('a key that waits is not added twice, and order is kept', async () => {
  const worked: string[] = [];
  const { clock, queue, end } = start((key) => void worked.push(key));
  for (const key of ['a', 'b', 'a', 'c', 'b']) queue.add(key);
  await clock.settle();
  expect(worked).toEqual(['a', 'b', 'c']);
  await end();
});

test('namespaces take turns, each in its own order, however many keys one of them has', async () => {
  const worked: string[] = [];
  const { clock, queue, end } = start((key) => void worked.push(key));
  for (let i = 0; i < 1_000; i += 1) queue.add(`loud/${i}`);
  for (const key of ['quiet/a', 'quiet/b', 'calm/a']) queue.add(key);
  expect(queue.reading().depth).toBe(1_003);
  await clock.settle();
  expect(worked.slice(0, 6)).toEqual(['loud/0', 'quiet/a', 'calm/a', 'loud/1', 'quiet/b', 'loud/2']);
  expect(worked).toHaveLength(1_003);
  expect(worked.filter((key) => key.startsWith('loud/'))).toEqual(Array.from({ length: 1_000 }, (_, i) => `loud/${i}`));
  expect(queue.idle).toBe(true);
  await end();
});

test('a namespace that comes back again and again waits for its turn', async () => {
  const worked: string[] = [];
  const { clock, queue, end } = start((key) => {
    worked.push(key);
    if (key === 'loud/flapping' && worked.length < 50) queue.add(key);
  });
  queue.add('loud/flapping');
  for (const key of ['quiet/a', 'quiet/b', 'quiet/c']) queue.add(key);
  await clock.settle();
  expect(worked.indexOf('quiet/c')).toBeLessThanOrEqual(6);
  expect(worked).toHaveLength(50);
  await end();
});

test('a key added while it is worked on comes once more, never at the same time', async () => {
  let active = 0;
  const worked: string[] = [];
  const { clock, queue, end } = start(async (key) => {
    active += 1;
    expect(active).toBe(1);
    worked.push(key);
    if (worked.length === 1) {
      queue.add(key);
      queue.add(key);
    }
    await clock.sleep(100, new AbortController().signal);
    active -= 1;
  }, 3);
  queue.add('a');
  await clock.advance(1_000);
  expect(worked).toEqual(['a', 'a']);
  expect(queue.idle).toBe(true);
  await end();
});

test('several workers share the keys', async () => {
  let most = 0;
  let active = 0;
  const { clock, queue, end } = start(async () => {
    active += 1;
    most = Math.max(most, active);
    await clock.sleep(100, new AbortController().signal);
    active -= 1;
  }, 3);
  for (const key of ['a', 'b', 'c', 'd', 'e']) queue.add(key);
  await clock.advance(1_000);
  expect(most).toBe(3);
  expect(queue.idle).toBe(true);
  await end();
});

test('failures come back with growing delays, and a success forgets them', async () => {
  const times: number[] = [];
  let failing = 6;
  const { clock, queue, errors, end } = start(() => {
    times.push(clock.monotonicMs());
    failing -= 1;
    if (failing >= 0) throw new Error('no');
  });
  queue.add('a');
  await clock.advance(60_000);
  const gaps = times.slice(1).map((time, index) => time - (times[index] ?? 0));
  expect(gaps).toEqual([37.5, 75, 150, 300, 600, 1_200]);
  expect(errors).toHaveLength(6);
  await end();
});

test('a key that was refused for a time does not come back before, whatever is added, and then is free again (F10)', async () => {
  const times: number[] = [];
  let refusals = 2;
  const { clock, queue, end } = start(() => {
    times.push(clock.monotonicMs());
    refusals -= 1;
    if (refusals >= 0) throw Object.assign(new Error('429'), { retryAfterMs: 5_000 });
  });
  queue.add('a');
  for (let i = 0; i < 120; i += 1) {
    await clock.advance(100);
    queue.add('a');
  }
  const gaps = times.slice(1).map((time, index) => time - (times[index] ?? 0));
  expect(Math.min(...gaps.slice(0, 2))).toBeGreaterThanOrEqual(5_000);
  expect(Math.max(...gaps.slice(0, 2))).toBeLessThanOrEqual(6_000);
  expect(gaps.slice(2).every((gap) => gap <= 100)).toBe(true);
  expect(gaps.length).toBeGreaterThan(10);
  await end();
});

test('a key for later comes at its time, the earliest of several', async () => {
  const times: number[] = [];
  const { clock, queue, end } = start(() => void times.push(clock.monotonicMs()));
  const startedMs = clock.monotonicMs();
  queue.addAfter('a', 5_000);
  queue.addAfter('a', 2_000);
  queue.addAfter('a', 9_000);
  await clock.advance(20_000);
  expect(times.map((time) => time - startedMs)).toEqual([2_000]);
  await end();
});

test('a helper joins in while more keys than its backlog wait, be they of one namespace', async () => {
  const clock = new FakeClock();
  const queue = new WorkQueue<string>(
    clock,
    () => 0.5,
    SILENT,
    (key) => key.slice(0, key.indexOf('/')),
  );
  const stop = new AbortController();
  let working = 0;
  let most = 0;
  const reconcile = async () => {
    working += 1;
    most = Math.max(most, working);
    await clock.sleep(10, stop.signal);
    working -= 1;
  };
  const running = [0, 5].map((backlog) => queue.run(reconcile, () => undefined, stop.signal, backlog));
  for (let i = 0; i < 5; i += 1) queue.add(`one/${i}`);
  await clock.advance(100);
  expect(most).toBe(1);
  for (let i = 0; i < 10; i += 1) queue.add(`one/${i}`);
  await clock.advance(200);
  expect(most).toBe(2);
  stop.abort();
  await Promise.all(running);
});

test('a reminder does not bring a key back before its turn, if it failed', async () => {
  const worked: number[] = [];
  const { clock, queue, end } = start(() => {
    worked.push(clock.monotonicMs());
    throw new Error('refused');
  });
  queue.add('a');
  for (let i = 0; i < 600; i += 1) {
    await clock.advance(100);
    queue.remind('a');
  }
  // 50 ms, doubled up to 30 s.
  expect(worked.length).toBeLessThan(15);
  const before = worked.length;
  queue.add('a');
  queue.remind('b');
  await clock.settle();
  expect(worked).toHaveLength(before + 2);
  await end();
});
