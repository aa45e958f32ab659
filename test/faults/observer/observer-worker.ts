// The observer of a campaign, in a process of its own: it makes the pods, so it knows the truth; it reads the raw stream
// with a consumer of its own; and it judges. It shares no code with the operator. The campaign asks, this answers.

import { jetstreamManager } from '@nats-io/jetstream';
import { ApiClient } from '../../../hack/control-plane/api-client.ts';
import { waitFor } from '../../../hack/control-plane/wait.ts';
import { answerQuestions, trusted } from '../../../hack/control-plane/worker-process.ts';
import { type Sighting, StreamObserver } from '../../support/stream-observer.ts';
import { lapseDelays, roleOf } from '../../support/stream-verdicts.ts';
import type { Fault, Judgement, Sample, Taken, Timeline } from '../evidence.ts';
import { nowMs, pause } from '../monotonic.ts';
import { clusterQuestions } from './cluster-questions.ts';
import { judge, termsOf } from './judge.ts';
import { Listeners } from './listeners.ts';
import { type KnownPod, PodTruth, stateOf } from './pod-truth.ts';
import { type ApiAccess, PodWatch } from './pod-watch.ts';
import { Population } from './population.ts';
import { Rival } from './rival.ts';
import { changedSettings, convergence, settingsOf } from './settled.ts';
import { StatusWatch } from './status-watch.ts';

export type Observing = {
  readonly api: ApiAccess;
  readonly natsUrls: readonly string[];
  readonly bucket: string;
  /** Every pod has an address of this machine and listens there. */
  readonly listening?: boolean;
};
export type Making = { readonly pods: number; readonly foreignKeys: number; readonly ttlSeconds?: number };
export type Judging = {
  readonly fromMs: number;
  readonly toMs: number;
  readonly faults: readonly Fault[];
  /** Where the case promises less than I2 and I4 do. */
  readonly visibleP99Ms?: number | undefined;
};
/** `active`: of each sticky group the one that is ACTIVE; a number: so many, here and there. */
export type Dooming = { readonly which: number | 'active'; readonly how: 'delete' | 'unready' | 'relabel' };
export type Purging = { readonly filter: string | undefined; readonly deadlineMs: number };
export type Since = { readonly sinceMs: number; readonly deadlineMs: number };

const SAMPLE_EVERY_MS = 1_000;

type World = {
  readonly api: ApiClient;
  readonly truth: PodTruth;
  readonly watch: PodWatch;
  readonly status: StatusWatch;
  readonly population: Population;
  readonly stream: StreamObserver;
  readonly rival: Rival;
  readonly samples: Sample[];
  /** Of the stream, as the operators made it. */
  settings: string;
};
let world: World | undefined;

const here = (): World => {
  if (world === undefined) throw new Error('nothing is observed yet');
  return world;
};

answerQuestions({
  open: (argument) => open(trusted<Observing>(argument)),
  make: (argument) => make(trusted<Making>(argument)),
  churn: (argument) => here().population.churn(trusted<boolean>(argument)),
  holder: () => here().stream.holderPid,
  taken: (argument) => taken(trusted<Since & { readonly notPid: number }>(argument)),
  written: (argument) => written(trusted<Since>(argument)),
  standing: () => standing().length,
  doom: (argument) => doom(trusted<Dooming>(argument)),
  ended: (argument) => ended(trusted<Since & { readonly uids: readonly string[]; readonly gone: boolean }>(argument)),
  loseNode: (argument) => loseNode(trusted<string>(argument)),
  bringNodeBack: (argument) => bringNodeBack(trusted<string>(argument)),
  replenish: (argument) => replenish(trusted<number>(argument)),
  purge: (argument) => purge(trusted<Purging>(argument)),
  expire: (argument) => expire(trusted<{ readonly deadlineMs: number }>(argument)),
  overwrite: (argument) => overwrite(trusted<readonly string[]>(argument)),
  killAll: (argument) => killAll(trusted<readonly string[]>(argument)),
  untouched: (argument) => here().rival.untouched(trusted<readonly string[]>(argument)),
  fill: () => here().rival.fill(),
  free: () => here().rival.free(),
  whole: (argument) => whole(trusted<Since>(argument)),
  lockGap: (argument) => lockGap(trusted<{ readonly sinceMs: number }>(argument)),
  lapseDelays: (argument) =>
    lapseDelays(
      here().stream,
      here().stream.messages.findIndex((one) => atMs(one) >= trusted<number>(argument)),
    ),
  streamLeader: () => streamLeader(),
  settle: (argument) => settle(trusted<{ readonly lastFaultMs: number }>(argument)),
  judge: (argument) => judgeSpan(trusted<Judging>(argument)),
  forget: (argument) => forget(trusted<number>(argument)),
  ...clusterQuestions(() => ({ ...here(), isForeign: (key) => here().rival.foreign.has(key) })),
  timeline: (argument) => timeline(trusted<{ readonly fromMs: number; readonly toMs: number }>(argument)),
});

