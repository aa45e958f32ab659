// The NATS adapter against real servers: the contract, and what happens when servers are killed, paused or refuse us.

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { jetstream } from '@nats-io/jetstream';
import { Kvm } from '@nats-io/kv';
import { type NatsConnection, nkeys } from '@nats-io/transport-node';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { type NatsServer, startNats, startNatsCluster } from '../../hack/control-plane/nats.ts';
import { waitFor } from '../../hack/control-plane/wait.ts';
import { systemClock } from '../../src/clock.ts';
import type { NatsOptions } from '../../src/nats/connection.ts';
import type { CommitOutcome, Registry, StoredMessage } from '../../src/writer/registry.ts';
import { bytes, put, registryContract, revisionOf, text } from '../contract/registry.contract.ts';
import { connectStranger, readyRegistry, startRegistry } from '../support/nats-registry.ts';
import { startTcpProxy } from '../support/tcp-proxy.ts';

let dir: string;
let server: NatsServer;
let stranger: NatsConnection;
const { signal } = new AbortController();
const bucketNames = (function* () {
  for (let n = 0; ; n++) yield `bucket-${n}`;
})();

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'rollcall-registry-'));
  server = await startNats({ dir });
  stranger = await connectStranger(server.url);
}, 300_000);

afterAll(async () => {
  await stranger?.close();
  await server?.stop();
  await rm(dir, { recursive: true, force: true });
});

registryContract('NATS', async () => {
  const bucket = bucketNames.next().value;
  const registry = await readyRegistry([server.url], { bucket });
  const other = await readyRegistry([server.url], { bucket });
  const kv = await new Kvm(stranger).open(bucket);
  return {
    registry,
    other,
    bucket,
    putByStranger: async (key, body) => void (await kv.put(key, body)),
    run: (promise) => promise,
    sleep: (ms) => systemClock.sleep(ms, signal),
    close: async () => {
      await registry.stop();
      await other.stop();
      await jetstream(stranger)
        .jetstreamManager()
        .then((manager) => manager.streams.delete(`KV_${bucket}`));
    },
  };
});

test('KV clients neither list nor watch what lies under $ROLLCALL', async () => {
  const { registry, bucket } = await aBucket();
  await registry.commit([put(`$ROLLCALL.${bucket}.op.lock`, 0), put(`$KV.${bucket}.service-instances.s.a`, 0)], signal);
  const kv = await new Kvm(stranger).open(bucket);
  const keys: string[] = [];
  for await (const key of await kv.keys()) keys.push(key);
  expect(keys).toEqual(['service-instances.s.a']);
  expect((await kv.get('service-instances.s.a'))?.string()).toBe('{}');
});

