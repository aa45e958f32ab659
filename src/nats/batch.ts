// One atomic batch on the wire (nats-io/nats-architecture-and-design ADR-50): encodes it, sends it, and says what became
// of it. The hot path: 15,000 keys a second pass here, so headers are written as bytes, not as objects.
// Not here: what is in a batch, and what to do about its outcome.

import type { MsgHdrs } from '@nats-io/transport-node';
import { headers, nuid } from '@nats-io/transport-node';
import type { Announcement, BatchMessage, CommitOutcome, RejectReason } from '../writer/registry.ts';
import { awaitReply, type Connection, type Link, LinkError } from './connection.ts';
import { type ApiError, numberOf, parseApiError, parseJson, textOf } from './jetstream-api.ts';

export type BatchTarget = {
  /** The stream that has to answer. */
  readonly stream: string;
  /**
   * Which messages carry `Nats-Rollup: sub`. `all`: needed when the history is > 1, else an older value would resurface
   * when the last one lapses (ADR-48). `none`: the stream refuses roll-ups; with history 1 every message is one anyway.
   */
  readonly rollups: 'all' | 'purges' | 'none';
  /** Bytes of headers and body that the stream takes per message; -1: no limit but the server's. */
  readonly maxMessageBytes: number;
};

/** ADR-50: the server refuses larger batches. */
export const BATCH_SIZE_MAX = 1_000;
/** nats-server closes the connection on a protocol line over 4,096 bytes; the line also holds the reply subject. */
const SUBJECT_LENGTH_MAX = 3_500;
/** Long enough for a slow disk, short enough to leave time within the lock's 6 s. */
export const COMMIT_TIMEOUT_MS = 2_000;

type ErrorMeaning = { readonly kind: 'retry' } | { readonly kind: 'rejected'; readonly reason: RejectReason };
const RETRY: ErrorMeaning = { kind: 'retry' };
const rejected = (reason: RejectReason): ErrorMeaning => ({ kind: 'rejected', reason });

/** nats-server `errors.json`. Nothing is stored in any of these cases. 10071, the conflict, is apart. */
const WRONG_LAST_SEQUENCE = 10071;
const MEANINGS: ReadonlyMap<number, ErrorMeaning> = new Map([
  [10002, rejected('Full')], // resource limits exceeded for account
  [10005, RETRY], // no suitable peers
  [10008, RETRY], // JetStream system temporarily unavailable
  [10009, RETRY], // not leader
  [10023, rejected('Full')], // insufficient resources
  [10028, rejected('Full')], // insufficient memory
  [10039, rejected('Unsupported')], // JetStream not enabled for account
  [10047, rejected('Full')], // insufficient storage
  [10054, rejected('TooLarge')], // message size exceeds maximum
  [10059, rejected('NoStream')],
  [10060, rejected('NoStream')], // expected stream does not match
  [10077, rejected('Full')], // store failed: maximum bytes or messages exceeded
  [10097, rejected('TooLarge')], // header size exceeds maximum
  [10109, rejected('Unsupported')], // sealed
  [10111, rejected('Unsupported')], // roll-ups not permitted
  [10164, RETRY], // in-flight conflict of a replicated stream
  [10165, rejected('Unsupported')], // invalid TTL
  [10166, rejected('Unsupported')], // TTLs are not enabled
  [10167, RETRY], // too many requests
  [10174, rejected('Unsupported')], // atomic batches are not enabled
  [10176, RETRY], // the server lost a part of the batch
  [10177, rejected('Unsupported')], // header not allowed in a batch
  [10199, rejected('Unsupported')], // the server allows only smaller batches
  [10210, RETRY], // too many batches in flight
]);

/** Sends the batch and waits for the one answer. Rejects only for a batch that breaks the rules of the port. */
export async function commitBatch(
  connection: Connection,
  target: BatchTarget,
  messages: readonly BatchMessage[],
  signal: AbortSignal,
): Promise<CommitOutcome> {
  assertWellFormed(messages);
  const link = connection.link();
  // What is published while disconnected is dropped without a word.
  if (link === undefined) return { kind: 'retry', description: 'not connected to NATS' };
  if (signal.aborted) return { kind: 'retry', description: 'stopped' };
  const encode = headerEncoder(nuid.next(), messages.length, target.rollups);
  const tooLarge = findTooLarge(messages, encode, target.maxMessageBytes, link);
  if (tooLarge !== undefined) return { kind: 'rejected', reason: 'TooLarge', ...tooLarge };

  // A refused right is told apart from the reply and possibly instead of it: without one message there is no batch.
  const denied = new Set<string>();
  const refused = new AbortController();
  const stopListening = connection.onDenied((subject) => {
    if (!messages.some((message) => message.subject === subject)) return;
    denied.add(subject);
    refused.abort();
  });
  try {
    const reply = await awaitReply(link, () => publish(link, messages, encode), signal, refused.signal);
    if (denied.size > 0) return await notPermitted(link, denied);
    return outcomeOf(reply.string(), target.stream, messages.length);
  } catch (error) {
    if (denied.size > 0) return await notPermitted(link, denied);
    return outcomeOfSilence(error);
  } finally {
    stopListening();
  }
}

