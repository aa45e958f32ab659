/**
 * From a pod's Ready event to its key, both as an independent observer receives them, with a thousand pods registered
 * and refreshed meanwhile: pods that become Ready one by one, on each kind of storage, and five hundred at once.
 */
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ControlPlane } from '../control-plane/control-plane.ts';
import { startNats, startNatsCluster } from '../control-plane/nats.ts';
import { waitFor } from '../control-plane/wait.ts';
import { startWorker, type WorkerProcess } from '../control-plane/worker-process.ts';
import type { Bench, Figure } from './bench.ts';
import type { Expectation, Seen, Watching } from './observer-worker.ts';
import { startOperator } from './operator-process.ts';
import { createPods, type Pod, setAllReady, setReady, startCluster } from './pods.ts';
import { median, percentile, round } from './statistics.ts';

const STANDING = 1_000;
const SINGLES = 250;
const BURST = 500;
/** Of 250 pods the third slowest is the p99, and whatever else the machine does is in it: the median of so many. */
const RUNS = 3;
const BUCKET = 'bench';
/**
 * Before each run. An operator that has just started compiles, probes each pod once and writes every status; after a run it
 * still tells of the pods that were taken back.
 */
const SETTLE_MS = 15_000;
/** Between two pods that become Ready: random, so that no rhythm of the writer can meet it. */
const PAUSE_MS = { least: 20, most: 80 };
/** An atomic batch alone takes about 8 ms on one server with file storage, below 1 ms on the others. */
const FILE_P99_MS_MAX = 30;
const OTHER_P99_MS_MAX = 12;
const BURST_P99_MS_MAX = 250;

type Latency = { readonly p50Ms: number; readonly p99Ms: number };
type Stage = { readonly cluster: ControlPlane; readonly singles: readonly Pod[]; readonly burst: readonly Pod[] };
type Place = { readonly name: string; readonly urls: readonly string[]; readonly args: readonly string[] };

export async function measureReadyToVisible({ dir, say }: Bench) {
  await using cluster = await startCluster(join(dir, 'cluster'));
  const api = cluster.api();
  const standing = await createPods(api, 'standing', STANDING);
  const singles = await createPods(api, 'single', SINGLES);
  const burst = await createPods(api, 'burst', BURST);
  await setAllReady(api, standing, true);
  say(`${STANDING.toLocaleString('en')} pods Ready, ${SINGLES + BURST} more to become so`);
  const stage: Stage = { cluster, singles, burst };

  const { file, burst500 } = await onFile(join(dir, 'file'), stage, say);
  const memory = await onMemory(join(dir, 'memory'), stage, say);
  const threeServers = await onThreeServers(join(dir, 'three'), stage, say);
  const figures: Figure[] = [
    ...figuresOf('one server, file', file, FILE_P99_MS_MAX),
    ...figuresOf('one server, memory', memory, OTHER_P99_MS_MAX),
    ...figuresOf('three servers, file', threeServers, OTHER_P99_MS_MAX),
    ...figuresOf(`burst of ${BURST}`, burst500, BURST_P99_MS_MAX),
  ];
  return { results: { readyToVisible: { file, memory, threeServers, burst500 } }, figures };
}

async function onFile(dir: string, stage: Stage, say: Bench['say']) {
  await using nats = await startNats({ dir });
  return await observed(dir, stage, { name: 'one server, file', urls: [nats.url], args: [] }, async (observer) => {
    const file = await medianRun(() => oneByOne(observer, stage, say));
    const burst500 = await medianRun(() => atOnce(observer, stage, say));
    return { file, burst500 };
  });
}

async function medianRun(measure: () => Promise<Latency>): Promise<Latency> {
  const runs: Latency[] = [];
  for (let run = 0; run < RUNS; run += 1) {
    await sleep(SETTLE_MS);
    runs.push(await measure());
  }
  return { p50Ms: median(runs.map(({ p50Ms }) => p50Ms)), p99Ms: median(runs.map(({ p99Ms }) => p99Ms)) };
}

async function onMemory(dir: string, stage: Stage, say: Bench['say']): Promise<Latency> {
  await using nats = await startNats({ dir });
  const place = { name: 'one server, memory', urls: [nats.url], args: ['--bucket-storage=Memory'] };
  return await observed(dir, stage, place, (observer) => medianRun(() => oneByOne(observer, stage, say)));
}

