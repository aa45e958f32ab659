// That the campaign's observer would notice: pods and keys made by hand, with one thing wrong in each, and the verdict.

import { describe, expect, test } from 'vitest';
import { type Excuse, type Fault, type Judgement, together } from '../../faults/evidence.ts';
import { counted, leaderless } from '../../faults/observer/excuses.ts';
import {
  type Evidence,
  gaps,
  ghosts,
  livesUntil,
  roleless,
  strangers,
  untruths,
} from '../../faults/observer/invariants.ts';
import { tellStory } from '../../faults/observer/key-story.ts';
import { type KnownPod, PodTruth, stateOf } from '../../faults/observer/pod-truth.ts';
import type { Sighting } from '../../support/stream-observer.ts';
import { oldestRefresh } from '../../support/stream-verdicts.ts';

const END_MS = 120_000;
type Status = 'ACTIVE' | 'STANDBY' | 'UNHEALTHY';

let lastSeq = 0;
const sighting = (atMs: number, parts: Partial<Sighting>): Sighting => {
  lastSeq += 1;
  const bare = { subject: '', key: undefined, headers: {}, body: '', operation: 'PUT', podUid: '', value: undefined };
  return { ...bare, seq: lastSeq, atMs, storedAtMs: atMs, ...parts };
};

/** The pod's key as written; no status: as it vanished. */
const key = (pod: KnownPod, atMs: number, status?: Status, version = '1.4.2'): Sighting => {
  const name = `service-instances.${pod.service}.${pod.uid}`;
  const subject = `$KV.b.${name}`;
  if (status === undefined) return sighting(atMs, { key: name, subject, operation: 'MaxAge' });
  const metadata = { namespace: pod.namespace, pod: pod.name, port: 8080 };
  const { service: serviceName, group: stickyActiveGroup, uid: instanceId } = pod;
  const value = { serviceName, instanceId, version, status, lastHeartbeat: '', stickyActiveGroup, metadata };
  return sighting(atMs, { key: name, subject, podUid: pod.uid, value, headers: { 'Rollcall-Schema': '1' } });
};

const lock = (atMs: number, term: number): Sighting =>
  sighting(atMs, { subject: '$ROLLCALL.b.id.lock', headers: { 'Rollcall-Term': `${term}` } });

const aPod = (truth: PodTruth, uid = 'one', group: string | null = null): KnownPod => {
  const made = { uid, namespace: 'space', name: `pod-${uid}`, service: 'pricing', group, node: 'node' };
  return truth.made(made, '1.4.2', 0);
};
const ready = (uid: string, version = '1.4.2') => ({ uid, ready: true, doomed: false, version, ip: undefined });
const unready = (uid: string) => ({ ...ready(uid), ready: false });

const fault = (excuse: Excuse, fromMs: number, toMs: number): Fault => ({ what: excuse, excuse, fromMs, toMs });

const evidence = (truth: PodTruth, messages: readonly Sighting[], faults: readonly Fault[] = []): Evidence => ({
  story: tellStory(
    messages,
    ({ atMs }) => atMs,
    () => false,
  ),
  pods: [...truth.pods.values()],
  existed: (uid) => truth.existed(uid),
  faults,
  leaderless: leaderless(messages, ({ atMs }) => atMs),
  fromMs: 0,
  toMs: END_MS,
});

describe('the oldest refresh', () => {
  const truth = new PodTruth();
  const [kept, dying] = [aPod(truth, 'kept'), aPod(truth, 'dying')];
  for (const { uid } of [kept, dying]) truth.shown(ready(uid), 1_000);
  truth.askedToGo(dying, 12_000);
  const began = [key(kept, 1_500, 'ACTIVE'), key(dying, 1_600, 'ACTIVE')];
  const refreshed = [key(kept, 11_500, 'ACTIVE'), key(kept, 21_500, 'ACTIVE'), key(kept, 31_500, 'ACTIVE')];

  test.each([
    ['of a key that is let go counts until its pod died', [...began, ...refreshed, key(dying, 31_600)], 10_400],
    ['of a key of a living pod counts until it vanishes', [...began, key(dying, 31_600), key(kept, 31_700)], 30_200],
    [
      'of what was said of the dead does not count',
      [...refreshed, key(dying, 12_100, 'ACTIVE'), key(dying, 42_100)],
      10_600,
    ],
    ['of a STANDBY key counts as well', [...refreshed, key(kept, 41_500, 'STANDBY'), key(kept, 66_500)], 25_000],
  ])('%s', (_, messages, expected) => {
    const { ageMs } = oldestRefresh(
      { messages },
      0,
      livesUntil([kept, dying], ({ atMs }) => atMs),
    );
    expect(ageMs).toBe(expected);
  });
});

