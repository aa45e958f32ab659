// Which objects get into the views: of all namespaces but some, or of some and no others.

import { afterEach, expect, test } from 'vitest';
import { watchCluster } from '../../../src/kubernetes/watch-cluster.ts';
import { someDefaults } from '../../support/builders.ts';
import { FakeApi } from '../../support/fake-api.ts';
import { FakeClock } from '../../support/fake-clock.ts';

const quiet = () => undefined;
const stops: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const stop of stops.splice(0)) await stop();
});

const watched = async (namespaces: readonly string[], excludeNamespaces: readonly string[]) => {
  const clock = new FakeClock();
  const api = new FakeApi(clock);
  for (const namespace of ['one', 'two', 'kube-system']) {
    api.put('Namespace', { metadata: { name: namespace } });
    api.put('Pod', { metadata: { name: 'early', namespace } });
  }
  const stop = new AbortController();
  const { views, watching } = watchCluster({
    transport: api.connect(),
    clock,
    random: () => 0.5,
    log: { debug: quiet, info: quiet, warn: quiet, error: quiet },
    annotationPrefix: 'rollcall.dev',
    namespaces,
    excludeNamespaces,
    defaults: someDefaults,
    relistIntervalMs: 600_000,
    signal: stop.signal,
  });
  stops.push(async () => {
    stop.abort();
    await clock.advance(1_000);
    await watching;
  });
  await clock.advance(1_000);
  for (const namespace of ['one', 'two', 'kube-system']) api.put('Pod', { metadata: { name: 'late', namespace } });
  await clock.advance(1_000);
  return { views, requests: [...api.requests.keys()] };
};

const keys = (values: Iterable<{ readonly key: string }>) => Array.from(values, ({ key }) => key).toSorted();

test('all namespaces but the excluded ones', async () => {
  const { views } = await watched([], ['kube-system']);
  expect(keys(views.pods.values())).toEqual(['one/early', 'one/late', 'two/early', 'two/late']);
  expect(keys(views.namespaces.values())).toContain('/one');
});

test('one namespace and no other: nothing is asked of the cluster, and what is of the cluster is nothing', async () => {
  const { views, requests } = await watched(['two'], []);
  expect(keys(views.pods.values())).toEqual(['two/early', 'two/late']);
  expect(views.pods.synced).toBe(true);
  expect(views.namespaces.size).toBe(0);
  expect(views.namespaces.synced).toBe(true);
  expect(requests.filter((request) => request.includes('namespaces'))).toEqual([]);
});

test('two namespaces, each by itself', async () => {
  const { views } = await watched(['one', 'two'], []);
  expect(keys(views.pods.values())).toEqual(['one/early', 'one/late', 'two/early', 'two/late']);
});
