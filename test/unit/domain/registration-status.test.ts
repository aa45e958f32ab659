// What a resource's status says in every situation, and that it says nothing new when nothing is.

import { describe, expect, test } from 'vitest';
import { CONDITION_REASONS, DETAILS_MAX, statusSchema } from '../../../src/domain/crd-status-schema.ts';
import {
  type InstanceReport,
  type SummaryInput,
  sameStatus,
  summarise,
} from '../../../src/domain/registration-status.ts';
import { aRegistration, aSelectorless, NINE } from '../../support/builders.ts';
import { aWish } from '../../support/wishes.ts';

const aReport = (report: Partial<InstanceReport> = {}): InstanceReport => ({
  pod: 'trading-1',
  instanceId: 'trading-service-6f1d2c3b',
  key: 'service-instances.trading-service.trading-service-6f1d2c3b',
  status: 'ACTIVE',
  ready: true,
  version: '1.4.2',
  sinceMs: NINE,
  ...report,
});

const pending = aReport({ pod: 'p', status: 'Pending', reason: 'Registering' });
const waiting = aReport({ pod: 'w', status: 'Pending', reason: 'PodNotReady', ready: false });
const unhealthy = aReport({ pod: 'u', status: 'UNHEALTHY', reason: 'PodNotReady', ready: false });
const held = aReport({ pod: 'h', status: 'Conflict', reason: 'HeldByAnother', heldBy: 'other/x/y/z' });
const twice = aReport({ pod: 't', status: 'Conflict', reason: 'SelectedTwice', heldBy: 'trading/older' });
const sameId = aReport({ pod: 's', status: 'Conflict', reason: 'SameInstanceId', heldBy: 'trading/older-pod' });

const anInput = (input: Partial<SummaryInput> = {}): SummaryInput => ({
  registration: aRegistration(),
  bucket: 'service-registry',
  reports: [aReport()],
  registry: { kind: 'writable', maxAgeSeconds: 0 },
  viewFresh: true,
  wallMs: NINE,
  ...input,
});

const conditionOf = (input: Partial<SummaryInput>, type: string) =>
  summarise(anInput(input)).conditions.find((condition) => condition.type === type);

describe('a write budget that is too small for all keys', () => {
  const stretched = (stretch: number, spec: Parameters<typeof aRegistration>[0] = {}) => {
    const { effective, conditions } = summarise(anInput({ stretch, registration: aRegistration(spec) }));
    return { effective, degraded: conditions.find(({ type }) => type === 'Degraded') };
  };

  test('is said, with what is in force: the interval, and the TTL where it has to grow', () => {
    const { effective, degraded } = stretched(1.95);
    expect(effective).toMatchObject({ ttlSeconds: 60, refreshIntervalSeconds: 20 });
    expect(degraded).toMatchObject({ status: 'True', reason: 'BudgetStretched' });
    expect(degraded?.message).toContain(
      'these are refreshed each 20 s instead of 10 s and live for 60 s instead of 30 s.',
    );
  });

  test('changes nothing as long as it is not', () => {
    expect(stretched(1).effective).toMatchObject({ ttlSeconds: 30, refreshIntervalSeconds: 10 });
    expect(stretched(1).degraded?.reason).toBe('AsExpected');
  });
});

test('the whole of it', () => {
  expect(summarise(anInput({ registration: aRegistration({ generation: 3 }), reports: [aReport(), waiting] }))).toEqual(
    {
      observedGeneration: 3,
      serviceName: 'trading-service',
      bucket: 'service-registry',
      effective: { ttlSeconds: 30, refreshIntervalSeconds: 10, keyLayout: 'Dotted', whenNotReady: 'MarkUnhealthy' },
      ready: '1/2',
      instances: { selected: 2, registered: 1, active: 1, standby: 0, unhealthy: 0, pending: 1, conflicting: 0 },
      details: [
        {
          pod: 'w',
          instanceId: 'trading-service-6f1d2c3b',
          key: 'service-instances.trading-service.trading-service-6f1d2c3b',
          status: 'Pending',
          reason: 'PodNotReady',
          version: '1.4.2',
          since: '2026-11-23T09:00:00Z',
        },
        {
          pod: 'trading-1',
          instanceId: 'trading-service-6f1d2c3b',
          key: 'service-instances.trading-service.trading-service-6f1d2c3b',
          status: 'ACTIVE',
          version: '1.4.2',
          since: '2026-11-23T09:00:00Z',
        },
      ],
      conditions: [
        {
          type: 'Ready',
          status: 'True',
          observedGeneration: 3,
          lastTransitionTime: '2026-11-23T09:00:00Z',
          reason: 'Registered',
          message: 'All Ready pods are registered: 1. 1 selected pod is not Ready.',
        },
        {
          type: 'Conflict',
          status: 'False',
          observedGeneration: 3,
          lastTransitionTime: '2026-11-23T09:00:00Z',
          reason: 'NoConflict',
          message: 'No key is disputed.',
        },
        {
          type: 'Degraded',
          status: 'False',
          observedGeneration: 3,
          lastTransitionTime: '2026-11-23T09:00:00Z',
          reason: 'AsExpected',
          message: 'Nothing is limited.',
        },
      ],
    },
  );
});

