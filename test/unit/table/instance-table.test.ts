import { beforeEach, describe, expect, test } from 'vitest';
import { objectKey } from '../../../src/domain/pod.ts';
import { SLICE } from '../../../src/slices.ts';
import { InstanceTable } from '../../../src/table/instance-table.ts';
import { DAMPING_MS, SETTLED } from '../../../src/table/row.ts';
import type { Write } from '../../../src/table/write.ts';
import { NINE } from '../../support/builders.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { aWish, away, noPause, uidOf, type WishOptions } from '../../support/wishes.ts';

let clock: FakeClock;
let table: InstanceTable;
let reported: string[];
let revision: number;

beforeEach(() => {
  clock = new FakeClock();
  reported = [];
  revision = 100;
  table = new InstanceTable(clock, {
    onUrgent: () => undefined,
    onReport: (registration) => reported.push(registration),
  });
});

const pod = (name: string) => objectKey('trading', name);
const wish = (name: string, options: WishOptions = {}) =>
  table.setWishes(pod(name), uidOf(name), [aWish({ podName: name, ...options })]);
const gone = (name: string) => table.setWishes(pod(name), undefined, []);
const lead = () => table.lead(() => ({ kind: 'none', revision: 0 }), noPause);
const take = (limit = 499) => table.take(limit, () => true).writes;
const acknowledge = (writes: readonly Write[]) => {
  for (const write of writes) table.written(write, ++revision, clock.wallMs());
};
const podsOf = (writes: readonly Write[]) =>
  writes.map(
    ({
      wish: {
        pod: { name },
      },
      reason,
    }) => `${name} ${reason}`,
  );

describe('on a replica that does not lead', () => {
  test('nothing is taken, and a pod that goes leaves no trace', () => {
    wish('a');
    expect(take()).toEqual([]);
    gone('a');
    expect(table.size).toBe(0);
  });
});

