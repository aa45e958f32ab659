// The bucket check against real servers: what is created, completed, accepted and refused, and that nothing else changes.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type JetStreamManager, jetstreamManager, type StreamConfig } from '@nats-io/jetstream';
import { Kvm } from '@nats-io/kv';
import type { NatsConnection } from '@nats-io/transport-node';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { type NatsServer, startNats } from '../../hack/control-plane/nats.ts';
import { waitFor } from '../../hack/control-plane/wait.ts';
import { isOlder } from '../../src/nats/bucket.ts';
import type { NatsRegistryOptions } from '../../src/nats/registry.ts';
import type { BucketReport } from '../../src/writer/registry.ts';
import { bytes, purge, put, revisionOf } from '../contract/registry.contract.ts';
import { connectStranger, startRegistry } from '../support/nats-registry.ts';

const SECOND_NS = 1_000_000_000;
let dir: string;
let server: NatsServer;
let stranger: NatsConnection;
let streams: JetStreamManager['streams'];
let buckets = 0;
const { signal } = new AbortController();

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'rollcall-bucket-'));
  server = await startNats({ dir });
  stranger = await connectStranger(server.url);
  ({ streams } = await jetstreamManager(stranger));
}, 300_000);

afterAll(async () => {
  await stranger?.close();
  await server?.stop();
  await rm(dir, { recursive: true, force: true });
});

describe('a bucket that is missing', () => {
  test.each([
    'Create',
    'Upgrade',
  ] as const)('is made under %s, as a KV bucket that clients accept', async (bucketPolicy) => {
    const bucket = `made-${buckets++}`;
    const { report, registry } = await inspect({ bucket, bucketPolicy });
    expect(report).toMatchObject({
      kind: 'usable',
      lastRevision: 0,
      history: 1,
      markerTtlSeconds: 60,
      replicas: 1,
      maxBytes: -1,
    });
    const { config } = await streams.info(`KV_${bucket}`);
    expect(config).toMatchObject({
      subjects: [`$KV.${bucket}.>`, `$ROLLCALL.${bucket}.>`],
      storage: 'file',
      discard: 'new',
      max_age: 0,
      max_msgs_per_subject: 1,
      allow_direct: true,
      deny_delete: true,
      allow_rollup_hdrs: true,
      allow_msg_ttl: true,
      allow_atomic: true,
      subject_delete_marker_ttl: 60 * SECOND_NS,
    });
    const kv = await new Kvm(stranger).open(bucket);
    await registry.commit([put(`$KV.${bucket}.a`, 0, { body: bytes('ours') })], signal);
    expect((await kv.get('a'))?.string()).toBe('ours');
    expect((await kv.status()).history).toBe(1);
    // A client that says what it wants of the bucket must not be refused, nor change it.
    await new Kvm(stranger).create(bucket, { history: 1 }).catch(() => undefined);
    expect((await inspect({ bucket, bucketPolicy: 'Verify' })).report.kind).toBe('usable');
  });

  test('is not made under Verify', async () => {
    const { report } = await inspect({ bucket: 'absent', bucketPolicy: 'Verify' });
    expect(report).toMatchObject({ kind: 'missing', description: expect.stringContaining('--bucket-policy=Create') });
    await expect(streams.info('KV_absent')).rejects.toThrow();
  });

  test('is made in memory when asked', async () => {
    const { report } = await inspect({ bucket: 'memory', storage: 'Memory' });
    expect(report.kind).toBe('usable');
    expect((await streams.info('KV_memory')).config.storage).toBe('memory');
  });

  test('with three replicas on a single server is refused, and how to help it is said', async () => {
    const { report } = await inspect({ bucket: 'three', replicas: 3 });
    expect(reasons(report)).toMatch(/--bucket-replicas=1/);
  });

  test('with an impossible name is refused', async () => {
    expect(reasons((await inspect({ bucket: 'a.b' })).report)).toMatch(/no bucket name/);
  });
});