describe('faults of the server', () => {
  test('kill -9 under load: unknown or retry, then everything acknowledged is there', async () => {
    const own = await anOwnServer('killed');
    const { registry, bucket } = await aBucket(own.url);
    const followed: StoredMessage[] = [];
    void registry.follow(`$ROLLCALL.${bucket}.op.lock`, (message) => followed.push(message), signal);
    const lock = `$ROLLCALL.${bucket}.op.lock`;
    const outcomes: CommitOutcome[] = [];
    const stop = new AbortController();
    let revision = 0;
    const writing = (async () => {
      for (let n = 0; !stop.signal.aborted; n++) {
        const outcome = await registry.commit([put(lock, revision), put(`$KV.${bucket}.k.${n}`, 0)], signal);
        outcomes.push(outcome);
        if (outcome.kind === 'committed') revision = outcome.lastRevision - 1;
        else if (outcome.kind === 'retry') await systemClock.sleep(20, signal);
        else revision = await lastRevisionOf(registry, lock);
      }
    })();
    await waitFor('some commits', () => outcomes.length > 20);
    await own.process.kill('SIGKILL');
    await waitFor('the loss to show', () => !registry.connected());
    const before = outcomes.filter(({ kind }) => kind === 'committed').length;
    await own.process.restart();
    await waitFor('commits again', () => outcomes.filter(({ kind }) => kind === 'committed').length > before + 20);
    stop.abort();
    await writing;
    expect(outcomes.filter(({ kind }) => kind === 'rejected')).toEqual([]);
    for (const [n, outcome] of outcomes.entries()) {
      if (outcome.kind !== 'committed') continue;
      const [stored] = await registry.read([`$KV.${bucket}.k.${n}`], signal);
      expect(stored?.revision).toBe(outcome.lastRevision);
    }
    await waitFor('the follower to catch up', () => followed.at(-1)?.revision === revision);
    expect(followed.every((message, i) => i === 0 || message.revision > (followed[i - 1]?.revision ?? 0))).toBe(true);
  }, 60_000);

  test('SIGSTOP: a commit is unknown within 3 s, then retry; all is well after SIGCONT', async () => {
    const own = await anOwnServer('paused');
    const { registry, bucket } = await aBucket(own.url);
    const key = `$KV.${bucket}.k`;
    const followed: StoredMessage[] = [];
    void registry.follow(key, (message) => followed.push(message), signal);
    const first = revisionOf(await registry.commit([put(key, 0)], signal));
    own.process.pause();
    const startedMs = performance.now();
    expect((await registry.commit([put(key, first, { body: bytes('late') })], signal)).kind).toBe('unknown');
    expect(performance.now() - startedMs).toBeLessThan(3_000);
    await waitFor('the half-open link to be noticed', () => !registry.connected(), { deadlineMs: 4_000 });
    expect((await registry.commit([put(key, first)], signal)).kind).toBe('retry');
    await expect(registry.read([key], signal)).rejects.toMatchObject({ kind: 'transient' });
    expect((await registry.inspect(signal)).kind).toBe('unavailable');
    own.process.resume();
    await waitFor('the connection', () => registry.connected());
    const [stored] = await registry.read([key], signal);
    // The bytes lay in the socket: the server stores them when it wakes.
    expect([first, first + 1]).toContain(stored?.revision);
    expect((await registry.commit([put(key, stored?.revision ?? 0, { body: bytes('new') })], signal)).kind).toBe(
      'committed',
    );
    await waitFor('the follower to catch up', () => text(followed.at(-1)) === 'new', { deadlineMs: 8_000 });
  }, 60_000);

  test('a server that is not there yet: not connected, and found when it comes', async () => {
    const own = await anOwnServer('late');
    await own.process.kill('SIGKILL');
    const registry = startRegistry([own.url], { bucket: 'late' });
    onTestFinished(registry.stop);
    expect((await registry.inspect(signal)).kind).toBe('unavailable');
    expect((await registry.commit([put('$KV.late.k', 0)], signal)).kind).toBe('retry');
    await waitFor('a line in the log', () => registry.lines.some((line) => line.includes('connection refused')));
    await own.process.restart();
    await waitFor('a usable bucket', async () => (await registry.inspect(signal)).kind === 'usable');
  }, 60_000);

  test('stopping ends everything within a second, also while the server is paused', async () => {
    const own = await anOwnServer('stop');
    const { registry, bucket } = await aBucket(own.url);
    const stop = new AbortController();
    own.process.pause();
    const pending = Promise.allSettled([
      registry.commit([put(`$KV.${bucket}.k`, 0)], stop.signal),
      registry.read([`$KV.${bucket}.k`], stop.signal),
      registry.inspect(stop.signal),
      registry.follow(`$KV.${bucket}.k`, () => undefined, stop.signal),
    ]);
    await systemClock.sleep(100, signal);
    const startedMs = performance.now();
    stop.abort();
    await pending;
    await registry.stop();
    expect(performance.now() - startedMs).toBeLessThan(1_000);
  }, 60_000);
});

test('a gentle read-back ends although the stream is written faster than it is read', async () => {
  const bucket = bucketNames.next().value;
  const [registry, writer] = [
    await readyRegistry([server.url], { bucket }),
    await readyRegistry([server.url], { bucket }),
  ];
  onTestFinished(async () => void (await Promise.all([registry.stop(), writer.stop()])));
  const body = bytes('x'.repeat(4_000));
  const revisions = new Map<string, number>();
  const write = async () => {
    const keys = Array.from({ length: 500 }, (_, i) => `$KV.${bucket}.service-instances.service.${i}`);
    const last = revisionOf(
      await writer.commit(
        keys.map((key) => put(key, revisions.get(key) ?? 0, { body })),
        signal,
      ),
    );
    keys.forEach((key, index) => revisions.set(key, last - keys.length + 1 + index));
  };
  await write();
  let isRead = false;
  let batches = 0;
  const writing = (async () => {
    while (!isRead) {
      await write();
      batches += 1;
    }
  })();
  const startedMs = performance.now();
  let count = 0;
  for await (const page of registry.readBack([`$KV.${bucket}.>`], signal, 'gently')) count += page.length;
  const tookMs = performance.now() - startedMs;
  isRead = true;
  await writing;
  expect(count).toBeGreaterThan(0);
  expect(tookMs).toBeLessThan(5_000);
  // Twice as fast as it is read at least: else there was nothing to wait for.
  expect((batches * 500 * body.length) / tookMs).toBeGreaterThan(10_000);
}, 60_000);