describe('Ready', () => {
  const broken = (reason: 'RegistryUnavailable' | 'RegistryUnsupported' | 'RegistryDenied' | 'RegistryFull') =>
    ({ registry: { kind: 'broken', reason, message: 'Because of NATS.', maxAgeSeconds: 0 } }) as const;

  test.each<[string, Partial<SummaryInput>, string, string, RegExp]>([
    ['one registered', {}, 'True', 'Registered', /^All Ready pods are registered: 1\.$/],
    ['a standby is registered', { reports: [aReport({ status: 'STANDBY' })] }, 'True', 'Registered', /./],
    [
      'with others not Ready',
      { reports: [aReport(), waiting, unhealthy] },
      'True',
      'Registered',
      /2 selected pods are not Ready/,
    ],
    ['no pods by selector', { reports: [] }, 'False', 'NoPodsSelected', /the selector selects no pod/],
    [
      'no pods by name',
      { reports: [], registration: aSelectorless() },
      'False',
      'NoPodsSelected',
      /no annotated pod names the service trading-service/,
    ],
    [
      'none Ready',
      { reports: [waiting, unhealthy] },
      'False',
      'WaitingForPods',
      /None of the 2 selected pods is Ready/,
    ],
    ['none written yet', { reports: [pending] }, 'False', 'Registering', /^0 of 1 Ready pod registered\.$/],
    [
      'some written',
      { reports: [aReport(), pending] },
      'False',
      'PartiallyRegistered',
      /^1 of 2 Ready pods registered\.$/,
    ],
    [
      'some in conflict',
      { reports: [aReport(), held] },
      'False',
      'PartiallyRegistered',
      /1 key cannot be had: see the condition Conflict/,
    ],
    ['all in conflict', { reports: [held, twice] }, 'False', 'Conflict', /2 keys cannot be had/],
    [
      'one Ready and pending, one leaving and still ACTIVE',
      { reports: [pending, aReport({ ready: false })] },
      'False',
      'Registering',
      /^0 of 1 Ready pod/,
    ],
    [
      'a Ready pod whose key still says UNHEALTHY',
      { reports: [aReport({ status: 'UNHEALTHY' })] },
      'False',
      'Registering',
      /./,
    ],
    [
      'an invalid spec',
      { registration: aRegistration({ problem: 'spec.x: no' }) },
      'False',
      'InvalidSpec',
      /^spec\.x: no\. What is registered stays/,
    ],
    [
      'suspended',
      { registration: aRegistration({ spec: { suspend: true }, settings: { suspend: true } }) },
      'False',
      'Suspended',
      /^spec\.suspend is true/,
    ],
    [
      'suspended by its namespace',
      { registration: aRegistration({ settings: { suspend: true } }) },
      'False',
      'Suspended',
      /^suspend in the defaults of the namespace or of the installation is true/,
    ],
    ['an old view', { viewFresh: false }, 'Unknown', 'ViewStale', /no news from the API server/],
    ['an old view and a broken registry', { viewFresh: false, ...broken('RegistryFull') }, 'Unknown', 'ViewStale', /./],
    [
      'a registry away',
      broken('RegistryUnavailable'),
      'False',
      'RegistryUnavailable',
      /^Because of NATS\. Rollcall goes on/,
    ],
    ['an old registry', broken('RegistryUnsupported'), 'False', 'RegistryUnsupported', /./],
    ['a right missing', broken('RegistryDenied'), 'False', 'RegistryDenied', /./],
    ['a full registry', broken('RegistryFull'), 'False', 'RegistryFull', /./],
    [
      'a key that the registry will not have',
      { reports: [aReport(), { ...pending, refusal: { reason: 'RegistryDenied', message: 'Grant it.' } }] },
      'False',
      'RegistryDenied',
      /^1 of 2 Ready pods registered\. Grant it\. All rights that are needed: /,
    ],
  ])('%s', (_, input, status, reason, message) => {
    expect(conditionOf(input, 'Ready')).toMatchObject({ status, reason, message: expect.stringMatching(message) });
  });
});

