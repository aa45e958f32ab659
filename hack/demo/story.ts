/** What the demo shows, step by step: one function each, from the command to the last thing that must be seen. */

import { countsOf } from '../../src/cli/registry-table.ts';
import { seconds } from '../../src/cli/text.ts';
import type { Installation } from './installation.ts';
import { between, type Judge, slowest } from './judge.ts';
import type { Pod } from './pod-watch.ts';
import { bucket, type Entry, type Status } from './registry-watch.ts';

export type Chapter = {
  readonly title: string;
  readonly tell: (on: Installation, judge: Judge) => Promise<void>;
};

/** The promises of docs/: a change is visible within two seconds, and a key goes with its TTL of 30 s. */
const VISIBLE_MS = 2_000;
const GONE_MS = 31_000;
const TAKEN_OVER_MS = 12_000;
const STATUS_MS = 10_000;

const trading = 'trading-service';
const marketData = 'market-data';
const kvGet = ({ key }: Entry) => `nats kv get ${bucket} ${key}`;

export const chapters: readonly Chapter[] = [
  { title: 'An annotated Deployment', tell: annotatedDeployment },
  { title: 'A hand-written ServiceRegistration', tell: handWritten },
  { title: 'What Kubernetes says of it', tell: statusTold },
  { title: 'Scale up', tell: scaleUp },
  { title: 'A pod that is not Ready', tell: unready },
  { title: 'Ready again', tell: readyAgain },
  { title: 'A pod is deleted', tell: deletion },
  { title: 'The leading replica is killed', tell: leaderKilled },
  { title: 'Scale to zero', tell: scaleToZero },
];

/** For those who stay: something to look at. */
export const encore: Chapter = {
  title: 'And up again',
  tell: async (on, judge) => {
    const sinceMs = performance.now();
    await on.kubectl('scale', 'deployment', '--all', '--replicas=3');
    await keysVisible(on, judge, { apps: [trading, marketData], count: 6, sinceMs });
  },
};

async function annotatedDeployment(on: Installation, judge: Judge): Promise<void> {
  const sinceMs = performance.now();
  await on.kubectl('apply', '-f', 'hack/demo/trading-service.yaml');
  await judge.cause('the first key', () => on.registry.live().length > 0);
  const first = Math.min(...on.registry.live().map(({ writtenAtMs }) => writtenAtMs));
  on.chronicle.note(`the first key stands ${seconds(first)} after the start of the demo`);
  await keysVisible(on, judge, { apps: [trading], count: 3, sinceMs });
  on.chronicle.look(`nats kv watch ${bucket}`);
}

async function handWritten(on: Installation, judge: Judge): Promise<void> {
  const sinceMs = performance.now();
  await on.kubectl('apply', '-f', 'hack/demo/market-data.yaml');
  await keysVisible(on, judge, { apps: [marketData], count: 2, sinceMs });
  look(on, on.pods.ready(marketData)[0]);
}

async function statusTold(on: Installation, judge: Judge): Promise<void> {
  const fromMs = performance.now();
  await on.kubectl('wait', '--for=condition=Ready', 'sreg', '--all', `--timeout=${STATUS_MS / 1_000}s`);
  const tookMs = performance.now() - fromMs;
  judge.verdict('both ServiceRegistrations are Ready', tookMs < STATUS_MS, tookMs, STATUS_MS);
  for (const line of (await on.kubectl('get', 'sreg')).split('\n')) on.chronicle.note(line);
}

async function scaleUp(on: Installation, judge: Judge): Promise<void> {
  const sinceMs = performance.now();
  await on.kubectl('scale', `deployment/${trading}`, '--replicas=5');
  await keysVisible(on, judge, { apps: [trading], count: 5, sinceMs });
  on.chronicle.note(`in the bucket: ${countsOf(on.registry.live())}`);
}

async function unready(on: Installation, judge: Judge): Promise<void> {
  const { uid, name } = firstOf(on.pods.ready(trading));
  await on.kubectl('annotate', `pod/${name}`, 'rollcall.dev/demo-ready=false');
  await judge.cause(`${name} not Ready`, () => on.pods.pod(uid)?.ready === false);
  const tookMs = () => between(on.pods.pod(uid)?.unreadyAtMs, statusAtMs(on, uid, 'UNHEALTHY'));
  await judge.effect('unready -> UNHEALTHY', VISIBLE_MS, tookMs);
  look(on, on.pods.pod(uid));
}

async function readyAgain(on: Installation, judge: Judge): Promise<void> {
  const { podUid: uid, podName: name } = firstOf(on.registry.live().filter(({ status }) => status === 'UNHEALTHY'));
  await on.kubectl('annotate', `pod/${name}`, 'rollcall.dev/demo-ready-');
  await judge.cause(`${name} Ready`, () => on.pods.pod(uid)?.ready === true);
  const tookMs = () => between(on.pods.pod(uid)?.readyAtMs, statusAtMs(on, uid, 'ACTIVE'));
  await judge.effect('Ready -> ACTIVE', VISIBLE_MS, tookMs);
  look(on, on.pods.pod(uid));
}

