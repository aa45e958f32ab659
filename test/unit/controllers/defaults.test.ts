// The layers under a resource: which counts, what becomes of one that is wrong, and that a correct one is remembered.

import { beforeEach, describe, expect, test } from 'vitest';
import { LayeredDefaults } from '../../../src/controllers/defaults.ts';
import { View } from '../../../src/controllers/view.ts';
import { clusterKey, type NamespaceView } from '../../../src/domain/namespace.ts';
import { aPod, aWorkload, someDefaults } from '../../support/builders.ts';

let namespaces: View<NamespaceView>;
let layers: LayeredDefaults;

beforeEach(() => {
  namespaces = new View();
  layers = new LayeredDefaults(someDefaults, namespaces);
});

const say = (defaults: string | undefined, uid = 'n1') =>
  namespaces.put({
    key: clusterKey('trading'),
    namespace: '',
    name: 'trading',
    uid,
    labels: {},
    annotations: defaults === undefined ? {} : { defaults },
  });

describe('a namespace', () => {
  test('that says nothing leaves the installation its word, the very same object', () => {
    expect(layers.ofNamespace('trading')).toBe(someDefaults);
    say(undefined);
    expect(layers.ofNamespace('trading')).toBe(someDefaults);
  });

  test('lays its fields over it', () => {
    say('{"ttlSeconds":60}');
    expect(layers.ofNamespace('trading')).toEqual({ ...someDefaults, ttlSeconds: 60 });
    expect(layers.ofNamespace('other')).toBe(someDefaults);
    expect(layers.problemOf('trading')).toBeUndefined();
  });

  test('that is wrong keeps its last good word, until it is made anew', () => {
    say('{"ttlSeconds":60}');
    expect(layers.ofNamespace('trading').ttlSeconds).toBe(60);
    say('{"ttlSeconds":');
    expect(layers.ofNamespace('trading').ttlSeconds).toBe(60);
    say('{"ttlSeconds":0}');
    expect(layers.ofNamespace('trading').ttlSeconds).toBe(60);
    expect(layers.problemOf('trading')).toContain('ttlSeconds');
    say('{"ttlSeconds":0}', 'n2');
    expect(layers.ofNamespace('trading').ttlSeconds).toBe(30);
  });

  test('that no longer says anything is forgotten', () => {
    say('{"ttlSeconds":60}');
    layers.ofNamespace('trading');
    say(undefined);
    expect(layers.ofNamespace('trading')).toBe(someDefaults);
    say('nonsense');
    expect(layers.ofNamespace('trading').ttlSeconds).toBe(30);
  });
});

describe('a workload', () => {
  const workload = (annotations: Record<string, string>, uid = 'w1') => aWorkload({ annotations, uid });

  test('lays its annotations over its namespace, and follows it', () => {
    const annotated = workload({ 'when-not-ready': 'Remove' });
    say('{"ttlSeconds":60}');
    expect(layers.ofWorkload(annotated)).toEqual({ ...someDefaults, ttlSeconds: 60, whenNotReady: 'Remove' });
    say('{"ttlSeconds":90}');
    expect(layers.ofWorkload(annotated)).toMatchObject({ ttlSeconds: 90 });
  });

  test.each<[string, Record<string, string>]>([
    ['without annotations', {}],
    ['that is only registered and named', { register: 'true', 'service-name': 'web' }],
  ])('%s adds nothing', (_, annotations) => {
    expect(layers.ofWorkload(workload(annotations))).toBeUndefined();
  });

  test('keeps its last good word, and no other incarnation does', () => {
    expect(layers.ofWorkload(workload({ ttl: '60' }))).toMatchObject({ ttlSeconds: 60 });
    expect(layers.ofWorkload(workload({ ttl: '∞', port: 'http' }))).toMatchObject({ ttlSeconds: 60, port: 'http' });
    expect(layers.ofWorkload(workload({ ttl: '-1' }))).toMatchObject({ ttlSeconds: 60 });
    expect(layers.ofWorkload(workload({ ttl: '-1' }, 'w2'))).toMatchObject({ ttlSeconds: 30 });
  });

  test('that is gone is forgotten', () => {
    layers.ofWorkload(workload({ ttl: '60' }));
    layers.forget(workload({ ttl: '60' }));
    expect(layers.ofWorkload(workload({ ttl: '-1' }))).toMatchObject({ ttlSeconds: 30 });
  });
});

test('a pod of no workload speaks for itself, but for what is its own word anyway, and what is wrong is told', () => {
  const annotations = { ttl: '60', 'when-not-ready': 'delete', port: 'http' };
  const layer = layers.ofPod(aPod({ annotations }));
  expect(layer?.defaults).toEqual({ ...someDefaults, ttlSeconds: 60 });
  expect(layer?.problems.map(({ annotation }) => annotation)).toEqual(['when-not-ready']);
  expect(layers.ofPod(aPod({ annotations: { register: 'true', version: '2.0.0', port: 'http' } }))).toBeUndefined();
  const wrong = layers.ofPod(aPod({ annotations: { ttl: '1.5s' } }), { ttlSeconds: 60, whenNotReady: 'Remove' });
  expect(wrong).toMatchObject({
    stated: { ttlSeconds: 60 },
    defaults: { ttlSeconds: 60 },
    problems: [{ value: '1.5s' }],
  });
  expect(wrong?.stated).not.toHaveProperty('whenNotReady');
});
