// decide() rule by rule: who is selected, what is wished, who wins, what the value says.

import { describe, expect, test } from 'vitest';
import { type DecideOptions, decide, frozenWish } from '../../../src/domain/decide.ts';
import type { Wish } from '../../../src/domain/instance.ts';
import { HEARD, type NodeVerdict, SILENT } from '../../../src/domain/node-loss.ts';
import type { PodView } from '../../../src/domain/pod.ts';
import type { RegistrationView } from '../../../src/domain/service-registration.ts';
import { parseOffset, UTC } from '../../../src/domain/timestamp.ts';
import {
  aPod,
  aPodWithout,
  aRegistration,
  aSelector,
  aSelectorless,
  keyOf,
  NINE,
  someDefaults,
} from '../../support/builders.ts';

const offset = parseOffset('+08:00') ?? UTC;
const decideFor = (pod: PodView, registrations: readonly RegistrationView[], options: Partial<DecideOptions> = {}) =>
  decide(pod, registrations, { offset, ...options });
const wishOf = (pod: PodView, registration: RegistrationView, options: Partial<DecideOptions> = {}) =>
  decideFor(pod, [registration], options).wishes[0];

test('a Ready pod under one registration, whole', () => {
  expect(decideFor(aPod(), [aRegistration()])).toEqual({
    wishes: [
      {
        pod: { namespace: 'trading', name: 'trading-1', uid: '6f1d2c3b-4a59-4e0f-8d7c-1b2a39485766' },
        registration: 'trading/trading-service',
        serviceName: 'trading-service',
        instanceIdMode: 'Generated',
        keyLayout: 'Dotted',
        whenNotReady: 'MarkUnhealthy',
        apiOutage: { mode: 'Probe', maxHoldSeconds: 300 },
        nodeLoss: 'NodeLease',
        adopt: false,
        ttlMs: 30_000,
        intervalMs: 10_000,
        content: {
          serviceName: 'trading-service',
          version: '1.4.2',
          stickyActiveGroup: null,
          metadata: {
            start_time: '2026-11-23T17:00:01.000+08:00',
            namespace: 'trading',
            pod: 'trading-1',
            node: 'node-a',
            ip: '10.1.2.3',
            port: 8080,
          },
        },
        state: { kind: 'live' },
        podCreatedAtMs: NINE,
        readySinceMs: NINE + 2_000,
      },
    ],
    conflicts: [],
    frozen: [],
    problems: [],
  });
});

describe('the state', () => {
  test.each<[string, Partial<PodView>, object]>([
    ['Ready', {}, { kind: 'live' }],
    ['not Ready', { ready: false }, { kind: 'away', reason: 'PodNotReady' }],
    ['Pending', { ready: false, phase: 'Pending' }, { kind: 'away', reason: 'PodNotReady' }],
    ['Ready but being deleted', { deleting: true }, { kind: 'away', reason: 'Terminating' }],
    ['not Ready and being deleted', { ready: false, deleting: true }, { kind: 'away', reason: 'Terminating' }],
    ['Ready in an unknown phase', { phase: 'Unknown' }, { kind: 'live' }],
  ])('%s', (_, pod, state) => {
    expect(wishOf(aPod(pod), aRegistration())?.state).toEqual(state);
  });

  test.each<[string, Partial<PodView>]>([
    ['Succeeded', { phase: 'Succeeded' }],
    ['Failed', { phase: 'Failed', ready: false }],
    ['annotated register: "false"', { annotations: { register: 'false' } }],
    ['of other labels', { labels: { app: 'web' } }],
  ])('a pod that is %s has no wish', (_, pod) => {
    expect(decideFor(aPod(pod), [aRegistration()])).toEqual({ wishes: [], conflicts: [], frozen: [], problems: [] });
  });

  test('suspended: away by Lapse, whatever the pod and the policy', () => {
    const suspended = aRegistration({ settings: { suspend: true, whenNotReady: 'Remove' } });
    for (const pod of [aPod(), aPod({ ready: false }), aPod({ deleting: true })]) {
      expect(wishOf(pod, suspended)).toMatchObject({
        state: { kind: 'away', reason: 'Suspended' },
        whenNotReady: 'Lapse',
      });
    }
  });
});