test('on a narrow line a reading is slowed down until answers come beside it', async () => {
  const bucket = bucketNames.next().value;
  const proxy = await startTcpProxy({ port: server.port });
  const filler = await readyRegistry([server.url], { bucket });
  const registry = await readyRegistry([`nats://127.0.0.1:${proxy.port}`], { bucket });
  onTestFinished(async () => {
    await Promise.all([registry.stop(), filler.stop()]);
    await proxy.close();
  });
  const body = bytes('x'.repeat(1_000));
  for (let start = 0; start < 6_000; start += 500) {
    const keys = Array.from({ length: 500 }, (_, i) =>
      put(`$KV.${bucket}.service-instances.service.${start + i}`, 0, { body }),
    );
    revisionOf(await filler.commit(keys, signal));
  }
  const lock = `$ROLLCALL.${bucket}.op.lock`;
  proxy.narrow(1_048_576);
  /** As a leader does: the lock is renewed each second beside it, and an answer that is late ends it. */
  const read = async (): Promise<boolean> => {
    const over = new AbortController();
    let isRead = false;
    const reading = (async () => {
      let count = 0;
      for await (const page of registry.readBack([`$KV.${bucket}.>`], over.signal)) count += page.length;
      isRead = count === 6_000;
    })().catch(() => undefined);
    const readAll = reading.finally(() => over.abort());
    const [standing] = await filler.read([lock], signal);
    let revision = standing?.revision ?? 0;
    while (!over.signal.aborted) {
      await systemClock.sleep(1_000, over.signal);
      if (over.signal.aborted) break;
      const outcome = await registry.commit([put(lock, revision)], signal);
      if (outcome.kind !== 'committed') over.abort();
      else revision = outcome.lastRevision;
    }
    await readAll;
    return isRead;
  };
  const startedMs = performance.now();
  let isRead = await read();
  // At the usual rate the answers wait behind it.
  expect(isRead).toBe(false);
  while (!isRead && performance.now() - startedMs < 60_000) {
    await waitFor('a connection', () => registry.connected(), { deadlineMs: 20_000 });
    isRead = await read();
  }
  expect(isRead).toBe(true);
}, 120_000);

