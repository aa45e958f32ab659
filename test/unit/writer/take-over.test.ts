// The start of a term with many keys: never so much at a stretch that the event loop or the lock's renewal waits for it.

import { beforeEach, describe, expect, test } from 'vitest';
import type { Clock } from '../../../src/clock.ts';
import { objectKey } from '../../../src/domain/pod.ts';
import { encodeInstance } from '../../../src/domain/service-instance.ts';
import { SLICE } from '../../../src/slices.ts';
import { RegistryError } from '../../../src/writer/registry.ts';
import { aWish, uidOf, type WishOptions } from '../../support/wishes.ts';
import { BUCKET, LOCK, WriterBench } from '../../support/writer-bench.ts';

const PODS = 4_000;
/** Far more than a slice takes; all slices of a take-over together take longer than the lock lives. */
const SLICE_MS = 100;

let bench: WriterBench;
type Replica = ReturnType<WriterBench['replica']>;

beforeEach(() => {
  bench = new WriterBench();
});

const wish = ({ table }: Replica, podName: string, options: WishOptions = {}) =>
  table.setWishes(objectKey('trading', podName), uidOf(podName), [aWish({ podName, ...options })]);
const leads = ({ writer }: Replica) => bench.clock.until(() => writer.leading, 60_000);
const renewals = () =>
  bench.stream
    .history()
    .flatMap((entry) =>
      entry.kind === 'stored' && entry.message.subject === LOCK && entry.message.headers['Rollcall-Holder'] === 'b'
        ? entry.atMs
        : [],
    );

const longestGapMs = (): number => {
  const times = renewals();
  return Math.max(...times.slice(1).map((atMs, index) => atMs - (times[index] ?? 0)));
};

/** A first leader wrote the keys of all pods, and a second one, whose turns of the event loop are slow, takes over. */
const takeOver = async (options: (pod: number) => WishOptions | undefined, during: (b: Replica) => void = () => {}) => {
  const first = bench.replica('a');
  await leads(first);
  for (let i = 0; i < PODS; i += 1) wish(first, `pod-${i}`);
  await bench.clock.until(() => Object.keys(bench.values()).length === PODS, 10_000);
  first.stop.abort();
  await bench.clock.advance(100);
  let atAStretch = 0;
  let most = 0;
  let turns = 0;
  const work = () => {
    atAStretch += 1;
    most = Math.max(most, atAStretch);
  };
  const { clock: real } = bench;
  const clock: Clock = {
    wallMs: () => real.wallMs(),
    monotonicMs: () => real.monotonicMs(),
    sleep: (ms, signal) => real.sleep(ms, signal),
    yield: async () => {
      await real.sleep(SLICE_MS, new AbortController().signal);
      atAStretch = 0;
      turns += 1;
      if (turns === 20) during(second);
    },
  };
  let prepared = false;
  const second: Replica = bench.replica('b', {
    clock,
    knowledge: () => (prepared ? 'complete' : 'gathering'),
    settingsOf: () => {
      work();
      return {
        whenNotReady: 'MarkUnhealthy',
        apiOutage: { mode: 'Hold', maxHoldSeconds: 0 },
        refreshIntervalSeconds: 10,
      };
    },
  });
  const { table } = second;
  const lead = table.lead.bind(table);
  const rowsOf = table.rowsOf.bind(table);
  const adoptRetiring = table.adoptRetiring.bind(table);
  const adoptUnseen = table.adoptUnseen.bind(table);
  table.lead = (observed, ...more) =>
    lead(
      (row) => {
        work();
        return observed(row);
      },
      ...more,
    );
  table.rowsOf = (...args) => {
    work();
    return rowsOf(...args);
  };
  table.adoptRetiring = (...args) => {
    work();
    adoptRetiring(...args);
  };
  table.adoptUnseen = (...args) => {
    work();
    adoptUnseen(...args);
  };
  for (let i = 0; i < PODS; i += 1) {
    const made = options(i);
    if (made !== undefined) wish(second, `pod-${i}`, made);
  }
  atAStretch = 0;
  most = 0;
  prepared = true;
  await leads(second);
  return { second, most, gapMs: longestGapMs() };
};

