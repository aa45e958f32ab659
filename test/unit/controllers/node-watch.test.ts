// When a node counts as lost: by the moves of its lease in the time that was proven, under the brake, and by what the API
// server says of it.

import { beforeEach, describe, expect, test } from 'vitest';
import { NodeWatch } from '../../../src/controllers/node-watch.ts';
import { View } from '../../../src/controllers/view.ts';
import type { ViewSource } from '../../../src/controllers/view-source.ts';
import { clusterKey } from '../../../src/domain/namespace.ts';
import type { LeaseView, NodeView } from '../../../src/domain/node.ts';
import { objectKey } from '../../../src/domain/pod.ts';
import { aPod, NINE } from '../../support/builders.ts';
import { FakeClock } from '../../support/fake-clock.ts';

const RENEWAL_MS = 10_000;
/** By the clock of a node that is off by years. */
const SOMEWHEN = Date.parse('2031-01-01T00:00:00Z');

let clock: FakeClock;
let nodes: View<NodeView>;
let leases: View<LeaseView>;
let nodeSource: ViewSource<NodeView>;
let leaseSource: ViewSource<LeaseView>;
let watch: NodeWatch;
let told: number;
/** Whose kubelets speak, each with its own place in the interval. */
let speaking: Set<string>;
/** The API server answers, and shows leases. */
let proving: boolean;
let elapsedMs: number;

const aNode = (name: string, unknownSinceMs?: number): NodeView => ({
  key: clusterKey(name),
  namespace: '',
  name,
  uid: `uid of ${name}`,
  ...(unknownSinceMs === undefined ? {} : { unknownSinceMs }),
});

const aLease = (name: string, renewedMs: number): LeaseView => ({
  key: objectKey('kube-node-lease', name),
  namespace: 'kube-node-lease',
  name,
  uid: `lease of ${name}`,
  renewTime: new Date(SOMEWHEN + renewedMs).toISOString(),
});

const names = (count: number) => Array.from({ length: count }, (_, i) => `node-${i}`);

/** Of `count` nodes the i-th renews its lease at a place of its own within the interval; `together`: all at once. */
let placeOf: (name: string) => number;

const begin = async (count: number, { together = false, byClock = false } = {}): Promise<void> => {
  placeOf = (name) => (together ? 0 : (Number(name.slice(5)) / count) * RENEWAL_MS);
  for (const name of names(count)) {
    nodeSource.put(aNode(name));
    leaseSource.put(aLease(name, 0));
    speaking.add(name);
  }
  watch = new NodeWatch({ views: { nodes, leases }, clock, byClock, onChange: () => (told += 1) });
  for (const source of [nodeSource, leaseSource]) source.synced = true;
  await pass(15_000);
  watch.takeChanged();
  told = 0;
};

const STEP_MS = 250;

/** Time passes: kubelets speak, the view is proven, and once a second somebody looks. */
const pass = async (ms: number, { looks = true } = {}): Promise<void> => {
  const endMs = elapsedMs + ms;
  while (elapsedMs < endMs) {
    elapsedMs += STEP_MS;
    await clock.advance(STEP_MS);
    if (proving) {
      for (const name of speaking) {
        const place = (elapsedMs - placeOf(name)) % RENEWAL_MS;
        if (place >= 0 && place < STEP_MS) leaseSource.put(aLease(name, elapsedMs));
      }
      leaseSource.prove(clock.monotonicMs());
    }
    if (looks && elapsedMs % 1_000 === 0) watch.look();
  }
};

const silence = (...some: readonly string[]): void => {
  for (const name of some) speaking.delete(name);
};

const kinds = (...some: readonly string[]) => some.map((name) => watch.verdictOf(name).kind);
const silent = (count: number) => names(count).filter((name) => watch.verdictOf(name).kind === 'silent');

beforeEach(() => {
  clock = new FakeClock();
  nodes = new View();
  leases = new View();
  nodeSource = nodes.addSource();
  leaseSource = leases.addSource();
  speaking = new Set();
  proving = true;
  elapsedMs = 0;
  told = 0;
});