describe('rights', () => {
  const permissions = (bucket: string) => ({
    publish: [
      `$KV.${bucket}.service-instances.*.*`,
      `$ROLLCALL.${bucket}.op.>`,
      '$JS.API.INFO',
      `$JS.API.STREAM.INFO.KV_${bucket}`,
      `$JS.API.STREAM.MSG.GET.KV_${bucket}`,
      `$JS.API.DIRECT.GET.KV_${bucket}.>`,
      `$JS.API.CONSUMER.CREATE.KV_${bucket}.>`,
      `$JS.API.CONSUMER.DELETE.KV_${bucket}.>`,
      `$JS.API.CONSUMER.INFO.KV_${bucket}.>`,
      `$JS.FC.KV_${bucket}.>`,
    ],
    subscribe: ['_INBOX_rollcall.>'],
  });

  test('those of the documentation suffice; a missing one is named at once', async () => {
    const { url, bucket, connection } = await aServerWithUsers(permissions);
    const admin = await readyRegistry([url], { bucket, connection: connection('admin') });
    onTestFinished(admin.stop);
    const registry = await readyRegistry([url], { bucket, bucketPolicy: 'Verify', connection: connection('operator') });
    onTestFinished(registry.stop);
    const lock = `$ROLLCALL.${bucket}.op.lock`;
    const key = `$KV.${bucket}.service-instances.service.a`;
    const followed: StoredMessage[] = [];
    void registry.follow(lock, (message) => followed.push(message), signal);
    const revision = revisionOf(await registry.commit([put(lock, 0), put(key, 0)], signal));
    expect(await registry.readRevision(revision, signal)).toBeDefined();
    const keys = [];
    for await (const page of registry.readBack([`$KV.${bucket}.service-instances.>`], signal)) keys.push(...page);
    expect(keys.length).toBe(1);
    await waitFor('the follower', () => followed.length === 1);

    const startedMs = performance.now();
    const foreign = `$KV.${bucket}.definition`;
    for (const batch of [
      [put(lock, revision - 1), put(foreign, 0), put(key, revision)],
      [put(lock, revision - 1), put(foreign, 0)],
      [put(foreign, 0)],
    ]) {
      const outcome = await registry.commit(batch, signal);
      expect(outcome).toMatchObject({
        kind: 'rejected',
        reason: 'Denied',
        description: expect.stringContaining(foreign),
        subjects: [foreign],
      });
    }
    expect(performance.now() - startedMs).toBeLessThan(1_500);
    // Every one of them is named, so that the others can be written by the next batch.
    const many = Array.from({ length: 400 }, (_, i) => `${foreign}.${i}`);
    const batch = [put(lock, revision - 1), put(key, revision), ...many.map((subject) => put(subject, 0))];
    expect(await registry.commit(batch, signal)).toMatchObject({ reason: 'Denied', subjects: many });
    expect((await registry.read([lock], signal))[0]?.revision).toBe(revision - 1);
    expect([...registry.lines, ...admin.lines].join('\n')).not.toMatch(/operator-password|admin-password/);
  }, 60_000);

  test('a wrong password is said once and cured by the file, without a restart', async () => {
    const { url, bucket, connection, passwordFile } = await aServerWithUsers(permissions);
    const file = await passwordFile('operator', 'wrong-secret');
    const registry = startRegistry([url], { bucket, connection: { ...connection('operator'), passwordFile: file } });
    onTestFinished(registry.stop);
    await waitFor('the refusal', () => registry.lines.some((line) => /authorization|credentials/i.test(line)));
    await systemClock.sleep(2_500, signal);
    expect(registry.connected()).toBe(false);
    expect(registry.lines.filter((line) => line.includes('NATS connection')).length).toBeLessThan(3);
    await passwordFile('operator', 'operator-password');
    await waitFor('the connection', () => registry.connected(), { deadlineMs: 5_000 });
    expect((await registry.inspect(signal)).kind).toBe('missing');
    expect(registry.lines.join('\n')).not.toMatch(/wrong-secret|operator-password/);
  }, 60_000);

  test('a password, a token, an nkey and a user in the URL are all accepted, from files', async () => {
    const own = await mkdtemp(join(dir, 'auth-'));
    const pair = nkeys.createUser();
    const file = async (name: string, content: string | Uint8Array) => {
      await writeFile(join(own, name), content);
      return join(own, name);
    };
    const users = [{ user: 'ann', password: 'secret-of-ann' }, { nkey: pair.getPublicKey() }];
    const withUsers = await startNats({
      dir: own,
      configFile: await file('users.conf', JSON.stringify({ authorization: { users } })),
    });
    onTestFinished(() => withUsers.stop());
    const token = JSON.stringify({ authorization: { token: 'secret-token' } });
    const withToken = await startNats({ dir: own, name: 'token', configFile: await file('token.conf', token) });
    onTestFinished(() => withToken.stop());
    const tries: [string, Partial<NatsOptions>][] = [
      [withUsers.url, { user: 'ann', passwordFile: await file('password', 'secret-of-ann\n') }],
      [withUsers.url, { nkeyFile: await file('nkey', `${new TextDecoder().decode(pair.getSeed())}\n`) }],
      [withUsers.url.replace('//', '//ann:secret-of-ann@'), {}],
      [withToken.url, { tokenFile: await file('token', 'secret-token\n') }],
      [withToken.url.replace('//', '//secret-token@'), {}],
    ];
    for (const [url, connection] of tries) {
      const registry = startRegistry([url], { bucket: 'auth', connection });
      onTestFinished(registry.stop);
      await waitFor(`the connection to ${url}`, () => registry.connected());
      expect(registry.lines.join('\n')).not.toMatch(/secret/);
    }
    // A file that is missing is no reason to end, nor one to forget about it.
    const registry = startRegistry([withToken.url], { bucket: 'auth', connection: { tokenFile: join(own, 'later') } });
    onTestFinished(registry.stop);
    await waitFor('a line in the log', () =>
      registry.lines.some((line) => line.includes('credentials cannot be read')),
    );
    await file('later', 'secret-token');
    await waitFor('the connection', () => registry.connected());
  }, 60_000);

  test('a user without the right to look at the stream is told which one', async () => {
    const { url, bucket, connection } = await aServerWithUsers(() => ({
      publish: ['nothing'],
      subscribe: ['_INBOX_rollcall.>'],
    }));
    const registry = startRegistry([url], { bucket, connection: connection('operator') });
    onTestFinished(registry.stop);
    await waitFor('the connection', () => registry.connected());
    const report = await registry.inspect(signal);
    expect(report).toMatchObject({
      kind: 'denied',
      description: expect.stringContaining(`$JS.API.STREAM.INFO.KV_${bucket}`),
    });
    await expect(registry.read(['$KV.x.k'], signal)).rejects.toMatchObject({ kind: 'denied' });
  }, 60_000);
});