/** One message outside any batch: nobody answers, and what is sent without a connection is lost. */
export function publishAlone(
  link: Link,
  { subject, ttlSeconds, headerLines }: Announcement,
  rollups: 'all' | 'none',
): void {
  const rollup = rollups === 'all' ? 'Nats-Rollup: sub\r\n' : '';
  const bytes = Buffer.from(`NATS/1.0\r\n${rollup}Nats-TTL: ${ttlSeconds}\r\n${headerLines}\r\n`, 'utf8');
  link.nc.publish(subject, EMPTY, { headers: Object.assign(headers(), { encode: () => bytes }) });
}

/** Reads the reply to a commit: `{stream, seq, batch, count}` or `{error: {code, err_code, description}}`. */
export function outcomeOf(reply: string, stream: string, messageCount: number): CommitOutcome {
  const ack = tryParse(reply);
  const error = ack && parseApiError(ack);
  if (error !== undefined) return outcomeOfError(error);
  const answering = textOf(ack?.['stream']);
  if (ack === undefined || answering === '') {
    return { kind: 'unknown', description: `unreadable reply: ${reply.slice(0, 100)}` };
  }
  const lastRevision = numberOf(ack['seq']);
  if (answering !== stream) {
    const description = `the subjects belong to stream ${answering}, not to ${stream}`;
    return { kind: 'rejected', reason: 'NoStream', description };
  }
  // An old server ignores the batch headers and acknowledges the last message alone.
  if (numberOf(ack['count']) !== messageCount || lastRevision < messageCount) {
    return { kind: 'unknown', description: `the server acknowledged ${numberOf(ack['count'])} of ${messageCount}` };
  }
  return { kind: 'committed', lastRevision };
}

function outcomeOfError(error: ApiError): CommitOutcome {
  const description = `${error.description} (${error.errCode})`;
  if (error.errCode === WRONG_LAST_SEQUENCE) {
    const actual = /:\s*(\d+)\s*$/.exec(error.description)?.[1];
    // Without the number the writer cannot find the subject by it; 0 makes it read back the batch's subjects.
    return { kind: 'conflict', actualRevision: actual === undefined ? 0 : Number(actual) };
  }
  const meaning = MEANINGS.get(error.errCode) ?? (error.code >= 500 ? RETRY : rejected('Other'));
  return { ...meaning, description };
}

function outcomeOfSilence(error: unknown): CommitOutcome {
  if (!(error instanceof LinkError)) throw error;
  if (error.kind === 'denied') return { kind: 'rejected', reason: 'Denied', description: error.message };
  return { kind: error.sent ? 'unknown' : 'retry', description: error.message };
}

/** `denied` is filled as the server refuses one message after the other. */
async function notPermitted(link: Link, denied: ReadonlySet<string>): Promise<CommitOutcome> {
  try {
    // All refusals come before the answer to a ping; a second one gives the library time to tell them.
    for (let round = 0; round < 2; round++) await awaitReply(link, () => link.nc.flush());
  } catch {
    // What is not known to be refused will be by the next batch.
  }
  const [first = '', ...more] = denied;
  const others = more.length === 0 ? 'grant it that right' : `nor to ${more.length} more: grant it these rights`;
  const description = `the NATS user may not publish to ${first}${more.length === 0 ? ': ' : ', '}${others}`;
  return { kind: 'rejected', reason: 'Denied', description, subjects: [first, ...more] };
}

/** `nc.publish` asks its headers for nothing but `encode()`, which gives the bytes as they go out. */
type HeaderBlock = MsgHdrs & { bytes: Uint8Array; encode(): Uint8Array };

/**
 * Each header is encoded as its message goes out, not all of them before: the library writes to the socket every 32 kB,
 * so the server takes in the first messages of a batch while the last are still being encoded.
 */