describe('on the leader', () => {
  beforeEach(lead);

  test('a Ready pod is written once, then refreshed within every interval', async () => {
    wish('a');
    acknowledge(take());
    expect(take()).toEqual([]);
    const times: number[] = [];
    for (let ms = 0; ms < 60_000; ms += 100) {
      await clock.advance(100);
      const writes = take();
      if (writes.length > 0) times.push(ms);
      acknowledge(writes);
    }
    expect(times.length).toBeGreaterThanOrEqual(6);
    expect(times.length).toBeLessThanOrEqual(7);
    expect(times[0]).toBeLessThanOrEqual(10_000);
    for (const [index, ms] of times.slice(1).entries()) expect(ms - (times[index] ?? 0)).toBe(10_000);
  });

  test.each([
    [20_000, 0],
    [27_000, 0],
    [28_000, 1],
    [30_100, 1],
  ])('a refresh %i ms after the last write is followed by %i more at once: a marker may have come over it', async (ms, more) => {
    wish('a');
    acknowledge(take());
    await clock.advance(ms);
    acknowledge(take());
    const times: number[] = [];
    for (let passed = 100; passed <= 5_000; passed += 100) {
      await clock.advance(100);
      const writes = take();
      if (writes.length > 0) times.push(passed);
      acknowledge(writes);
    }
    // Or the refresh is due by its place in the interval.
    const early = times.filter((passed) => passed <= 1_500);
    expect(early).toHaveLength(more);
    expect(early.every((passed) => passed >= 900)).toBe(true);
  });

  test('a pod that goes is said UNHEALTHY once, and then forgotten', () => {
    wish('a');
    acknowledge(take());
    gone('a');
    const writes = take();
    expect(podsOf(writes)).toEqual(['a Terminating']);
    expect(writes[0]?.text.head).toContain('"status":"UNHEALTHY"');
    acknowledge(writes);
    expect(table.size).toBe(0);
  });

  test('a key that passes to another resource of its service is told to both, though nothing else changes', () => {
    wish('a');
    acknowledge(take());
    reported = [];
    wish('a', { registration: objectKey('trading', 'canary') });
    expect(new Set(reported)).toEqual(new Set(['trading/trading-service', 'trading/canary']));
  });

  test('a farewell that is taken back before it was written is told', () => {
    wish('a');
    acknowledge(take());
    table.setWishes(pod('a'), uidOf('a'), []);
    reported = [];
    wish('a');
    expect(reported).toEqual(['trading/trading-service']);
    expect(table.reports(objectKey('trading', 'trading-service'))).toMatchObject([{ status: 'ACTIVE' }]);
  });

  test('a pod that was never Ready gets no key', () => {
    wish('a', { state: away() });
    expect(take()).toEqual([]);
    gone('a');
    expect(table.size).toBe(0);
  });

  test('what changes while a batch is under way is written by the next', () => {
    wish('a');
    const first = take();
    wish('a', { version: '2.0.0' });
    expect(take()).toEqual([]);
    acknowledge(first);
    expect(podsOf(take())).toEqual(['a SpecChange']);
  });

  test('a pod that goes while its registration is under way is said UNHEALTHY after it', () => {
    wish('a');
    const first = take();
    gone('a');
    acknowledge(first);
    expect(podsOf(take())).toEqual(['a Terminating']);
  });

  test('writes that failed come first again, in their order', () => {
    for (const name of ['a', 'b', 'c']) wish(name);
    const writes = take(2);
    wish('d');
    table.release(writes);
    expect(podsOf(take())).toEqual(['a Registered', 'b Registered', 'c Registered', 'd Registered']);
  });

  test('namespaces take turns among what is urgent, each in its own order; what failed comes first in its own', () => {
    const inNamespace = (namespace: string, name: string) => {
      const uid = uidOf(`${namespace}${name}`);
      table.setWishes(objectKey(namespace, name), uid, [aWish({ pod: { namespace, name, uid } })]);
    };
    for (let i = 0; i < 600; i += 1) inNamespace('loud', `l${i}`);
    for (const name of ['q0', 'q1']) inNamespace('quiet', name);
    const first = take(5);
    expect(podsOf(first)).toEqual(['l0', 'q0', 'l1', 'q1', 'l2'].map((name) => `${name} Registered`));
    inNamespace('calm', 'c0');
    table.release(first);
    expect(podsOf(take(6))).toEqual(['l0', 'c0', 'q0', 'l1', 'q1', 'l2'].map((name) => `${name} Registered`));
    // Rows that leave by themselves leave no gap.
    table.setWishes(objectKey('loud', 'l3'), undefined, []);
    expect(podsOf(take(2))).toEqual(['l4 Registered', 'l5 Registered']);
  });

  test('a row of an invalid registration keeps its wish, and follows its pod', () => {
    wish('a');
    acknowledge(take());
    table.setWishes(pod('a'), uidOf('a'), [], (held) => held);
    expect(take()).toEqual([]);
    table.setWishes(pod('a'), uidOf('a'), [], (held) => ({ ...held, state: away() }));
    expect(podsOf(take())).toEqual(['a NotReady']);
    table.setWishes(pod('a'), undefined, [], (held) => held);
    expect(table.rowsOf(pod('a'), uidOf('a'), 'trading-service')).toEqual([]);
  });

  test('refreshes that starve get half of a batch', async () => {
    for (let i = 0; i < 20; i += 1) wish(`old-${i}`);
    acknowledge(take());
    await clock.advance(16_000);
    for (let i = 0; i < 50; i += 1) wish(`new-${i}`);
    const reasons = take(20).map(({ reason }) => reason);
    expect(reasons.filter((reason) => reason === 'Refresh')).toHaveLength(10);
  });

  test('a key of little slack does not starve behind those of more', async () => {
    for (let i = 0; i < 20; i += 1) wish(`slow-${i}`, { ttlMs: 3_600_000, intervalMs: 10_000 });
    wish('quick', { ttlMs: 3_000, intervalMs: 1_000 });
    acknowledge(take());
    // The slow ones fall due, and what is urgent fills every batch.
    await clock.advance(11_000);
    const slow = () => take(0);
    slow();
    for (let i = 0; i < 50; i += 1) wish(`new-${i}`);
    expect(podsOf(take(20))).toContain('quick Refresh');
  });

  test('a foreign key is looked at again each interval', async () => {
    wish('a');
    const [write] = take();
    if (write === undefined) throw new Error('nothing was taken');
    table.observe(write.row, { kind: 'foreign', revision: 5, owner: 'x' });
    expect(table.take(10, () => true).reads).toEqual([]);
    await clock.advance(10_500);
    expect(table.take(10, () => true).reads).toEqual([write.row]);
  });

  test('reports tell what was acknowledged, not what is meant', () => {
    wish('a');
    const registration = objectKey('trading', 'trading-service');
    expect(table.reports(registration)).toMatchObject([{ pod: 'a', status: 'Pending', reason: 'Registering' }]);
    reported.length = 0;
    acknowledge(take());
    expect(reported).toEqual([registration]);
    expect(table.reports(registration)).toMatchObject([{ pod: 'a', status: 'ACTIVE', ready: true }]);
  });

  test('refreshes that may not be made are put off, not lost', async () => {
    wish('a');
    acknowledge(take());
    await clock.advance(10_500);
    expect(table.take(10, () => false).writes).toEqual([]);
    await clock.advance(10_500);
    expect(podsOf(take())).toEqual(['a Refresh']);
  });
});

