// Hand-overs of sticky groups as the table gives them out: whole, in order, and never split by the size of a batch.

import { beforeEach, describe, expect, test } from 'vitest';
import type { Wish } from '../../../src/domain/instance.ts';
import { objectKey } from '../../../src/domain/pod.ts';
import type { Refusal } from '../../../src/domain/registration-status.ts';
import { groupKey } from '../../../src/domain/sticky.ts';
import { UTC } from '../../../src/domain/timestamp.ts';
import { InstanceTable } from '../../../src/table/instance-table.ts';
import type { Observed, Row } from '../../../src/table/row.ts';
import type { Write } from '../../../src/table/write.ts';
import { planKey } from '../../../src/writer/batch-plan.ts';
import { NINE } from '../../support/builders.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { aWish, away, noPause, ours, uidOf, type WishOptions } from '../../support/wishes.ts';

let clock: FakeClock;
let table: InstanceTable;
let revision: number;
let rung: number;

beforeEach(() => {
  clock = new FakeClock();
  revision = 100;
  rung = 0;
  table = new InstanceTable(clock, {
    onUrgent: () => {
      rung += 1;
    },
    onReport: () => undefined,
  });
});

const pod = (name: string) => objectKey('trading', name);
const aMember = (name: string, group: string | null, options: WishOptions = {}): Wish => {
  const wish = aWish({ podName: name, ...options });
  return { ...wish, content: { ...wish.content, stickyActiveGroup: group } };
};
/** Pod `a` is Ready longest, then `b`, and so on. */
const wish = (name: string, group: string | null = 'blue', options: WishOptions = {}) =>
  table.setWishes(pod(name), uidOf(name), [
    aMember(name, group, { readySinceMs: NINE + name.charCodeAt(0), ...options }),
  ]);
const gone = (name: string) => table.setWishes(pod(name), undefined, []);
const lead = (observed: (row: Row) => Observed = () => ({ kind: 'none', revision: 0 })) =>
  table.lead(observed, noPause);
const take = (limit = 499) => table.take(limit, () => true).writes;
/** As the writer does: the terms of promotions are the batch's. */
const acknowledge = (writes: readonly Write[]) => {
  const plan = {
    bucket: 'service-registry',
    operatorId: 'test',
    offset: UTC,
    term: 1,
    promotion: revision,
    wallMs: clock.wallMs(),
    wallText: '',
  };
  for (const write of writes) table.written(planKey(write, plan).write, ++revision, clock.wallMs());
};
const settle = () => acknowledge(take());
/** `a STANDBY RoleChange`, or `a PURGE Terminating`, in the order of the batch. */
const told = (writes: readonly Write[]) =>
  writes.map(
    ({ row, status, reason, operation }) =>
      `${row.wish.pod.name} ${operation === 'PURGE' ? operation : status} ${reason}`,
  );
const stored = (name: string, group: string, term: number): Observed =>
  ours(aMember(name, group), clock.monotonicMs(), {
    text: undefined,
    active: { group: groupKey('trading-service', group), uid: uidOf(name), term },
  });

test('who does not lead is not woken by what happens to a group', () => {
  wish('a');
  wish('b');
  wish('a', 'green');
  gone('b');
  expect(rung).toBe(0);
});

