// I9 and I10: after the last fault the registry becomes what the pods say within 15 s, and then nothing but refreshes is
// written; and what a fresh reader finds is what the stream told, so nothing older has come back. Of I7 what a fault may have
// led the operators to: the settings of the stream are as they were.

import { DeliverPolicy, jetstream, jetstreamManager } from '@nats-io/jetstream';
import type { StreamObserver } from '../../support/stream-observer.ts';
import type { Violation } from '../evidence.ts';
import { nowMs, pause } from '../monotonic.ts';
import { type KnownPod, type PodTruth, stateOf } from './pod-truth.ts';

const CONVERGED_MS = 15_000;
/** What the churn did last may be a flap that is told late on purpose. */
const CHANGE_TOLD_MS = 5_000;
const AT_REST_MS = 60_000;
/** Longer than an interval. */
const QUIET_MS = 11_000;
const LOOK_EVERY_MS = 100;
const NAMED = 5;

type Settling = {
  readonly stream: StreamObserver;
  readonly truth: PodTruth;
  readonly lastFaultMs: number;
  readonly isForeign: (key: string) => boolean;
};

/** Resolves with the time when the registry was what the pods say, with the churn at rest. */
export const converged = async (settling: Omit<Settling, 'lastFaultMs'>, deadlineMs: number): Promise<number> => {
  const untilMs = nowMs() + deadlineMs;
  for (;;) {
    const [first, ...others] = differences(settling);
    if (first === undefined) return nowMs();
    if (nowMs() > untilMs) throw new Error(`${first}, and ${others.length} more, after ${deadlineMs} ms`);
    await pause(LOOK_EVERY_MS);
  }
};

/** What was asked for is shown: until then the truth itself moves, at the pace of kwok and its retries. */
const atRest = async (truth: PodTruth): Promise<void> => {
  const untilMs = nowMs() + AT_REST_MS;
  const moves = () => [...truth.pods.values()].some((pod) => ['coming', 'leaving'].includes(stateOf(pod)));
  while (moves() && nowMs() < untilMs) await pause(LOOK_EVERY_MS);
};

/** Undefined while the API has not shown the last one that it was given. */
const versionOf = ({ versions }: KnownPod): string | undefined => {
  const last = versions.at(-1);
  return last?.shownAtMs === undefined ? undefined : last.version;
};

/** When the truth moved last, by the API's word. */
const lastChangeMs = (truth: PodTruth): number => {
  let lastMs = Number.NEGATIVE_INFINITY;
  for (const { steps } of truth.pods.values()) lastMs = Math.max(lastMs, steps.at(-1)?.atMs ?? lastMs);
  return lastMs;
};

export const convergence = async (settling: Settling): Promise<readonly Violation[]> => {
  const { stream } = settling;
  await atRest(settling.truth);
  const untilMs = Math.max(settling.lastFaultMs + CONVERGED_MS, lastChangeMs(settling.truth) + CHANGE_TOLD_MS);
  while (differences(settling).length > 0 && nowMs() < untilMs) await pause(LOOK_EVERY_MS);
  const wrong = differences(settling);
  if (wrong.length > 0) {
    const afterMs = Math.round(nowMs() - settling.lastFaultMs);
    return wrong
      .slice(0, NAMED)
      .map((sentence) => ({ invariant: 'I9', atMs: nowMs(), sentence: `${afterMs} ms later, ${sentence}` }));
  }
  // What has 15 s has not been late before.
  await pause(Math.max(0, settling.lastFaultMs + CONVERGED_MS - nowMs()));
  const mark = stream.mark();
  await pause(QUIET_MS);
  const restless = stream.messages
    .slice(mark)
    .filter(({ key, headers }) => key !== undefined && headers['Rollcall-Term'] !== undefined)
    .filter(({ headers, operation }) => operation !== 'PUT' || headers['Rollcall-Reason'] !== 'Refresh');
  return [
    ...restless.slice(0, NAMED).map(({ seq, key, headers, operation }) => ({
      invariant: 'I9',
      atMs: nowMs(),
      sentence: `seq ${seq}, ${key}: ${operation} ${headers['Rollcall-Reason']} although nothing happens`,
    })),
    ...(await resurrections(stream)),
  ];
};