describe('a pod that flaps', () => {
  beforeEach(lead);

  /** `1,500 NotReady`, by the time since the start, for what `step` does each 100 ms. */
  const writesWhile = async (ms: number, step: (passedMs: number) => void) => {
    const written: { readonly atMs: number; readonly line: string }[] = [];
    for (let passed = 0; passed < ms; passed += 100) {
      step(passed);
      const writes = take();
      for (const line of podsOf(writes)) written.push({ atMs: passed, line });
      acknowledge(writes);
      await clock.advance(100);
    }
    return written;
  };
  const flip = (passedMs: number, options: WishOptions = {}) =>
    wish('a', { ...options, ...(passedMs % 200 === 0 ? { state: away() } : {}) });

  test.each([
    'MarkUnhealthy',
    'Remove',
  ] as const)('has its key changed twice at once, then once in two seconds (%s)', async (whenNotReady) => {
    wish('a', { whenNotReady });
    acknowledge(take());
    await clock.advance(5_000);
    const written = await writesWhile(20_000, (passed) => flip(passed, { whenNotReady }));
    const changes = written.filter(({ line }) => line !== 'a Refresh');
    expect(changes.slice(0, 2).map(({ atMs }) => atMs)).toEqual([0, 100]);
    expect(changes.length).toBeGreaterThanOrEqual(9);
    for (const [index, { atMs }] of changes.slice(1).entries()) expect(atMs).toBeGreaterThanOrEqual(index * DAMPING_MS);
  });

  test('once is told at once, both ways', async () => {
    wish('a');
    acknowledge(take());
    await clock.advance(DAMPING_MS);
    const written = await writesWhile(1_000, (passed) => {
      if (passed === 300) wish('a', { state: away() });
      if (passed === 600) wish('a');
    });
    expect(written).toEqual([
      { atMs: 300, line: 'a NotReady' },
      { atMs: 600, line: 'a Registered' },
    ]);
  });

  test('and then comes to rest: the latest state is written when the two seconds are over, no later', async () => {
    wish('a');
    acknowledge(take());
    const written = await writesWhile(2_500, (passed) => {
      if (passed === 300) wish('a', { state: away() });
      if (passed === 600) wish('a');
      if (passed === 900) wish('a', { state: away() });
      if (passed === 1_200) wish('a');
    });
    expect(written).toEqual([
      { atMs: 300, line: 'a NotReady' },
      { atMs: 2_000, line: 'a Registered' },
    ]);
  });

  test('and is as it was when the two seconds are over is not written', async () => {
    wish('a');
    acknowledge(take());
    const written = await writesWhile(2_500, (passed) => {
      if (passed === 300) wish('a', { version: '2.0.0' });
      if (passed === 600) wish('a', { version: '2.0.0', state: away() });
      if (passed === 900) wish('a', { version: '2.0.0' });
    });
    expect(written.filter(({ line }) => line !== 'a Refresh')).toEqual([{ atMs: 300, line: 'a SpecChange' }]);
    expect(table.idle).toBe(true);
  });

  test('is not idle while a change is held back', () => {
    wish('a');
    acknowledge(take());
    wish('a', { version: '2.0.0' });
    acknowledge(take());
    wish('a', { version: '3.0.0' });
    expect(take()).toEqual([]);
    expect(table.idle).toBe(false);
  });

  test('and goes has its farewell at once; so has its key for the pod that follows', async () => {
    for (const version of ['1.0.0', '2.0.0']) {
      wish('a', { instanceIdMode: 'PodName', version });
      acknowledge(take());
    }
    wish('a', { instanceIdMode: 'PodName', state: away('Terminating') });
    const farewell = take();
    expect(podsOf(farewell)).toEqual(['a Terminating']);
    acknowledge(farewell);
    const next = aWish({ podName: 'a', instanceIdMode: 'PodName' });
    table.setWishes(pod('a'), 'new-uid', [{ ...next, pod: { ...next.pod, uid: 'new-uid' } }]);
    expect(podsOf(take())).toEqual(['a Registered']);
  });

  test('a key that somebody removed is written at once, whenever it was written before', () => {
    wish('a');
    acknowledge(take());
    wish('a', { version: '2.0.0' });
    const [write] = take();
    if (write === undefined) throw new Error('nothing was taken');
    acknowledge([write]);
    table.observe(write.row, { kind: 'none', revision: 5 });
    expect(podsOf(take())).toEqual(['a Registered']);
  });
});

