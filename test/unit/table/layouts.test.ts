// Instances that have other keys than the dotted one, or several: what is written together, what is kept up until its
// successor stands, and what people are told of it.

import { beforeEach, describe, expect, test } from 'vitest';
import { objectKey } from '../../../src/domain/pod.ts';
import { InstanceTable } from '../../../src/table/instance-table.ts';
import type { Write } from '../../../src/table/write.ts';
import { NINE } from '../../support/builders.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { aWish, away, noPause, uidOf, type WishOptions } from '../../support/wishes.ts';

const REGISTRATION = objectKey('trading', 'trading-service');

let clock: FakeClock;
let table: InstanceTable;
let revision: number;

beforeEach(async () => {
  clock = new FakeClock();
  revision = 100;
  table = new InstanceTable(clock, { onUrgent: () => undefined, onReport: () => undefined });
  await table.lead(() => ({ kind: 'none', revision: 0 }), noPause);
});

const pod = (name: string) => objectKey('trading', name);
const wish = (name: string, options: WishOptions = {}) =>
  table.setWishes(pod(name), uidOf(name), [aWish({ podName: name, instanceIdMode: 'PodName', ...options })]);
const gone = (name: string) => table.setWishes(pod(name), undefined, []);
const take = (limit = 499) => table.take(limit, () => true).writes;
const acknowledge = (writes: readonly Write[]) => {
  for (const write of writes) table.written(write, ++revision, clock.wallMs());
  return writes;
};
const told = (writes: readonly Write[]) => writes.map(({ row, reason }) => `${row.key} ${reason}`);
/** What is written from now on, each write acknowledged. */
const writesFor = async (ms: number): Promise<readonly string[]> => {
  const writes: string[] = [];
  for (let passed = 0; passed < ms; passed += 500) {
    writes.push(...told(acknowledge(take())));
    await clock.advance(500);
  }
  return writes;
};
const keys = () => [...table.rows()].map(({ key }) => key);

const dotted = (id: string) => `service-instances.trading-service.${id}`;
const underscore = (id: string) => `service-instances_trading-service_${id}`;
const double = (id: string) => `service-instances__trading-service__${id}`;

describe('Underscore', () => {
  test('both keys of an instance are in every batch that has one, also at its limit', async () => {
    for (const name of ['a', 'b', 'c']) wish(name, { keyLayout: 'Underscore' });
    expect(told(acknowledge(take(5)))).toEqual([
      `${dotted('a')} Registered`,
      `${underscore('a')} Registered`,
      `${dotted('b')} Registered`,
      `${underscore('b')} Registered`,
    ]);
    expect(told(acknowledge(take(1)))).toEqual([`${dotted('c')} Registered`, `${underscore('c')} Registered`]);
    for (let passed = 0; passed < 30_000; passed += 500) {
      await clock.advance(500);
      const ids = (form: string) => writes.filter(({ row }) => row.form === form).map(({ row }) => row.instanceId);
      const writes = acknowledge(take(1));
      expect(ids('Dotted')).toEqual(ids('Underscore'));
    }
  });

  test('one of the two that vanished comes back with a refresh of the other', () => {
    wish('a', { keyLayout: 'Underscore' });
    const [, beside] = acknowledge(take());
    if (beside === undefined) throw new Error('one key only');
    table.observe(beside.row, { kind: 'none', revision: 7 });
    expect(told(take())).toEqual([`${underscore('a')} Registered`, `${dotted('a')} Refresh`]);
  });

  test('a pod that goes is said UNHEALTHY under both, in one batch', () => {
    wish('a', { keyLayout: 'Underscore' });
    acknowledge(take());
    gone('a');
    expect(told(acknowledge(take(1)))).toEqual([`${dotted('a')} Terminating`, `${underscore('a')} Terminating`]);
    expect(table.size).toBe(0);
  });

  test('is one instance in the report, as badly off as the worse of its keys', () => {
    wish('a', { keyLayout: 'Underscore' });
    const [shown, beside] = take();
    if (shown === undefined || beside === undefined) throw new Error('one key only');
    acknowledge([shown]);
    expect(table.reports(REGISTRATION)).toMatchObject([{ key: dotted('a'), status: 'Pending' }]);
    acknowledge([beside]);
    expect(table.reports(REGISTRATION)).toMatchObject([{ key: dotted('a'), status: 'ACTIVE' }]);
    table.observe(beside.row, { kind: 'foreign', revision: 9, owner: 'somebody' });
    expect(table.reports(REGISTRATION)).toMatchObject([
      { key: underscore('a'), status: 'Conflict', heldBy: 'somebody' },
    ]);
  });

  test('a key that may not be made now does not hold up the refresh beside it', async () => {
    wish('a', { keyLayout: 'Underscore' });
    const [shown, beside] = take();
    if (shown === undefined || beside === undefined) throw new Error('one key only');
    acknowledge([shown]);
    table.release([beside]);
    const mayKeep = ({ observed }: Write['row']) => observed.kind === 'ours';
    for (let passed = 0; passed < 10_500; passed += 500) {
      await clock.advance(500);
      const { writes } = table.take(10, mayKeep);
      expect(told(writes)).toEqual(writes.length === 0 ? [] : [`${dotted('a')} Refresh`]);
      acknowledge(writes);
    }
  });
});