describe('on the leader', () => {
  beforeEach(() => lead());

  test('of a new group the longest-ready is ACTIVE, and stands last in the batch', () => {
    for (const name of ['c', 'b', 'a']) wish(name);
    const writes = take();
    expect(told(writes)).toEqual(['c STANDBY Registered', 'b STANDBY Registered', 'a ACTIVE Registered']);
    expect(writes.map(({ promotes }) => promotes)).toEqual([false, false, true]);
  });

  test('who is elected stays so: refreshed with its term, though a longer-ready one comes', async () => {
    wish('b');
    settle();
    wish('a');
    expect(told(take())).toEqual(['a STANDBY Registered']);
    await clock.advance(11_000);
    const [refresh] = take();
    expect(told([refresh].flatMap((write) => write ?? []))).toEqual(['b ACTIVE Refresh']);
    expect(refresh?.text.tail).toContain('"stickyTerm":100');
  });

  test.each([
    ['MarkUnhealthy', 'not Ready', () => wish('a', 'blue', { state: away() }), 'a UNHEALTHY NotReady'],
    ['MarkUnhealthy', 'gone', () => gone('a'), 'a UNHEALTHY Terminating'],
    ['Remove', 'gone', () => gone('a'), 'a PURGE Terminating'],
    ['Lapse', 'gone', () => gone('a'), 'a UNHEALTHY RoleChange'],
    ['Lapse', 'suspended', () => wish('a', 'blue', suspended), 'a STANDBY RoleChange'],
  ] as const)('%s: the holder is %s: one batch, down before up', (whenNotReady, _, act, down) => {
    for (const name of ['a', 'b', 'c']) wish(name, 'blue', { whenNotReady });
    settle();
    act();
    const writes = take();
    expect(told(writes)).toEqual([down, 'b ACTIVE RoleChange']);
    expect(new Set(writes.map(({ handOver }) => handOver))).toEqual(new Set([groupKey('trading-service', 'blue')]));
    acknowledge(writes);
    expect(told(take())).toEqual([]);
  });

  test('without a successor a key that is left to lapse is left alone, and stands in the way until it is gone', async () => {
    wish('a', 'blue', { whenNotReady: 'Lapse' });
    settle();
    gone('a');
    expect(take()).toEqual([]);
    await clock.advance(5_000);
    wish('b');
    expect(told(take())).toEqual(['a UNHEALTHY RoleChange', 'b ACTIVE Registered']);
  });

  test('a key that lapsed is forgotten', async () => {
    wish('a', 'blue', { whenNotReady: 'Lapse' });
    settle();
    gone('a');
    await clock.advance(31_000);
    const { reads } = table.take(499, () => true);
    for (const row of reads) table.observe(row, { kind: 'none', revision: 0 });
    expect(table.size).toBe(0);
    wish('b');
    expect(told(take())).toEqual(['b ACTIVE Registered']);
  });

  test('a hand-over rings the bell, whoever waits for it', () => {
    for (const name of ['a', 'b']) wish(name, 'blue', { whenNotReady: 'Lapse' });
    settle();
    rung = 0;
    gone('a');
    expect(rung).toBeGreaterThan(0);
  });

  test('no batch is so small that it splits a hand-over', () => {
    const names = Array.from({ length: 20 }, (_, index) => `${index}`);
    for (const name of names) {
      wish(`${name}-a`, `group-${name}`, { readySinceMs: NINE });
      wish(`${name}-b`, `group-${name}`);
    }
    settle();
    for (const name of names) gone(`${name}-a`);
    let batches = 0;
    for (let writes = take(3); writes.length > 0; writes = take(3)) {
      expect(writes).toHaveLength(2);
      expect(new Set(writes.map(({ handOver }) => handOver)).size).toBe(1);
      acknowledge(writes);
      batches += 1;
    }
    expect(batches).toBe(20);
  });

  test('what else is due fills the batch up', () => {
    for (const name of ['a', 'b']) wish(name);
    settle();
    for (const name of ['x', 'y', 'z']) wish(name, null);
    gone('a');
    expect(told(take(4))).toEqual([
      'x ACTIVE Registered',
      'y ACTIVE Registered',
      'a UNHEALTHY Terminating',
      'b ACTIVE RoleChange',
    ]);
    expect(told(take(4))).toEqual(['z ACTIVE Registered']);
  });

  test('the holder leaves the group: its new value and the successor are one batch', () => {
    for (const name of ['a', 'b']) wish(name);
    settle();
    wish('a', null);
    expect(told(take())).toEqual(['a ACTIVE SpecChange', 'b ACTIVE RoleChange']);
  });

  test('two holders swap groups: each is down before either is up', () => {
    wish('a', 'blue');
    wish('b', 'green');
    settle();
    wish('a', 'green');
    wish('b', 'blue');
    const first = take();
    expect(told(first)).toEqual(['a STANDBY RoleChange', 'b STANDBY RoleChange']);
    acknowledge(first);
    expect(told(take())).toEqual(['a ACTIVE RoleChange', 'b ACTIVE RoleChange']);
  });

  test.each([
    'Underscore',
    'DoubleUnderscore',
  ] as const)('two holders swap groups while their layout becomes %s: each is down before either is up', async (keyLayout) => {
    wish('a', 'blue');
    wish('b', 'green');
    settle();
    const active = new Map<string, string>();
    const note = (writes: readonly Write[]) => {
      for (const { row, active: role } of writes) {
        active.delete(row.key);
        if (role === undefined) continue;
        active.set(row.key, `${role.group} ${role.uid}`);
        const pods = new Set([...active.values()].filter((text) => text.startsWith(role.group)));
        expect([...pods]).toHaveLength(1);
      }
    };
    for (const row of table.rows()) {
      if (row.observed.kind === 'ours' && row.observed.active !== undefined)
        active.set(row.key, `${row.observed.active.group} ${row.observed.active.uid}`);
    }
    expect(active.size).toBe(2);
    wish('a', 'green', { keyLayout });
    wish('b', 'blue', { keyLayout });
    for (let writes = take(); writes.length > 0; writes = take()) {
      expect(new Set(writes.map(({ row }) => row.key)).size).toBe(writes.length);
      note(writes);
      acknowledge(writes);
    }
    expect(new Set(active.values())).toEqual(
      new Set([`trading-service/green ${uidOf('a')}`, `trading-service/blue ${uidOf('b')}`]),
    );
  });

  describe('a member that the server will not have', () => {
    const DENIED = { reason: 'RegistryDenied', message: 'denied' } as const;
    const TOO_LARGE = { reason: 'RegistryUnsupported', message: 'too large' } as const;
    const refuse = (name: string, refusal: Refusal, writes: readonly Write[]) => {
      for (const write of writes) if (write.row.wish.pod.name === name) table.putOff(write, refusal);
      const left = table.withoutTorn(writes.filter(({ row }) => row.wish.pod.name !== name));
      acknowledge(left);
      return left;
    };

    test.each([DENIED, TOO_LARGE])('is passed over: $message', (refusal) => {
      for (const name of ['a', 'b']) wish(name);
      expect(told(refuse('a', refusal, take()))).toEqual(['b STANDBY Registered']);
      const next = take();
      expect(told(next).at(-1)).toBe('b ACTIVE RoleChange');
      refuse('a', refusal, next);
      expect(take()).toEqual([]);
    });

    test('keeps its role while its key stands, and no longer', async () => {
      for (const name of ['a', 'b']) wish(name);
      settle();
      const active: string[] = [];
      for (let ms = 0; ms < 34_000; ms += 250) {
        await clock.advance(250);
        for (const line of told(refuse('a', DENIED, take())))
          if (line.includes('b ACTIVE')) active.push(`${line} ${ms}`);
        if (active.length > 0) break;
      }
      // The key of `a` is gone 30.5 s after its last write for certain.
      expect(active[0]).toMatch(/^b ACTIVE RoleChange 3[01]/);
    });

    test('that is too large with a role is STANDBY, and is given none for a minute', async () => {
      wish('a');
      expect(refuse('a', TOO_LARGE, take())).toEqual([]);
      const standby = take();
      expect(told(standby)).toEqual(['a STANDBY Registered']);
      acknowledge(standby);
      const told60: string[] = [];
      for (let ms = 0; ms < 59_000; ms += 500) {
        const writes = take();
        told60.push(...told(writes));
        acknowledge(writes);
        await clock.advance(500);
      }
      expect(new Set(told60)).toEqual(new Set(['a STANDBY Refresh']));
      wish('a', 'blue', { version: '2.0.0' });
      expect(told(take())).toEqual(['a ACTIVE RoleChange']);
    });
  });

  test('two groups become one: the later term stays', () => {
    wish('a', 'blue');
    wish('b', 'green');
    settle();
    wish('b', 'blue');
    expect(told(take())).toEqual(['b STANDBY RoleChange']);
  });

  test("a group spans a service's registrations and namespaces, and no other service's", () => {
    wish('a');
    wish('b', 'blue', { registration: objectKey('other', 'canary') });
    wish('c', 'blue', { serviceName: 'billing-service' });
    const writes = take();
    expect(told(writes).toSorted()).toEqual(['a ACTIVE Registered', 'b STANDBY Registered', 'c ACTIVE Registered']);
  });

  test('a member whose key somebody else holds is passed over, until it has its key', () => {
    for (const name of ['a', 'b']) wish(name);
    const writes = take();
    for (const write of writes) {
      if (write.row.wish.pod.name === 'a') table.observe(write.row, { kind: 'foreign', revision: 9, owner: 'x' });
      else acknowledge([write]);
    }
    expect(told(take())).toEqual(['b ACTIVE RoleChange']);
  });

  test('nobody is promoted while something of the service is unknown', () => {
    for (const name of ['a', 'b']) wish(name);
    settle();
    wish('x', null);
    const [unknown] = take();
    if (unknown !== undefined) table.observe(unknown.row, { kind: 'unknown' });
    gone('a');
    expect(told(take())).toEqual(['a UNHEALTHY Terminating']);
  });

  test('under a layout of two keys both go down before both go up', () => {
    for (const name of ['a', 'b']) wish(name, 'blue', { keyLayout: 'Underscore' });
    settle();
    gone('a');
    const writes = take(2);
    expect(told(writes)).toEqual([
      'a UNHEALTHY Terminating',
      'a UNHEALTHY Terminating',
      'b ACTIVE RoleChange',
      'b ACTIVE RoleChange',
    ]);
    expect(new Set(writes.map(({ row }) => row.form))).toEqual(new Set(['Dotted', 'Underscore']));
  });

  test('under a layout of two keys the pod that follows under an id goes up when both are down', () => {
    const options = { keyLayout: 'Underscore', instanceIdMode: 'PodName' } as const;
    wish('a', 'blue', options);
    settle();
    const next = aMember('a', 'blue', options);
    table.setWishes(pod('a'), 'new-uid', [{ ...next, pod: { ...next.pod, uid: 'new-uid' } }]);
    const writes = take();
    expect(told(writes)).toEqual(['a STANDBY Registered', 'a STANDBY Registered']);
    acknowledge(writes);
    expect(told(take())).toEqual(['a ACTIVE RoleChange', 'a ACTIVE RoleChange']);
  });

  test('a key of a layout that was left goes down as well', () => {
    for (const name of ['a', 'b']) wish(name);
    settle();
    for (const name of ['a', 'b']) wish(name, 'blue', { keyLayout: 'DoubleUnderscore' });
    settle();
    gone('a');
    expect(told(take())).toEqual(['a UNHEALTHY Terminating', 'a UNHEALTHY Terminating', 'b ACTIVE RoleChange']);
  });

  test('a hand-over is not damped, though each of its keys was written a moment ago', async () => {
    for (const name of ['a', 'b']) wish(name);
    settle();
    wish('a', 'blue', { state: away() });
    const writes = take();
    expect(told(writes)).toEqual(['a UNHEALTHY NotReady', 'b ACTIVE RoleChange']);
    acknowledge(writes);
    wish('a');
    expect(take()).toEqual([]);
    wish('b', 'blue', { state: away() });
    expect(told(take())).toEqual(['b UNHEALTHY NotReady', 'a ACTIVE Registered']);
  });

  test('a hand-over of which a part fell out is taken back whole', () => {
    for (const name of ['a', 'b', 'x']) wish(name, name === 'x' ? null : 'blue');
    settle();
    gone('a');
    wish('x', null, { version: '2.0.0' });
    const writes = take();
    for (const fallen of ['a', 'b']) {
      const left = table.withoutTorn(writes.filter(({ row }) => row.wish.pod.name !== fallen));
      expect(told(left)).toEqual(['x ACTIVE SpecChange']);
    }
    expect(table.withoutTorn(writes)).toEqual(writes);
  });
});