/** What is not as it should be: one sentence each. */
const differences = ({ stream, truth, isForeign }: Omit<Settling, 'lastFaultMs'>): readonly string[] => {
  const byPod = new Map<string, string[]>();
  const versions = new Map<string, string | undefined>();
  for (const { key = '', podUid, value } of stream.live.values()) {
    if (isForeign(key)) continue;
    const said = byPod.get(podUid) ?? [];
    said.push(value?.status ?? 'unreadable');
    byPod.set(podUid, said);
    versions.set(podUid, value?.version);
  }
  const wrong: string[] = [];
  const roles = new Map<string, number>();
  for (const pod of truth.pods.values()) {
    const said = byPod.get(pod.uid) ?? [];
    byPod.delete(pod.uid);
    const state = stateOf(pod);
    const name = `${pod.service}/${pod.name}`;
    if (state === 'ready') {
      if (said.length !== 1) wrong.push(`${name} has ${said.length} keys`);
      const expected = pod.group === null ? said[0] === 'ACTIVE' : said[0] === 'ACTIVE' || said[0] === 'STANDBY';
      if (said.length === 1 && !expected) wrong.push(`${name} is called ${said[0]}`);
      const version = versionOf(pod);
      if (said.length === 1 && version !== undefined && versions.get(pod.uid) !== version)
        wrong.push(`${name} has version ${versions.get(pod.uid)}, not ${version}`);
      if (pod.group !== null) roles.set(pod.service, (roles.get(pod.service) ?? 0) + (said[0] === 'ACTIVE' ? 1 : 0));
    } else if (state === 'dead') {
      if (said.some((status) => status !== 'UNHEALTHY')) wrong.push(`${name} is dead and called ${said.join()}`);
    } else wrong.push(`${name} is ${state}`);
  }
  for (const [service, active] of roles) if (active !== 1) wrong.push(`${service} has ${active} ACTIVE members`);
  for (const [uid, said] of byPod) wrong.push(`no pod has the UID ${uid}, called ${said.join()}`);
  return wrong;
};

/** The settings of the bucket's stream, as one text. */
export const settingsOf = async ({ connection, bucket }: StreamObserver): Promise<string> => {
  const manager = await jetstreamManager(connection);
  const { config } = await manager.streams.info(`KV_${bucket}`);
  return JSON.stringify(config);
};

/** I7: as they were. */
export const changedSettings = async (stream: StreamObserver, before: string): Promise<readonly Violation[]> => {
  const now = await settingsOf(stream);
  if (now === before) return [];
  return [{ invariant: 'I7', atMs: nowMs(), sentence: `the stream's settings were ${before}, and are ${now}` }];
};

/** I10: reads the bucket anew and compares. */
const resurrections = async (stream: StreamObserver): Promise<readonly Violation[]> => {
  const mark = stream.mark();
  const stored = await readAll(stream);
  await pause(500);
  // What was written or lapsed since the reading began may have been read before or after.
  const moved = new Set(stream.messages.slice(mark).map(({ key }) => key));
  const found = [...new Set([...stored.keys(), ...stream.live.keys()])].flatMap((key) => {
    const [is, told] = [stored.get(key), stream.live.get(key)?.seq];
    if (is === told || moved.has(key)) return [];
    return [
      { invariant: 'I10', atMs: nowMs(), sentence: `${key}: the bucket has revision ${is}, the stream told ${told}` },
    ];
  });
  return found.slice(0, NAMED);
};

const readAll = async ({ connection, bucket }: StreamObserver): Promise<ReadonlyMap<string, number>> => {
  const found = new Map<string, number>();
  const prefix = `$KV.${bucket}.`;
  const consumer = await jetstream(connection).consumers.get(`KV_${bucket}`, {
    filter_subjects: [`${prefix}>`],
    deliver_policy: DeliverPolicy.LastPerSubject,
  });
  const { num_pending: pending } = await consumer.info();
  if (pending === 0) return found;
  let left = pending;
  const messages = await consumer.consume({ max_messages: 5_000 });
  for await (const message of messages) {
    const isValue = message.headers?.get('Nats-Marker-Reason') === '' && message.headers.get('KV-Operation') === '';
    const bare = message.headers === undefined;
    if (isValue || bare) found.set(message.subject.slice(prefix.length), message.seq);
    left -= 1;
    if (left <= 0 || message.info.pending === 0) break;
  }
  await messages.close();
  return found;
};