describe('the word of the pod and that of its node', () => {
  const unready = { kind: 'away', reason: 'PodNotReady' } as const;
  const silentNode = { kind: 'away', reason: 'NodeSilent' } as const;
  const live = { kind: 'live' } as const;
  const heldSince: NodeVerdict = { kind: 'held', silent: true, sinceWallMs: NINE };
  const marked = aPod({ ready: false, unreadyByNode: true });

  test.each<[string, PodView, NodeVerdict, Wish['state']]>([
    ['Ready, heard', aPod(), HEARD, live],
    ['Ready, held', aPod(), heldSince, live],
    ['Ready, silent', aPod(), SILENT, silentNode],
    ['marked, heard', marked, HEARD, unready],
    ['marked, held', marked, heldSince, live],
    ['marked, silent', marked, SILENT, silentNode],
    ['not Ready, heard', aPod({ ready: false }), HEARD, unready],
    ['not Ready, held', aPod({ ready: false }), heldSince, unready],
    ['not Ready, silent', aPod({ ready: false }), SILENT, unready],
    ['being deleted, silent', aPod({ deleting: true }), SILENT, { kind: 'away', reason: 'Terminating' }],
    ['being deleted, held', { ...marked, deleting: true }, heldSince, { kind: 'away', reason: 'Terminating' }],
  ])('%s', (_, pod, node, state) => {
    expect(wishOf(pod, aRegistration(), { node })?.state).toEqual(state);
    // Where nodes are not asked.
    const alone = wishOf(pod, aRegistration({ settings: { nodeLoss: 'PodReadiness' } }), { node });
    expect(alone?.state).toEqual(wishOf(pod, aRegistration())?.state);
    // A spec that turned invalid changes nothing of it.
    const held = wishOf(aPod(), aRegistration());
    expect(held === undefined ? undefined : frozenWish(held, pod, node).state).toEqual(state);
  });

  test.each<[string, string, NodeVerdict, Wish['state'], Wish['state']]>([
    ['silent and held before', '2026-11-23T09:00:01Z', heldSince, silentNode, silentNode],
    ['unknown and held before', '2026-11-23T09:00:01Z', { ...heldSince, silent: false }, live, unready],
    ['held since', '2026-11-23T09:00:00Z', heldSince, live, live],
    ['heard', '2026-11-23T09:00:01Z', HEARD, live, unready],
  ])('what a person released: %s', (_, releaseBrake, node, ofReady, ofMarked) => {
    expect(wishOf(aPod(), aRegistration({ releaseBrake }), { node })?.state).toEqual(ofReady);
    expect(wishOf(marked, aRegistration({ releaseBrake }), { node })?.state).toEqual(ofMarked);
  });
});

describe('the grace for pods that are not Ready', () => {
  const graceful = aRegistration({ settings: { notReadyGraceSeconds: 20 } });

  test.each<[string, PodView, object | undefined]>([
    ['of a Ready pod', aPod(), { ms: 20_000 }],
    ['of one that is not', aPod({ ready: false }), { ms: 20_000, notReadySinceMs: NINE + 2_000 }],
    ['of one that was never asked', { ...aPodWithout('readyChangedAtMs'), ready: false }, { ms: 20_000 }],
  ])('%s is told by its length, and since when', (_, pod, grace) => {
    expect(wishOf(pod, graceful)?.grace).toEqual(grace);
  });

  test('is none by default', () => {
    expect(wishOf(aPod({ ready: false }), aRegistration())).not.toHaveProperty('grace');
  });
});

