// A message of the stream as the port's `StoredMessage`, from either of the forms in which the server gives it:
// the JSON of STREAM.MSG.GET, or a delivery of a consumer. Pure.

import type { Msg } from '@nats-io/transport-node';
import type { StoredMessage } from '../writer/registry.ts';
import { asJson, type Json, numberOf, textOf } from './jetstream-api.ts';

export type Delivery = {
  readonly message: StoredMessage;
  /** 1, 2, 3 ... per consumer: a gap means that something was lost on the way. */
  readonly deliverySequence: number;
  /** Messages that the consumer still has to deliver, as far as the server counted. */
  readonly pending: number;
};

type Headers = {
  readonly operation: StoredMessage['operation'];
  readonly ttlSeconds?: number;
  readonly rollcall: Readonly<Record<string, string>>;
};

const NO_HEADERS: Headers = { operation: 'PUT', rollcall: {} };
const EMPTY = new Uint8Array(0);

/** `{message: {subject, seq, hdrs?, data?, time}}`; headers and data are base64. */
export function fromApiReply(reply: Json): StoredMessage {
  const raw = asJson(reply['message']);
  const block = textOf(raw['hdrs']);
  const data = textOf(raw['data']);
  return build(
    textOf(raw['subject']),
    numberOf(raw['seq']),
    Date.parse(textOf(raw['time'])),
    block === '' ? NO_HEADERS : parseHeaders(Buffer.from(block, 'base64').toString('utf8')),
    data === '' ? EMPTY : Buffer.from(data, 'base64'),
  );
}

/**
 * The reply subject carries the numbers (ADR-15), in one of two forms:
 * `$JS.ACK.stream.consumer.deliveries.streamSeq.deliverySeq.timeNs.pending` or, with a domain and an account before the
 * stream and possibly a token behind, `$JS.ACK.domain.account.stream...`. Undefined for anything else.
 */
export function fromDelivery(message: Msg): Delivery | undefined {
  const tokens = (message.reply ?? '').split('.');
  if (tokens[0] !== '$JS' || tokens[1] !== 'ACK' || tokens.length < 9) return undefined;
  const at = tokens.length === 9 ? 2 : 4;
  // Nanoseconds since the epoch exceed the exact integers of a number; its first 13 digits are milliseconds.
  const storedAtMs = Number((tokens[at + 5] ?? '').slice(0, -6));
  let headers = NO_HEADERS;
  if (message.headers !== undefined) {
    const lines: [string, string][] = [];
    for (const [name, values] of message.headers) lines.push([name, values[0] ?? '']);
    headers = interpret(lines);
  }
  return {
    message: build(message.subject, Number(tokens[at + 3]), storedAtMs, headers, message.data),
    deliverySequence: Number(tokens[at + 4]),
    pending: Number(tokens[at + 6]),
  };
}

/** The server's RFC 3339 as ms since the epoch, undefined for anything else. */
export function parseTime(text: string): number | undefined {
  const ms = Date.parse(text);
  return Number.isNaN(ms) ? undefined : ms;
}

/** Whole seconds, or a Go duration such as `1m0s`; `never` and unreadable ones are none. */
export function parseTtl(text: string): number | undefined {
  if (/^\d+$/.test(text)) return Number(text) || undefined;
  const match = /^(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s)?$/.exec(text);
  if (match === null) return undefined;
  return Number(match[1] ?? 0) * 3_600 + Number(match[2] ?? 0) * 60 + Number(match[3] ?? 0) || undefined;
}

function build(subject: string, revision: number, storedAtMs: number, headers: Headers, body: Uint8Array) {
  const { operation, ttlSeconds, rollcall } = headers;
  const message: StoredMessage = { subject, revision, storedAtMs, operation, headers: rollcall, body };
  return ttlSeconds === undefined ? message : { ...message, ttlSeconds };
}

function parseHeaders(block: string): Headers {
  const lines: [string, string][] = [];
  for (const line of block.split('\r\n')) {
    const colon = line.indexOf(':');
    if (colon > 0) lines.push([line.slice(0, colon), line.slice(colon + 1).trim()]);
  }
  return interpret(lines);
}

function interpret(lines: readonly (readonly [string, string])[]): Headers {
  let operation: StoredMessage['operation'] = 'PUT';
  let ttlSeconds: number | undefined;
  const rollcall: Record<string, string> = {};
  for (const [name, value] of lines) {
    if (name.startsWith('Rollcall-')) rollcall[name] = value;
    else if (name === 'Nats-TTL') ttlSeconds = parseTtl(value);
    else if (name === 'KV-Operation') operation = value === 'PURGE' || value === 'DEL' ? value : 'PUT';
    else if (name === 'Nats-Marker-Reason') operation = markerReason(value);
  }
  return ttlSeconds === undefined ? { operation, rollcall } : { operation, ttlSeconds, rollcall };
}

function markerReason(reason: string): StoredMessage['operation'] {
  if (reason === 'Purge') return 'PURGE';
  return reason === 'Remove' ? 'Remove' : 'MaxAge';
}