describe('the beginning of a term', () => {
  test("the registry's holder stays, with its term", async () => {
    for (const name of ['a', 'b']) wish(name);
    await lead((row) => (row.wish.pod.name === 'b' ? stored('b', 'blue', 42) : { kind: 'none', revision: 0 }));
    const writes = take();
    expect(told(writes)).toEqual(['a STANDBY Registered', 'b ACTIVE Refresh']);
    expect(writes[1]?.text.tail).toContain('"stickyTerm":42');
    expect(writes[1]?.promotes).toBe(false);
  });

  test('the key of a pod that died says farewell in the batch of its successor', async () => {
    wish('b');
    await lead();
    table.adoptOrphan(unseen('a'), 'a', 'Dotted', stored('a', 'blue', 42));
    expect(told(take())).toEqual(['a UNHEALTHY Terminating', 'b ACTIVE Registered']);
  });

  test('a pod that is not to be seen keeps its role, and is given none', async () => {
    await lead();
    table.adoptUnseen(unseen('a'), 'a', 'Dotted', stored('a', 'blue', 42));
    const standby = ours(aMember('c', 'blue'), clock.monotonicMs(), { status: 'STANDBY', text: undefined });
    table.adoptUnseen(unseen('c'), 'c', 'Dotted', standby);
    wish('b');
    expect(told(take()).toSorted()).toEqual(['a ACTIVE Refresh', 'b STANDBY Registered', 'c STANDBY Refresh']);
  });
});

/** As the read-back makes it of a key whose pod is not to be seen. */
const unseen = (name: string) =>
  aMember(name, 'blue', { state: away('Terminating'), readySinceMs: Number.POSITIVE_INFINITY });
const suspended: WishOptions = { state: away('Suspended'), whenNotReady: 'Lapse' };