describe('selection', () => {
  const annotated = (annotations: Record<string, string> = {}, pod: Partial<PodView> = {}) =>
    aPod({ annotations: { register: 'true', ...annotations }, ...pod });

  test.each<[string, PodView, RegistrationView, Partial<DecideOptions>, boolean]>([
    [
      'an empty selector takes every pod',
      aPod({ labels: {} }),
      aRegistration({ settings: { selector: aSelector() } }),
      {},
      true,
    ],
    ['by name: the annotated pod', annotated({ 'service-name': 'trading-service' }), aSelectorless(), {}, true],
    ['by name: the pod of that workload', annotated(), aSelectorless(), { workloadName: 'trading-service' }, true],
    [
      'by name: by label',
      annotated({}, { labels: { 'app.kubernetes.io/name': 'trading-service' } }),
      aSelectorless(),
      {},
      true,
    ],
    ['by name: by its own name', annotated({}, { name: 'trading-service' }), aSelectorless(), {}, true],
    ['by name: not another service', annotated({ 'service-name': 'web' }), aSelectorless(), {}, false],
    ['by name: not unannotated', aPod({ name: 'trading-service' }), aSelectorless(), {}, false],
    [
      'by name: not "yes"',
      annotated({ register: 'yes', 'service-name': 'trading-service' }),
      aSelectorless(),
      {},
      false,
    ],
    ['by selector: also with a bad register', aPod({ annotations: { register: 'yes' } }), aRegistration(), {}, true],
    ['a registration that is being deleted takes none', aPod(), aRegistration({ deleting: true }), {}, false],
  ])('%s', (_, pod, registration, options, selected) => {
    expect(decideFor(pod, [registration], options).wishes).toHaveLength(selected ? 1 : 0);
  });

  test.each<[string, RegistrationView, Partial<DecideOptions>, boolean]>([
    ['where it is held', aSelectorless(), { holds: () => true }, true],
    ['of our own resource that was made for it', aSelectorless({ owned: true, ownerUids: [aPod().uid] }), {}, true],
    ['of our own resource that was made for others', aSelectorless({ owned: true, ownerUids: ['other'] }), {}, false],
    ['of a resource of a person that it owns', aSelectorless({ ownerUids: [aPod().uid] }), {}, false],
  ])('a register that is no good leaves the pod as it was: %s', (_, registration, options, selected) => {
    const pod = annotated({ register: 'TRUE', 'service-name': 'trading-service' });
    const { wishes, problems } = decideFor(pod, [registration], options);
    expect(wishes).toHaveLength(selected ? 1 : 0);
    expect(problems).toMatchObject([{ annotation: 'register', value: 'TRUE' }]);
  });

  test.each<[string, Partial<PodView>, number]>([
    ['is told', {}, 1],
    ['is not told of one that is over', { phase: 'Failed' }, 0],
  ])('what is wrong with a pod where there are no resources %s', (_, pod, count) => {
    expect(decideFor(annotated({ register: 'yes' }, pod), []).problems).toHaveLength(count);
  });

  test('several services for one pod', () => {
    const two = [aRegistration({ name: 'alpha' }), aRegistration({ name: 'beta' })];
    expect(decideFor(aPod(), two).wishes.map(({ serviceName }) => serviceName)).toEqual(['alpha', 'beta']);
  });
});