async function onThreeServers(dir: string, stage: Stage, say: Bench['say']): Promise<Latency> {
  await using nats = await startNatsCluster({ dir });
  const place = { name: 'three servers, file', urls: nats.urls, args: ['--bucket-replicas=3'] };
  return await observed(dir, stage, place, (observer) => medianRun(() => oneByOne(observer, stage, say)));
}

/** With the operator at work and every standing pod registered. */
async function observed<T>(
  dir: string,
  { cluster }: Stage,
  { urls, args }: Place,
  work: (observer: WorkerProcess) => Promise<T>,
): Promise<T> {
  const options = { dir, kubeconfig: cluster.kubeconfig, natsUrls: urls, args: [`--bucket=${BUCKET}`, ...args] };
  await using operator = await startOperator(options);
  await waitFor(
    'the operator to lead',
    async () => (await operator.metric('rollcall_writes_total{reason="Registered"}')) === STANDING,
    {
      deadlineMs: 30_000,
    },
  );
  await using observer = await startWorker(new URL('./observer-worker.ts', import.meta.url));
  const watching: Watching = {
    apiUrl: cluster.url,
    caFile: cluster.caFile,
    token: cluster.adminToken,
    natsUrl: urls[0] ?? '',
    bucket: BUCKET,
  };
  await observer.ask('watch', watching);
  await keysStand(observer, STANDING);
  return await work(observer);
}

async function oneByOne(observer: WorkerProcess, { cluster, singles }: Stage, say: Bench['say']): Promise<Latency> {
  const api = cluster.api();
  await observer.ask('forget');
  const seeing = observer.ask<Seen>('expect', { pods: singles.map(nameOf), deadlineMs: 120_000 } satisfies Expectation);
  const patches: Promise<void>[] = [];
  for (const pod of singles) {
    patches.push(setReady(api, pod, true));
    await sleep(PAUSE_MS.least + Math.random() * (PAUSE_MS.most - PAUSE_MS.least));
  }
  await Promise.all(patches);
  const latency = latencyOf(await seeing, `${singles.length} pods one by one`, say);
  await takeBack(observer, api, singles);
  return latency;
}

async function atOnce(observer: WorkerProcess, { cluster, burst }: Stage, say: Bench['say']): Promise<Latency> {
  const api = cluster.api();
  await observer.ask('forget');
  const seeing = observer.ask<Seen>('expect', { pods: burst.map(nameOf), deadlineMs: 60_000 } satisfies Expectation);
  await setAllReady(api, burst, true);
  const latency = latencyOf(await seeing, `${burst.length} pods at once`, say);
  await takeBack(observer, api, burst);
  return latency;
}

/** Not Ready again, and not ACTIVE any more, so that the next time is like this one. */
async function takeBack(
  observer: WorkerProcess,
  api: ReturnType<ControlPlane['api']>,
  pods: readonly Pod[],
): Promise<void> {
  await setAllReady(api, pods, false);
  await keysStand(observer, STANDING);
}

async function keysStand(observer: WorkerProcess, count: number): Promise<void> {
  await waitFor(`${count} ACTIVE keys`, async () => (await observer.ask<number>('activeKeys')) === count, {
    deadlineMs: 30_000,
  });
}

function latencyOf({ latenciesMs, eventsTookMs, lag }: Seen, what: string, say: Bench['say']): Latency {
  const [p50Ms, p99Ms, maxMs] = [0.5, 0.99, 1].map((share) => round(percentile(latenciesMs, share)));
  if (p50Ms === undefined || p99Ms === undefined) throw new Error('no latencies');
  say(
    `${what} within ${Math.round(eventsTookMs)} ms: p50 ${p50Ms} ms, p99 ${p99Ms} ms, max ${maxMs} ms ` +
      `(the observer's own loop: p99 ${round(lag.p99Ms)} ms, max ${round(lag.maxMs)} ms)`,
  );
  return { p50Ms, p99Ms };
}

const nameOf = ({ namespace, name }: Pod): string => `${namespace}/${name}`;

function figuresOf(name: string, { p50Ms, p99Ms }: Latency, atMost: number): Figure[] {
  return [
    { name: `Ready to visible, ${name}: p50`, value: p50Ms, unit: 'ms' },
    { name: `Ready to visible, ${name}: p99`, value: p99Ms, unit: 'ms', atMost },
  ];
}