async function deletion(on: Installation, judge: Judge): Promise<void> {
  const { uid, name } = firstOf(on.pods.ready(trading).toReversed());
  const beganAtMs = performance.now();
  await on.kubectl('delete', 'pod', name);
  await judge.cause(`${name} not Ready`, () => on.pods.pod(uid)?.ready === false);
  const sinceMs = on.pods.pod(uid)?.unreadyAtMs;
  await judge.effect('delete -> UNHEALTHY', VISIBLE_MS, () => between(sinceMs, statusAtMs(on, uid, 'UNHEALTHY')));
  look(on, on.pods.pod(uid));
  await keysVisible(on, judge, {
    apps: [trading],
    count: 5,
    sinceMs: beganAtMs,
    what: "its successor's key visible after Ready",
  });
  await judge.effect('delete -> gone', GONE_MS, () => between(sinceMs, on.registry.ofPod(uid)?.goneAtMs));
}

async function leaderKilled(on: Installation, judge: Judge): Promise<void> {
  const leader = firstOf(on.replicas.all().filter(({ role }) => role === 'leads'));
  const entries = on.registry.live();
  const term = Math.max(...entries.map((entry) => entry.term));
  on.chronicle.command(`kill -9 ${leader.process.pid}`);
  const killedAtMs = performance.now();
  await leader.process.kill('SIGKILL');
  // By a later term: what the dead one had still under way proves nothing.
  const refreshedAtMs = (key: string) =>
    on.registry.arrivals(key, killedAtMs).find((arrival) => (arrival.term ?? 0) > term)?.atMs;
  await judge.effect(`all ${entries.length} keys refreshed by the other replica`, TAKEN_OVER_MS, () =>
    slowest(entries.map(({ key }) => between(killedAtMs, refreshedAtMs(key)))),
  );
  nothingMissing(on, judge, entries, killedAtMs);
  on.chronicle.look(`nats kv watch ${bucket}`);
  on.chronicle.note(`${leader.name} is started again, as its Deployment would`);
  await on.chronicle.during(`${leader.name}`, undefined, () => leader.process.restart());
}

/** By the raw stream: no marker, and never longer than the TTL between two writes. */
function nothingMissing(on: Installation, judge: Judge, entries: readonly Entry[], sinceMs: number): void {
  const nowMs = performance.now();
  let longestMs = 0;
  let lapses = 0;
  for (const { key } of entries) {
    const arrivals = on.registry.arrivals(key, sinceMs);
    lapses += arrivals.filter(({ term }) => term === undefined).length;
    const times = [...arrivals.map(({ atMs }) => atMs), nowMs];
    for (const [i, atMs] of times.entries()) longestMs = Math.max(longestMs, atMs - (times[i - 1] ?? atMs));
  }
  const ttlMs = Math.min(...entries.map((entry) => entry.ttlMs));
  const longest = `longest time between two writes of one: ${seconds(longestMs)}, TTL ${seconds(ttlMs)}`;
  judge.verdict(`no key missing at any moment (${longest})`, lapses === 0 && longestMs < ttlMs);
}

async function scaleToZero(on: Installation, judge: Judge): Promise<void> {
  const before = on.pods.ready();
  await on.kubectl('scale', 'deployment', '--all', '--replicas=0');
  await judge.cause('no pod Ready', () => on.pods.ready().length === 0);
  const leftAtMs = (uid: string) => on.pods.pod(uid)?.unreadyAtMs;
  await judge.effect(`all ${before.length} keys UNHEALTHY`, VISIBLE_MS, () =>
    slowest(before.map(({ uid }) => between(leftAtMs(uid), statusAtMs(on, uid, 'UNHEALTHY')))),
  );
  const fromMs = Math.min(...before.flatMap(({ uid }) => leftAtMs(uid) ?? []));
  let emptyAtMs: number | undefined;
  await judge.effect('scale to zero -> the bucket holds no key of ours', GONE_MS, () => {
    if (on.registry.live().length === 0) emptyAtMs ??= performance.now();
    return between(fromMs, emptyAtMs);
  });
  on.chronicle.look(`nats kv watch ${bucket}`);
  judge.verdict("no Ready pod's key was missing at any moment of the whole demo", on.missing.length === 0);
}

/** Waits until so many pods of these Deployments are Ready, then for the keys of those that became so in this step. */
async function keysVisible(on: Installation, judge: Judge, step: VisibleKeys): Promise<void> {
  const ready = () => step.apps.flatMap((app) => on.pods.ready(app));
  await judge.cause(`${step.count} pods Ready`, () => ready().length === step.count);
  const fresh = ready().filter(({ readyAtMs }) => (readyAtMs ?? 0) >= step.sinceMs);
  await judge.effect(step.what ?? `${step.count} keys visible after Ready`, VISIBLE_MS, () =>
    slowest(fresh.map(({ uid, readyAtMs }) => between(readyAtMs, statusAtMs(on, uid, 'ACTIVE')))),
  );
}

type VisibleKeys = {
  readonly apps: readonly string[];
  /** Of Ready pods in the end, those from before among them. */
  readonly count: number;
  /** When the step began. */
  readonly sinceMs: number;
  readonly what?: string;
};

/** Since when a pod's key has had this status; undefined while it has another, or there is none. */
function statusAtMs(on: Installation, uid: string, status: Status): number | undefined {
  const entry = on.registry.ofPod(uid);
  return entry?.status === status ? entry.statusAtMs : undefined;
}

function look(on: Installation, pod: Pod | undefined): void {
  const entry = pod === undefined ? undefined : on.registry.ofPod(pod.uid);
  if (entry !== undefined) on.chronicle.look(kvGet(entry));
}

function firstOf<T>(items: readonly T[]): T {
  const [first] = items;
  if (first === undefined) throw new Error('the story has lost its thread: nothing to choose from');
  return first;
}
