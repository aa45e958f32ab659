/**
 * The bare side of the throughput measurement: the same batches by the same client library, from bytes encoded
 * beforehand. Per batch it only patches digits: the batch's id, and the revisions expected, known from the last
 * acknowledgement. No table, no plan, no check, one batch in flight. This is what the fenced side is held against.
 */
import { connect, headers, type MsgHdrs, type NatsConnection } from '@nats-io/transport-node';
import { systemClock } from '../../src/clock.ts';
import { instanceHeaders } from '../../src/domain/service-instance.ts';
import { createNatsRegistry } from '../../src/nats/registry.ts';
import { KEYS_PER_BATCH, subjectOf } from '../../src/writer/batch-plan.ts';
import { LOCK_TTL_SECONDS, lockSubject, renewal } from '../../src/writer/lock.ts';
import { waitFor } from '../control-plane/wait.ts';
import { answerQuestions, trusted } from '../control-plane/worker-process.ts';
import { OPERATOR_ID, refreshLoad, type Window } from './refresh-load.ts';

/** Digits of a revision; the server reads leading zeros as nothing. */
const DIGITS = 9;
const BATCH_ID_AT = 'NATS/1.0\r\nNats-Batch-Id: ';
const BATCH_ID_LENGTH = 22;
const KEY_TTL_SECONDS = 30;
const TERM = 1;

type Slot = { readonly subject: string; readonly head: Buffer; readonly revisionAt: number; readonly body: Buffer };
/** The lock first. `base` is the revision before the first key's, so key i (from 1) stands at base + i. */
type Batch = { readonly slots: readonly Slot[]; base: number };
type HeaderBlock = MsgHdrs & { bytes: Uint8Array; encode(): Uint8Array };

const EMPTY = Buffer.alloc(0);
const state: { nc: NatsConnection | undefined; batches: Batch[]; next: number; lockRevision: number; count: number } = {
  nc: undefined,
  batches: [],
  next: 0,
  lockRevision: 0,
  count: 0,
};

answerQuestions({
  start: (argument) => start(trusted<{ url: string; bucket: string }>(argument)),
  window: (argument) => runWindow(trusted<number>(argument)),
});

async function start({ url, bucket }: { url: string; bucket: string }): Promise<void> {
  await makeBucket(url, bucket);
  state.nc = await connect({ servers: url, name: 'bench bare', inboxPrefix: '_INBOX_bare', noAsyncTraces: true });
  state.batches = encodeBatches(bucket);
  for (const _ of state.batches) await sendNext(state.nc);
}

/** By the production adapter, so that both sides write to streams of one configuration. */
async function makeBucket(url: string, bucket: string): Promise<void> {
  const stop = new AbortController();
  const registry = createNatsRegistry({
    connectionOptions: { servers: [url], name: 'bench bucket' },
    bucket,
    bucketPolicy: 'Create',
    clock: systemClock,
    log: { debug() {}, info() {}, warn() {}, error() {} },
  });
  const running = registry.start(stop.signal);
  await waitFor('a usable bucket', async () => (await registry.inspect(stop.signal)).kind === 'usable');
  stop.abort();
  await running;
}

function encodeBatches(bucket: string): Batch[] {
  const load = refreshLoad(10_000, '2026-11-23T17:00:01.123+08:00');
  const lock = renewal(lockSubject(bucket, OPERATOR_ID), 0, `bench-${process.pid}`, TERM);
  const batches: Batch[] = [];
  for (let start = 0; start < load.length; start += KEYS_PER_BATCH) {
    const part = load.slice(start, start + KEYS_PER_BATCH);
    const count = part.length + 1;
    const slots = [
      slot(lock.subject, 1, count, LOCK_TTL_SECONDS, lock.headerLines, EMPTY),
      ...part.map(({ wish, key, body }, index) => {
        const lines = instanceHeaders(OPERATOR_ID, wish.pod, TERM, 'Refresh');
        return slot(subjectOf(bucket, key), index + 2, count, KEY_TTL_SECONDS, lines, Buffer.from(body));
      }),
    ];
    batches.push({ slots, base: -1 });
  }
  return batches;
}

function slot(subject: string, sequence: number, count: number, ttl: number, lines: string, body: Buffer): Slot {
  const commit = sequence === count ? '\r\nNats-Batch-Commit: 1' : '';
  const before =
    `${BATCH_ID_AT}${'x'.repeat(BATCH_ID_LENGTH)}\r\nNats-Batch-Sequence: ${sequence}${commit}` +
    `\r\nNats-TTL: ${ttl}\r\nNats-Expected-Last-Subject-Sequence: `;
  const head = Buffer.from(`${before}${'0'.repeat(DIGITS)}\r\n${lines}\r\n`, 'latin1');
  return { subject, head, revisionAt: before.length, body };
}

async function sendNext(nc: NatsConnection): Promise<number> {
  const batch = state.batches[state.next];
  if (batch === undefined) throw new Error('no batch');
  state.next = (state.next + 1) % state.batches.length;
  state.count += 1;
  const id = `${process.pid}-${state.count}`.padEnd(BATCH_ID_LENGTH, '-');
  const { slots, base } = batch;
  const last = slots.length - 1;
  const block: HeaderBlock = Object.assign(headers(), { bytes: EMPTY, encode: () => block.bytes });
  const options = { headers: block, reply: '' };
  let answer: Promise<{ string(): string }> | undefined;
  for (let index = 0; index <= last; index += 1) {
    const one = slots[index];
    if (one === undefined) continue;
    one.head.write(id, BATCH_ID_AT.length, 'latin1');
    writeDigits(one.head, one.revisionAt, index === 0 ? state.lockRevision : base < 0 ? 0 : base + index);
    block.bytes = one.head;
    if (index < last) nc.publish(one.subject, one.body, options);
    else answer = nc.request(one.subject, one.body, { headers: block, timeout: 5_000 });
  }
  const text = (await answer)?.string() ?? '';
  const { seq } = trusted<{ seq?: number }>(JSON.parse(text));
  if (seq === undefined) throw new Error(`a batch was refused: ${text}`);
  state.lockRevision = seq - last;
  batch.base = state.lockRevision;
  return last;
}

function writeDigits(bytes: Buffer, at: number, value: number): void {
  let rest = value;
  for (let index = at + DIGITS - 1; index >= at; index -= 1) {
    const quotient = Math.trunc(rest / 10);
    bytes[index] = 48 + rest - quotient * 10;
    rest = quotient;
  }
}

async function runWindow(ms: number): Promise<Window> {
  if (state.nc === undefined) throw new Error('not started');
  let keys = 0;
  const acksMs: number[] = [];
  const cpu = process.cpuUsage();
  const beginMs = performance.now();
  while (performance.now() < beginMs + ms) {
    const sentAtMs = performance.now();
    keys += await sendNext(state.nc);
    acksMs.push(performance.now() - sentAtMs);
  }
  const { user, system } = process.cpuUsage(cpu);
  return { keys, ms: performance.now() - beginMs, cpuMs: (user + system) / 1_000, acksMs };
}