async function open({ api: access, natsUrls, bucket, listening }: Observing): Promise<void> {
  const api = new ApiClient(access);
  const truth = new PodTruth();
  const watch = new PodWatch(access, {
    shown: (pod, atMs) => truth.shown(pod, atMs),
    disappeared: (uid, atMs) => truth.disappeared(uid, atMs),
    listed: (uids, atMs) => {
      for (const { uid, gone, steps } of truth.pods.values()) {
        // Made after the list was: a later one will show it.
        const isNew = atMs - (steps[0]?.atMs ?? atMs) < 5_000;
        if (!gone && !isNew && !uids.has(uid)) truth.disappeared(uid, atMs);
      }
    },
  });
  const stream = await StreamObserver.open(natsUrls, bucket);
  const population = new Population(api, truth, listening === true ? new Listeners() : undefined);
  const status = new StatusWatch(access);
  world = { api, truth, watch, status, population, stream, rival: new Rival(stream), samples: [], settings: '' };
  setInterval(() => here().samples.push(sample()), SAMPLE_EVERY_MS).unref();
}

async function make({ pods, foreignKeys, ttlSeconds }: Making): Promise<void> {
  const { population, rival, stream } = here();
  here().settings = await settingsOf(stream);
  await rival.plant(foreignKeys);
  await population.make(pods, ttlSeconds);
  await population.untilReady(120_000);
  await waitFor('a key for every pod', () => standing().length >= population.living().length, { deadlineMs: 60_000 });
}

/** Live keys that say a Ready pod is up. */
function standing(): readonly Sighting[] {
  const { stream, truth } = here();
  return [...stream.live.values()].filter(({ podUid, value }) => {
    const pod = truth.pods.get(podUid);
    return pod?.steps.at(-1)?.state === 'ready' && (value?.status === 'ACTIVE' || value?.status === 'STANDBY');
  });
}

/** What two readings of a message's time may differ by: one of the clocks shows whole milliseconds. */
const CLOCKS_MS = 2;

/** Between the wall clock of the servers of this machine and the campaign's clock. */
const atMs = (sighting: Sighting): number => sighting.storedAtMs + nowMs() - Date.now();

/** The term of another process since then, and when it began, by its earliest message that was seen. */
async function taken({ sinceMs, deadlineMs, notPid }: Since & { readonly notPid: number }): Promise<Taken> {
  const { stream } = here();
  let next = 0;
  return waitFor(
    `another than process ${notPid} to lead`,
    () => {
      for (; next < stream.messages.length; next += 1) {
        const sighting = stream.messages[next];
        if (sighting === undefined || !sighting.subject.endsWith('.lock') || sighting.operation !== 'PUT') continue;
        const pid = Number(/-(\d+)-[0-9a-f]{8}$/.exec(sighting.headers['Rollcall-Holder'] ?? '')?.[1]);
        const at = atMs(sighting);
        if (at < sinceMs || pid === notPid) continue;
        const { 'Rollcall-Term': term } = sighting.headers;
        // A lock that was renewed before it came here is not seen; the keys of the same term are.
        const begun = stream.messages.find((one) => one.headers['Rollcall-Term'] === term && atMs(one) >= sinceMs);
        return { atMs: begun === undefined ? at : atMs(begun), term: Number(term), pid };
      }
      return undefined;
    },
    { deadlineMs, intervalMs: 20 },
  );
}

