/**
 * The first list of a large cluster, and the slow relist beside the watch: how long it takes, for how long it keeps the event loop from heartbeats, and what
 * it leaves in memory. Three syncs, each in a fresh process; the medians count, but for the longest block: the worst.
 */

import { startWorker } from '../control-plane/worker-process.ts';
import type { Bench, Figure } from './bench.ts';
import type { Sync } from './first-sync-worker.ts';
import { median, round } from './statistics.ts';
import { startSyntheticApi } from './synthetic-api.ts';
import { syntheticPod } from './synthetic-pod.ts';

const PODS = 50_000;
const RUNS = 3;
/** Of the architecture's budget for 150,000 pods. */
const SECONDS_MAX = 25;
const BLOCK_P99_MS_MAX = 50;
const BLOCK_MS_MAX = 100;
const HEAP_BYTES_PER_POD_MAX = 1_000;

export async function measureFirstSync({ dir, say }: Bench) {
  await using api = await startSyntheticApi(dir, PODS);
  const runs: Sync[] = [];
  for (let run = 1; run <= RUNS; run += 1) {
    await using worker = await startWorker(new URL('./first-sync-worker.ts', import.meta.url), ['--expose-gc']);
    const one = await worker.ask<Sync>('sync', { kubeconfig: api.kubeconfig, pods: PODS });
    runs.push(one);
    const { seconds, lag, cpuSeconds, heapBytes, externalBytes, rssMiB, relist } = one;
    say(
      `run ${run}: ${seconds.toFixed(1)} s (${cpuSeconds.toFixed(1)} s CPU), block p99 ${round(lag.p99Ms)} ms, ` +
        `max ${round(lag.maxMs)} ms, heap ${Math.round(heapBytes / PODS)} B/pod, ` +
        `outside the heap ${Math.round(externalBytes / PODS)} B/pod, resident ${Math.round(rssMiB)} MiB; ` +
        `relist ${relist.cpuSeconds.toFixed(1)} s CPU, block p99 ${round(relist.lag.p99Ms)} ms, ` +
        `max ${round(relist.lag.maxMs)} ms, resident ${Math.round(relist.rssMiB)} MiB`,
    );
  }
  const firstSync = {
    pods: PODS,
    podBytes: Buffer.byteLength(syntheticPod(1, 1)),
    seconds: round(median(runs.map(({ seconds }) => seconds))),
    blockP99Ms: round(median(runs.map(({ lag }) => lag.p99Ms))),
    maxBlockMs: round(Math.max(...runs.map(({ lag }) => lag.maxMs))),
    heapBytesPerPod: Math.round(median(runs.map(({ heapBytes }) => heapBytes / PODS))),
    relistCpuSeconds: round(median(runs.map(({ relist }) => relist.cpuSeconds))),
    relistMaxBlockMs: round(Math.max(...runs.map(({ relist }) => relist.lag.maxMs))),
    externalBytesPerPod: Math.round(median(runs.map(({ externalBytes }) => externalBytes / PODS))),
  };
  const figures: Figure[] = [
    {
      name: `first sync of ${PODS.toLocaleString('en')} pods`,
      value: firstSync.seconds,
      unit: 's',
      atMost: SECONDS_MAX,
    },
    { name: 'event-loop block p99', value: firstSync.blockP99Ms, unit: 'ms', atMost: BLOCK_P99_MS_MAX },
    { name: 'event-loop block max', value: firstSync.maxBlockMs, unit: 'ms', atMost: BLOCK_MS_MAX },
    { name: 'event-loop block max in a relist', value: firstSync.relistMaxBlockMs, unit: 'ms', atMost: BLOCK_MS_MAX },
    { name: 'heap per pod', value: firstSync.heapBytesPerPod, unit: 'B', atMost: HEAP_BYTES_PER_POD_MAX },
  ];
  return { results: { firstSync }, figures };
}