describe('I1: gaps', () => {
  const story = (...faults: Fault[]) => {
    const truth = new PodTruth();
    const pod = aPod(truth);
    truth.shown(ready('one'), 1_000);
    return gaps(evidence(truth, [key(pod, 1_500, 'ACTIVE'), key(pod, 40_000), key(pod, 42_000, 'ACTIVE')], faults));
  };

  test.each([
    ['nothing happened', [], 1],
    ['the API server was away', [fault('blind', 20_000, 60_000)], 1],
    ['the registry was away for 10 s', [fault('registry', 32_000, 42_000)], 1],
    ['the registry was away for 20 s', [fault('registry', 20_000, 40_000)], 0],
    ['it was too long away, and then the key too', [fault('registry', 10_000, 36_000)], 1],
    ['no operator ran', [fault('operators', 9_000, 40_000)], 0],
  ])('a key that vanishes while its pod is Ready is a lapse, and when %s a violation or not', (_, faults, expected) => {
    const { lapses, violations } = story(...faults);
    expect(lapses).toBe(1);
    expect(violations).toHaveLength(expected);
  });

  test('a first key within 5 s is no gap, a later one is', () => {
    for (const [writtenMs, expected] of [
      [5_900, 0],
      [6_100, 1],
    ] as const) {
      const truth = new PodTruth();
      const pod = aPod(truth);
      truth.shown(ready('one'), 1_000);
      const found = gaps(evidence(truth, [key(pod, writtenMs, 'ACTIVE')]));
      expect(found).toMatchObject({ lapses: 0 });
      expect(found.violations).toHaveLength(expected);
    }
  });

  test('a pod without any key is a gap', () => {
    const truth = new PodTruth();
    aPod(truth);
    truth.shown(ready('one'), 1_000);
    expect(gaps(evidence(truth, [])).violations).toHaveLength(1);
  });

  test.each([
    ['nobody can see that it is back', [fault('blind', 10_000, 60_000)], 0],
    ['everybody can', [], 1],
  ])('a farewell that lapses after its pod is Ready again is no lapse of what came back: %s', (_, faults, expected) => {
    const truth = new PodTruth();
    const pod = aPod(truth);
    truth.shown(ready('one'), 1_000);
    truth.askedToGo(pod, 8_000);
    truth.shown(unready('one'), 8_100);
    truth.askedBack(pod, 11_000);
    truth.shown(ready('one'), 11_100);
    const record = [
      key(pod, 1_100, 'ACTIVE'),
      key(pod, 8_200, 'UNHEALTHY'),
      key(pod, 38_200),
      key(pod, 61_000, 'ACTIVE'),
    ];
    const found = gaps(evidence(truth, record, faults));
    expect(found.lapses).toBe(0);
    expect(found.violations).toHaveLength(expected);
  });

  test('nobody is accused between the ask and the API server showing it', () => {
    const truth = new PodTruth();
    const pod = aPod(truth);
    truth.shown(ready('one'), 1_000);
    truth.askedToGo(pod, 20_000);
    truth.disappeared('one', 25_000);
    const record = [key(pod, 1_100, 'ACTIVE'), key(pod, 20_500, 'UNHEALTHY'), key(pod, 24_000)];
    const found = evidence(truth, record);
    expect([gaps(found).violations, ghosts(found).violations, untruths(found).violations]).toEqual([[], [], []]);
  });
});

