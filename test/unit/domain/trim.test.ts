// Trimming Kubernetes objects: what is kept, what is dropped, and that nothing odd throws or pollutes.

import { describe, expect, test } from 'vitest';
import { Interner } from '../../../src/domain/intern.ts';
import { trimNamespace } from '../../../src/domain/namespace.ts';
import { trimPod } from '../../../src/domain/pod.ts';
import { selects } from '../../../src/domain/selector.ts';
import { trimRegistration } from '../../../src/domain/service-registration.ts';
import { trimWorkload } from '../../../src/domain/workload.ts';
import { NINE, someDefaults } from '../../support/builders.ts';

const prefix = 'rollcall.dev';
const identity = { name: 'trading-1', namespace: 'trading', uid: '6f1d2c3b' };

const aRawPod = (pod: { metadata?: object; spec?: object; status?: object } = {}) => ({
  metadata: { ...identity, creationTimestamp: '2026-11-23T09:00:00Z', ...pod.metadata },
  spec: {
    nodeName: 'node-a',
    initContainers: [{ name: 'init', image: 'init:1', ports: [{ containerPort: 1 }] }],
    containers: [{ name: 'app', image: 'app:1.4.2', ports: [{ name: 'http', containerPort: 8080, protocol: 'TCP' }] }],
    ...pod.spec,
  },
  status: {
    phase: 'Running',
    podIP: '10.1.2.3',
    startTime: '2026-11-23T09:00:01Z',
    conditions: [
      { type: 'PodScheduled', status: 'True', lastTransitionTime: '2026-11-23T09:00:00Z' },
      { type: 'Ready', status: 'True', lastTransitionTime: '2026-11-23T09:00:02Z' },
    ],
    ...pod.status,
  },
});

const trim = (raw: unknown) => trimPod(raw, prefix, new Interner());

test('a pod keeps what decides about its key', () => {
  const pod = trim(
    aRawPod({
      metadata: {
        labels: { b: '2', a: '1' },
        annotations: {
          'rollcall.dev/register': 'true',
          'rollcall.dev/': 'no name',
          'rollcall.device/version': 'not ours',
          'kubectl.kubernetes.io/last-applied-configuration': '{}'.repeat(1000),
          'build.example.com/release': 'v2.1.0',
        },
        ownerReferences: [
          { apiVersion: 'v1', kind: 'X', name: 'x', uid: 'x' },
          { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'trading', uid: 'rs', controller: true },
        ],
      },
    }),
  );
  expect(pod).toEqual({
    key: 'trading/trading-1',
    namespace: 'trading',
    name: 'trading-1',
    uid: '6f1d2c3b',
    createdAtMs: NINE,
    startedAtMs: NINE + 1_000,
    labels: { a: '1', b: '2' },
    annotations: { register: 'true' },
    versionAnnotations: { 'build.example.com/release': 'v2.1.0' },
    phase: 'Running',
    ready: true,
    readyChangedAtMs: NINE + 2_000,
    deleting: false,
    node: 'node-a',
    ip: '10.1.2.3',
    containers: [{ name: 'app', image: 'app:1.4.2', ports: [{ name: 'http', port: 8080 }] }],
    controller: { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'trading', uid: 'rs' },
  });
});

describe('odd pods', () => {
  test.each<[string, unknown, object]>([
    ['a bare identity', { metadata: identity }, { phase: 'Unknown', ready: false, containers: [], createdAtMs: 0 }],
    ['a status of nulls', aRawPod({ status: { conditions: null, podIP: null, phase: null } }), { ready: false }],
    ['conditions that are no list', aRawPod({ status: { conditions: { Ready: 'True' } } }), { ready: false }],
    ['conditions of nonsense', aRawPod({ status: { conditions: [null, 1, 'Ready', [], {}] } }), { ready: false }],
    ['Ready Unknown', aRawPod({ status: { conditions: [{ type: 'Ready', status: 'Unknown' }] } }), { ready: false }],
    ['labels of nonsense', aRawPod({ metadata: { labels: ['a'] } }), { labels: {} }],
    ['a label that is no text', aRawPod({ metadata: { labels: { a: 1, b: 'c' } } }), { labels: { b: 'c' } }],
    ['a time that is none', aRawPod({ metadata: { creationTimestamp: 'yesterday' } }), { createdAtMs: 0 }],
    ['a deletion', aRawPod({ metadata: { deletionTimestamp: '2026-11-23T09:00:00Z' } }), { deleting: true }],
    [
      'containers of nonsense',
      aRawPod({ spec: { containers: [null, {}, { name: 'a' }] } }),
      { containers: [{ name: 'a', image: '', ports: [] }] },
    ],
    ['init containers alone', aRawPod({ spec: { containers: [] } }), { containers: [] }],
    ['an unknown phase', aRawPod({ status: { phase: 'Dreaming' } }), { phase: 'Unknown' }],
  ])('%s', (_, raw, expected) => {
    expect(trim(raw)).toMatchObject(expected);
  });

  test.each<[string, unknown]>([
    ['nothing', undefined],
    ['null', null],
    ['a text', 'pod'],
    ['a list', []],
    ['no metadata', {}],
    ['no UID', { metadata: { name: 'a', namespace: 'b' } }],
    ['an empty UID', { metadata: { ...identity, uid: '' } }],
    ['no name', { metadata: { namespace: 'b', uid: 'c' } }],
    ['no namespace', { metadata: { name: 'a', uid: 'c' } }],
    ['a number as name', { metadata: { ...identity, name: 7 } }],
  ])('%s is no pod', (_, raw) => {
    expect(trim(raw)).toBeUndefined();
    expect(trimWorkload('Deployment', raw, prefix, new Interner())).toBeUndefined();
    expect(trimRegistration(raw, someDefaults)).toBeUndefined();
  });

  test('a label called __proto__ or constructor is a label', () => {
    const raw: unknown = JSON.parse(
      `{"metadata":{"name":"a","namespace":"b","uid":"c","labels":{"__proto__":"x","constructor":"y"},"annotations":{"rollcall.dev/__proto__":"z"}}}`,
    );
    const pod = trim(raw);
    expect(Object.keys(pod?.labels ?? {})).toEqual(['__proto__', 'constructor']);
    expect(Object.keys(pod?.annotations ?? {})).toEqual(['__proto__']);
    expect(trim({ metadata: identity })?.labels['constructor']).toBeUndefined();
    expect(Object.getPrototypeOf({})).toBe(Object.prototype);
  });
});

