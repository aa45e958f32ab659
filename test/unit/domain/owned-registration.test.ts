// Owned resources: when there is one, what it is called, what is in it, and what must go.

import { describe, expect, test } from 'vitest';
import { isApplied, planForPods, planForWorkload } from '../../../src/domain/owned-registration.ts';
import { type RegistrationView, trimRegistration } from '../../../src/domain/service-registration.ts';
import type { WorkloadView } from '../../../src/domain/workload.ts';
import {
  aPod,
  aRegistration,
  aSelectorless,
  aWorkload,
  NINE,
  type RegistrationOptions,
  someDefaults,
} from '../../support/builders.ts';

const uid = 'abcde123-0000-4000-8000-000000000001';
const ofWorkload = (name: string, serviceName: string, rest: RegistrationOptions = {}): RegistrationView =>
  aRegistration({ name, serviceName, owned: true, ownerUids: [uid], spec: { serviceName }, ...rest });
const plan = (workload: Partial<WorkloadView>, registrations: readonly RegistrationView[] = []) =>
  planForWorkload(aWorkload(workload), registrations, someDefaults);
const annotated = (annotations: Record<string, string>) => ({ annotations: { register: 'true', ...annotations } });

test('an annotated workload gets one of its name, with its selector, owned by it', () => {
  expect(plan(annotated({ ttl: '1m', 'when-not-ready': 'Remove' }))).toEqual({
    manifest: {
      apiVersion: 'rollcall.dev/v1alpha1',
      kind: 'ServiceRegistration',
      metadata: {
        namespace: 'trading',
        name: 'trading-service',
        labels: { 'app.kubernetes.io/managed-by': 'rollcall' },
        ownerReferences: [
          {
            apiVersion: 'apps/v1',
            kind: 'Deployment',
            name: 'trading-service',
            uid,
            controller: true,
            blockOwnerDeletion: false,
          },
        ],
      },
      spec: {
        serviceName: 'trading-service',
        selector: { matchLabels: { app: 'trading' } },
        ttlSeconds: 60,
        whenNotReady: 'Remove',
      },
    },
    remove: [],
    problems: [],
  });
});

describe('none', () => {
  const standing = ofWorkload('trading-service', 'trading-service');

  test.each<[string, Partial<WorkloadView>, readonly string[]]>([
    ['without the annotation', { annotations: {} }, []],
    ['register: "false"', { annotations: { register: 'false' } }, []],
    ['while it is being deleted', { deleting: true }, []],
    ['a name that is no service name', { ...annotated({}), name: '0' }, ['service-name']],
  ])('%s, and what stands goes', (_, workload, problems) => {
    const { manifest, remove, ...rest } = plan(workload, [standing]);
    expect(manifest).toBeUndefined();
    expect(remove).toEqual([standing]);
    expect(rest.problems.map(({ annotation }) => annotation)).toEqual(problems);
  });

  test('where a person registers the service; ours goes', () => {
    const person = aRegistration({ name: 'by-hand', serviceName: 'trading-service' });
    expect(plan({}, [standing, person])).toEqual({ remove: [standing], person, problems: [] });
  });

  test('not where that resource is invalid and ours is not: what is registered stays', () => {
    const person = aRegistration({ name: 'by-hand', serviceName: 'trading-service', problem: 'no good' });
    const kept = plan(annotated({}), [person, standing]);
    expect(kept).toMatchObject({ manifest: { metadata: { name: 'trading-service' } }, remove: [] });
    expect(kept).not.toHaveProperty('person');
    expect(plan(annotated({}), [person])).toMatchObject({ person, remove: [] });
  });

  test('but a person’s that is being deleted is in nobody’s way', () => {
    const person = aRegistration({ name: 'by-hand', serviceName: 'trading-service', deleting: true });
    expect(plan({}, [person]).manifest?.metadata.name).toBe('trading-service');
  });

  test('and what is wrong with other annotations is said all the same: a resource by hand may count on them', () => {
    const { problems } = plan({ annotations: { ttl: '1d' } });
    expect(problems.map(({ annotation }) => annotation)).toEqual(['ttl']);
  });

  test('an invalid register without a resource: none, and the problem', () => {
    expect(plan({ annotations: { register: 'yes' } })).not.toHaveProperty('manifest');
    expect(plan({ annotations: { register: 'yes' } })).toMatchObject({
      remove: [],
      problems: [{ annotation: 'register' }],
    });
  });
});