describe('I2: ghosts', () => {
  const after = (endedMs: number | undefined, faults: readonly Fault[] = []) => {
    const truth = new PodTruth();
    const pod = aPod(truth);
    truth.shown(ready('one'), 1_000);
    truth.askedToGo(pod, 19_000);
    truth.shown(unready('one'), 20_000);
    const end = endedMs === undefined ? [] : [key(pod, endedMs, 'UNHEALTHY')];
    return ghosts(evidence(truth, [key(pod, 1_100, 'ACTIVE'), ...end], faults));
  };

  test.each([
    ['told before it was shown', 19_500, 0],
    ['told in time', 21_900, 0],
    ['told too late', 22_100, 1],
    ['never told', undefined, 1],
  ])('%s', (_, endedMs, expected) => {
    expect(after(endedMs).violations).toHaveLength(expected);
  });

  test.each([
    ['for longer than a farewell may take', 23_500, 1],
    ['for a moment', 21_900, 0],
  ])('a pod that was not Ready %s, of which nothing was told', (_, backMs, expected) => {
    const truth = new PodTruth();
    const pod = aPod(truth);
    truth.shown(ready('one'), 1_000);
    truth.shown(unready('one'), 20_000);
    truth.askedBack(pod, backMs);
    truth.shown(ready('one'), backMs + 100);
    expect(ghosts(evidence(truth, [key(pod, 1_100, 'ACTIVE')])).violations).toHaveLength(expected);
  });

  test('blindness does not count', () => {
    expect(after(30_000, [fault('blind', 18_000, 28_000)]).violations).toEqual([]);
    expect(after(46_000, [fault('blind', 18_000, 28_000)]).violations).toHaveLength(1);
  });
});

describe('cases that promise less', () => {
  test.each([
    ['in time', 24_900, 0],
    ['too late', 25_100, 1],
  ])('a death within 5 s, %s', (_, endedMs, expected) => {
    const truth = new PodTruth();
    const pod = aPod(truth);
    truth.shown(ready('one'), 1_000);
    truth.askedToGo(pod, 19_000);
    truth.shown(unready('one'), 20_000);
    const story = [key(pod, 1_100, 'ACTIVE'), key(pod, endedMs, 'UNHEALTHY')];
    expect(ghosts({ ...evidence(truth, story), visibleP99Ms: 5_000 }).violations).toHaveLength(expected);
  });
});

describe('I4: what becomes true', () => {
  test.each([
    ['told in time', 30_900, 0],
    ['told too late', 31_100, 1],
    ['never told', undefined, 1],
  ])('a new version, %s', (_, saidMs, expected) => {
    const truth = new PodTruth();
    const pod = aPod(truth);
    truth.shown(ready('one'), 1_000);
    truth.askedVersion(pod, '2.0.0', 29_000);
    truth.shown(ready('one', '2.0.0'), 30_000);
    const said = saidMs === undefined ? [] : [key(pod, saidMs, 'ACTIVE', '2.0.0')];
    expect(untruths(evidence(truth, [key(pod, 1_100, 'ACTIVE'), ...said])).violations).toHaveLength(expected);
  });

  test.each([
    ['UNHEALTHY of a Ready pod', (pod: KnownPod) => key(pod, 50_000, 'UNHEALTHY')],
    ['STANDBY without a group', (pod: KnownPod) => key(pod, 50_000, 'STANDBY')],
    ['a version it never had', (pod: KnownPod) => key(pod, 50_000, 'ACTIVE', '9.9.9')],
    ['the name of another pod', (pod: KnownPod) => key({ ...pod, name: 'other' }, 50_000, 'ACTIVE')],
  ])('%s is a lie', (_, lie) => {
    const truth = new PodTruth();
    const pod = aPod(truth);
    truth.shown(ready('one'), 1_000);
    expect(untruths(evidence(truth, [key(pod, 1_100, 'ACTIVE'), lie(pod)])).violations).toHaveLength(1);
  });
});

test.each([
  ['was Ready all the while', undefined, 1],
  ['flapped meanwhile', 44_000, 0],
])('I4: blindness is no excuse for UNHEALTHY of a pod that %s', (_, flappedMs, expected) => {
  const truth = new PodTruth();
  const pod = aPod(truth);
  truth.shown(ready('one'), 1_000);
  if (flappedMs !== undefined) {
    truth.shown(unready('one'), flappedMs);
    truth.shown(ready('one'), flappedMs + 500);
  }
  const record = [key(pod, 1_100, 'ACTIVE'), key(pod, 50_000, 'UNHEALTHY'), key(pod, 51_000, 'ACTIVE')];
  const { violations } = untruths(evidence(truth, record, [fault('blind', 40_000, 60_000)]));
  expect(violations.filter(({ sentence }) => sentence.includes('UNHEALTHY of'))).toHaveLength(expected);
});