describe('a node that falls silent', () => {
  test.each([
    false,
    true,
  ])('is judged 24 s after its last word, and heard at the next (all speak at once: %s)', async (together) => {
    await begin(10, { together });
    // It spoke at 10 s last, at its place.
    const last = 10_000 + placeOf('node-2');
    await pass(last + 3_000 - elapsedMs > 0 ? last + 3_000 - elapsedMs : 0);
    silence('node-2');
    const spoke = Math.floor((elapsedMs - placeOf('node-2')) / RENEWAL_MS) * RENEWAL_MS + placeOf('node-2');
    await pass(spoke + 21_000 - elapsedMs);
    expect(silent(10)).toEqual([]);
    expect(watch.held).toEqual([]);
    await pass(spoke + 25_000 - elapsedMs);
    expect(silent(10)).toEqual(['node-2']);
    expect(watch).toMatchObject({ silent: 1, held: [] });
    expect([...watch.takeChanged()]).toEqual(['node-2']);
    leaseSource.put(aLease('node-2', elapsedMs));
    expect(kinds('node-2')).toEqual(['heard']);
    expect([...watch.takeChanged()]).toEqual(['node-2']);
  });

  test('stays judged while the brake holds others', async () => {
    await begin(10);
    silence('node-0');
    await pass(40_000);
    silence(...names(10));
    await pass(300_000);
    expect(silent(10)).toEqual(['node-0']);
    expect(watch.held).toHaveLength(9);
  });

  test('is heard when it is deleted, and when its lease is', async () => {
    await begin(10);
    silence('node-0', 'node-1');
    await pass(40_000);
    expect(silent(10)).toEqual(['node-0', 'node-1']);
    nodeSource.remove(clusterKey('node-0'));
    leaseSource.remove(objectKey('kube-node-lease', 'node-1'));
    expect(silent(10)).toEqual([]);
    expect([...watch.takeChanged()].toSorted()).toEqual(['node-0', 'node-1']);
    await pass(60_000);
    expect(watch.silent).toBe(0);
  });

  test('is nothing to those that speak: no verdict changes, whoever they are', async () => {
    await begin(50);
    await pass(120_000);
    expect(told).toBe(0);
    expect(watch.takeChanged().size).toBe(0);
  });
});

test('a node without a lease is not judged, nor one that nobody knows', async () => {
  await begin(4);
  nodeSource.put(aNode('node-9'));
  await pass(120_000);
  expect(kinds('node-9', 'node-77')).toEqual(['heard', 'heard']);
  expect(watch.verdictOf(undefined).kind).toBe('heard');
});

test('a move counts from when it came, not from the proof before', async () => {
  await begin(10);
  proving = false;
  await pass(4_000);
  leaseSource.put(aLease('node-9', elapsedMs));
  leaseSource.prove(clock.monotonicMs());
  proving = true;
  silence('node-9');
  await pass(22_000);
  expect(silent(10)).toEqual([]);
  await pass(3_000);
  expect(silent(10)).toEqual(['node-9']);
});

describe('time in which leases were not seen', () => {
  test('does not count: the API server, or its storage, says nothing for a minute', async () => {
    await begin(10);
    proving = false;
    await pass(60_000);
    expect(watch).toMatchObject({ silent: 0, held: [] });
    // Kubelets come back within 7 s, one after the other.
    proving = true;
    await pass(30_000);
    expect(told).toBe(0);
  });

  test('does not count: this process was paused', async () => {
    await begin(10);
    await clock.advance(60_000);
    elapsedMs += 60_000;
    // The first thing that is read proves the view, before the others are.
    leaseSource.prove(clock.monotonicMs());
    watch.look();
    expect(watch).toMatchObject({ silent: 0, held: [] });
    await pass(30_000);
    expect(told).toBe(0);
  });

  test('puts the verdict off, and no more', async () => {
    await begin(10);
    silence('node-0');
    await pass(10_000);
    proving = false;
    await pass(30_000);
    expect(silent(10)).toEqual([]);
    proving = true;
    await pass(16_000);
    expect(silent(10)).toEqual(['node-0']);
  });

  test('a proof each few seconds is enough', async () => {
    await begin(10);
    proving = false;
    for (let i = 0; i < 8; i += 1) {
      await pass(4_000);
      for (const name of names(10)) if (name !== 'node-0') leaseSource.put(aLease(name, elapsedMs));
      leaseSource.prove(clock.monotonicMs());
    }
    watch.look();
    expect(silent(10)).toEqual(['node-0']);
  });
});