describe('a grace for pods that are not Ready', () => {
  const GRACE = { ms: 20_000 };
  const flap = (options: WishOptions = {}) => wish('a', { grace: GRACE, state: away(), ...options });
  const ready = () => wish('a', { grace: GRACE });
  const pass = async (ms: number) => {
    const written: string[] = [];
    for (let passed = 0; passed < ms; passed += 500) {
      await clock.advance(500);
      const writes = take();
      written.push(...writes.map(({ reason, text }) => `${reason} ${/"status":"([A-Z]+)"/.exec(text.head)?.[1]}`));
      acknowledge(writes);
    }
    return written;
  };

  describe('on the leader', () => {
    beforeEach(lead);

    test('a shorter flap changes nothing, and the key goes on being refreshed', async () => {
      ready();
      acknowledge(take());
      flap();
      expect(take()).toEqual([]);
      const written = await pass(19_000);
      expect(new Set(written)).toEqual(new Set(['Refresh ACTIVE']));
      ready();
      expect(take()).toEqual([]);
      expect(await pass(20_000)).not.toContain('NotReady UNHEALTHY');
    });

    test('a longer one takes effect when the grace is over, once, however often the pod is looked at', async () => {
      ready();
      acknowledge(take());
      flap();
      await pass(15_000);
      flap();
      expect((await pass(4_500)).filter((line) => line !== 'Refresh ACTIVE')).toEqual([]);
      expect((await pass(1_500)).filter((line) => line !== 'Refresh ACTIVE')).toEqual(['NotReady UNHEALTHY']);
      expect(await pass(60_000)).toEqual([]);
    });

    test.each(['Terminating', 'Suspended', 'Deselected'] as const)('%s is never delayed', (reason) => {
      ready();
      acknowledge(take());
      flap();
      wish('a', { grace: GRACE, state: away(reason) });
      expect(take()[0]?.text.head).toContain('"status":"UNHEALTHY"');
    });

    test('a pod that goes during it gets its farewell at once', () => {
      ready();
      acknowledge(take());
      flap();
      gone('a');
      expect(podsOf(take())).toEqual(['a Terminating']);
    });

    test('a pod that was never Ready has nothing to keep', async () => {
      flap();
      expect(await pass(30_000)).toEqual([]);
    });

    test('nor has one whose key is gone', async () => {
      ready();
      const [write] = take();
      if (write === undefined) throw new Error('nothing was taken');
      acknowledge([write]);
      flap();
      table.observe(write.row, { kind: 'none', revision: 5 });
      expect(await pass(30_000)).toEqual([]);
    });

    test('what changes meanwhile is written, and still ACTIVE', async () => {
      ready();
      acknowledge(take());
      flap();
      flap({ version: '2.0.0' });
      expect(await pass(500)).toEqual(['SpecChange ACTIVE']);
    });

    test('it ends when the resource no longer grants it', () => {
      ready();
      acknowledge(take());
      flap();
      wish('a', { state: away() });
      expect(podsOf(take())).toEqual(['a NotReady']);
    });

    test('the key that passes to another pod of the name keeps nothing of the one before', () => {
      wish('a', { grace: GRACE, instanceIdMode: 'PodName' });
      acknowledge(take());
      const next = aWish({ podName: 'a', instanceIdMode: 'PodName', grace: GRACE, state: away() });
      table.setWishes(pod('a'), 'new-uid', [{ ...next, pod: { ...next.pod, uid: 'new-uid' } }]);
      expect(take()[0]?.text.head).toContain('"status":"UNHEALTHY"');
    });
  });

  describe('for who takes over', () => {
    const stands = (status: 'ACTIVE' | 'UNHEALTHY') =>
      table.lead(
        () => ({
          kind: 'ours',
          revision: 7,
          status,
          active: undefined,
          text: undefined,
          ttlMs: 30_000,
          writtenAtMs: clock.monotonicMs(),
          heartbeatMs: 0,
        }),
        noPause,
      );

    test('a standby that saw the change goes on from there', async () => {
      ready();
      flap();
      await clock.advance(15_000);
      await stands('ACTIVE');
      expect((await pass(4_500)).filter((line) => line !== 'Refresh ACTIVE')).toEqual([]);
      expect(await pass(1_500)).toContain('NotReady UNHEALTHY');
    });

    test('one that has just started counts from when Kubernetes says', async () => {
      flap({ grace: { ...GRACE, notReadySinceMs: clock.wallMs() - 15_000 } });
      await stands('ACTIVE');
      expect((await pass(4_500)).filter((line) => line !== 'Refresh ACTIVE')).toEqual([]);
      expect(await pass(1_500)).toContain('NotReady UNHEALTHY');
    });

    test('and not at all when that is long ago', async () => {
      flap({ grace: { ...GRACE, notReadySinceMs: clock.wallMs() - 21_000 } });
      await stands('ACTIVE');
      expect(podsOf(take())).toEqual(['a NotReady']);
    });

    test('a clock that is behind cannot make it longer than it is', async () => {
      flap({ grace: { ...GRACE, notReadySinceMs: clock.wallMs() + 3_600_000 } });
      await stands('ACTIVE');
      expect(await pass(21_000)).toContain('NotReady UNHEALTHY');
    });

    test('a key that says UNHEALTHY stays so', async () => {
      flap();
      await stands('UNHEALTHY');
      expect(await pass(10_000)).toEqual([]);
    });
  });
});