describe('a bucket that exists', () => {
  const lacking: readonly (readonly [string, Partial<StreamConfig>, RegExp])[] = [
    ['no TTL', { allow_msg_ttl: false }, /allow_msg_ttl/],
    ['no atomic batches', { allow_atomic: false }, /allow_atomic/],
    ['no subject for the lock', { subjects: [] }, /\$ROLLCALL\.existing-\d+\.>/],
  ];
  test.each(
    lacking,
  )('with %s is refused, untouched, under Create and Verify; completed under Upgrade', async (_name, config, why) => {
    const { bucket, before } = await anExisting(config);
    for (const bucketPolicy of ['Create', 'Verify'] as const) {
      const { report, registry } = await inspect({ bucket, bucketPolicy });
      expect(reasons(report)).toMatch(why);
      expect(reasons(report)).toMatch(/--bucket-policy=Upgrade/);
      expect(await registry.commit([put(`$KV.${bucket}.a`, 0)], signal)).toMatchObject({
        kind: 'rejected',
        reason: 'Unsupported',
      });
      expect((await streams.info(`KV_${bucket}`)).config).toEqual(before);
    }
    const { report, registry } = await inspect({ bucket, bucketPolicy: 'Upgrade' });
    expect(report.kind).toBe('usable');
    const after = (await streams.info(`KV_${bucket}`)).config;
    const { allow_msg_ttl, allow_atomic, subjects, ...rest } = after;
    expect({ allow_msg_ttl, allow_atomic, subjects: subjects.length }).toEqual({
      allow_msg_ttl: true,
      allow_atomic: true,
      subjects: 2,
    });
    const { allow_msg_ttl: _ttl, allow_atomic: _atomic, subjects: _subjects, metadata: _before, ...same } = before;
    expect(rest).toMatchObject(same);
    revisionOf(await registry.commit([put(`$ROLLCALL.${bucket}.op.lock`, 0), put(`$KV.${bucket}.a`, 0)], signal));
  });

  test('made by the kv package with a TTL of 10 s for all keys is usable, and its max_age is told', async () => {
    const bucket = `existing-${buckets++}`;
    await new Kvm(stranger).create(bucket, { ttl: 10_000, markerTTL: 2_000 });
    const { report, registry } = await inspect({ bucket, bucketPolicy: 'Upgrade' });
    expect(report).toMatchObject({ kind: 'usable', maxAgeSeconds: 10, history: 1 });
    expect((await streams.info(`KV_${bucket}`)).config.max_age).toBe(10 * SECOND_NS);
    revisionOf(await registry.commit([put(`$ROLLCALL.${bucket}.op.lock`, 0), put(`$KV.${bucket}.a`, 0)], signal));
  });

  test('with history 10 keeps one message per key, and nothing resurfaces after a lapse', async () => {
    const { bucket } = await anExisting({ max_msgs_per_subject: 10, subject_delete_marker_ttl: 0 });
    const { report, registry } = await inspect({ bucket });
    expect(report).toMatchObject({ kind: 'usable', history: 10, markerTtlSeconds: 0 });
    const [lock, key] = [`$ROLLCALL.${bucket}.op.lock`, `$KV.${bucket}.a`];
    let last = revisionOf(await registry.commit([put(lock, 0), put(key, 0, { ttlSeconds: 30 })], signal));
    last = revisionOf(await registry.commit([put(lock, last - 1), put(key, last, { ttlSeconds: 30 })], signal));
    last = revisionOf(await registry.commit([put(lock, last - 1), put(key, last, { ttlSeconds: 1 })], signal));
    expect((await streams.info(`KV_${bucket}`)).state.messages).toBe(2);
    await waitFor('the lapse', async () => (await registry.read([key], signal))[0] === undefined);
    last = revisionOf(await registry.commit([purge(lock, last - 1, 1), put(key, 0)], signal));
    expect((await registry.read([key], signal))[0]?.revision).toBe(last);
  });

  const hopeless: readonly (readonly [string, Partial<StreamConfig>, RegExp])[] = [
    ['history 10 and markers that outlive the lock', { max_msgs_per_subject: 10 }, /history to 1/],
    [
      'history 10 and no roll-ups',
      { max_msgs_per_subject: 10, subject_delete_marker_ttl: 0, allow_rollup_hdrs: false },
      /allow_rollup_hdrs/,
    ],
    ['no acknowledgements', { no_ack: true, allow_atomic: false }, /no_ack/],
  ];
  test.each(hopeless)('with %s is refused and left alone, also under Upgrade', async (_name, config, why) => {
    const { bucket, before } = await anExisting(config);
    const { report } = await inspect({ bucket, bucketPolicy: 'Upgrade' });
    expect(reasons(report)).toMatch(why);
    expect((await streams.info(`KV_${bucket}`)).config).toEqual(before);
  });

  test('with history 1 but without roll-ups is usable, purges included', async () => {
    const { bucket } = await anExisting({ subject_delete_marker_ttl: 0, allow_rollup_hdrs: false });
    const { registry } = await inspect({ bucket });
    const key = `$KV.${bucket}.a`;
    const first = revisionOf(await registry.commit([put(key, 0)], signal));
    revisionOf(await registry.commit([purge(key, first, 1)], signal));
    expect((await registry.read([key], signal))[0]?.operation).toBe('PURGE');
    expect((await streams.info(`KV_${bucket}`)).state.messages).toBe(1);
  });

  test('a stream of that name that is no bucket is refused and left alone', async () => {
    await streams.add({ name: 'KV_events', subjects: ['events.>'] });
    const before = (await streams.info('KV_events')).config;
    expect(reasons((await inspect({ bucket: 'events', bucketPolicy: 'Upgrade' })).report)).toMatch(/no KV bucket/);
    expect((await streams.info('KV_events')).config).toEqual(before);
  });

  test('that is full refuses new keys as Full, and takes them again when there is room', async () => {
    const { bucket } = await anExisting({ max_bytes: 4_000, discard: 'new' as StreamConfig['discard'] });
    const { report, registry } = await inspect({ bucket });
    expect(report).toMatchObject({ kind: 'usable', maxBytes: 4_000 });
    const big = { body: bytes('x'.repeat(3_000)), ttlSeconds: 1 };
    revisionOf(await registry.commit([put(`$KV.${bucket}.a`, 0, big)], signal));
    expect(await registry.commit([put(`$KV.${bucket}.b`, 0, big)], signal)).toMatchObject({
      kind: 'rejected',
      reason: 'Full',
    });
    await waitFor(
      'room',
      async () => (await registry.commit([put(`$KV.${bucket}.b`, 0, big)], signal)).kind === 'committed',
    );
  });

  test('with a limit per message refuses larger ones as TooLarge, wherever in the batch', async () => {
    const { bucket } = await anExisting({ max_msg_size: 1_000 });
    const { registry } = await inspect({ bucket });
    const big = put(`$KV.${bucket}.big`, 0, { body: bytes('x'.repeat(1_000)) });
    const small = put(`$KV.${bucket}.small`, 0);
    for (const batch of [[big, small], [small, big], [big]]) {
      expect(await registry.commit(batch, signal)).toMatchObject({ kind: 'rejected', reason: 'TooLarge' });
    }
    const bigger = put(`$KV.${bucket}.bigger`, 0, { body: bytes('x'.repeat(2_000)) });
    expect(await registry.commit([big, small, bigger], signal)).toMatchObject({
      subjects: [big.subject, bigger.subject],
      descriptions: [expect.stringContaining(big.subject), expect.stringContaining(bigger.subject)],
    });
    const huge = put(`$KV.${bucket}.huge`, 0, { body: new Uint8Array(2 ** 20) });
    expect(await registry.commit([huge], signal)).toMatchObject({ kind: 'rejected', reason: 'TooLarge' });
    expect(registry.connected()).toBe(true);
  });

  test('that is deleted is missing at the next look, made again under Create, and another incarnation', async () => {
    const bucket = `deleted-${buckets++}`;
    const { report: before, registry } = await inspect({ bucket });
    await streams.delete(`KV_${bucket}`);
    expect((await registry.commit([put(`$KV.${bucket}.a`, 0)], signal)).kind).toBe('retry');
    await expect(registry.read([`$KV.${bucket}.a`], signal)).rejects.toMatchObject({ kind: 'missing' });
    const drain = async () => {
      for await (const _page of registry.readBack([`$KV.${bucket}.>`], signal));
    };
    await expect(drain()).rejects.toMatchObject({ kind: 'missing' });
    expect((await inspect({ bucket, bucketPolicy: 'Verify' })).report.kind).toBe('missing');
    const after = await registry.inspect(signal);
    expect(after.kind).toBe('usable');
    expect(after.kind === 'usable' && after.incarnation).not.toBe(before.kind === 'usable' && before.incarnation);
  });
});