describe('Conflict', () => {
  test.each<[string, readonly InstanceReport[], string, string, RegExp]>([
    ['none', [aReport(), pending], 'False', 'NoConflict', /./],
    [
      'a foreign key',
      [held],
      'True',
      'HeldByAnother',
      /^The key service-instances\.\S+ of pod h is held by other\/x\/y\/z\.$/,
    ],
    [
      'two resources',
      [twice],
      'True',
      'SelectedTwice',
      /^The pod t is selected for the same service by the older resource trading\/older/,
    ],
    [
      'one id',
      [sameId],
      'True',
      'SameInstanceId',
      /^The pod s comes to the same instance id as the older pod trading\/older-pod/,
    ],
    [
      'several kinds: the worst, and the count',
      [sameId, held, twice],
      'True',
      'HeldByAnother',
      /held by other\/x\/y\/z\. And 2 more\.$/,
    ],
  ])('%s', (_, reports, status, reason, message) => {
    expect(conditionOf({ reports }, 'Conflict')).toMatchObject({
      status,
      reason,
      message: expect.stringMatching(message),
    });
  });

  test('a thousand of them still fit', () => {
    const reports = Array.from({ length: 1000 }, (_, i) => ({ ...held, pod: `pod-${i}`, heldBy: 'x'.repeat(2000) }));
    const condition = conditionOf({ reports }, 'Conflict');
    expect(condition?.message.length).toBe(1024);
    expect(condition?.message.endsWith('…')).toBe(true);
  });
});

describe('Degraded', () => {
  const settings = (ttlSeconds: number, refreshIntervalSeconds: number) => ({
    registration: aRegistration({ settings: { ttlSeconds, refreshIntervalSeconds } }),
  });

  test.each<[string, Partial<SummaryInput>, string, RegExp]>([
    ['nothing', {}, 'AsExpected', /./],
    [
      'a bucket with a shorter age',
      { registry: { kind: 'writable', maxAgeSeconds: 20 } },
      'TtlShortenedByBucket',
      /max_age of 20 s .* TTL of 30 s/,
    ],
    ['a bucket with a longer age', { registry: { kind: 'writable', maxAgeSeconds: 60 } }, 'AsExpected', /./],
    ['a slow refresh', settings(120, 31), 'RefreshSlowerThanReaders', /each 31 s/],
    ['a refresh just fast enough', settings(120, 30), 'AsExpected', /./],
    ['a short TTL', settings(14, 4), 'TtlShorterThanHandover', /TTL of 14 s/],
    ['a TTL just long enough', settings(15, 5), 'AsExpected', /./],
    [
      'a version',
      { reports: [aReport({ versionNote: '"v1" is 1.0.0' })] },
      'VersionNormalised',
      /^Version: "v1" is 1\.0\.0\.$/,
    ],
    [
      'two versions',
      { reports: [aReport({ versionNote: 'b' }), aReport({ versionNote: 'a' }), aReport({ versionNote: 'a' })] },
      'VersionNormalised',
      /^Version: a, and 1 more\.$/,
    ],
    [
      'several: the worst first, all said',
      {
        ...settings(14, 4),
        registry: { kind: 'writable', maxAgeSeconds: 5 },
        reports: [aReport({ versionNote: 'a' })],
      },
      'TtlShortenedByBucket',
      /max_age.*TTL of 14 s can end.*Version: a/,
    ],
  ])('%s', (_, input, reason, message) => {
    const status = reason === 'AsExpected' ? 'False' : 'True';
    expect(conditionOf(input, 'Degraded')).toMatchObject({ status, reason, message: expect.stringMatching(message) });
  });
});

test.each([
  [20, 20],
  [1.5, 1],
  [0.1, 0],
])('a max_age of %d s leaves a TTL of %d s, for the API server takes whole ones only', (maxAgeSeconds, ttlSeconds) => {
  const { effective } = summarise(anInput({ registry: { kind: 'writable', maxAgeSeconds } }));
  expect(effective).toMatchObject({ ttlSeconds });
});