test.each([
  ['long dead', 30_000, [], 1],
  ['just dead', 21_500, [], 0],
  ['long dead, by who cannot see', 30_000, [fault('blind', 25_000, 31_000)], 0],
  ['Ready again, as our watch shows a moment later', 39_800, [], 0],
])('I4: ACTIVE again of a pod that is %s', (_, saidMs, faults, expected) => {
  const truth = new PodTruth();
  const pod = aPod(truth);
  truth.shown(ready('one'), 1_000);
  truth.shown(unready('one'), 20_000);
  truth.shown(ready('one'), 40_000);
  const record = [key(pod, 1_100, 'ACTIVE'), key(pod, 20_100, 'UNHEALTHY'), key(pod, saidMs, 'ACTIVE')];
  const { violations } = untruths(evidence(truth, record, faults));
  expect(violations.filter(({ sentence }) => sentence.includes('ACTIVE again'))).toHaveLength(expected);
});

test.each([
  ['the same moment', 50_100, 0],
  ['long after', 52_000, 1],
])('UNHEALTHY of a pod that our watch shows so %s', (_, shownMs, expected) => {
  const truth = new PodTruth();
  const pod = aPod(truth);
  truth.shown(ready('one'), 1_000);
  truth.shown(unready('one'), shownMs);
  const record = [key(pod, 1_100, 'ACTIVE'), key(pod, 50_000, 'UNHEALTHY')];
  expect(untruths(evidence(truth, record)).violations).toHaveLength(expected);
});

test('I3: a key of a pod that never was', () => {
  const truth = new PodTruth();
  const pod = aPod(truth);
  expect(strangers(evidence(truth, [key(pod, 1, 'ACTIVE'), key({ ...pod, uid: 'nobody' }, 2, 'ACTIVE')]))).toHaveLength(
    1,
  );
});

test.each([
  ['in time', 21_900, 0],
  ['too late', 22_100, 1],
  ['never', undefined, 1],
])('I5: the successor of an ACTIVE member comes %s', (_, promotedMs, expected) => {
  const truth = new PodTruth();
  const [one, two] = [aPod(truth, 'one', 'primary'), aPod(truth, 'two', 'primary')];
  for (const uid of ['one', 'two']) truth.shown(ready(uid), 1_000);
  const promoted = promotedMs === undefined ? [] : [key(two, promotedMs, 'ACTIVE')];
  const record = [key(one, 1_100, 'ACTIVE'), key(two, 1_100, 'STANDBY'), key(one, 20_000, 'UNHEALTHY'), ...promoted];
  expect(roleless(evidence(truth, record))).toHaveLength(expected);
});

describe('time that does not count', () => {
  test.each([
    ['no window', [], 10],
    ['one inside', [[2, 5]], 7],
    [
      'two that overlap',
      [
        [2, 5],
        [4, 6],
      ],
      6,
    ],
    ['one that begins before', [[-5, 5]], 5],
    ['one that covers all', [[-5, 50]], 0],
    ['one beside', [[20, 50]], 10],
  ])('%s', (_, windows, expected) => {
    const given = windows.map(([fromMs = 0, toMs = 0]) => ({ fromMs, toMs }));
    expect(counted(0, 10, given)).toBe(expected);
  });

  test('without a leader: from its last word to the first key of the next one, and at most 8 s after a crash', () => {
    const truth = new PodTruth();
    const pod = aPod(truth);
    const written = (atMs: number, term: number) => {
      const plain = key(pod, atMs, 'ACTIVE');
      return { ...plain, headers: { 'Rollcall-Term': `${term}` } };
    };
    const record = [lock(0, 1), written(0, 1), lock(2_000, 1), lock(8_000, 2), written(8_500, 2), lock(10_000, 2)];
    expect(leaderless(record, ({ atMs }) => atMs)).toEqual([{ fromMs: 2_000, toMs: 8_500 }]);
    const endless = [lock(0, 1), lock(60_000, 2), written(61_000, 2)];
    expect(leaderless(endless, ({ atMs }) => atMs)).toEqual([{ fromMs: 0, toMs: 10_000 }]);
    // Renewals that were replaced before they were seen.
    const unseen = [lock(0, 1), written(0, 1), written(2_500, 1), written(5_000, 1), lock(7_500, 1)];
    expect(leaderless(unseen, ({ atMs }) => atMs)).toEqual([]);
  });
});