describe('the brake', () => {
  test.each([
    [10, 5, 5],
    [10, 6, 0],
    [100, 54, 54],
    [100, 55, 0],
    // Fewer than three are believed, unless they are all.
    [1, 1, 0],
    [2, 1, 1],
    [2, 2, 0],
    [3, 2, 2],
    [3, 3, 0],
    [4, 2, 2],
    [4, 3, 0],
  ])('of %i nodes %i fall silent at once: %i are judged', async (all, falling, judged) => {
    await begin(all);
    silence(...names(falling));
    // None, from the first to the last of them, at no moment.
    for (let i = 0; i < 60; i += 1) {
      await pass(1_000);
      expect(silent(all).length).toBeLessThanOrEqual(judged);
    }
    expect(silent(all)).toHaveLength(judged);
    expect(watch.held).toHaveLength(falling - judged);
    // And for as long as it lasts.
    await pass(600_000);
    expect(silent(all)).toHaveLength(judged);
  });

  test('is over when so many are back, after time for the others', async () => {
    await begin(10);
    silence(...names(6));
    await pass(60_000);
    expect(watch.held).toHaveLength(6);
    const [heldSinceMs = 0] = watch.held;
    expect(Math.abs(heldSinceMs - (clock.wallMs() - 37_000))).toBeLessThan(14_000);
    // One after the other comes back; with the first of them they are less than 55 %.
    for (const name of ['node-0', 'node-1', 'node-2', 'node-3']) {
      speaking.add(name);
      await pass(3_000);
    }
    await pass(6_000);
    expect(silent(10)).toEqual([]);
    await pass(20_000);
    expect(silent(10)).toEqual(['node-4', 'node-5']);
    expect(watch.held).toEqual([]);
  });

  test('all fall silent and come back, each in its own time: nobody is judged', async () => {
    await begin(100);
    silence(...names(100));
    await pass(60_000);
    for (const name of names(100)) {
      speaking.add(name);
      if (Number(name.slice(5)) % 10 === 9) await pass(1_000);
    }
    await pass(60_000);
    expect(watch).toMatchObject({ silent: 0, held: [] });
    expect(watch.takeChanged().size).toBeGreaterThan(0);
    expect(silent(100)).toEqual([]);
  });
});

describe('a node that Kubernetes does not hear', () => {
  const unknown = (...some: readonly string[]) => {
    for (const name of some) nodeSource.put(aNode(name, NINE));
  };

  test('is held for a moment, and then believed, though its lease moves', async () => {
    await begin(10);
    unknown('node-0');
    expect(watch.verdictOf('node-0')).toEqual({ kind: 'held', silent: false, sinceWallMs: NINE });
    await pass(4_000);
    expect(kinds('node-0')).toEqual(['held']);
    expect(watch.held).toEqual([]);
    await pass(3_000);
    expect(kinds('node-0')).toEqual(['heard']);
  });

  test('counts for the brake: many are held, for as long as they are unknown', async () => {
    await begin(10);
    unknown(...names(6));
    await pass(120_000);
    expect(kinds(...names(7))).toEqual([...names(6).map(() => 'held'), 'heard']);
    expect(watch.held).toHaveLength(6);
    for (const name of names(6)) nodeSource.put(aNode(name));
    // Until their kubelets have said of their pods what is true.
    await pass(18_000);
    expect(kinds(...names(7))).toEqual([...names(6).map(() => 'held'), 'heard']);
    expect(watch.held).toEqual([]);
    await pass(4_000);
    expect(kinds(...names(7))).toEqual(names(7).map(() => 'heard'));
  });

  test('that was so when this replica came is believed at once, but for the brake', async () => {
    for (const name of names(10)) nodeSource.put(aNode(name, Number(name.slice(5)) < 5 ? NINE : undefined));
    for (const name of names(10)) leaseSource.put(aLease(name, 0));
    watch = new NodeWatch({ views: { nodes, leases }, clock, byClock: false, onChange: () => undefined });
    for (const source of [nodeSource, leaseSource]) source.synced = true;
    watch.look();
    expect(kinds('node-0', 'node-9')).toEqual(['heard', 'heard']);
    const braked = new View<NodeView>();
    const source = braked.addSource();
    for (const name of names(10)) source.put(aNode(name, Number(name.slice(5)) < 6 ? NINE : undefined));
    source.synced = true;
    watch = new NodeWatch({ views: { nodes: braked, leases }, clock, byClock: false, onChange: () => undefined });
    watch.look();
    expect(kinds('node-0', 'node-9')).toEqual(['held', 'heard']);
  });

  test('and that falls silent is silent, until its lease moves; what Kubernetes says of it is believed then', async () => {
    await begin(10);
    silence('node-0');
    await pass(45_000);
    unknown('node-0');
    await pass(30_000);
    expect(kinds('node-0')).toEqual(['silent']);
    leaseSource.put(aLease('node-0', elapsedMs));
    expect(kinds('node-0')).toEqual(['heard']);
  });
});