describe('a layout that changes', () => {
  test('the new key is written at once; the old one is not touched again, and lapses', async () => {
    wish('a');
    acknowledge(take());
    wish('a', { keyLayout: 'DoubleUnderscore' });
    const [first, ...later] = await writesFor(40_000);
    expect(first).toBe(`${double('a')} Registered`);
    expect(new Set(later)).toEqual(new Set([`${double('a')} Refresh`]));
    expect(keys()).toEqual([double('a')]);
  });

  test('a pod that goes after the new key stands is said UNHEALTHY under both', async () => {
    wish('a');
    acknowledge(take());
    wish('a', { keyLayout: 'DoubleUnderscore' });
    acknowledge(take());
    await clock.advance(5_000);
    gone('a');
    expect(told(acknowledge(take()))).toEqual([`${dotted('a')} Terminating`, `${double('a')} Terminating`]);
    expect(table.size).toBe(0);
  });

  test('while the new key is held by somebody else the old one is kept up', async () => {
    wish('a');
    acknowledge(take());
    wish('a', { keyLayout: 'DoubleUnderscore' });
    const [write] = take();
    if (write === undefined) throw new Error('nothing was taken');
    const holding = { kind: 'foreign', revision: 9, owner: 'somebody' } as const;
    table.observe(write.row, holding);
    for (let passed = 0; passed < 40_000; passed += 500) {
      await clock.advance(500);
      const { writes, reads } = table.take(10, () => true);
      for (const row of reads) table.observe(row, holding);
      expect(writes.every(({ row }) => row.form === 'Dotted')).toBe(true);
      acknowledge(writes);
    }
    expect(revision).toBeGreaterThanOrEqual(104);
    table.observe(write.row, { kind: 'none', revision: 11 });
    expect(told(acknowledge(take()))).toEqual([`${double('a')} Registered`]);
    expect(new Set(await writesFor(40_000))).toEqual(new Set([`${double('a')} Refresh`]));
    expect(keys()).toEqual([double('a')]);
  });

  test('of a resource that turns invalid meanwhile goes on as it was', async () => {
    wish('a');
    acknowledge(take());
    wish('a', { keyLayout: 'DoubleUnderscore' });
    acknowledge(take());
    table.setWishes(pod('a'), uidOf('a'), [], (held) => held);
    expect(new Set(await writesFor(40_000))).toEqual(new Set([`${double('a')} Refresh`]));
    expect(keys()).toEqual([double('a')]);
  });

  test('a pod that goes meanwhile is said UNHEALTHY under the old key', () => {
    wish('a');
    acknowledge(take());
    wish('a', { keyLayout: 'DoubleUnderscore' });
    gone('a');
    expect(told(acknowledge(take()))).toEqual([`${dotted('a')} Terminating`]);
    expect(table.size).toBe(0);
  });

  test('a pod that is not Ready meanwhile, and Ready again, gets the new key alone', () => {
    wish('a');
    acknowledge(take());
    wish('a', { state: away() });
    acknowledge(take());
    wish('a', { state: away(), keyLayout: 'DoubleUnderscore' });
    expect(take()).toEqual([]);
    wish('a', { keyLayout: 'DoubleUnderscore' });
    expect(told(acknowledge(take()))).toEqual([`${double('a')} Registered`]);
    expect(keys()).toEqual([double('a')]);
  });

  test('and changes back: the key that still stands is refreshed', async () => {
    wish('a');
    acknowledge(take());
    wish('a', { keyLayout: 'DoubleUnderscore' });
    wish('a');
    expect(take()).toEqual([]);
    expect(keys()).toEqual([dotted('a')]);
    expect(new Set(await writesFor(20_000))).toEqual(new Set([`${dotted('a')} Refresh`]));
  });

  test('and changes back to a key that is found to say UNHEALTHY: the one between lapses once that is ACTIVE', async () => {
    wish('a', { keyLayout: 'DoubleUnderscore' });
    acknowledge(take());
    wish('a');
    const [refused] = take();
    if (refused === undefined) throw new Error('nothing to write');
    const unhealthy = { kind: 'ours', status: 'UNHEALTHY', active: undefined, podUid: uidOf('a') } as const;
    const times = { ttlMs: 30_000, writtenAtMs: clock.monotonicMs(), heartbeatMs: 0 };
    table.observe(refused.row, { ...unhealthy, ...times, revision: 7, text: undefined });
    acknowledge(take());
    expect(new Set(await writesFor(40_000))).toEqual(new Set([`${dotted('a')} Refresh`]));
    expect(keys()).toEqual([dotted('a')]);
  });

  test('from Underscore to Dotted: what stays is not written anew', async () => {
    wish('a', { keyLayout: 'Underscore' });
    acknowledge(take());
    wish('a');
    expect(take()).toEqual([]);
    expect(new Set(await writesFor(40_000))).toEqual(new Set([`${dotted('a')} Refresh`]));
    expect(keys()).toEqual([dotted('a')]);
  });

  test('the id stays, also one of sixteen digits', () => {
    const uids = ['6f1d2c3b-0000-4000-8000-000000000001', '6f1d2c3b-1111-4000-8000-000000000002'];
    const both = (keyLayout: 'Dotted' | 'DoubleUnderscore') => {
      for (const [index, uid] of uids.entries()) {
        const made = aWish({ podName: `p${index}`, podCreatedAtMs: NINE + index, keyLayout });
        table.setWishes(pod(`p${index}`), uid, [{ ...made, pod: { ...made.pod, uid } }]);
      }
    };
    both('Dotted');
    acknowledge(take());
    both('DoubleUnderscore');
    expect(take().map(({ row }) => row.key)).toEqual([
      double('trading-service-6f1d2c3b'),
      double('trading-service-6f1d2c3b11114000'),
    ]);
  });

  test('a pod whose farewell is under way, and that comes back, does not take the id that another pod has by now', () => {
    const alike = (index: number, keyLayout: 'Dotted' | 'DoubleUnderscore') => {
      const uid = `6f1d2c3b-${index}111-4000-8000-000000000001`;
      const made = aWish({ podName: `p${index}`, keyLayout });
      table.setWishes(pod(`p${index}`), uid, [{ ...made, pod: { ...made.pod, uid } }]);
      return uid;
    };
    const uid = alike(1, 'DoubleUnderscore');
    acknowledge(take());
    table.setWishes(pod('p1'), uid, []);
    alike(2, 'Dotted');
    alike(1, 'Dotted');
    const live = [...table.rows()].filter(({ farewell }) => !farewell);
    expect(live.map(({ key, wish: { pod } }) => `${key} ${pod.name}`)).toEqual([
      `${dotted('trading-service-6f1d2c3b')} p2`,
      `${dotted('trading-service-6f1d2c3b11114000')} p1`,
    ]);
  });

  test('on a replica that does not lead only the new key is left', async () => {
    await table.stopLeading(noPause);
    wish('a');
    wish('a', { keyLayout: 'DoubleUnderscore' });
    expect(keys()).toEqual([double('a')]);
  });
});