describe('sharing', () => {
  test('pods with equal labels, annotations and containers share them', () => {
    const interner = new Interner();
    const metadata = { labels: { app: 'a', tier: 'b' }, annotations: { 'rollcall.dev/port': 'http' } };
    const one = trimPod(aRawPod({ metadata }), prefix, interner);
    const two = trimPod(
      aRawPod({ metadata: { ...metadata, labels: { tier: 'b', app: 'a' }, name: 'trading-2', uid: 'x' } }),
      prefix,
      interner,
    );
    expect(two?.labels).toBe(one?.labels);
    expect(two?.annotations).toBe(one?.annotations);
    expect(two?.containers).toBe(one?.containers);
    expect(two?.uid).not.toBe(one?.uid);
  });

  test('an interner never holds more than its limit', () => {
    const interner = new Interner(10);
    for (let i = 0; i < 1000; i++) {
      expect(interner.text(`text ${i}`)).toBe(`text ${i}`);
      expect(interner.share(`record ${i}`, () => i)).toBe(i);
      expect(interner.size).toBeLessThanOrEqual(20);
    }
    interner.text('x'.repeat(10_000));
    interner.share('x'.repeat(10_000), () => 'long');
    expect(interner.size).toBeLessThanOrEqual(20);
  });
});

describe('workloads', () => {
  test("the metadata's annotations over the template's", () => {
    const workload = trimWorkload(
      'Deployment',
      {
        metadata: { ...identity, annotations: { 'rollcall.dev/ttl': '60', other: 'x' }, labels: { a: 'b' } },
        spec: {
          selector: { matchLabels: { app: 'a' } },
          template: { metadata: { annotations: { 'rollcall.dev/ttl': '30', 'rollcall.dev/register': 'true' } } },
        },
      },
      prefix,
      new Interner(),
    );
    expect(workload).toMatchObject({
      kind: 'Deployment',
      annotations: { ttl: '60', register: 'true' },
      labels: { a: 'b' },
      selector: { matchLabels: { app: 'a' }, matchExpressions: [] },
      deleting: false,
    });
  });

  test.each<[string, unknown]>([
    ['no selector', undefined],
    ['an unknown operator', { matchExpressions: [{ key: 'a', operator: 'Gt', values: ['1'] }] }],
    ['a requirement without key', { matchExpressions: [{ operator: 'Exists' }] }],
    ['a label that is no text', { matchLabels: { a: 1 } }],
  ])('%s selects nothing', (_, selector) => {
    const workload = trimWorkload('StatefulSet', { metadata: identity, spec: { selector } }, prefix, new Interner());
    expect(workload && selects(workload.selector, { a: '1' })).toBe(false);
    expect(workload && selects(workload.selector, {})).toBe(false);
  });
});

