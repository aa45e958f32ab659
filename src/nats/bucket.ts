// Whether the bucket will do, and making it so where the policy allows it: created when missing, completed by what can
// only be added. Never deletes, purges, re-creates or switches anything off. Only what the server reads back counts.

import type { Clock } from '../clock.ts';
import type { BucketReport } from '../writer/registry.ts';
import { RegistryError } from '../writer/registry.ts';
import type { Connection } from './connection.ts';
import { type ApiError, asJson, callApi, ErrCode, type Json, numberOf, textOf, textsOf } from './jetstream-api.ts';
import { parseTime } from './stored-message.ts';

/** `Create`: when missing, otherwise verify. `Upgrade`: also add what is missing. `Verify`: change nothing. */
export type BucketPolicy = 'Create' | 'Upgrade' | 'Verify';

export type BucketOptions = {
  readonly bucket: string;
  readonly bucketPolicy: BucketPolicy;
  /** Used at creation alone. Undefined: 3 on a cluster, 1 on a single server. */
  readonly replicas?: number | undefined;
  readonly storage?: 'File' | 'Memory' | undefined;
};

export type UsableBucket = Extract<BucketReport, { kind: 'usable' }>;

/** What the adapter itself needs to know beyond the report. */
export type BucketCheck = {
  readonly report: BucketReport;
  readonly maxMessageBytes: number;
  readonly allowsRollups: boolean;
};

/** Older servers ignore TTLs (2.9, 2.10), do not expire under load (2.11.0-9) or have no atomic batches (before 2.12.1). */
export const SERVER_VERSION_MIN = '2.12.1';
const SMALLEST_TTL_SECONDS = 6;
const MARKER_TTL_SECONDS = 60;
const DUPLICATE_WINDOW_SECONDS = 120;
const CREATE_TIMEOUT_MS = 8_000;
/** A clock is told to be off from 2 s on. */
const ROUND_TRIP_MAX_MS = 500;
const NS_PER_SECOND = 1_000_000_000;

export function streamName(bucket: string): string {
  return `KV_${bucket}`;
}

export function isBucketName(bucket: string): boolean {
  return /^[a-zA-Z0-9_-]{1,128}$/.test(bucket);
}

/** Numeric parts only: a pre-release of a version counts as that version. */
export function isOlder(version: string, than: string): boolean {
  const [a, b] = [version, than].map((text) => text.split(/[.-]/).map((part) => Number.parseInt(part, 10) || 0));
  for (let part = 0; part < 3; part++) {
    const difference = (a?.[part] ?? 0) - (b?.[part] ?? 0);
    if (difference !== 0) return difference < 0;
  }
  return false;
}

/** Why a server of this version is of no use, or undefined. */
export function versionProblem(version: string): string | undefined {
  if (!isOlder(version, SERVER_VERSION_MIN)) return undefined;
  return `nats-server ${version} does not expire keys reliably or lacks atomic batches: upgrade it to ${SERVER_VERSION_MIN} or later (2.14 or later is recommended)`;
}

/** Never rejects. */
export async function inspectBucket(
  connection: Connection,
  options: BucketOptions,
  clock: Clock,
  signal: AbortSignal,
): Promise<BucketCheck> {
  try {
    return await check(connection, options, clock, signal);
  } catch (error) {
    if (!(error instanceof RegistryError)) throw error;
    const kind = error.kind === 'denied' ? 'denied' : 'unavailable';
    return withoutStream({ kind, description: error.message });
  }
}

async function check(
  connection: Connection,
  options: BucketOptions,
  clock: Clock,
  signal: AbortSignal,
): Promise<BucketCheck> {
  const serverVersion = connection.serverInfo()?.version;
  if (serverVersion === undefined) {
    return withoutStream({ kind: 'unavailable', description: 'not connected to NATS' });
  }
  const tooOld = versionProblem(serverVersion);
  if (tooOld !== undefined) {
    return withoutStream({ kind: 'unsupported', serverVersion, reasons: [tooOld], mendedBy: 'newer-server' });
  }
  if (!isBucketName(options.bucket)) {
    const reason = `"${options.bucket}" is no bucket name: use letters, digits, "_" and "-" only`;
    return withoutStream(forAPerson(serverVersion, reason));
  }

  const stream = streamName(options.bucket);
  const askedMs = clock.monotonicMs();
  const found = await callApi(connection, `STREAM.INFO.${stream}`, undefined, signal);
  if (found.error === undefined) {
    const offset = clockOffset(found.reply, clock, clock.monotonicMs() - askedMs);
    return withOffset(await verify(connection, options, found.reply, serverVersion, signal), offset);
  }
  if (found.error.errCode !== ErrCode.streamNotFound) return withoutStream(serverProblem(found.error));
  if (options.bucketPolicy === 'Verify') {
    const description = `bucket ${options.bucket} does not exist: create it, or set --bucket-policy=Create`;
    return withoutStream({ kind: 'missing', serverVersion, description });
  }
  return create(connection, options, serverVersion, signal);
}