describe('what a workload of the same name left without an owner', () => {
  const selector = { matchLabels: { app: 'trading' } };
  const left = (name: string, rest: RegistrationOptions = {}) =>
    aRegistration({
      name,
      serviceName: 'trading-service',
      owned: true,
      spec: { serviceName: 'trading-service', selector },
      ...rest,
    });

  test.each(['trading-service', 'trading-service-0a1b2'])('is taken over: %s', (name) => {
    const { manifest, remove } = plan(annotated({}), [left(name)]);
    expect(manifest?.metadata).toMatchObject({ name, ownerReferences: [{ uid }] });
    expect(remove).toEqual([]);
    expect(manifest && isApplied(manifest, left(name))).toBe(false);
  });

  test('has the pods, so that a second one that was made beside it goes', () => {
    const second = ofWorkload('trading-service-12345', 'trading-service');
    const { manifest, remove } = plan(annotated({}), [left('trading-service'), second]);
    expect(manifest?.metadata.name).toBe('trading-service');
    expect(remove).toEqual([second]);
  });

  test('is nobody’s to delete, while nobody asks for it', () => {
    expect(plan({ annotations: {} }, [left('trading-service')]).remove).toEqual([]);
  });

  test('is not deleted while it is being left', () => {
    const standing = ofWorkload('trading-service', 'trading-service');
    expect(plan({ ...annotated({}), deleting: true }, [standing]).remove).toEqual([standing]);
    expect(plan({ ...annotated({}), deleting: true, orphans: true }, [standing])).toEqual({ remove: [], problems: [] });
  });

  test.each<[string, RegistrationView]>([
    ['of another name', left('trading-service-too')],
    ['for other pods', left('trading-service', { spec: { serviceName: 'trading-service', selector: {} } })],
    ['that has an owner', left('trading-service', { ownerUids: ['another'] })],
    ['of a person', left('trading-service', { owned: false, serviceName: 'other' })],
  ])('one %s is left alone', (_, other) => {
    const { manifest, remove } = plan(annotated({}), [other]);
    expect(remove).toEqual([]);
    expect(manifest?.metadata.name).not.toBe(other.name);
  });
});

describe('the last good state stays', () => {
  const standing = ofWorkload('trading-service', 'trading-service', {
    spec: { serviceName: 'trading-service', ttlSeconds: 60, port: 'http' },
  });

  test('when register turns invalid', () => {
    const { manifest, remove, problems } = plan({ annotations: { register: 'TRUE' } }, [standing]);
    expect(manifest?.metadata.name).toBe('trading-service');
    expect(remove).toEqual([]);
    expect(problems.map(({ annotation }) => annotation)).toEqual(['register']);
  });

  test('when the service name turns invalid', () => {
    const { manifest, problems } = plan({ ...annotated({ 'service-name': 'A*' }), name: 'renamed' }, [standing]);
    expect(manifest?.spec.serviceName).toBe('trading-service');
    expect(problems.map(({ annotation }) => annotation)).toEqual(['service-name']);
  });

  test('when one value turns invalid: its field, and no other', () => {
    const { manifest, problems } = plan(annotated({ ttl: '∞' }), [standing]);
    expect(manifest?.spec).toEqual({
      serviceName: 'trading-service',
      selector: { matchLabels: { app: 'trading' } },
      ttlSeconds: 60,
    });
    expect(problems.map(({ annotation }) => annotation)).toEqual(['ttl']);
  });
});

describe('the name', () => {
  const suffixed = 'trading-service-abcde';
  const person = aRegistration({ name: 'trading-service', serviceName: 'web' });
  const others = aRegistration({ name: 'trading-service', serviceName: 'web', owned: true, ownerUids: ['other'] });

  test.each<[string, readonly RegistrationView[], string | undefined, readonly string[]]>([
    ['is the workload’s', [], 'trading-service', []],
    ['has a suffix when a person’s resource for another service has it', [person], suffixed, []],
    ['has a suffix when another workload’s resource has it', [others], suffixed, []],
    ['stays once it is given', [ofWorkload(suffixed, 'trading-service')], suffixed, []],
    [
      'changes with the service, since a name in force never does',
      [ofWorkload('trading-service', 'old')],
      suffixed,
      ['trading-service'],
    ],
    ['changes back', [ofWorkload(suffixed, 'old')], 'trading-service', [suffixed]],
    ['waits while both are taken', [ofWorkload(suffixed, 'old'), person], undefined, [suffixed]],
  ])('%s', (_, registrations, name, removed) => {
    const { manifest, remove } = plan({}, registrations);
    expect(manifest?.metadata.name).toBe(name);
    expect(remove.map((registration) => registration.name)).toEqual(removed);
  });

  test('fits with its suffix', () => {
    const name = 'a'.repeat(253);
    const taken = aRegistration({ name, serviceName: 'web' });
    const { manifest } = plan({ ...annotated({ 'service-name': 'long' }), name }, [taken]);
    expect(manifest?.metadata.name).toBe(`${'a'.repeat(247)}-abcde`);
  });
});