describe('in slices, with the lock renewed between them', () => {
  test.each<[string, (pod: number) => WishOptions | undefined]>([
    ['keys that stand as they should', () => ({})],
    ['strays: the layout was changed', () => ({ keyLayout: 'DoubleUnderscore' })],
    ['strays: the pods are not to be seen', () => undefined],
  ])('%s', async (_, options) => {
    const { second, most, gapMs } = await takeOver(options);
    // A stray is looked at twice in its slice.
    expect(most).toBeLessThanOrEqual(3 * SLICE);
    expect(gapMs).toBeLessThan(2_000 + 3 * SLICE_MS);
    await bench.clock.advance(60_000);
    expect(second.writer.leading).toBe(true);
    expect(Object.values(bench.values()).map(({ status }) => status)).toEqual(Array(PODS).fill('ACTIVE'));
    const lapsed = bench.stream.history().filter((entry) => entry.kind === 'lapsed' && entry.subject !== LOCK);
    expect(lapsed).toHaveLength(options(0)?.keyLayout === undefined ? 0 : PODS);
  });

  test('pods that come into view between two slices keep their keys', async () => {
    const { second } = await takeOver(
      (pod) => (pod < PODS / 2 ? {} : undefined),
      (b) => {
        for (let i = PODS / 2; i < PODS; i += 1) wish(b, `pod-${i}`);
      },
    );
    expect(second.table.held).toBe(0);
    await bench.clock.advance(8_000);
    const reasons = bench.stream
      .messages(`$KV.${BUCKET}.>`)
      .filter(({ storedAtMs }) => storedAtMs >= bench.clock.wallMs() - 8_000)
      .map(({ headers }) => headers['Rollcall-Reason']);
    expect(new Set(reasons)).toEqual(new Set(['Refresh']));
    expect(reasons).toHaveLength(PODS);
  });
});

test('stopped before all is read back, a replica gives the lock back and writes no key', async () => {
  const first = bench.replica('a');
  await leads(first);
  for (let i = 0; i < 2_000; i += 1) wish(first, `pod-${i}`);
  await bench.clock.until(() => Object.keys(bench.values()).length === 2_000, 10_000);
  first.stop.abort();
  await bench.clock.advance(100);
  const second = bench.replica('b');
  for (let i = 0; i < 10; i += 1) wish(second, `new-${i}`);
  const lead = second.table.lead.bind(second.table);
  second.table.lead = async (...args) => {
    await lead(...args);
    second.stop.abort();
  };
  const isReleased = () => {
    const lock = bench.stream.last(LOCK);
    return lock?.operation === 'PURGE' && lock.headers['Rollcall-Holder'] === 'b';
  };
  await bench.clock.until(isReleased, 10_000);
  expect(Object.keys(bench.values()).filter((key) => key.includes('new-'))).toEqual([]);
  expect(Object.keys(bench.values())).toHaveLength(2_000);
});

test("a key under the pod's name is not taken for one that was generated", async () => {
  const first = bench.replica('a');
  await leads(first);
  wish(first, 'pod-1', { instanceIdMode: 'PodName' });
  await bench.clock.advance(1_000);
  first.stop.abort();
  await bench.clock.advance(100);
  const [before] = Object.keys(bench.values());
  const second = bench.replica('b');
  wish(second, 'pod-1');
  await leads(second);
  await bench.clock.advance(1_000);
  const active = Object.entries(bench.values()).filter(([, { status }]) => status === 'ACTIVE');
  expect(active).toHaveLength(1);
  expect(active.map(([key]) => key)).not.toContain(before);
  await bench.clock.advance(60_000);
  expect(Object.values(bench.values()).map(({ status }) => status)).toEqual(['ACTIVE']);
});

test('the lock is renewed while the registry lets the first page wait', async () => {
  const first = bench.replica('a');
  await leads(first);
  wish(first, 'pod-1');
  await bench.clock.advance(1_000);
  const second = bench.replica('b');
  wish(second, 'pod-1');
  const readBack = second.registry.readBack.bind(second.registry);
  second.registry.readBack = async function* (...args) {
    await bench.clock.sleep(15_000, args[1]);
    yield* readBack(...args);
  };
  first.stop.abort();
  await bench.clock.advance(100);
  const stoppedAtMs = bench.clock.monotonicMs();
  await leads(second);
  expect(bench.clock.monotonicMs() - stoppedAtMs).toBeLessThan(17_000);
  expect(longestGapMs()).toBeLessThan(4_000);
});

test('a take-over that loses the lock while the first page is not there ends, and another one begins', async () => {
  const only = bench.replica('b');
  let reads = 0;
  const readBack = only.registry.readBack.bind(only.registry);
  only.registry.readBack = async function* (...args) {
    reads += 1;
    if (reads === 1) await bench.clock.sleep(60_000, args[1]);
    yield* readBack(...args);
  };
  wish(only, 'pod-1');
  await bench.clock.until(() => reads === 1, 10_000);
  bench.stream.storeAlone(LOCK, 6, '', 'somebody');
  await bench.clock.until(() => only.writer.leading, 20_000);
  expect(reads).toBe(2);
});