describe('two registrations of one service', () => {
  const named = (name: string, createdAtMs: number, rest = {}) =>
    aRegistration({ name, createdAtMs, serviceName: 'web', settings: { serviceName: 'web' }, ...rest });

  test.each<[string, RegistrationView, RegistrationView]>([
    ['the older counts', named('zeta', NINE), named('alpha', NINE + 1)],
    ['of the same age, the first by name', named('alpha', NINE), named('zeta', NINE)],
  ])('%s, in whatever order they come', (_, winner, loser) => {
    for (const order of [
      [winner, loser],
      [loser, winner],
    ]) {
      const decision = decideFor(aPod(), order);
      expect(decision.wishes.map(({ registration }) => registration)).toEqual([winner.key]);
      expect(decision.conflicts).toEqual([{ registration: loser.key, winner: winner.key, serviceName: 'web' }]);
    }
  });

  test('of which one does not select the pod: no conflict', () => {
    const canary = named('canary', NINE - 1, {
      settings: { serviceName: 'web', selector: aSelector({ track: 'canary' }) },
    });
    expect(decideFor(aPod(), [canary, named('stable', NINE)])).toMatchObject({
      wishes: [{ registration: keyOf('stable') }],
      conflicts: [],
    });
  });

  test('of which the older is being deleted: the younger counts', () => {
    const going = named('going', NINE - 1, { deleting: true });
    expect(decideFor(aPod(), [going, named('staying', NINE)]).wishes).toMatchObject([
      { registration: keyOf('staying') },
    ]);
  });

  test('of which the older is suspended: it still counts', () => {
    const suspended = named('older', NINE - 1, { settings: { serviceName: 'web', suspend: true } });
    expect(decideFor(aPod(), [suspended, named('younger', NINE)])).toMatchObject({
      wishes: [{ registration: keyOf('older'), state: { reason: 'Suspended' } }],
      conflicts: [{ registration: keyOf('younger') }],
    });
  });

  test('of which the older is invalid: it counts where it holds the pod, else the younger does', () => {
    const invalid = aRegistration({ name: 'older', createdAtMs: NINE - 1, serviceName: 'web', problem: 'no good' });
    const both = [invalid, named('younger', NINE)];
    expect(decideFor(aPod(), both, { holds: (registration) => registration === invalid.key })).toMatchObject({
      wishes: [],
      conflicts: [{ registration: keyOf('younger'), winner: invalid.key }],
      frozen: [invalid.key],
    });
    expect(decideFor(aPod(), both)).toMatchObject({
      wishes: [{ registration: keyOf('younger') }],
      conflicts: [],
      frozen: [invalid.key],
    });
  });
});

test('our own resource for single pods yields to any other of the service, older or not, without a word', () => {
  const gathering = aSelectorless({
    name: 'web',
    createdAtMs: NINE - 1,
    owned: true,
    settings: { serviceName: 'web' },
  });
  const ofWorkload = aRegistration({ name: 'web-x', createdAtMs: NINE, owned: true, settings: { serviceName: 'web' } });
  const pod = aPod({ annotations: { register: 'true', 'service-name': 'web' } });
  expect(decideFor(pod, [gathering, ofWorkload])).toMatchObject({
    wishes: [{ registration: keyOf('web-x') }],
    conflicts: [],
  });
  expect(decideFor(pod, [gathering]).wishes).toMatchObject([{ registration: keyOf('web') }]);
});

test('an invalid registration is frozen: a held wish keeps its content, and follows the pod', () => {
  const held = wishOf(aPod(), aRegistration());
  if (held === undefined) throw new Error('no wish');
  expect(decideFor(aPod(), [aRegistration({ problem: 'no good' })])).toMatchObject({
    wishes: [],
    frozen: [keyOf('trading-service')],
  });
  expect(frozenWish(held, aPod())).toEqual(held);
  expect(frozenWish(held, aPod({ ready: false }))).toEqual({ ...held, state: { kind: 'away', reason: 'PodNotReady' } });
  const suspended = { ...held, state: { kind: 'away', reason: 'Suspended' } } as const;
  expect(frozenWish(suspended, aPod())).toEqual(suspended);
});

describe('the settings arrive in the wish', () => {
  test('TTL, interval, policy, adoption, instance id', () => {
    const registration = aRegistration({
      settings: {
        ttlSeconds: 60,
        refreshIntervalSeconds: 20,
        whenNotReady: 'Remove',
        onConflict: 'Adopt',
        instanceId: 'PodName',
      },
    });
    expect(wishOf(aPod(), registration)).toMatchObject({
      ttlMs: 60_000,
      intervalMs: 20_000,
      whenNotReady: 'Remove',
      adopt: true,
      instanceIdMode: 'PodName',
    });
  });

  test('a normalised version, with its source and a note', () => {
    const wish = wishOf(aPod({ labels: { app: 'trading', version: 'v2' } }), aRegistration());
    expect(wish?.content).toMatchObject({ version: '2.0.0', metadata: { sourceVersion: 'v2' } });
    expect(wish?.versionNote).toBe('"v2" from the label version is registered as 2.0.0');
    expect(wishOf(aPod(), aRegistration())).not.toHaveProperty('versionNote');
  });
});