function publish(link: Link, messages: readonly BatchMessage[], encode: HeaderEncoder) {
  const { nc } = link;
  const block: HeaderBlock = Object.assign(headers(), {
    bytes: EMPTY,
    encode(): Uint8Array {
      return block.bytes;
    },
  });
  const options = { headers: block, reply: '' };
  const lastIndex = messages.length - 1;
  for (let index = 0; index < lastIndex; index++) {
    const message = messages[index];
    if (message === undefined) continue;
    block.bytes = encode(message, index);
    nc.publish(message.subject, message.body, options);
  }
  const last = messages[lastIndex];
  if (last === undefined) throw new TypeError('an empty batch');
  block.bytes = encode(last, lastIndex);
  return nc.request(last.subject, last.body, { headers: block, timeout: COMMIT_TIMEOUT_MS });
}

/** The header block of the batch's message at `index`. */
type HeaderEncoder = (message: BatchMessage, index: number) => Uint8Array;

function headerEncoder(batchId: string, count: number, rollups: BatchTarget['rollups']): HeaderEncoder {
  const start = `NATS/1.0\r\nNats-Batch-Id: ${batchId}\r\nNats-Batch-Sequence: `;
  const rollup = '\r\nNats-Rollup: sub';
  const put = rollups === 'all' ? rollup : '';
  const purge = `\r\nKV-Operation: PURGE${rollups === 'none' ? '' : rollup}`;
  return (message, index) => {
    const operation = message.operation === 'PURGE' ? purge : put;
    const commit = index === count - 1 ? '\r\nNats-Batch-Commit: 1' : '';
    const text =
      `${start}${index + 1}${commit}${operation}\r\nNats-TTL: ${message.ttlSeconds}` +
      `\r\nNats-Expected-Last-Subject-Sequence: ${message.expectedRevision}\r\n${message.headerLines}\r\n`;
    return Buffer.from(text, 'utf8');
  };
}

/** More than the lines of a header block that are the protocol's. */
const PROTOCOL_HEADER_BYTES_MAX = 300;
const UTF8_BYTES_PER_UNIT_MAX = 3;

function findTooLarge(
  messages: readonly BatchMessage[],
  encode: HeaderEncoder,
  maxMessageBytes: number,
  link: Link,
): Pick<Extract<CommitOutcome, { kind: 'rejected' }>, 'subjects' | 'descriptions' | 'description'> | undefined {
  const serverMax = link.nc.info?.max_payload ?? Number.POSITIVE_INFINITY;
  const max = maxMessageBytes < 0 ? serverMax : Math.min(maxMessageBytes, serverMax);
  const subjects: string[] = [];
  const descriptions: string[] = [];
  for (const [index, message] of messages.entries()) {
    const { subject, body, headerLines } = message;
    const bytesAtMost = body.length + PROTOCOL_HEADER_BYTES_MAX + headerLines.length * UTF8_BYTES_PER_UNIT_MAX;
    if (bytesAtMost <= max) continue;
    const bytes = body.length + encode(message, index).length;
    if (bytes <= max) continue;
    subjects.push(subject);
    descriptions.push(`${subject} has ${bytes} bytes; ${max} are allowed`);
  }
  const [first, ...more] = descriptions;
  if (first === undefined) return undefined;
  const description = more.length === 0 ? first : `${first}; ${more.length} more of the batch are too large as well`;
  return { subjects, descriptions, description };
}

/** The server's own answers to these are misleading (10164), partial (a wildcard is stored) or a closed connection. */
export function assertWellFormed(messages: readonly BatchMessage[]): void {
  if (messages.length === 0 || messages.length > BATCH_SIZE_MAX) {
    throw new RangeError(`a batch holds 1 to ${BATCH_SIZE_MAX} messages, not ${messages.length}`);
  }
  const subjects = new Set<string>();
  for (const { subject, ttlSeconds, expectedRevision } of messages) {
    subjects.add(subject);
    if (subject.length > SUBJECT_LENGTH_MAX || !PLAIN_SUBJECT.test(subject)) throw badMessage(subject, 'bad subject');
    if (!Number.isInteger(ttlSeconds) || ttlSeconds < 1) throw badMessage(subject, `bad TTL ${ttlSeconds}`);
    if (!Number.isInteger(expectedRevision) || expectedRevision < 0) throw badMessage(subject, 'bad revision');
  }
  if (subjects.size !== messages.length) throw new RangeError('a subject occurs twice in one batch');
}

/** Printable ASCII but for the wildcards and spaces. */
const PLAIN_SUBJECT = /^[!-)+-=?-~]+$/;
const EMPTY = new Uint8Array(0);

function badMessage(subject: string, problem: string): RangeError {
  return new RangeError(`${problem} in a batch: ${subject.slice(0, 200)}`);
}

function tryParse(text: string) {
  try {
    return parseJson(text);
  } catch {
    return undefined;
  }
}