describe('the truth about a pod', () => {
  test('what the API still shows after an ask is on its way', () => {
    const truth = new PodTruth();
    const pod = aPod(truth);
    truth.shown(ready('one'), 1_000);
    truth.askedToGo(pod, 2_000);
    truth.shown(ready('one'), 2_100);
    expect(stateOf(pod)).toBe('leaving');
    truth.shown(unready('one'), 2_200);
    expect(stateOf(pod)).toBe('dead');
    truth.askedBack(pod, 3_000);
    truth.shown(unready('one'), 3_100);
    expect(stateOf(pod)).toBe('coming');
    truth.shown(ready('one'), 3_200);
    expect(stateOf(pod)).toBe('ready');
  });

  test('an ask that failed leaves it to what is shown next', () => {
    const truth = new PodTruth();
    const pod = aPod(truth);
    truth.shown(ready('one'), 1_000);
    truth.askedToGo(pod, 2_000);
    truth.doubted(pod);
    expect(stateOf(pod)).toBe('leaving');
    truth.shown(ready('one'), 9_000);
    expect(stateOf(pod)).toBe('ready');
  });

  test('what registered it is gone: dead, whatever the API shows of it, until it is registered again', () => {
    const truth = new PodTruth();
    const pod = aPod(truth);
    truth.shown(ready('one'), 1_000);
    truth.askedToGo(pod, 2_000);
    truth.isWithdrawn(pod, 2_100);
    truth.shown(ready('one'), 2_200);
    expect(stateOf(pod)).toBe('dead');
    const ghost = ghosts(evidence(truth, [key(pod, 1_100, 'ACTIVE'), key(pod, 5_000, 'UNHEALTHY')]));
    expect(ghost.violations).toHaveLength(1);
    truth.isRestored(pod, 60_000);
    expect(stateOf(pod)).toBe('ready');
    expect(gaps(evidence(truth, [key(pod, 1_100, 'ACTIVE'), key(pod, 2_200)])).violations).toHaveLength(1);
  });

  test('a watch that is faster than the answer to the creation is not forgotten', () => {
    const truth = new PodTruth();
    truth.shown(ready('one'), 500);
    expect(stateOf(aPod(truth))).toBe('ready');
  });
});

test('a key that others write over is gone from then on, whatever they do with it', () => {
  const truth = new PodTruth();
  const pod = aPod(truth);
  truth.shown(ready('one'), 1_000);
  const messages = [key(pod, 1_100, 'ACTIVE'), key(pod, 5_000, 'ACTIVE'), key(pod, 9_000)];
  const [, theirs] = messages;
  const { entries } = tellStory(
    messages,
    ({ atMs }) => atMs,
    ({ seq }) => seq >= (theirs?.seq ?? 0),
  );
  expect(entries.map(({ atMs, status, uid }) => ({ atMs, status, uid }))).toEqual([
    { atMs: 1_100, status: 'ACTIVE', uid: 'one' },
    { atMs: 5_000, status: undefined, uid: 'one' },
  ]);
});

test('spans judged apart are added up, and their worst figures count', () => {
  const one: Judgement = {
    violations: [{ invariant: 'I1', atMs: 1, sentence: 'gone' }],
    lapses: 2,
    oldestRefreshMs: 10,
    ghostP99Ms: 5,
    truthP99Ms: 1,
    deaths: 3,
    changes: 4,
    messages: 5,
    unseen: 1,
  };
  const other = { ...one, violations: [], lapses: 1, oldestRefreshMs: 20, ghostP99Ms: 4, unseen: 2 };
  expect(together([one, other])).toEqual({
    ...one,
    lapses: 3,
    oldestRefreshMs: 20,
    deaths: 6,
    changes: 8,
    messages: 10,
    unseen: 2,
  });
});
