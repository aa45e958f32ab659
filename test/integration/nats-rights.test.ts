// examples/nats-users.conf on a real server: its users can do their work with the rights written there, and nothing
// beyond. What the adapter says when a right is missing is in registry.test.ts.

import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, type NatsConnection } from '@nats-io/transport-node';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type NatsServer, startNats } from '../../hack/control-plane/nats.ts';
import { waitFor } from '../../hack/control-plane/wait.ts';
import { DEFAULT_INBOX_PREFIX, type NatsOptions } from '../../src/nats/connection.ts';
import { put } from '../contract/registry.contract.ts';
import { readyRegistry } from '../support/nats-registry.ts';

const bucket = 'service-registry';
const lock = `$ROLLCALL.${bucket}.cluster-a.lock`;
const key = `$KV.${bucket}.service-instances.trading-service.trading-service-6f1d2c3b`;
const { signal } = new AbortController();

let dir: string;
let server: NatsServer;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'rollcall-nats-rights-'));
  const example = await readFile(join(import.meta.dirname, '../../examples/nats-users.conf'), 'utf8');
  // In place of the server's environment.
  const passwords = 'ROLLCALL_NATS_PASSWORD: "operator-word"\nROLLCALL_NATS_SETUP_PASSWORD: "setup-word"\n';
  await writeFile(join(dir, 'server.conf'), passwords + example);
  await writeFile(join(dir, 'rollcall'), 'operator-word\n');
  await writeFile(join(dir, 'rollcall-setup'), 'setup-word\n');
  server = await startNats({ dir, configFile: join(dir, 'server.conf') });
  const setup = await readyRegistry([server.url], {
    bucket,
    bucketPolicy: 'Create',
    connection: asUser('rollcall-setup'),
  });
  await setup.stop();
}, 300_000);

afterAll(async () => {
  await server?.stop();
  await rm(dir, { recursive: true, force: true });
});

test('rollcall can write, read back and follow, once rollcall-setup has made the bucket', async () => {
  const registry = await readyRegistry([server.url], {
    bucket,
    bucketPolicy: 'Verify',
    connection: asUser('rollcall'),
  });
  const stop = new AbortController();
  const followed: string[] = [];
  const following = registry.follow(lock, ({ subject }) => followed.push(subject), stop.signal);
  expect(await registry.commit([put(lock, 0), put(key, 0)], signal)).toMatchObject({ kind: 'committed' });
  expect((await registry.read([lock, key], signal)).map((message) => message?.subject)).toEqual([lock, key]);
  const readBack: string[] = [];
  for await (const page of registry.readBack([`$KV.${bucket}.service-instances.>`, `$KV.${bucket}.*`], signal)) {
    readBack.push(...page.map(({ subject }) => subject));
  }
  expect(readBack).toEqual([key]);
  await waitFor('the lock to be told', () => followed.includes(lock));
  stop.abort();
  await following;
  await registry.stop();
  expect(registry.lines.filter((line) => !line.includes('connected'))).toEqual([]);
});

describe('refused', () => {
  test.each([
    ['rollcall', 'a key that is no instance', `$KV.${bucket}.trading-service`],
    ['rollcall', 'a deeper key', `$KV.${bucket}.service-instances.a.b.c`],
    ['rollcall', "another installation's lock", `$ROLLCALL.${bucket}.cluster-b.lock`],
    ['rollcall', 'to make a bucket', `$JS.API.STREAM.CREATE.KV_${bucket}`],
    ['rollcall', 'to change the bucket', `$JS.API.STREAM.UPDATE.KV_${bucket}`],
    ['rollcall', 'to purge the bucket', `$JS.API.STREAM.PURGE.KV_${bucket}`],
    ['rollcall', 'to delete the bucket', `$JS.API.STREAM.DELETE.KV_${bucket}`],
    ['rollcall', 'to delete a message', `$JS.API.STREAM.MSG.DELETE.KV_${bucket}`],
    ['rollcall', 'to look at another stream', '$JS.API.STREAM.INFO.KV_other'],
    ['rollcall-setup', 'to write a key', key],
    ['rollcall-setup', 'to read a key', `$JS.API.DIRECT.GET.KV_${bucket}.${key}`],
    ['rollcall-setup', 'to delete the bucket', `$JS.API.STREAM.DELETE.KV_${bucket}`],
  ])('%s: %s', async (user, _, subject) => {
    await asClient(user, async (nc) => expect(await violationOf(nc, () => nc.publish(subject))).toContain(subject));
  });

  test.each([
    ['rollcall', 'everything', '>'],
    ['rollcall', "others' replies", '_INBOX.>'],
    ['rollcall', 'keys as they pass', `$KV.${bucket}.>`],
  ])('%s: to listen to %s', async (user, _, subject) => {
    await asClient(user, async (nc) =>
      expect(await violationOf(nc, () => void nc.subscribe(subject, { callback: () => {} }))).toContain(subject),
    );
  });
});

test('what is allowed is not called a violation', async () => {
  await asClient('rollcall', async (nc) =>
    expect(await violationOf(nc, () => nc.publish(`${lock}.unused`))).toBe('allowed'),
  );
});

function asUser(user: string): Partial<NatsOptions> {
  return { user, passwordFile: join(dir, user) };
}

async function asClient(user: string, act: (nc: NatsConnection) => Promise<void>): Promise<void> {
  const pass = (await readFile(join(dir, user), 'utf8')).trim();
  const nc = await connect({ servers: server.url, user, pass, inboxPrefix: DEFAULT_INBOX_PREFIX });
  try {
    await act(nc);
  } finally {
    await nc.close();
  }
}

/** What the server says to an attempt, or `allowed` when it says nothing before it answers the next ping. */
async function violationOf(nc: NatsConnection, attempt: () => void): Promise<string> {
  let violation = 'allowed';
  const listening = (async () => {
    for await (const status of nc.status()) if (status.type === 'error') violation = status.error.message;
  })();
  attempt();
  await nc.flush();
  await nc.close();
  await listening;
  return violation;
}