describe('times', () => {
  const later = NINE + 60_000;

  test('a condition keeps its time while its status stays, and takes a new one when it changes', () => {
    const status = summarise(anInput());
    const stored = aRegistration({ status: structuredClone(status) });
    expect(sameStatus(status, summarise(anInput({ registration: stored, wallMs: later })))).toBe(true);
    const changed = summarise(anInput({ registration: stored, wallMs: later, reports: [pending] }));
    const times = Object.fromEntries(
      changed.conditions.map(({ type, lastTransitionTime }) => [type, lastTransitionTime]),
    );
    expect(times).toEqual({
      Ready: '2026-11-23T09:01:00Z',
      Conflict: '2026-11-23T09:00:00Z',
      Degraded: '2026-11-23T09:00:00Z',
    });
  });

  test('another reason under the same status is no transition', () => {
    const stored = aRegistration({ status: summarise(anInput({ reports: [pending] })) });
    const changed = summarise(anInput({ registration: stored, wallMs: later, reports: [waiting] }));
    expect(changed.conditions[0]).toMatchObject({
      reason: 'WaitingForPods',
      lastTransitionTime: '2026-11-23T09:00:00Z',
    });
  });

  test.each<[string, unknown]>([
    ['nothing', undefined],
    ['a text', 'status'],
    ['conditions that are none', { conditions: 'x' }],
    ['conditions of nonsense', { conditions: [null, 7, { type: 'Ready' }, { type: 'Ready', status: 'True' }] }],
  ])('a stored status of %s does no harm', (_, status) => {
    const summary = summarise(anInput({ registration: aRegistration({ status }) }));
    expect(summary.conditions[0]?.lastTransitionTime).toBe('2026-11-23T09:00:00Z');
  });
});

describe('details', () => {
  test('what needs a look comes first, then by name', () => {
    const reports = [
      aReport({ pod: 'b' }),
      aReport({ pod: 'a' }),
      pending,
      held,
      unhealthy,
      aReport({ pod: 'c', status: 'STANDBY' }),
    ];
    expect(summarise(anInput({ reports })).details.map(({ pod }) => pod)).toEqual(['u', 'h', 'p', 'a', 'b', 'c']);
  });

  test('are at most fifty, in one order whatever order they come in', () => {
    const reports = Array.from({ length: 200 }, (_, i) => aReport({ pod: `pod-${String(i).padStart(3, '0')}` }));
    const status = summarise(anInput({ reports }));
    expect(status.details).toHaveLength(DETAILS_MAX);
    expect(status.instances.selected).toBe(200);
    expect(sameStatus(status, summarise(anInput({ reports: reports.toReversed() })))).toBe(true);
  });
});

describe('the settings in force', () => {
  const inForce = (ttlMs: number) => ({
    ...aWish({ ttlMs, intervalMs: 2_000, whenNotReady: 'Remove' }),
    content: { serviceName: 'trading-service', version: '1.4.2', stickyActiveGroup: 'blue', metadata: {} },
  });

  test('are what the workloads make of them, where all instances have the same', () => {
    const reports = [aReport({ pod: 'a', inForce: inForce(6_000) }), aReport({ pod: 'b', inForce: inForce(6_000) })];
    const { effective, conditions } = summarise(anInput({ reports }));
    expect(effective).toMatchObject({ ttlSeconds: 6, refreshIntervalSeconds: 2, stickyActiveGroup: 'blue' });
    expect(conditions.find(({ type }) => type === 'Degraded')?.reason).toBe('TtlShorterThanHandover');
  });

  test('are what the resource says, where they have not', () => {
    const reports = [aReport({ pod: 'a', inForce: inForce(6_000) }), aReport({ pod: 'b', inForce: inForce(9_000) })];
    expect(summarise(anInput({ reports })).effective).toMatchObject({ ttlSeconds: 30, whenNotReady: 'MarkUnhealthy' });
  });
});

