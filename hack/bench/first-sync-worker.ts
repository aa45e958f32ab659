/**
 * The measured side of the first sync: the production transport, reflectors, trims and views in a process of their own,
 * with `--expose-gc` so that what is kept can be told from what is left over.
 */
import { systemClock, systemRandom } from '../../src/clock.ts';
import { connectApi } from '../../src/kubernetes/undici-transport.ts';
import { watchCluster } from '../../src/kubernetes/watch-cluster.ts';
import { waitFor } from '../control-plane/wait.ts';
import { answerQuestions, trusted } from '../control-plane/worker-process.ts';
import { type LoopLag, watchLoop } from './loop-lag.ts';

export type Sync = {
  readonly seconds: number;
  readonly lag: LoopLag;
  readonly cpuSeconds: number;
  /** Above the base, after garbage collection. */
  readonly heapBytes: number;
  readonly externalBytes: number;
  readonly rssMiB: number;
  /** One relist beside the watch. */
  readonly relist: { readonly cpuSeconds: number; readonly lag: LoopLag; readonly rssMiB: number };
};

/** Soon after the sync, and the next one long after the measurement. */
const RELIST_INTERVAL_MS = 20_000;

answerQuestions({ sync: (argument) => sync(trusted<{ kubeconfig: string; pods: number }>(argument)) });

async function sync({ kubeconfig, pods }: { kubeconfig: string; pods: number }): Promise<Sync> {
  const { signal } = new AbortController();
  const transport = await connectApi({ kubeconfig, clock: systemClock, version: 'bench' });
  // The first request loads and connects what a sync should not be charged with.
  await transport.request({ method: 'GET', path: '/api/v1/namespaces/kube-system', signal });
  const base = used();
  const cpu = process.cpuUsage();
  const stopWatching = watchLoop();
  const beginMs = performance.now();
  let relists = 0;
  const { views } = watchCluster({
    transport,
    clock: systemClock,
    random: systemRandom,
    log: { debug() {}, info() {}, warn: complain, error: complain },
    annotationPrefix: 'rollcall.dev',
    namespaces: [],
    excludeNamespaces: ['kube-system'],
    defaults: {
      ttlSeconds: 30,
      refreshIntervalSeconds: 10,
      instanceId: 'Generated',
      whenNotReady: 'MarkUnhealthy',
      notReadyGraceSeconds: 0,
      apiOutage: { mode: 'Probe', maxHoldSeconds: 300 },
      nodeLoss: 'NodeLease',
      onConflict: 'Yield',
      keyLayout: 'Dotted',
    },
    relistIntervalMs: RELIST_INTERVAL_MS,
    metrics: {
      count: (what, resource, many) => {
        if (what === 'relists' && resource === 'pods') relists += many;
      },
    },
    signal,
  });
  await waitFor('the first sync', () => views.pods.synced && views.pods.size === pods, {
    deadlineMs: 120_000,
    intervalMs: 10,
  });
  const seconds = (performance.now() - beginMs) / 1_000;
  const lag = stopWatching();
  const { user, system } = process.cpuUsage(cpu);
  const after = used();
  if (views.pods.size !== pods) throw new Error('the view lost pods');
  const relist = await measureRelist(() => relists > 0);
  if (views.pods.size !== pods) throw new Error('the view lost pods by a relist');
  return {
    seconds,
    lag,
    cpuSeconds: (user + system) / 1e6,
    heapBytes: after.heapUsed - base.heapUsed,
    externalBytes: after.external - base.external,
    rssMiB: after.rss / 2 ** 20,
    relist,
  };
}

/** Nothing else happens meanwhile. */
async function measureRelist(isDone: () => boolean): Promise<Sync['relist']> {
  const stopWatching = watchLoop();
  const before = process.cpuUsage();
  let rss = 0;
  await waitFor(
    'a relist',
    () => {
      rss = Math.max(rss, process.memoryUsage.rss());
      return isDone();
    },
    { deadlineMs: 240_000, intervalMs: 100 },
  );
  const { user, system } = process.cpuUsage(before);
  return { cpuSeconds: (user + system) / 1e6, lag: stopWatching(), rssMiB: rss / 2 ** 20 };
}

function used(): NodeJS.MemoryUsage {
  if (globalThis.gc === undefined) throw new Error('run with --expose-gc');
  globalThis.gc();
  globalThis.gc();
  return process.memoryUsage();
}

function complain(fields: object, message: string): void {
  process.stderr.write(`first sync: ${message} ${JSON.stringify(fields)}\n`);
}