describe('what the workload says', () => {
  const workloadDefaults = { ...someDefaults, ttlSeconds: 15, whenNotReady: 'Remove' as const, port: 9090 };

  test('counts where a resource by hand leaves the field out', () => {
    const registration = aRegistration({ spec: { whenNotReady: 'Lapse' } });
    const { wishes, problems } = decideFor(aPod(), [registration], { workloadDefaults });
    expect(wishes).toMatchObject([
      { ttlMs: 15_000, intervalMs: 5_000, whenNotReady: 'Lapse', content: { metadata: { port: 9090 } } },
    ]);
    expect(problems).toEqual([]);
  });

  test('stands in an owned resource already', () => {
    const { wishes } = decideFor(aPod(), [aRegistration({ owned: true })], { workloadDefaults });
    expect(wishes).toMatchObject([{ ttlMs: 30_000, whenNotReady: 'MarkUnhealthy' }]);
  });

  test('is refused as to the TTL where the resource states an interval that it is too short for', () => {
    const registration = aRegistration({
      spec: { refreshIntervalSeconds: 9 },
      settings: { refreshIntervalSeconds: 9 },
    });
    const { wishes, problems } = decideFor(aPod(), [registration], { workloadDefaults });
    expect(wishes).toMatchObject([{ ttlMs: 30_000, intervalMs: 9_000, whenNotReady: 'Remove' }]);
    expect(problems).toMatchObject([{ annotation: 'ttl', value: '15', message: expect.stringContaining('9 s') }]);
  });
});

describe('metadata', () => {
  const metadataOf = (pod: PodView, settings = {}) => wishOf(pod, aRegistration({ settings }))?.content.metadata;

  test('in a fixed order: ours first, then the users’ by key', () => {
    const pod = aPod({
      labels: { app: 'trading', 'app.kubernetes.io/part-of': 'desk', version: '2' },
      annotations: { metadata: '{"zone":"b","a":"1"}' },
    });
    const settings = { metadata: { team: 'rates', a: '0' }, metadataFromLabels: ['app.kubernetes.io/part-of'] };
    expect(Object.entries(metadataOf(pod, settings) ?? {})).toEqual([
      ['start_time', '2026-11-23T17:00:01.000+08:00'],
      ['namespace', 'trading'],
      ['pod', 'trading-1'],
      ['node', 'node-a'],
      ['ip', '10.1.2.3'],
      ['port', 8080],
      ['sourceVersion', '2'],
      ['a', '1'],
      ['part-of', 'desk'],
      ['team', 'rates'],
      ['zone', 'b'],
    ]);
  });

  test.each<[string, PodView, readonly string[]]>([
    ['no IP', aPodWithout('ip'), ['start_time', 'namespace', 'pod', 'node', 'port']],
    ['no node', aPodWithout('node'), ['start_time', 'namespace', 'pod', 'ip', 'port']],
    ['only init containers', aPod({ containers: [] }), ['start_time', 'namespace', 'pod', 'node', 'ip']],
    [
      'host network: the IP of its node',
      aPod({ ip: '192.0.2.7' }),
      ['start_time', 'namespace', 'pod', 'node', 'ip', 'port'],
    ],
  ])('a pod with %s', (_, pod, keys) => {
    expect(Object.keys(metadataOf(pod) ?? {})).toEqual(keys);
  });

  test('a pod that the kubelet has not seen started when it was made', () => {
    expect(metadataOf(aPodWithout('startedAtMs'))?.['start_time']).toBe('2026-11-23T17:00:00.000+08:00');
  });

  test('labels win over the resource, the annotation over both', () => {
    const pod = aPod({ labels: { app: 'trading', team: 'by-label' } });
    const settings = { metadata: { team: 'by-resource' }, metadataFromLabels: ['team', 'absent', 'constructor'] };
    expect(metadataOf(pod, settings)?.['team']).toBe('by-label');
    expect(Object.keys(metadataOf(pod, settings) ?? {})).not.toContain('constructor');
    const annotated = { ...pod, annotations: { metadata: '{"team":"by-annotation"}' } };
    expect(metadataOf(annotated, settings)?.['team']).toBe('by-annotation');
  });

  test('a label never overrides what is reserved, nor becomes an odd key', () => {
    const labels = { app: 'trading', 'x/pod': 'y', 'x/1a': 'z' };
    const keys = Object.keys(metadataOf(aPod({ labels }), { metadataFromLabels: ['x/pod', 'x/1a'] }) ?? {});
    expect(keys).toEqual(['start_time', 'namespace', 'pod', 'node', 'ip', 'port']);
    expect(metadataOf(aPod({ labels }), { metadataFromLabels: ['x/pod'] })?.['pod']).toBe('trading-1');
  });

  test('an annotation that, with the resource, is too much is left out and said', () => {
    const some = (count: number, prefix: string) =>
      Object.fromEntries(Array.from({ length: count }, (_, i) => [`${prefix}${i}`, 'x']));
    const pod = aPod({ annotations: { metadata: JSON.stringify(some(20, 'b')) } });
    const decision = decideFor(pod, [aRegistration({ settings: { metadata: some(20, 'a') } })]);
    expect(Object.keys(decision.wishes[0]?.content.metadata ?? {}).filter((key) => key.startsWith('b'))).toEqual([]);
    expect(decision.problems).toMatchObject([
      { annotation: 'metadata', message: expect.stringContaining('stay within') },
    ]);
  });
});