describe('registrations', () => {
  const raw = (spec: unknown, metadata: object = {}) => ({
    metadata: {
      name: 'web',
      namespace: 'shop',
      uid: 'u1',
      generation: 3,
      creationTimestamp: '2026-11-23T09:00:00Z',
      ...metadata,
    },
    spec,
    status: { ready: '0/0' },
  });

  test('an empty spec takes its name and all defaults', () => {
    expect(trimRegistration(raw({}), someDefaults)).toEqual({
      key: 'shop/web',
      namespace: 'shop',
      name: 'web',
      uid: 'u1',
      generation: 3,
      createdAtMs: NINE,
      owned: false,
      ownerUids: [],
      serviceName: 'web',
      spec: {},
      settings: {
        kind: 'valid',
        value: {
          serviceName: 'web',
          ttlSeconds: 30,
          refreshIntervalSeconds: 10,
          instanceId: 'Generated',
          version: { kind: 'Chain' },
          metadata: {},
          metadataFromLabels: [],
          whenNotReady: 'MarkUnhealthy',
          notReadyGraceSeconds: 0,
          apiOutage: { mode: 'Probe', maxHoldSeconds: 300 },
          nodeLoss: 'NodeLease',
          onConflict: 'Yield',
          keyLayout: 'Dotted',
          suspend: false,
        },
      },
      status: { ready: '0/0' },
      deleting: false,
    });
  });

  test('an owned one', () => {
    const metadata = { labels: { 'app.kubernetes.io/managed-by': 'rollcall' }, ownerReferences: [{ uid: 'd1' }, {}] };
    expect(trimRegistration(raw({}, metadata), someDefaults)).toMatchObject({ owned: true, ownerUids: ['d1'] });
  });

  test.each<[string, unknown, object]>([
    ['the interval follows a short TTL', { ttlSeconds: 8 }, { ttlSeconds: 8, refreshIntervalSeconds: 2 }],
    ['the shortest TTL', { ttlSeconds: 3 }, { refreshIntervalSeconds: 1 }],
    ['a long TTL leaves the interval', { ttlSeconds: 3600 }, { refreshIntervalSeconds: 10 }],
    ['a selector for all', { selector: {} }, { selector: { matchLabels: {}, matchExpressions: [] } }],
    ['version from a value', { version: { value: 'v1' } }, { version: { kind: 'Value', value: 'v1' } }],
    ['version from a label', { version: { fromLabel: 'v' } }, { version: { kind: 'Label', name: 'v' } }],
    [
      'version from an annotation',
      { version: { fromAnnotation: 'v' } },
      { version: { kind: 'Annotation', name: 'v' } },
    ],
    [
      'version from an image',
      { version: { fromImageTag: 'app' } },
      { version: { kind: 'ImageTag', container: 'app' } },
    ],
    ['no version source', { version: {} }, { version: { kind: 'Chain' } }],
    ['a port', { port: 8080 }, { port: 8080 }],
    ['a field of a later version', { stickyActiveGroup: 'x', ttlSeconds: 60 }, { ttlSeconds: 60 }],
  ])('%s', (_, spec, expected) => {
    expect(trimRegistration(raw(spec), someDefaults)?.settings).toMatchObject({ kind: 'valid', value: expected });
  });

  test.each<[string, unknown, RegExp]>([
    [
      'an interval that the default TTL contradicts',
      { refreshIntervalSeconds: 11 },
      /11 is more than a third of the TTL in force, 30 s/,
    ],
    [
      'an interval above a third',
      { ttlSeconds: 9, refreshIntervalSeconds: 4 },
      /spec\.refreshIntervalSeconds: .*a third/,
    ],
    ['a bad name', { serviceName: 'a--b' }, /the service name "a--b" must be 3 to 64/],
    ['TTL 0', { ttlSeconds: 0 }, /spec\.ttlSeconds/],
    ['a reserved key', { metadata: { pod: 'x' } }, /spec\.metadata: the metadata keys start_time/],
    [
      '7 KiB of metadata',
      { metadata: Object.fromEntries(Array.from({ length: 14 }, (_, i) => [`k${i}`, 'x'.repeat(512)])) },
      /within 6656 bytes/,
    ],
    [
      '33 entries',
      { metadata: Object.fromEntries(Array.from({ length: 33 }, (_, i) => [`k${i}`, 'x'])) },
      /at most 32 entries/,
    ],
    ['two version sources', { version: { value: '1', fromLabel: 'v' } }, /spec\.version: at most one/],
    ['port 0', { port: 0 }, /spec\.port/],
    ['an unknown word', { whenNotReady: 'Delete' }, /spec\.whenNotReady/],
    ['a selector that is text', { selector: 'app=a' }, /spec\.selector/],
  ])('%s is invalid, and says so', (_, spec, problem) => {
    const view = trimRegistration(raw(spec), someDefaults);
    expect(view?.settings).toMatchObject({ kind: 'invalid', problem: expect.stringMatching(problem) });
  });

  test('an invalid one still has its name, which can never change', () => {
    const view = trimRegistration(raw({ serviceName: 'shop-web', ttlSeconds: 0 }), someDefaults);
    expect(view).toMatchObject({ serviceName: 'shop-web', settings: { kind: 'invalid' } });
    expect(view).not.toHaveProperty('spec');
  });
});

test('a namespace keeps its labels and our annotations', () => {
  const raw = {
    metadata: {
      name: 'trading',
      uid: 'b1',
      labels: { team: 'rates' },
      annotations: { 'rollcall.dev/defaults': '{}', 'other.example.com/defaults': '{}' },
    },
    spec: { finalizers: ['kubernetes'] },
  };
  expect(trimNamespace(raw, prefix, new Interner())).toEqual({
    key: '/trading',
    namespace: '',
    name: 'trading',
    uid: 'b1',
    labels: { team: 'rates' },
    annotations: { defaults: '{}' },
  });
  for (const odd of [undefined, 'text', {}, { metadata: { name: 'trading' } }, { metadata: { uid: 'b1' } }]) {
    expect(trimNamespace(odd, prefix, new Interner())).toBeUndefined();
  }
});