describe('two pods and one id, in different layouts', () => {
  const other = (keyLayout: 'Dotted' | 'DoubleUnderscore', createdAtMs: number) => {
    const made = aWish({ podName: 'a', instanceIdMode: 'PodName', podCreatedAtMs: createdAtMs, keyLayout });
    const its = { namespace: 'other', name: 'a', uid: 'other' };
    table.setWishes(objectKey('other', 'a'), 'other', [{ ...made, pod: its, registration: objectKey('other', 's') }]);
  };

  test('the older has it; the younger says which key it would have, and follows', () => {
    wish('a');
    acknowledge(take());
    other('DoubleUnderscore', NINE + 1_000);
    expect(take()).toEqual([]);
    expect(table.reports(objectKey('other', 's'))).toMatchObject([
      { key: double('a'), status: 'Conflict', reason: 'SameInstanceId', heldBy: 'pod trading/a' },
    ]);
    gone('a');
    expect(told(acknowledge(take()))).toEqual([`${dotted('a')} Terminating`]);
    const { reads } = table.take(10, () => true);
    expect(reads.map(({ key }) => key)).toEqual([double('a')]);
  });

  test('an older one takes the id, and the key of the younger gets its farewell', () => {
    wish('a');
    acknowledge(take());
    other('DoubleUnderscore', NINE - 1_000);
    expect(told(acknowledge(take()))).toEqual([`${double('a')} Registered`, `${dotted('a')} Deselected`]);
    expect(keys()).toEqual([double('a')]);
    expect(table.reports(REGISTRATION)).toMatchObject([{ status: 'Conflict', reason: 'SameInstanceId' }]);
  });

  test('an older one that takes it from two others has it alone, on a replica that does not lead as well', async () => {
    await table.stopLeading(noPause);
    wish('a');
    const named = (namespace: string, keyLayout: 'Dotted' | 'DoubleUnderscore', createdAtMs: number) => {
      const made = aWish({ podName: 'a', instanceIdMode: 'PodName', podCreatedAtMs: createdAtMs, keyLayout });
      const registration = objectKey(namespace, 's');
      const its = { namespace, name: 'a', uid: namespace };
      table.setWishes(objectKey(namespace, 'a'), namespace, [{ ...made, pod: its, registration }]);
    };
    named('youngest', 'DoubleUnderscore', NINE + 1_000);
    named('oldest', 'DoubleUnderscore', NINE - 1_000);
    expect(keys()).toEqual([double('a')]);
    expect(table.size).toBe(1);
    expect(table.reports(objectKey('youngest', 's'))).toMatchObject([{ heldBy: 'pod oldest/a' }]);
    expect(table.holds(objectKey('youngest', 'a'), objectKey('youngest', 's'))).toBe(false);
  });
});
