// What a command makes of an API server that does not answer at once. That views come out of lists as they do out of
// watches is `api.contract.ts`'s, with what may not be listed.

import { expect, test } from 'vitest';
import { systemClock } from '../../../src/clock.ts';
import { ApiError } from '../../../src/kubernetes/api-transport.ts';
import { listCluster } from '../../../src/kubernetes/list-cluster.ts';
import { someDefaults } from '../../support/builders.ts';

const QUIET = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };

/** Refuses the list of pods so many times, and has one pod then. */
const listed = async (refusals: number, retryAfter: string) => {
  let asked = 0;
  const slept: number[] = [];
  const pod = { metadata: { namespace: 'trading', name: 'trading-1', uid: 'u-1' } };
  const { views } = await listCluster({
    transport: {
      request: async ({ path }: { readonly path: string }) => {
        const isPods = path.endsWith('/pods');
        if (isPods && asked++ < refusals) {
          const body = { message: 'storage is (re)initializing' };
          return { status: 429, headers: { 'retry-after': retryAfter }, body, bodyBytes: 30 };
        }
        const body = { metadata: { resourceVersion: '1' }, items: isPods ? [pod] : [] };
        return { status: 200, headers: {}, body, bodyBytes: 100 };
      },
      stream: () => Promise.reject(new ApiError('transient', 'nothing is watched')),
    },
    clock: { ...systemClock, sleep: async (ms) => void slept.push(ms) },
    log: QUIET,
    annotationPrefix: 'rollcall.dev',
    namespaces: [],
    excludeNamespaces: [],
    defaults: someDefaults,
    signal: new AbortController().signal,
  });
  return { slept, pods: [...views.pods.values()].map(({ name }) => name) };
};

test('a server that says when to ask again is asked again then, a few times', async () => {
  expect(await listed(2, '1')).toEqual({ slept: [1_000, 1_000], pods: ['trading-1'] });
  expect(await listed(1, '60')).toEqual({ slept: [3_000], pods: ['trading-1'] });
  await expect(listed(4, '1')).rejects.toThrow(/storage is/);
});