describe('too much metadata', () => {
  const kilobytes = (count: number, prefix: string) =>
    Object.fromEntries(Array.from({ length: count * 2 }, (_, i) => [`${prefix}${i}`, 'x'.repeat(500)]));

  test('in bytes, by the annotation: it is left out and said', () => {
    const pod = aPod({ annotations: { metadata: JSON.stringify(kilobytes(3, 'b')) } });
    const decision = decideFor(pod, [aRegistration({ settings: { metadata: kilobytes(4, 'a') } })]);
    const keys = Object.keys(decision.wishes[0]?.content.metadata ?? {});
    expect(keys).toContain('a7');
    expect(keys).not.toContain('b0');
    expect(decision.problems).toMatchObject([{ annotation: 'metadata' }]);
  });

  test('by labels: they are left out, the resource’s own stays', () => {
    const metadata = Object.fromEntries(Array.from({ length: 32 }, (_, i) => [`a${i}`, 'x']));
    const pod = aPod({ labels: { app: 'trading', team: 'rates' } });
    const wish = wishOf(pod, aRegistration({ settings: { metadata, metadataFromLabels: ['team'] } }));
    expect(Object.keys(wish?.content.metadata ?? {})).toContain('a31');
    expect(wish?.content.metadata).not.toHaveProperty('team');
  });
});

describe('ports and problems', () => {
  test('an annotated port overrides the resource', () => {
    const registration = aRegistration({ settings: { port: 'http' } });
    expect(wishOf(aPod({ annotations: { port: '9090' } }), registration)?.content.metadata['port']).toBe(9090);
  });

  test('an annotated port that nothing declares is said, once, and the resource’s counts', () => {
    const two = [aRegistration({ name: 'alpha' }), aRegistration({ name: 'beta' })];
    const decision = decideFor(aPod({ annotations: { port: 'grpc' } }), two);
    expect(decision.wishes.map(({ content }) => content.metadata['port'])).toEqual([8080, 8080]);
    expect(decision.problems).toEqual([
      {
        annotation: 'port',
        value: 'grpc',
        message: 'port must be the name of a port that a container of the pod declares.',
      },
    ]);
  });

  test('a bad service name is said where names select', () => {
    const pod = aPod({ name: 'trading-service', annotations: { register: 'true', 'service-name': 'A*' } });
    expect(decideFor(pod, [aSelectorless()])).toMatchObject({
      wishes: [{ serviceName: 'trading-service' }],
      problems: [{ annotation: 'service-name', value: 'A*' }],
    });
  });

  test('the inputs stay untouched', () => {
    const pod = aPod({ annotations: { port: 'grpc', metadata: '{"a":"b"}' } });
    const registrations = [
      aRegistration({ name: 'beta', createdAtMs: 2 }),
      aRegistration({ name: 'alpha', createdAtMs: 1 }),
    ];
    const before = structuredClone({ pod, registrations });
    decideFor(pod, registrations);
    expect({ pod, registrations }).toEqual(before);
  });
});