/** When the last of the keys of all pods that are Ready since then was written for the first time since then. */
async function written({ sinceMs, deadlineMs }: Since): Promise<number> {
  const { stream, population } = here();
  const first = new Map<string, number>();
  let next = 0;
  const concerned = () => population.living().filter(({ steps }) => (steps.at(-1)?.atMs ?? 0) <= sinceMs);
  await waitFor(
    'a write of every key',
    () => {
      for (; next < stream.messages.length; next += 1) {
        const sighting = stream.messages[next];
        if (sighting?.value === undefined || sighting.value.status === 'UNHEALTHY') continue;
        const at = atMs(sighting);
        if (at >= sinceMs - CLOCKS_MS && !first.has(sighting.podUid)) first.set(sighting.podUid, at);
      }
      return concerned().every(({ uid }) => first.has(uid));
    },
    { deadlineMs },
  );
  return Math.max(sinceMs, ...concerned().map(({ uid }) => first.get(uid) ?? sinceMs));
}

async function doom({ which, how }: Dooming): Promise<readonly string[]> {
  const { population } = here();
  const pods = which === 'active' ? activeMembers() : hereAndThere(population.living(), which);
  if (how === 'delete') await population.kill(pods);
  else if (how === 'unready') await population.setReady(pods, false);
  else await population.relabel(pods);
  return pods.map(({ uid }) => uid);
}

function loseNode(node: string): readonly string[] {
  const { population, truth } = here();
  const lost = population.living().filter((pod) => pod.node === node);
  // Also those that come or go just now: what their kubelet did last may be shown yet.
  const all = [...truth.pods.values()].filter((pod) => pod.node === node && !pod.gone);
  for (const pod of all) truth.askedToGo(pod, nowMs());
  return lost.map(({ uid }) => uid);
}

const KWOK_SETTLES_MS = 2_000;

/** What kwok is told while it starts it may miss, where a kubelet would look at its pods: so it is told of each once more. */
async function bringNodeBack(node: string): Promise<void> {
  const { population, truth } = here();
  const pods = [...truth.pods.values()].filter((pod) => pod.node === node && !pod.gone);
  for (const pod of pods) truth.askedBack(pod, nowMs());
  await pause(KWOK_SETTLES_MS);
  await population.touch(pods);
}

function activeMembers(): readonly KnownPod[] {
  const { stream, population } = here();
  const active = new Set([...stream.live.values()].filter((sighting) => roleOf(sighting)).map(({ podUid }) => podUid));
  return population.living().filter(({ uid }) => active.has(uid));
}

const hereAndThere = <T>(all: readonly T[], count: number): readonly T[] => {
  const stride = all.length / count;
  return stride <= 1
    ? all
    : Array.from({ length: count }, (_, index) => all[Math.trunc(index * stride)]).flatMap((one) => one ?? []);
};

/** Ready again, or in the place of those that are gone: as many as there were. */
async function replenish(pods: number): Promise<void> {
  const { population, truth } = here();
  const unready = [...truth.pods.values()].filter((pod) => !pod.gone && stateOf(pod) === 'dead');
  await population.kill(unready);
  await population.add(Math.max(0, pods - population.living().length));
  await population.untilReady(120_000);
  await waitFor('a key for every pod', () => standing().length >= population.living().length, { deadlineMs: 60_000 });
}

/** Until the leader writes and every Ready pod has its key; when that was. */
async function whole({ sinceMs, deadlineMs }: Since): Promise<number> {
  const { stream, population } = here();
  await waitFor(
    'the keys to be there',
    () => {
      const isWritten = stream.lock !== undefined && atMs(stream.lock) >= sinceMs;
      return isWritten && standing().length >= population.living().length;
    },
    { deadlineMs, intervalMs: 10 },
  );
  return nowMs();
}

/** Resolves with the ms until all keys were back. */
async function purge({ filter, deadlineMs }: Purging): Promise<number> {
  const purgedMs = nowMs();
  await here().rival.purge(filter);
  return (await whole({ sinceMs: filter === undefined ? purgedMs : 0, deadlineMs })) - purgedMs;
}

async function expire({ deadlineMs }: { readonly deadlineMs: number }): Promise<number> {
  const expiredMs = nowMs();
  await here().rival.expire(deadlineMs);
  return (await whole({ sinceMs: expiredMs, deadlineMs })) - expiredMs;
}