test('an invalid spec leaves what was said of the settings in force', () => {
  const effective = {
    ttlSeconds: 60,
    refreshIntervalSeconds: 20,
    keyLayout: 'Dotted',
    whenNotReady: 'Lapse',
    stickyActiveGroup: 'blue',
  };
  const registration = aRegistration({ problem: 'no good', serviceName: 'web', status: { effective } });
  expect(summarise(anInput({ registration }))).toMatchObject({ serviceName: 'web', effective, ready: '1/1' });
  expect(summarise(anInput({ registration: aRegistration({ problem: 'no good' }) }))).not.toHaveProperty('effective');
});

describe('a resource that may not be registered', () => {
  const denied = { kind: 'denied', message: 'The name is held by rates.' } as const;
  const excess = { kind: 'excess', message: 'There are more services than the quota of 2.' } as const;
  const unfit = { kind: 'unfit', problem: 'the name is too long' } as const;
  const broken = { kind: 'broken', reason: 'RegistryFull', message: 'full', maxAgeSeconds: 0 } as const;

  test.each<[string, Partial<SummaryInput>, string, string]>([
    ['a denied name', { claim: denied }, 'NameDenied', denied.message],
    ['too many services', { claim: excess }, 'QuotaExceeded', excess.message],
    ['a name that cannot be', { claim: unfit }, 'InvalidSpec', 'the name is too long. Nothing of this resource is'],
    ['denied, whatever ails the registry', { claim: denied, registry: broken }, 'NameDenied', denied.message],
    [
      'an old view may be wrong about it',
      { claim: denied, viewFresh: false },
      'ViewStale',
      'no news from the API server',
    ],
  ])('%s', (_, input, reason, message) => {
    const ready = summarise(anInput({ reports: [], ...input })).conditions.find(({ type }) => type === 'Ready');
    expect(ready?.reason).toBe(reason);
    expect(ready?.status).toBe(reason === 'ViewStale' ? 'Unknown' : 'False');
    expect(ready?.message).toContain(message);
  });

  test('instances over the quota are named with it, as long as one of them is Ready', () => {
    const over = aReport({ pod: 'b', status: 'Pending', reason: 'QuotaExceeded', ready: true });
    const quota = '1 instances (--quota-instances)';
    const { conditions, details } = summarise(anInput({ reports: [aReport({ pod: 'a' }), over], quota }));
    const ready = conditions.find(({ type }) => type === 'Ready');
    expect(ready).toMatchObject({ status: 'False', reason: 'QuotaExceeded' });
    expect(ready?.message).toMatch(
      /^1 of 2 Ready pods registered; 1 not, because namespace .* its quota of 1 instances/,
    );
    expect(details[0]).toMatchObject({ pod: 'b', status: 'Pending', reason: 'QuotaExceeded' });
    const waits = summarise(anInput({ reports: [aReport({ pod: 'a' }), { ...over, ready: false }], quota }));
    expect(waits.conditions.find(({ type }) => type === 'Ready')?.reason).toBe('Registered');
  });

  test('the name in the registry is the one in force', () => {
    expect(summarise(anInput({ registryName: 'payments-api' })).serviceName).toBe('payments-api');
  });
});

test('every reason is one that the reference lists, and every status fits the schema', () => {
  const some = [aReport(), pending, waiting, unhealthy, held, twice, sameId];
  const table: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>> = CONDITION_REASONS;
  for (let bits = 0; bits < 2 ** some.length; bits++) {
    const status = summarise(anInput({ reports: some.filter((_, i) => (bits >> i) % 2 === 1) }));
    expect(statusSchema.safeParse(status).success).toBe(true);
    expect(JSON.stringify(status)).not.toContain('eartbeat');
    for (const { type, status: value, reason } of status.conditions) expect(table[type]?.[value]).toContain(reason);
  }
});

describe('sameStatus', () => {
  test.each<[unknown, unknown, boolean]>([
    [{ a: 1, b: 2 }, { b: 2, a: 1 }, true],
    [{ a: 1 }, { a: 1, b: undefined }, true],
    [{ a: 1 }, { a: 1, b: null }, false],
    [[1, 2], [2, 1], false],
    [[1], [1, 2], false],
    [[], {}, false],
    [{}, undefined, false],
    [undefined, undefined, true],
    ['1', 1, false],
    [{ a: [{ b: 'c' }] }, { a: [{ b: 'c' }] }, true],
    [{ a: [{ b: 'c' }] }, { a: [{ b: 'd' }] }, false],
  ])('%j and %j', (a, b, same) => {
    expect(sameStatus(a, b)).toBe(same);
    expect(sameStatus(b, a)).toBe(same);
  });
});
