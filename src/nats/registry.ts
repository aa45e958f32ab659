// The port `Registry` on a real NATS server: puts connection, bucket check, batches and consumers together and
// remembers the last verdict on the bucket, because nothing may be written to one that will not do.

import type { Clock, Random } from '../clock.ts';
import { systemRandom } from '../clock.ts';
import type { Log } from '../log.ts';
import type {
  Announcement,
  BatchMessage,
  BucketReport,
  CommitOutcome,
  Registry,
  Revision,
  StoredMessage,
} from '../writer/registry.ts';
import { commitBatch, publishAlone } from './batch.ts';
import {
  type BucketCheck,
  type BucketOptions,
  inspectBucket,
  SERVER_VERSION_MIN,
  streamName,
  versionProblem,
} from './bucket.ts';
import { Connection, type NatsOptions } from './connection.ts';
import { follow } from './follow.ts';
import { asJson, callApi, ErrCode, type Json, numberOf, refuse, textOf } from './jetstream-api.ts';
import { readBack } from './read-back.ts';
import { ReadRate } from './read-rate.ts';
import { fromApiReply, parseTime } from './stored-message.ts';

export type NatsRegistryOptions = BucketOptions & {
  readonly connectionOptions: NatsOptions;
  readonly clock: Clock;
  readonly random?: Random;
  readonly log: Log;
};

export type NatsRegistry = Registry & {
  /** Owns the connection until the signal aborts; everything else answers "not connected" before and after. */
  start(signal: AbortSignal): Promise<void>;
  /** The server's wall clock minus ours, to within half of a round trip. @throws RegistryError */
  clockOffsetMs(signal: AbortSignal): Promise<number>;
};

/** Reads in flight at a time: more would only queue at the server and time out there. */
const READS_IN_FLIGHT_MAX = 64;

export function createNatsRegistry(options: NatsRegistryOptions): NatsRegistry {
  const { clock, log, bucket } = options;
  const connection = new Connection(options.connectionOptions, clock, options.random ?? systemRandom, log);
  const stream = streamName(bucket);
  const context = { connection, stream, clock };
  const rate = new ReadRate();
  /** The last verdict on a stream that was really looked at; being unreachable or denied does not change it. */
  let verdict: BucketCheck | undefined;

  async function inspect(signal: AbortSignal): Promise<BucketReport> {
    const checked = await inspectBucket(connection, options, clock, signal);
    const { kind } = checked.report;
    if (kind === 'usable' || kind === 'unsupported') verdict = checked;
    else if (kind === 'missing') verdict = undefined;
    return checked.report;
  }

  async function commit(messages: readonly BatchMessage[], signal: AbortSignal): Promise<CommitOutcome> {
    const report = verdict?.report;
    if (verdict === undefined || report === undefined) {
      return { kind: 'retry', description: 'no bucket has been found yet: inspect it first' };
    }
    if (report.kind === 'unsupported') {
      return { kind: 'rejected', reason: 'Unsupported', description: report.reasons.join('; ') };
    }
    // A reconnect may have led to an older server than the one that was inspected.
    const tooOld = versionProblem(connection.serverInfo()?.version ?? SERVER_VERSION_MIN);
    if (tooOld !== undefined) return { kind: 'rejected', reason: 'Unsupported', description: tooOld };
    const { allowsRollups, maxMessageBytes } = verdict;
    const history = report.kind === 'usable' ? report.history : 1;
    const rollups = !allowsRollups ? 'none' : history === 1 ? 'purges' : 'all';
    return commitBatch(connection, { stream, rollups, maxMessageBytes }, messages, signal);
  }

  function announce({ subject, ttlSeconds, headerLines }: Announcement): void {
    const link = connection.link();
    // Nothing without a TTL: only a bucket that was found to honour them is written.
    if (link === undefined || verdict?.report.kind !== 'usable') return;
    publishAlone(link, { subject, ttlSeconds, headerLines }, verdict.report.history === 1 ? 'none' : 'all');
  }

  async function getMessage(query: Json, signal: AbortSignal): Promise<StoredMessage | undefined> {
    const answer = await callApi(connection, `STREAM.MSG.GET.${stream}`, query, signal);
    if (answer.error === undefined) return fromApiReply(answer.reply);
    if (answer.error.errCode === ErrCode.notFound) return undefined;
    return refuse(answer.error, 'reading a message');
  }

  async function read(subjects: readonly string[], signal: AbortSignal) {
    const found: (StoredMessage | undefined)[] = subjects.map(() => undefined);
    let next = 0;
    const reader = async () => {
      while (next < subjects.length) {
        const index = next++;
        found[index] = await getMessage({ last_by_subj: subjects[index] }, signal);
      }
    };
    try {
      await Promise.all(Array.from({ length: Math.min(READS_IN_FLIGHT_MAX, subjects.length) }, reader));
    } finally {
      next = subjects.length;
    }
    return found;
  }

  async function* readAll(filters: readonly string[], signal: AbortSignal, pace?: 'gently') {
    const info = await callApi(connection, `STREAM.INFO.${stream}`, undefined, signal);
    if (info.error !== undefined) return refuse(info.error, 'reading the stream');
    const { last_seq: lastRevision, bytes } = asJson(info.reply['state']);
    const isGentle = pace === 'gently';
    const reading = rate.begin(numberOf(bytes), isGentle);
    const wanted = {
      filters,
      lastRevision: numberOf(lastRevision),
      leaves: isGentle ? 'what is replaced meanwhile' : 'nothing',
      bitsPerSecond: reading.bitsPerSecond,
      onArrival: () => {
        arrived += 1;
      },
    } as const;
    let isWhole = false;
    let arrived = 0;
    try {
      yield* readBack(context, wanted, signal);
      isWhole = true;
    } finally {
      if (isWhole) rate.ended(reading, arrived);
      else rate.brokenOff(reading, arrived);
    }
  }

  async function clockOffsetMs(signal: AbortSignal): Promise<number> {
    const sentAtMs = clock.wallMs();
    const info = await callApi(connection, `STREAM.INFO.${stream}`, undefined, signal);
    if (info.error !== undefined) return refuse(info.error, 'reading the stream');
    const serverWallMs = parseTime(textOf(info.reply['ts']));
    return serverWallMs === undefined ? 0 : serverWallMs - (sentAtMs + clock.wallMs()) / 2;
  }

  return {
    start: (signal) => connection.run(signal),
    clockOffsetMs,
    commit,
    read,
    readRevision: (revision: Revision, signal) => getMessage({ seq: revision }, signal),
    readBack: readAll,
    inspect,
    announce,
    follow: (subject, onMessage, signal) =>
      follow(context, subject, onMessage, (problem) => log.warn({ problem, subject }, 'following a subject'), signal),
    connected: () => connection.connected(),
    onConnectionChange: (listener) => connection.onChange(listener),
  };
}