/** Others write over the keys of all pods of these services; half of the pods die in the same moment. Returns the keys. */
async function overwrite(services: readonly string[]): Promise<readonly string[]> {
  const { stream, population, truth, rival } = here();
  const pods = population.living().filter(({ service }) => services.includes(service));
  // Whatever is said of them from here on, it is not said of a pod that has a key to keep.
  for (const pod of pods) truth.askedToGo(pod, nowMs());
  const uids = new Set(pods.map(({ uid }) => uid));
  const keys = [...stream.live.values()].flatMap(({ key, podUid }) => (key && uids.has(podUid) ? key : []));
  await Promise.all(keys.map((key) => rival.take(key)));
  await population.kill(pods.filter((_, index) => index % 2 === 0));
  return keys;
}

function killAll(services: readonly string[]): Promise<void> {
  const { population, truth } = here();
  // Also those that churn has just made not Ready: they would be back.
  const all = [...truth.pods.values()].filter(({ gone, service }) => !gone && services.includes(service));
  return population.kill(all);
}

/**
 * The longest time without a word of a leader since then and until now, by the server's clock. Renewals of the lock replace
 * each other, also before they are seen; the keys written with them are.
 */
function lockGap({ sinceMs }: { readonly sinceMs: number }): number {
  const times = here()
    .stream.messages.filter(({ headers, operation }) => headers['Rollcall-Term'] !== undefined && operation === 'PUT')
    .map(atMs)
    .filter((at) => at >= sinceMs);
  const marks = [sinceMs, ...times, nowMs()];
  return Math.max(...marks.slice(1).map((at, index) => at - (marks[index] ?? at)));
}

async function streamLeader(): Promise<string | undefined> {
  const { stream } = here();
  const manager = await jetstreamManager(stream.connection, { timeout: 1_000 });
  const { cluster } = await manager.streams.info(`KV_${stream.bucket}`);
  return cluster?.leader;
}

/** When the last of these pods' keys was UNHEALTHY or gone (or, if `gone`, gone). */
async function ended({ uids, deadlineMs, gone }: Since & { readonly uids: readonly string[]; readonly gone: boolean }) {
  const { stream } = here();
  await waitFor(
    `${uids.length} keys to be ${gone ? 'gone' : 'UNHEALTHY or gone'}`,
    () => {
      const left = new Set(
        [...stream.live.values()]
          .filter(({ value }) => gone || value?.status !== 'UNHEALTHY')
          .map(({ podUid }) => podUid),
      );
      return !uids.some((uid) => left.has(uid));
    },
    { deadlineMs, intervalMs: 20 },
  );
  return nowMs();
}

/** I9: no more churn; right within 15 s of the last fault, and then nothing but refreshes. And what stands is as it was. */
async function settle({ lastFaultMs }: { readonly lastFaultMs: number }) {
  const { population, stream, truth, rival, settings } = here();
  await population.still();
  const restless = await convergence({ stream, truth, lastFaultMs, isForeign: (key) => rival.foreign.has(key) });
  return [...restless, ...(await changedSettings(stream, settings))];
}

async function judgeSpan(judging: Judging): Promise<Judgement> {
  const { stream, truth, rival, status } = here();
  // What was stored before the end may still be on its way here.
  await pause(500);
  return judge({ ...judging, stream, truth, foreign: rival.foreign, statuses: status.samples, atMs });
}

function forget(beforeMs: number): void {
  const { stream } = here();
  const mark = stream.messages.findIndex((sighting) => atMs(sighting) >= beforeMs);
  if (mark > 0) stream.forget(mark);
}

function sample(): Sample {
  const { stream, rival } = here();
  let [liveKeys, active, oldestMs] = [0, 0, nowMs()];
  for (const sighting of stream.live.values()) {
    if (rival.foreign.has(sighting.key ?? '')) continue;
    liveKeys += 1;
    if (sighting.value?.status === 'ACTIVE') active += 1;
    if (sighting.value?.status !== 'UNHEALTHY') oldestMs = Math.min(oldestMs, atMs(sighting));
  }
  return { atMs: nowMs(), liveKeys, active, oldestRefreshMs: nowMs() - oldestMs };
}

function timeline({ fromMs, toMs }: { readonly fromMs: number; readonly toMs: number }): Timeline {
  const { samples, stream } = here();
  const inSpan = (at: number) => at >= fromMs && at <= toMs;
  return {
    samples: samples.filter(({ atMs: at }) => inSpan(at)),
    terms: termsOf(stream.messages, atMs).filter((term) => term.toMs >= fromMs && term.fromMs <= toMs),
  };
}