describe('the spec', () => {
  test('is accepted by our own schema, and is then what is stored', () => {
    const workload = aWorkload({
      ...annotated({
        'service-name': 'web',
        version: 'v1',
        port: '8080',
        metadata: '{"a":"b"}',
        'refresh-interval': '5s',
        'instance-id': 'PodName',
      }),
      selector: { matchLabels: {}, matchExpressions: [{ key: 'tier', operator: 'Exists', values: [] }] },
    });
    const { manifest } = planForWorkload(workload, [], someDefaults);
    const stored = trimRegistration(
      { ...manifest, metadata: { ...manifest?.metadata, uid: 'u', generation: 1 } },
      someDefaults,
    );
    if (manifest === undefined || stored === undefined) throw new Error('no manifest');
    expect(stored.settings.kind).toBe('valid');
    expect(isApplied(manifest, stored)).toBe(true);
    expect(isApplied(manifest, undefined)).toBe(false);
    expect(isApplied(manifest, { ...stored, owned: false })).toBe(false);
    expect(isApplied(manifest, { ...stored, ownerUids: [] })).toBe(false);
    expect(isApplied(manifest, { ...stored, spec: { ...stored.spec, port: 9090 } })).toBe(false);
    // What somebody else added is not undone by applying, so it must not be tried for ever.
    const edited = { ...stored, spec: { ...stored.spec, suspend: true } };
    expect(isApplied(manifest, edited)).toBe(true);
  });
});

describe('annotated pods without an annotated workload', () => {
  const pod = (name: string, createdAtMs: number, rest = {}) =>
    aPod({
      name,
      uid: `uid-${name}`,
      createdAtMs,
      annotations: { register: 'true', 'service-name': 'web', ttl: '60', port: '80' },
      ...rest,
    });
  const controller = { apiVersion: 'example.com/v1', kind: 'Rollout', name: 'web', uid: 'rollout' };

  test('get one named after the service, without selector, owned by the pods', () => {
    const { manifest, remove } = planForPods('trading', 'web', [pod('b', NINE + 1), pod('a', NINE)], [], someDefaults);
    expect(manifest?.metadata).toMatchObject({ name: 'web', namespace: 'trading' });
    expect(manifest?.metadata.ownerReferences).toEqual([
      { apiVersion: 'v1', kind: 'Pod', name: 'a', uid: 'uid-a', controller: false, blockOwnerDeletion: false },
      { apiVersion: 'v1', kind: 'Pod', name: 'b', uid: 'uid-b', controller: false, blockOwnerDeletion: false },
    ]);
    expect(manifest?.spec).toEqual({ serviceName: 'web', ttlSeconds: 60 });
    expect(remove).toEqual([]);
  });

  test('or by their controllers, each once', () => {
    const pods = [pod('a', NINE, { controller }), pod('b', NINE, { controller })];
    const { manifest } = planForPods('trading', 'web', pods, [], someDefaults);
    expect(manifest?.metadata.ownerReferences).toMatchObject([{ kind: 'Rollout', uid: 'rollout' }]);
  });

  test('by at most 20 of them', () => {
    const pods = Array.from({ length: 100 }, (_, i) => pod(`p${i}`, NINE + i));
    const { manifest } = planForPods('trading', 'web', pods, [], someDefaults);
    expect(manifest?.metadata.ownerReferences).toHaveLength(20);
  });

  test('it goes with the last of them, and for a person’s', () => {
    const ours = aSelectorless({ name: 'web', owned: true, spec: { serviceName: 'web' } });
    const workloads = aRegistration({
      name: 'x',
      serviceName: 'web',
      owned: true,
      spec: { serviceName: 'web', selector: {} },
    });
    const person = aRegistration({ name: 'by-hand', serviceName: 'web' });
    expect(planForPods('trading', 'web', [], [ours, workloads], someDefaults)).toEqual({
      remove: [ours],
      problems: [],
    });
    expect(planForPods('trading', 'web', [pod('a', NINE, { deleting: true })], [ours], someDefaults).remove).toEqual([
      ours,
    ]);
    expect(planForPods('trading', 'web', [pod('a', NINE)], [ours, person], someDefaults)).toMatchObject({
      remove: [ours],
      person,
    });
  });

  test('a workload’s resource is not theirs, also while it is invalid', () => {
    const workloads = aRegistration({ name: 'x', serviceName: 'web', owned: true, problem: 'no good' });
    expect(planForPods('trading', 'web', [], [workloads], someDefaults)).toEqual({ remove: [], problems: [] });
  });

  test('it keeps its name, and takes another where its own is taken', () => {
    const ours = aSelectorless({ name: 'web-x', serviceName: 'web', owned: true, spec: { serviceName: 'web' } });
    expect(planForPods('trading', 'web', [pod('a', NINE)], [ours], someDefaults).manifest?.metadata.name).toBe('web-x');
    const taken = aRegistration({ name: 'web', serviceName: 'other' });
    const { manifest } = planForPods('trading', 'web', [pod('a', NINE)], [taken], someDefaults);
    expect(manifest?.metadata.name).toMatch(/^web-[0-9a-f]{5}$/);
  });
});
