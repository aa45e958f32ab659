// The small pure parts: backoff, order of versions, paths, merge patches, rights, kinds of errors.

import { describe, expect, test } from 'vitest';
import { ApiError } from '../../../src/kubernetes/api-transport.ts';
import { Backoff } from '../../../src/kubernetes/backoff.ts';
import { withRemovals } from '../../../src/kubernetes/cluster-writer.ts';
import { compareResourceVersions, reaches } from '../../../src/kubernetes/resource-version.ts';
import { collectionPath, excludeNamespaces, objectPath, resources } from '../../../src/kubernetes/resources.ts';
import { describeRight, missingRights, readingRights } from '../../../src/kubernetes/rights.ts';

describe('backoff', () => {
  test('doubles from 0.8 to 5 s with full jitter', () => {
    const backoff = new Backoff(() => 0.5);
    expect(Array.from({ length: 6 }, () => backoff.next(0))).toEqual([400, 800, 1_600, 2_500, 2_500, 2_500]);
  });

  test('jitter of nothing still waits a little', () => {
    expect(new Backoff(() => 0).next(0)).toBe(50);
  });

  test('two minutes without failure and it begins anew', () => {
    const backoff = new Backoff(() => 0.5);
    for (let i = 0; i < 2; i++) backoff.next(0);
    expect(backoff.next(119_999)).toBe(1_600);
    expect(backoff.next(119_999 + 120_000)).toBe(400);
  });

  test('Retry-After is a lower bound, with jitter on top', () => {
    const backoff = new Backoff(() => 0.5);
    expect(backoff.next(0, { retryAfterMs: 7_000 })).toBe(7_400);
    for (let i = 0; i < 9; i++) backoff.next(0);
    expect(backoff.next(0, { retryAfterMs: 7_000 })).toBe(8_000);
  });

  test('a cap', () => {
    const backoff = new Backoff(() => 0.99);
    for (let i = 0; i < 9; i++) backoff.next(0);
    expect(backoff.next(0, { capMs: 4_000 })).toBe(3_960);
  });
});

describe('versions', () => {
  test.each([
    ['1', '2', -1],
    ['2', '10', -1],
    ['10', '10', 0],
    ['99999999999999999999', '99999999999999999998', 1],
    ['abc', '1', undefined],
    ['01', '1', undefined],
    ['', '1', undefined],
  ])('%s and %s', (a, b, expected) => {
    const order = compareResourceVersions(a, b);
    expect(order === undefined ? undefined : Math.sign(order)).toBe(expected);
  });

  test('what cannot be compared reaches only itself', () => {
    expect([reaches('abc', 'abc'), reaches('abc', 'abd'), reaches('', '1'), reaches('10', '9')]).toEqual([
      true,
      false,
      false,
      true,
    ]);
  });
});

test('paths', () => {
  expect(collectionPath(resources.Pod)).toBe('/api/v1/pods');
  expect(collectionPath(resources.Pod, 'one')).toBe('/api/v1/namespaces/one/pods');
  expect(collectionPath(resources.Node, 'one')).toBe('/api/v1/nodes');
  expect(objectPath(resources.ServiceRegistration, 'one', 'a/b')).toBe(
    '/apis/rollcall.dev/v1alpha1/namespaces/one/serviceregistrations/a%2Fb',
  );
  expect(excludeNamespaces([])).toBeUndefined();
  expect(excludeNamespaces(['a', 'b'])).toBe('metadata.namespace!=a,metadata.namespace!=b');
});

test.each([
  ['nothing stored', undefined, { a: 1, b: { c: 2 } }, { a: 1, b: { c: 2 } }],
  [
    'what vanished becomes null, at every depth',
    { a: 1, b: { c: 2, d: 3 } },
    { b: { c: 2 } },
    { a: null, b: { c: 2, d: null } },
  ],
  ['lists are replaced whole', { a: [1, 2], b: { c: [3] } }, { a: [1], b: { c: [] } }, { a: [1], b: { c: [] } }],
  ['a map in the place of a list', { a: [1] }, { a: { b: 1 } }, { a: { b: 1 } }],
  ['a list in the place of a map', { a: { b: 1 } }, { a: [1] }, { a: [1] }],
])('a merge patch: %s', (_, stored, wanted, patch) => {
  expect(withRemovals(stored, wanted)).toEqual(patch);
});

test('rights, asked and told', async () => {
  const rights = readingRights([resources.Pod], ['one', 'two']);
  const cluster = {
    canI: async ({ verb, namespace }: (typeof rights)[number]) => verb === 'list' || namespace === 'one',
  };
  const missing = await missingRights(cluster, rights, new AbortController().signal);
  expect(missing.map(describeRight)).toEqual(['watch pods in two']);
  expect(describeRight({ verb: 'patch', group: 'rollcall.dev', resource: 'serviceregistrations/status' })).toBe(
    'patch serviceregistrations/status.rollcall.dev',
  );
});

describe('errors', () => {
  test.each([
    [400, 'invalid'],
    [401, 'denied'],
    [403, 'denied'],
    [404, 'notFound'],
    [408, 'transient'],
    [409, 'conflict'],
    [410, 'gone'],
    [415, 'invalid'],
    [422, 'invalid'],
    [429, 'tooMany'],
    [500, 'transient'],
    [503, 'transient'],
    [302, 'transient'],
  ])('%d is %s', (status, kind) => {
    expect(ApiError.fromStatus(status, {}, {}).kind).toBe(kind);
  });

  test.each([
    ['the header', { 'retry-after': '7' }, {}, 7_000],
    ['the body', {}, { details: { retryAfterSeconds: 3 } }, 3_000],
    ['neither', {}, {}, undefined],
    ['nonsense', { 'retry-after': 'soon' }, {}, undefined],
    ['negative', { 'retry-after': '-1' }, {}, undefined],
    ['far too long', { 'retry-after': '86400' }, {}, 120_000],
  ])('Retry-After: %s', (_, headers, body, expected) => {
    expect(ApiError.fromStatus(429, headers, body).retryAfterMs).toBe(expected);
  });

  test('a body of text is cut, whatever it is', () => {
    expect(ApiError.fromStatus(502, {}, `<html>${'x'.repeat(9_999)}`).message.length).toBeLessThan(600);
    expect(ApiError.fromStatus(500, {}, undefined).message).toBe('500: ');
    expect(ApiError.fromStatus(500, {}, { message: { deep: 1 } }).message).toBe('500: ');
  });
});