describe('an interval that becomes shorter', () => {
  test('counts from now, not from the next refresh by the old one', async () => {
    await lead();
    wish('a', { ttlMs: 3_600_000, intervalMs: 1_200_000 });
    acknowledge(take());
    wish('a', { ttlMs: 3_600_000, intervalMs: 10_000 });
    await clock.advance(10_500);
    expect(podsOf(take())).toEqual(['a Refresh']);
  });
});

describe('how long a pod waited for its key', () => {
  test('is known until it is written, and not any more when the key is written again', async () => {
    await lead();
    wish('a');
    const [write] = take();
    if (write === undefined) throw new Error('nothing was taken');
    expect(write.row.wishedAtMs).toBe(clock.monotonicMs());
    acknowledge([write]);
    expect(write.row.wishedAtMs).toBe(SETTLED);
    table.observe(write.row, { kind: 'none', revision: 9 });
    expect(podsOf(take())).toEqual(['a Registered']);
    expect(write.row.wishedAtMs).toBe(SETTLED);
  });
});

describe('two pods and one id', () => {
  beforeEach(lead);

  test('PodName: the key passes to the pod that replaces another, in one write', () => {
    wish('a', { instanceIdMode: 'PodName' });
    acknowledge(take());
    const next = aWish({ podName: 'a', instanceIdMode: 'PodName' });
    table.setWishes(pod('a'), 'new-uid', [{ ...next, pod: { ...next.pod, uid: 'new-uid' } }]);
    expect(table.size).toBe(1);
    gone('a');
    expect(podsOf(take())).toEqual(['a Terminating']);
  });

  test('PodName in two namespaces: the older has it, the younger says so and follows', () => {
    const other = aWish({ podName: 'a', instanceIdMode: 'PodName', podCreatedAtMs: NINE - 1_000 });
    const elder = {
      ...other,
      pod: { namespace: 'older', name: 'a', uid: 'elder' },
      registration: objectKey('older', 's'),
    };
    wish('a', { instanceIdMode: 'PodName' });
    table.setWishes(objectKey('older', 'a'), 'elder', [elder]);
    expect(table.size).toBe(1);
    expect(
      take().map(
        ({
          wish: {
            pod: { namespace },
          },
        }) => namespace,
      ),
    ).toEqual(['older']);
    const registration = objectKey('trading', 'trading-service');
    expect(table.reports(registration)).toMatchObject([
      { status: 'Conflict', reason: 'SameInstanceId', heldBy: 'pod older/a' },
    ]);
  });

  const younger = (namespace: string, createdAtMs: number) => {
    const made = aWish({ podName: 'a', instanceIdMode: 'PodName', podCreatedAtMs: createdAtMs });
    const registration = objectKey(namespace, 's');
    table.setWishes(objectKey(namespace, 'a'), namespace, [
      { ...made, pod: { namespace, name: 'a', uid: namespace }, registration },
    ]);
    return registration;
  };

  test('when the holder goes, the oldest of those that wait inherits its key', () => {
    wish('a', { instanceIdMode: 'PodName' });
    acknowledge(take());
    younger('third', NINE + 2_000);
    younger('second', NINE + 1_000);
    gone('a');
    acknowledge(take());
    expect(take().map(({ wish: heir, reason }) => `${heir.pod.namespace} ${reason}`)).toEqual(['second Registered']);
    expect(table.reports(objectKey('third', 's'))).toMatchObject([{ heldBy: 'pod second/a' }]);
  });

  test('one that waited and went is no longer reported', () => {
    wish('a', { instanceIdMode: 'PodName' });
    const registration = younger('second', NINE + 1_000);
    reported.length = 0;
    table.setWishes(objectKey('second', 'a'), undefined, []);
    expect(reported).toEqual([registration]);
    expect(table.reports(registration)).toEqual([]);
  });

  test('UIDs that begin alike: the second one takes sixteen digits', () => {
    const uids = ['6f1d2c3b-0000-4000-8000-000000000001', '6f1d2c3b-1111-4000-8000-000000000002'];
    for (const [index, uid] of uids.entries()) {
      const made = aWish({ podName: `p${index}`, podCreatedAtMs: NINE + index });
      table.setWishes(pod(`p${index}`), uid, [{ ...made, pod: { ...made.pod, uid } }]);
    }
    expect(take().map(({ row }) => row.instanceId)).toEqual([
      'trading-service-6f1d2c3b',
      'trading-service-6f1d2c3b11114000',
    ]);
  });
});