/** The server's date is that of the middle of a round trip, to within half of it: of a slow one nothing is learnt. */
function clockOffset(info: Json, clock: Clock, tookMs: number): { readonly clockOffsetMs?: number } {
  const serverWallMs = parseTime(textOf(info['ts']));
  if (serverWallMs === undefined || tookMs > ROUND_TRIP_MAX_MS) return {};
  return { clockOffsetMs: Math.round(serverWallMs - (clock.wallMs() - tookMs / 2)) };
}

const withOffset = (checked: BucketCheck, offset: ReturnType<typeof clockOffset>): BucketCheck =>
  checked.report.kind === 'usable' ? { ...checked, report: { ...checked.report, ...offset } } : checked;

async function create(
  connection: Connection,
  options: BucketOptions,
  serverVersion: string,
  signal: AbortSignal,
): Promise<BucketCheck> {
  const stream = streamName(options.bucket);
  // By the addresses that it tells of others nobody knows how many servers it has: behind a Service none may be told.
  const clustered = connection.serverInfo()?.cluster !== undefined;
  const replicas = options.replicas ?? (clustered ? 3 : 1);
  const config = newBucketConfig(options, replicas);
  try {
    const made = await callApi(connection, `STREAM.CREATE.${stream}`, config, signal, CREATE_TIMEOUT_MS);
    if (made.error !== undefined) {
      const description = `creating bucket ${options.bucket} with ${replicas} replicas failed: ${made.error.description} (${made.error.errCode})`;
      const { errCode } = made.error;
      if (errCode === ErrCode.replicasNeedCluster) {
        const reason = `${description}: set --bucket-replicas=1 or run a NATS cluster`;
        return withoutStream(forAPerson(serverVersion, reason));
      }
      const hint = errCode === ErrCode.clusterNoPeers ? ': where fewer servers are meant, set --bucket-replicas=1' : '';
      return withoutStream({ kind: 'unavailable', description: description + hint });
    }
  } catch (error) {
    if (!(error instanceof RegistryError && error.kind === 'denied')) throw error;
    const description = `bucket ${options.bucket} does not exist and this NATS user may not create it: let one that may run \`rollcall bucket ensure\`, or the operator once with --bucket-policy=Create`;
    return withoutStream({ kind: 'missing', serverVersion, description });
  }
  const readBack = await callApi(connection, `STREAM.INFO.${stream}`, undefined, signal);
  if (readBack.error !== undefined) return withoutStream(serverProblem(readBack.error));
  return judge(options, readBack.reply, serverVersion);
}

async function verify(
  connection: Connection,
  options: BucketOptions,
  info: Json,
  serverVersion: string,
  signal: AbortSignal,
): Promise<BucketCheck> {
  const config = asJson(info['config']);
  const missing = additions(options.bucket, config);
  const hopeless = obstacles(options.bucket, config);
  if (Object.keys(missing).length === 0 || hopeless.length > 0 || options.bucketPolicy !== 'Upgrade') {
    return judge(options, info, serverVersion);
  }
  const stream = streamName(options.bucket);
  try {
    const updated = { ...config, ...missing };
    const answer = await callApi(connection, `STREAM.UPDATE.${stream}`, updated, signal, CREATE_TIMEOUT_MS);
    if (answer.error !== undefined) {
      const reason = `upgrading bucket ${options.bucket} failed: ${answer.error.description} (${answer.error.errCode})`;
      return withoutStream(forAPerson(serverVersion, reason));
    }
  } catch (error) {
    if (!(error instanceof RegistryError && error.kind === 'denied')) throw error;
    const reason = `bucket ${options.bucket} needs an upgrade that this NATS user may not do: let one that may run \`rollcall bucket ensure\`, or the operator once with --bucket-policy=Upgrade`;
    return withoutStream(forAPerson(serverVersion, reason));
  }
  const readBack = await callApi(connection, `STREAM.INFO.${stream}`, undefined, signal);
  if (readBack.error !== undefined) return withoutStream(serverProblem(readBack.error));
  return judge(options, readBack.reply, serverVersion);
}

function judge(options: BucketOptions, info: Json, serverVersion: string): BucketCheck {
  const { bucket } = options;
  const config = asJson(info['config']);
  const state = asJson(info['state']);
  const hint = 'set --bucket-policy=Upgrade';
  const missing = additions(bucket, config);
  const hopeless = obstacles(bucket, config);
  const reasons = [...hopeless];
  if (missing.allow_msg_ttl) reasons.push(`bucket ${bucket} has no per-message TTL (allow_msg_ttl): ${hint}`);
  if (missing.allow_atomic) reasons.push(`bucket ${bucket} takes no atomic batches (allow_atomic): ${hint}`);
  if (missing.subjects) reasons.push(`bucket ${bucket} lacks the subject ${lockSubjects(bucket)}: ${hint}`);
  const maxMessageBytes = typeof config['max_msg_size'] === 'number' ? config['max_msg_size'] : -1;
  if (reasons.length > 0) {
    const mendedBy = hopeless.length === 0 ? 'additions' : 'person';
    return withoutStream({ kind: 'unsupported', serverVersion, reasons, mendedBy });
  }
  const report: UsableBucket = {
    kind: 'usable',
    serverVersion,
    incarnation: textOf(info['created']),
    lastRevision: numberOf(state['last_seq']),
    messages: numberOf(state['messages']),
    bytes: numberOf(state['bytes']),
    maxBytes: numberOf(config['max_bytes']) || -1,
    maxAgeSeconds: numberOf(config['max_age']) / NS_PER_SECOND,
    markerTtlSeconds: markerTtlSeconds(config),
    history: numberOf(config['max_msgs_per_subject']),
    replicas: numberOf(config['num_replicas']) || 1,
  };
  return { report, maxMessageBytes, allowsRollups: config['allow_rollup_hdrs'] === true };
}