describe('without a view of leases', () => {
  test('nobody is judged', async () => {
    nodeSource.put(aNode('node-0', NINE));
    nodeSource.synced = true;
    watch = new NodeWatch({ views: { nodes, leases }, clock, byClock: false, onChange: () => undefined });
    await pass(60_000);
    expect(kinds('node-0')).toEqual(['heard']);
  });
});

test('for a single look leases are as old as clocks say', async () => {
  const nowMs = clock.wallMs();
  for (const [name, ageMs] of [
    ['node-0', 22_000],
    ['node-1', 24_000],
    ['node-2', -60_000],
  ] as const) {
    nodeSource.put(aNode(name));
    leaseSource.put({ ...aLease(name, 0), renewTime: new Date(nowMs - ageMs).toISOString() });
  }
  nodeSource.put(aNode('node-3'));
  leaseSource.put({ ...aLease('node-3', 0), renewTime: 'no time' });
  for (const source of [nodeSource, leaseSource]) source.synced = true;
  watch = new NodeWatch({ views: { nodes, leases }, clock, byClock: true, onChange: () => undefined });
  watch.look();
  expect(kinds('node-0', 'node-1', 'node-2', 'node-3')).toEqual(['heard', 'silent', 'heard', 'heard']);
});

describe('a pod that the node controller marked', () => {
  const marked = (node = 'node-1') => aPod({ node, unreadyByNode: true, ready: false });

  test('waits for what is said of its node, and then no more', async () => {
    await begin(10);
    nodeSource.prove(clock.monotonicMs() - 20_000);
    const pod = marked();
    expect(watch.awaits(pod)).toBe(true);
    await pass(3_000);
    expect(watch.awaits(pod)).toBe(true);
    nodeSource.prove(clock.monotonicMs());
    expect(watch.awaits(pod)).toBe(false);
  });

  test('waits for nothing where nodes were heard of as often as ever', async () => {
    await begin(10);
    nodeSource.prove(clock.monotonicMs() - 8_000);
    const pod = marked();
    expect(watch.awaits(pod)).toBe(false);
    await pass(5_000);
    expect(watch.awaits(pod)).toBe(false);
  });

  test('is awaited for 15 s at most', async () => {
    await begin(10);
    const pod = marked();
    expect(watch.awaits(pod)).toBe(true);
    await pass(14_000);
    expect(watch.awaits(pod)).toBe(true);
    await pass(2_000);
    expect(watch.awaits(pod)).toBe(false);
  });

  test('is decided about at once when its node looks lost, or nobody judges that', async () => {
    await begin(10);
    nodeSource.put(aNode('node-1', NINE));
    expect(watch.awaits(marked())).toBe(false);
    expect(watch.awaits(marked('without-a-lease'))).toBe(false);
    expect(watch.awaits({ ...marked('node-2'), deleting: true })).toBe(false);
    expect(watch.awaits(aPod({ node: 'node-2', ready: false }))).toBe(false);
  });
});