describe('the beginning of a term', () => {
  test('the oldest writes come first', async () => {
    for (const name of ['a', 'b', 'c']) wish(name);
    const keyOf = (name: string) => [...table.rows()].filter((row) => row.wish.pod.name === name).map(({ key }) => key);
    await table.lead(
      () => ({
        kind: 'ours',
        revision: 7,
        status: 'ACTIVE',
        active: undefined,
        text: undefined,
        ttlMs: 30_000,
        writtenAtMs: clock.monotonicMs() - 15_000,
        heartbeatMs: 0,
      }),
      noPause,
      ['b', 'c', 'a'].flatMap(keyOf),
    );
    expect(podsOf(take())).toEqual(['b Refresh', 'c Refresh', 'a Refresh']);
  });

  test('what comes and goes while the rows are asked about one slice after the other', async () => {
    for (let i = 0; i < 2 * SLICE; i += 1) wish(`p${i}`);
    let pauses = 0;
    const asked: string[] = [];
    await table.lead(
      (row) => {
        asked.push(row.wish.pod.name);
        return { kind: 'none', revision: 0 };
      },
      async () => {
        pauses += 1;
        if (pauses > 1) return;
        gone('p0');
        gone(`p${SLICE}`);
        wish('late');
        expect(table.take(1_500, () => true).writes).toEqual([]);
      },
    );
    expect(asked).toHaveLength(2 * SLICE);
    expect(asked.at(-1)).toBe('late');
    expect(asked).not.toContain(`p${SLICE}`);
    expect(table.take(1_500, () => true).writes).toHaveLength(2 * SLICE - 1);
    expect(pauses).toBeGreaterThanOrEqual(3);
  });

  test('the end of a term takes everything back', async () => {
    await lead();
    wish('a');
    const writes = take();
    await table.stopLeading(noPause);
    expect(take()).toEqual([]);
    await lead();
    expect(podsOf(take())).toEqual(podsOf(writes));
  });
});