type Additions = { allow_msg_ttl?: true; allow_atomic?: true; subjects?: readonly string[] };

/** What is missing and can be added without changing anything for those who use the bucket already. */
function additions(bucket: string, config: Json): Additions {
  const subjects = textsOf(config['subjects']);
  const lock = lockSubjects(bucket);
  return {
    ...(config['allow_msg_ttl'] !== true && { allow_msg_ttl: true as const }),
    ...(config['allow_atomic'] !== true && { allow_atomic: true as const }),
    ...(!subjects.includes(lock) && { subjects: [...subjects, lock] }),
  };
}

/** What is in the way and only its owner can change. */
function obstacles(bucket: string, config: Json): string[] {
  const reasons: string[] = [];
  const history = numberOf(config['max_msgs_per_subject']);
  const markerTtl = markerTtlSeconds(config);
  if (!textsOf(config['subjects']).includes(`$KV.${bucket}.>`)) {
    reasons.push(
      `stream ${streamName(bucket)} is no KV bucket, it lacks the subject $KV.${bucket}.>: choose another --bucket`,
    );
  }
  if (config['mirror'] !== undefined) reasons.push(`bucket ${bucket} is a mirror: use the bucket it mirrors`);
  if (config['sealed'] === true) reasons.push(`bucket ${bucket} is sealed: choose another --bucket`);
  if (config['no_ack'] === true) reasons.push(`bucket ${bucket} acknowledges nothing (no_ack): switch no_ack off`);
  if (config['subject_transform'] !== undefined) {
    reasons.push(`bucket ${bucket} stores under other subjects than published (subject_transform): remove that`);
  }
  if (history !== 1 && config['allow_rollup_hdrs'] !== true) {
    reasons.push(
      `bucket ${bucket} has history ${history} and no roll-ups, so old values would resurface when newer ones lapse: ${setHistory(bucket)} or allow_rollup_hdrs`,
    );
  }
  if (history !== 1 && markerTtl > SMALLEST_TTL_SECONDS) {
    reasons.push(
      `bucket ${bucket} has history ${history} and a marker TTL of ${markerTtl} s, to which the server would raise every shorter TTL: ${setHistory(bucket)} or its subject_delete_marker_ttl to at most ${SMALLEST_TTL_SECONDS} s`,
    );
  }
  return reasons;
}

const setHistory = (bucket: string): string =>
  `set its history to 1 (nats stream edit ${streamName(bucket)} --max-msgs-per-subject=1)`;

/** What `nats kv add` makes, plus what Rollcall needs; KV clients of every language accept it. */
function newBucketConfig({ bucket, storage }: BucketOptions, replicas: number): Json {
  return {
    name: streamName(bucket),
    description: 'Service registry, made by Rollcall',
    subjects: [`$KV.${bucket}.>`, lockSubjects(bucket)],
    retention: 'limits',
    max_consumers: -1,
    max_msgs: -1,
    max_bytes: -1,
    max_age: 0,
    max_msgs_per_subject: 1,
    max_msg_size: -1,
    storage: storage === 'Memory' ? 'memory' : 'file',
    discard: 'new',
    num_replicas: replicas,
    duplicate_window: DUPLICATE_WINDOW_SECONDS * NS_PER_SECOND,
    allow_direct: true,
    deny_delete: true,
    allow_rollup_hdrs: true,
    allow_msg_ttl: true,
    allow_atomic: true,
    subject_delete_marker_ttl: MARKER_TTL_SECONDS * NS_PER_SECOND,
  };
}

const lockSubjects = (bucket: string): string => `$ROLLCALL.${bucket}.>`;

const markerTtlSeconds = (config: Json): number => numberOf(config['subject_delete_marker_ttl']) / NS_PER_SECOND;

const forAPerson = (serverVersion: string, reason: string): BucketReport => ({
  kind: 'unsupported',
  serverVersion,
  reasons: [reason],
  mendedBy: 'person',
});

const withoutStream = (report: BucketReport): BucketCheck => ({ report, maxMessageBytes: -1, allowsRollups: false });

function serverProblem(error: ApiError): BucketReport {
  return { kind: 'unavailable', description: `${error.description} (${error.errCode})` };
}