test('a 2.10 server is refused by version, and nothing is made or written there', async () => {
  const old = await startNats({ dir: await mkdtemp(join(dir, 'old-')), binary: 'old' });
  onTestFinished(() => old.stop());
  const client = await connectStranger(old.url);
  const manager = await jetstreamManager(client);
  const { report, registry } = await inspect({ bucket: 'old', bucketPolicy: 'Upgrade' }, old.url);
  expect(reasons(report)).toMatch(/nats-server 2\.10\.\d+ .*upgrade it to 2\.12\.1/);
  expect(await manager.streams.names().next()).toEqual([]);
  await manager.streams.add({
    name: 'KV_old',
    subjects: ['$KV.old.>', '$ROLLCALL.old.>'],
    max_msgs_per_subject: 1,
    allow_rollup_hdrs: true,
  });
  expect((await registry.inspect(signal)).kind).toBe('unsupported');
  expect(await registry.commit([put('$KV.old.a', 0)], signal)).toMatchObject({
    kind: 'rejected',
    reason: 'Unsupported',
  });
  expect((await manager.streams.info('KV_old')).state.messages).toBe(0);
  await client.close();
}, 60_000);

test.each([
  ['2.9.25', true],
  ['2.12.0', true],
  ['2.12.1', false],
  ['2.12.1-RC.2', false],
  ['2.15.2', false],
  ['3.0.0-dev', false],
])('version %s is too old: %s', (version, tooOld) => {
  expect(isOlder(version, '2.12.1')).toBe(tooOld);
});

async function inspect(options: Partial<NatsRegistryOptions> & { bucket: string }, url = server.url) {
  const registry = startRegistry([url], options);
  onTestFinished(registry.stop);
  await waitFor('the connection', () => registry.connected());
  return { registry, report: await registry.inspect(signal) };
}

/** A bucket as somebody else made it: all that Rollcall needs but for `config`. */
async function anExisting(config: Partial<StreamConfig>) {
  const bucket = `existing-${buckets++}`;
  const name = `KV_${bucket}`;
  const subjects = [`$KV.${bucket}.>`, ...(config.subjects === undefined ? [`$ROLLCALL.${bucket}.>`] : [])];
  await streams.add({
    name,
    description: 'not ours',
    max_msgs_per_subject: 1,
    allow_rollup_hdrs: true,
    allow_msg_ttl: true,
    allow_atomic: true,
    ...(config.allow_msg_ttl !== false && { subject_delete_marker_ttl: 60 * SECOND_NS }),
    ...config,
    subjects,
  });
  return { bucket, before: (await streams.info(name)).config };
}

const reasons = (report: BucketReport): string =>
  report.kind === 'unsupported' ? report.reasons.join('\n') : report.kind;
