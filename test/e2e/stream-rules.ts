// What must hold for the whole record of a run, whatever the stories were: the registry's contract with its readers,
// judged message by message. Nothing here waits or writes.

import { z } from 'zod';
import { refusals } from '../support/strict-readers.ts';
import { refreshIntervalMs, serviceName, ttlMs, version } from './application.ts';
import type { PodSighting, PodWatch, Spell } from './pod-watch.ts';
import { namespace, type Stage } from './stage.ts';
import type { StreamMessage, StreamRecord } from './stream-record.ts';

const fields = ['serviceName', 'instanceId', 'version', 'status', 'lastHeartbeat', 'stickyActiveGroup', 'metadata'];
const heartbeat = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}(Z|[+-]\d\d:\d\d)$/;
/** Refreshes come early rather than late; the rest is the test's machine. */
const refreshLateMs = 2_000;
/** How far apart the API's word and the stream's may reach the test. */
const skewMs = 2_000;

/** What is untrue in a value about the pod it stands for, or undefined. */
export const judgeValue = (message: StreamMessage | undefined, pod: PodSighting): string | undefined => {
  if (message?.value === undefined) return 'no value';
  const { value, key, owner } = message;
  const expected: readonly (readonly [string, unknown, unknown])[] = [
    ['key', key, `service-instances.${serviceName}.${value.instanceId}`],
    ['serviceName', value.serviceName, serviceName],
    ['instanceId', value.instanceId, `${serviceName}-${pod.uid.slice(0, 8)}`],
    ['version', value.version, version],
    ['stickyActiveGroup', value.stickyActiveGroup, null],
    ['namespace', value.metadata['namespace'], namespace],
    ['pod', value.metadata['pod'], pod.name],
    ['node', value.metadata['node'], pod.node],
    ['ip', value.metadata['ip'], pod.ip],
    ['port', value.metadata['port'], 8080],
    ['owner', owner.split('/').slice(1).join('/'), `${namespace}/${pod.name}/${pod.uid}`],
  ];
  const wrong = expected.find(([, is, should]) => is !== should);
  return wrong && `${wrong[0]} is ${String(wrong[1])}, not ${String(wrong[2])}`;
};

/** `lost`: when a node was lost, and its pods were not what the API still said of them. */
export const judgeStream = ({ record, pods, report }: Stage, lost: Spell | undefined): void => {
  const { messages } = record;
  const judge = (effect: string, problem: string | undefined) =>
    report.fact('the stream', `${messages.length} messages`, effect, problem);
  const values = messages.filter(({ body }) => body !== '');
  const uids = pods.uids();

  judge('there are some', values.length > 0 ? undefined : 'none');
  judge('are instances of our service, in the exact form', firstProblem(values, malformed));
  judge(
    'would be shown by all three readers',
    firstProblem(values, ({ body }) => {
      const found = refusals(body);
      return found.length === 0 ? undefined : `${found.join('; ')}: ${body}`;
    }),
  );
  judge(
    `have Nats-TTL ${ttlMs / 1000}`,
    firstProblem(values, ({ ttl }) => (ttl === `${ttlMs / 1000}` ? undefined : ttl || 'none')),
  );
  judge(
    'belong to pods that existed',
    firstProblem(values, ({ podUid, owner }) => (uids.has(podUid) ? undefined : owner || 'no owner')),
  );
  judge(
    'keep one key per pod',
    [...uids].map((uid) => manyKeys(record, uid)).find((problem) => problem !== undefined),
  );
  judge(
    'remove keys by lapse alone',
    firstProblem(messages, ({ body, removal }) =>
      body !== '' || removal === 'MaxAge' ? undefined : removal || 'empty',
    ),
  );
  judge('have heartbeats that increase', perKey(record, stalledHeartbeat));
  judge(`refresh live keys each ${refreshIntervalMs / 1000} s`, perKey(record, lateRefresh));
  judge('let no ACTIVE key lapse', perKey(record, lapsedActive));
  judge(
    'call no Ready pod UNHEALTHY',
    [...uids].map((uid) => slander(record, pods, uid, lost)).find((problem) => problem !== undefined),
  );
};

const firstProblem = (messages: readonly StreamMessage[], judge: (message: StreamMessage) => string | undefined) => {
  for (const message of messages) {
    const problem = judge(message);
    if (problem !== undefined) return `seq ${message.seq}: ${problem}`;
  }
  return undefined;
};

const malformed = ({ key, body, value }: StreamMessage): string | undefined => {
  if (value === undefined) return `not an instance: ${body.slice(0, 80)}`;
  if (!key.startsWith(`service-instances.${serviceName}.`)) return `key ${key}`;
  // The bytes, not the parsed value, which has the schema's order.
  const written = Object.keys(z.record(z.string(), z.unknown()).parse(JSON.parse(body))).join();
  if (written !== fields.join()) return `fields ${written}`;
  return heartbeat.test(value.lastHeartbeat) ? undefined : `lastHeartbeat ${value.lastHeartbeat}`;
};

const manyKeys = (record: StreamRecord, uid: string): string | undefined => {
  const keys = new Set(record.ofPod(uid).map(({ key }) => key));
  return keys.size > 1 ? [...keys].join(', ') : undefined;
};

type Pair = { readonly before: StreamMessage; readonly after: StreamMessage };

/** Judges each two messages of a key that follow each other. */
const perKey = (record: StreamRecord, judge: (pair: Pair) => string | undefined): string | undefined => {
  const last = new Map<string, StreamMessage>();
  for (const after of record.messages) {
    const before = last.get(after.key);
    last.set(after.key, after);
    const problem = before && judge({ before, after });
    if (problem !== undefined) return `${after.key}, seq ${after.seq}: ${problem}`;
  }
  return undefined;
};

const stalledHeartbeat = ({ before, after }: Pair): string | undefined => {
  if (before.value === undefined || after.value === undefined) return undefined;
  const [was, is] = [before.value.lastHeartbeat, after.value.lastHeartbeat];
  return Date.parse(is) > Date.parse(was) ? undefined : `${was}, then ${is}`;
};

const lateRefresh = ({ before, after }: Pair): string | undefined => {
  if (before.value?.status !== 'ACTIVE') return undefined;
  const tookMs = after.atMs - before.atMs;
  return tookMs <= refreshIntervalMs + refreshLateMs ? undefined : `${Math.round(tookMs)} ms after the last`;
};

/** Here a key ends as UNHEALTHY, whatever ends it, and then lapses. */
const lapsedActive = ({ before, after }: Pair): string | undefined =>
  before.value?.status === 'ACTIVE' && after.value === undefined ? 'removed while ACTIVE' : undefined;

const slander = (record: StreamRecord, pods: PodWatch, uid: string, lost: Spell | undefined): string | undefined => {
  for (const { atMs, status } of record.changesOf(uid)) {
    if (status !== 'UNHEALTHY') continue;
    if (lost !== undefined && atMs >= lost.fromMs && atMs <= (lost.toMs ?? Number.POSITIVE_INFINITY)) continue;
    const spells = pods.spells(uid);
    const inSpell = spells.some(({ fromMs, toMs = atMs }) => fromMs - skewMs <= atMs && atMs <= toMs + skewMs);
    if (!inSpell) return `${uid} ${Math.round(atMs)} ms into the run`;
  }
  return undefined;
};