describe('a right to read is missing', () => {
  const blinded = (replica: ReturnType<typeof bench.replica>) => {
    let mayRead = false;
    const readBack = replica.registry.readBack.bind(replica.registry);
    replica.registry.readBack = async function* (...args) {
      if (!mayRead) throw new RegistryError('denied', 'the right to publish to $JS.API.CONSUMER.CREATE is missing');
      yield* readBack(...args);
    };
    return { allow: () => void (mayRead = true) };
  };
  const terms = () =>
    bench.stream.history().filter((entry) => entry.kind === 'stored' && entry.message.subject === LOCK).length;

  test('it is said all the time, and asked for about once a second, until it is there', async () => {
    const only = bench.replica('a');
    const { allow } = blinded(only);
    wish(only, 'pod-1');
    await bench.clock.until(() => only.writer.health().kind === 'broken', 10_000);
    const before = terms();
    for (let seconds = 0; seconds < 30; seconds += 1) {
      await bench.clock.advance(1_000);
      expect(only.writer.health()).toMatchObject({ kind: 'broken', reason: 'RegistryDenied' });
    }
    // Taken and given back.
    expect(terms() - before).toBeLessThan(30 * 2 * 2);
    expect(only.writer.unwellForMs).toBeGreaterThan(29_000);
    allow();
    await leads(only);
    await bench.clock.advance(1_000);
    expect(only.writer.health().kind).toBe('writable');
  });

  test('another replica that has it leads within seconds', async () => {
    const first = bench.replica('a');
    blinded(first);
    await bench.clock.advance(5_000);
    const second = bench.replica('b');
    wish(second, 'pod-1');
    const sinceMs = bench.clock.monotonicMs();
    await leads(second);
    expect(bench.clock.monotonicMs() - sinceMs).toBeLessThan(10_000);
  });
});

test.each([
  'fresh',
  'old',
])('what only a crashed server brought back is not kept up, whose view is %s', async (view) => {
  const ghost = planted('ghost', 1);
  const remnant = bench.stream.last(ghost);
  if (remnant === undefined) throw new Error('nothing is stored');
  await bench.clock.advance(20_000);
  // Its marker has gone as well.
  bench.stream.wipe(ghost);
  const only = bench.replica('a', { fresh: () => view === 'fresh' });
  const readBack = only.registry.readBack.bind(only.registry);
  only.registry.readBack = async function* (...args) {
    yield [remnant];
    yield* readBack(...args);
  };
  await leads(only);
  await bench.clock.advance(12_000);
  expect(bench.stream.last(ghost)?.operation).not.toBe('PUT');
  expect(bench.lapsed).toEqual([]);
  expect(only.table.size).toBe(0);
});

test('of a pod that is not to be seen the key is kept up, and not made anew once it is gone', async () => {
  const [stays, goes] = [planted('stays', 30), planted('goes', 30)];
  const only = bench.replica('a', { knowledge: () => 'none', fresh: () => false });
  await leads(only);
  await bench.clock.advance(11_000);
  bench.stream.purge(goes);
  await bench.clock.advance(60_000);
  expect(bench.stream.last(stays)).toMatchObject({ operation: 'PUT' });
  expect(bench.stream.last(goes)?.operation).not.toBe('PUT');
  expect(only.table.size).toBe(1);
});

test.each([
  ['a marker that the server put over a refresh it had just acknowledged', 1_000, true, 1],
  ['a lapse, because nobody came in time', 31_000, true, 0],
  ['a removal by somebody', 1_000, false, 0],
])('what such a key is found gone by counts: %s', async (_, laterMs, isLapse, rows) => {
  planted('goes', 30);
  const { table, writer, stop } = bench.replica('a', { knowledge: () => 'none', fresh: () => false });
  await bench.clock.until(() => writer.leading, 10_000);
  await bench.clock.advance(1_000);
  const [row] = [...table.rows()];
  if (row?.observed.kind !== 'ours') throw new Error('it does not stand');
  stop.abort();
  const { writtenAtMs, revision } = row.observed;
  const later = { ...row.observed, writtenAtMs: writtenAtMs - laterMs };
  table.observe(row, later);
  table.observe(row, { kind: 'none', revision: revision + 1, ...(isLapse ? { isLapse } : {}) });
  expect(table.size).toBe(rows);
});

/** The key of a pod of this name, written by a leader of ours. Returns its subject. */
const planted = (name: string, ttlSeconds: number): string => {
  const key = `$KV.${BUCKET}.service-instances.trading-service.${name}`;
  const { head, tail } = encodeInstance(aWish({ podName: name }).content, name, 'ACTIVE');
  bench.stream.put(key, `${head}2026-11-23T09:00:00.000Z${tail}`, {
    ttlSeconds,
    headers: { 'Rollcall-Owner': `test/trading/${name}/${uidOf(name)}`, 'Rollcall-Term': '1' },
  });
  return key;
};