describe('what a pod says itself', () => {
  const large = (letter: string) =>
    JSON.stringify(Object.fromEntries(['a', 'b'].map((k) => [k + letter, 'x'.repeat(500)])));
  const good = { version: '2.0.0', port: '9090', metadata: '{"team":"fx"}' };
  const saying = (annotations: Record<string, string>) => aPod({ annotations: { ...good, ...annotations } });
  const before = wishOf(saying({}), aRegistration());

  test('is kept for its next wish', () => {
    expect(before?.annotated).toEqual({ version: { value: '2.0.0' }, port: 9090, metadata: { team: 'fx' } });
    expect(wishOf(aPod(), aRegistration())).not.toHaveProperty('annotated');
    const podLayer = { ttlSeconds: 60 };
    expect(decideFor(aPod(), [aRegistration()], { podLayer }).wishes[0]?.annotated).toEqual(podLayer);
  });

  test.each<[string, Record<string, string>]>([
    ['version', { version: '' }],
    ['version', { version: 'x'.repeat(65) }],
    ['port', { port: '0' }],
    ['port', { port: 'no-such-port' }],
    ['metadata', { metadata: '{"team":' }],
    ['metadata', { metadata: '{"pod":"mine"}' }],
  ])('changes nothing but a word in an Event when its %s turns wrong: %o', (annotation, wrong) => {
    const lastGood = () => before?.annotated;
    const { wishes, problems } = decideFor(saying(wrong), [aRegistration()], { lastGood });
    expect(wishes).toEqual([before]);
    expect(problems.map((one) => one.annotation)).toEqual([annotation]);
    // Where there was no better word, it overrides nothing.
    const fresh = decideFor(saying(wrong), [aRegistration()]).wishes[0];
    const { [annotation as keyof typeof good]: _, ...others } = good;
    expect(fresh?.content).toEqual(wishOf(aPod({ annotations: others }), aRegistration())?.content);
  });

  test('stays when its metadata does not fit in beside the resource’s any more', () => {
    const resource = aRegistration({
      settings: { metadata: Object.fromEntries(Array.from('abcdefghijkl', (k) => [k, 'y'.repeat(500)])) },
    });
    const lastGood = () => ({ metadata: { team: 'fx' } });
    const pod = aPod({ annotations: { metadata: large('z') } });
    const { wishes, problems } = decideFor(pod, [resource], { lastGood });
    expect(wishes[0]?.content.metadata).toMatchObject({ team: 'fx' });
    expect(wishes[0]?.content.metadata).not.toHaveProperty('az');
    expect(wishes[0]?.annotated).toEqual({ metadata: { team: 'fx' } });
    expect(problems).toMatchObject([{ annotation: 'metadata' }]);
  });
});

test('the name in the registry may be another than the one that is asked for; pods and resources meet by the latter', () => {
  const registryName = (serviceName: string) => `trading-${serviceName}`;
  const pod = aPod({ annotations: { register: 'true', 'service-name': 'api' } });
  const registrations = [
    aSelectorless({ name: 'api' }),
    aRegistration({ name: 'api-two', createdAtMs: NINE + 1, serviceName: 'api' }),
  ];
  const { wishes, conflicts } = decide(pod, registrations, { offset, registryName });
  expect(wishes.map(({ serviceName, content }) => [serviceName, content.serviceName])).toEqual([
    ['trading-api', 'trading-api'],
  ]);
  expect(conflicts.map(({ registration }) => registration)).toEqual(['trading/api-two']);
});

test('an invalid resource that holds the pod keeps it from younger ones also under another name in the registry', () => {
  const registryName = (serviceName: string) => `trading-${serviceName}`;
  const older = aRegistration({ name: 'older', createdAtMs: NINE - 1, serviceName: 'web', problem: 'no good' });
  const younger = aRegistration({ name: 'younger', serviceName: 'web' });
  const decision = decideFor(aPod(), [younger, older], { registryName, holds: (key) => key === older.key });
  expect(decision).toMatchObject({ wishes: [], conflicts: [{ registration: younger.key, winner: older.key }] });
});