test('a cluster: three replicas, and writes survive the loss of the leader', async () => {
  const cluster = await startNatsCluster({ dir: await mkdtemp(join(dir, 'cluster-')) });
  onTestFinished(() => cluster.stop());
  const registry = await readyRegistry(cluster.urls, { bucket: 'replicated' });
  onTestFinished(registry.stop);
  expect(await registry.inspect(signal)).toMatchObject({ kind: 'usable', replicas: 3 });
  const key = '$KV.replicated.k';
  let revision = revisionOf(await registry.commit([put(key, 0)], signal));
  const client = await connectStranger(cluster.urls[0] ?? '');
  const info = await (await jetstream(client).jetstreamManager()).streams.info('KV_replicated');
  await client.close();
  await cluster.server(info.cluster?.leader ?? '').process.kill('SIGKILL');
  await waitFor(
    'a new leader',
    async () => {
      const outcome = await registry.commit([put(key, revision)], signal);
      if (outcome.kind === 'committed') return true;
      const [stored] = await registry.read([key], signal);
      revision = stored?.revision ?? 0;
      return false;
    },
    { deadlineMs: 30_000 },
  );
  // The cluster may have lost the leader of its consumers as well: reading back may have to be tried again.
  const found = await waitFor(
    'the keys to be read back',
    async () => {
      const messages = [];
      for await (const page of registry.readBack(['$KV.replicated.>'], signal)) messages.push(...page);
      return messages;
    },
    { deadlineMs: 30_000 },
  );
  expect(found.length).toBe(1);
}, 120_000);

async function aBucket(url = server.url) {
  const bucket = bucketNames.next().value;
  const registry = await readyRegistry([url], { bucket });
  onTestFinished(registry.stop);
  return { registry, bucket };
}

async function anOwnServer(name: string): Promise<NatsServer> {
  const own = await startNats({ dir: await mkdtemp(join(dir, `${name}-`)) });
  onTestFinished(() => own.stop());
  return own;
}

async function lastRevisionOf(registry: Registry, subject: string): Promise<number> {
  const read = async () => ({ last: (await registry.read([subject], signal))[0] });
  return (await waitFor('a read', read)).last?.revision ?? 0;
}

/** Users `operator`, with the rights given, and `admin`, with all; their passwords are `{user}-password`. */
async function aServerWithUsers(rights: (bucket: string) => object) {
  const bucket = bucketNames.next().value;
  const own = await mkdtemp(join(dir, 'users-'));
  const users = [
    { user: 'admin', password: 'admin-password' },
    { user: 'operator', password: 'operator-password', permissions: rights(bucket) },
  ];
  await writeFile(join(own, 'server.conf'), JSON.stringify({ authorization: { users } }));
  const secured = await startNats({ dir: own, configFile: join(own, 'server.conf') });
  onTestFinished(() => secured.stop());
  const passwordFile = async (user: string, password: string) => {
    await writeFile(join(own, user), `${password}\n`);
    return join(own, user);
  };
  await passwordFile('admin', 'admin-password');
  await passwordFile('operator', 'operator-password');
  const connection = (user: string) => ({ user, passwordFile: join(own, user) });
  return { url: secured.url, bucket, connection, passwordFile };
}
