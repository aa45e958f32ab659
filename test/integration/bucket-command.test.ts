// `rollcall bucket check` and `bucket ensure` on real NATS servers: a bucket that is missing, right, wrong, and one that the
// user may not look at. What the check itself says and changes is `bucket.test.ts`; here, what a person or an install job
// sees of it, and its exit code.

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { type JetStreamManager, jetstreamManager, type StreamConfig } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/transport-node';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type NatsServer, startNats } from '../../hack/control-plane/nats.ts';
import type { Check } from '../../src/cli/check.ts';
import { connectStranger } from '../support/nats-registry.ts';
import { run, type Said } from '../unit/cli/run.ts';

const SECOND_NS = 1_000_000_000;
const NOBODY = 'may-nothing';
const READER = 'may-read';

let dir: string;
let server: NatsServer;
let old: NatsServer;
let stranger: NatsConnection;
let streams: JetStreamManager['streams'];

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'rollcall-bucket-command-'));
  const configFile = join(dir, 'users.conf');
  // Who gives no name may do everything.
  await writeFile(
    configFile,
    `no_auth_user: all
authorization: { users: [
  { user: all, password: all }
  { user: ${NOBODY}, password: word, permissions: { publish: { deny: ">" } } }
  { user: ${READER}, password: word, permissions: { publish: { deny: ["$JS.API.STREAM.CREATE.>", "$JS.API.STREAM.UPDATE.>"] } } }
] }\n`,
  );
  await writeFile(join(dir, 'password'), 'word\n');
  [server, old] = await Promise.all([startNats({ dir, configFile }), startNats({ dir, name: 'old', binary: 'old' })]);
  stranger = await connectStranger(server.url);
  ({ streams } = await jetstreamManager(stranger));
}, 300_000);

afterAll(async () => {
  await stranger?.close();
  await Promise.all([server?.stop(), old?.stop()]);
  await rm(dir, { recursive: true, force: true });
});

const rollcall = async (command: 'check' | 'ensure', bucket: string, ...more: readonly string[]): Promise<Said> => {
  const said = await run(['bucket', command, `--nats-url=${server.url}`, `--bucket=${bucket}`, ...more]);
  return { ...said, out: stripVTControlCharacters(said.out) };
};
const as = (user: string): readonly string[] => [
  `--nats-user=${user}`,
  `--nats-password-file=${join(dir, 'password')}`,
];
const checksOf = ({ out }: Said): readonly Check[] => (JSON.parse(out) as { checks: readonly Check[] }).checks;
const settings = async (bucket: string) => (await streams.info(`KV_${bucket}`)).config;

/** As an old KV client makes it, but for what the test says. */
const anExisting = (bucket: string, config: Partial<StreamConfig> = {}) =>
  streams.add({
    name: `KV_${bucket}`,
    subjects: [`$KV.${bucket}.>`, `$ROLLCALL.${bucket}.>`],
    max_msgs_per_subject: 1,
    allow_rollup_hdrs: true,
    allow_direct: true,
    allow_msg_ttl: true,
    allow_atomic: true,
    subject_delete_marker_ttl: 60 * SECOND_NS,
    ...config,
  });

describe('a bucket that is missing', () => {
  test('is found missing with what makes it, is made, and then there is nothing to do', async () => {
    const missing = await rollcall('check', 'fresh');
    expect(missing).toMatchObject({ code: 2, err: '' });
    expect(missing.out).toMatch(/failure +bucket +The bucket fresh does not exist\./);
    expect(missing.out).toContain('`rollcall bucket ensure`');
    await expect(settings('fresh')).rejects.toThrow();

    const made = await rollcall('ensure', 'fresh');
    expect(made.code).toBe(0);
    expect(made.out).toMatch(/ok +done +Made the bucket fresh\./);
    const standing = await settings('fresh');
    expect(standing).toMatchObject({ allow_msg_ttl: true, allow_atomic: true, max_msgs_per_subject: 1, max_age: 0 });

    const again = await rollcall('ensure', 'fresh');
    expect(again.code).toBe(0);
    expect(again.out).toMatch(/ok +done +Nothing had to be done\./);
    expect((await rollcall('check', 'fresh')).code).toBe(0);
    expect(await settings('fresh')).toEqual(standing);
  });

  test('is made as it is asked for', async () => {
    expect((await rollcall('ensure', 'memory', '--bucket-storage=Memory')).code).toBe(0);
    expect((await settings('memory')).storage).toBe('memory');
  });
});

test('a bucket that will do is said so, for people and for programs, and is left as it is', async () => {
  await anExisting('right');
  const before = await settings('right');
  const said = await rollcall('check', 'right');
  expect(said).toMatchObject({ code: 0, err: '' });
  expect(said.out).toMatch(/ok +nats-server +nats-server 2\./);
  expect(said.out).toMatch(/ok +bucket +The bucket right will do: 0 messages, 0\.0 MiB, 1 replica/);
  const checks = checksOf(await rollcall('check', 'right', '-o', 'json'));
  expect(checks.map(({ name, verdict }) => `${verdict} ${name}`)).toEqual(['ok nats-server', 'ok bucket']);
  expect((await rollcall('ensure', 'right')).code).toBe(0);
  expect(await settings('right')).toEqual(before);
});

describe('a bucket that is wrong', () => {
  test.each<readonly [bucket: string, config: Partial<StreamConfig>, says: RegExp]>([
    ['no-ttl', { allow_msg_ttl: false, subject_delete_marker_ttl: 0 }, /allow_msg_ttl[\s\S]*rollcall bucket ensure/],
    ['no-batches', { allow_atomic: false }, /allow_atomic[\s\S]*rollcall bucket ensure/],
    ['no-lock', { subjects: ['$KV.no-lock.>'] }, /\$ROLLCALL\.no-lock\.>[\s\S]*rollcall bucket ensure/],
  ])('%s is refused, and completed by ensure; what was in it stays', async (bucket, config, says) => {
    await anExisting(bucket, config);
    // That it leaves no markers ensure does not change, and says.
    const after = config.subject_delete_marker_ttl === 0 ? 1 : 0;
    await stranger.request(`$KV.${bucket}.somebody`, 'their value');
    const before = await settings(bucket);
    const said = await rollcall('check', bucket);
    expect(said.out).toMatch(new RegExp(`failure +bucket +.*${says.source}`));
    expect(said.code).toBe(2);
    expect(await settings(bucket)).toEqual(before);
    const completed = await rollcall('ensure', bucket);
    expect(completed.out).toMatch(/ok +done +Completed the bucket .*; what was in it stays\./);
    expect(completed.code).toBe(after);
    expect((await rollcall('check', bucket)).code).toBe(after);
    expect((await streams.getMessage(`KV_${bucket}`, { last_by_subj: `$KV.${bucket}.somebody` }))?.string()).toBe(
      'their value',
    );
  });

  test.each<readonly [bucket: string, config: Partial<StreamConfig>, exitCode: number, says: RegExp]>([
    [
      'history-10',
      { max_msgs_per_subject: 10, subject_delete_marker_ttl: SECOND_NS },
      1,
      /warning +history +The bucket keeps 10 values per key[\s\S]*--max-msgs-per-subject=1/,
    ],
    ['history-10-markers', { max_msgs_per_subject: 10 }, 2, /failure +bucket +.*history to 1/i],
    [
      'history-10-rollups',
      { max_msgs_per_subject: 10, subject_delete_marker_ttl: 0, allow_rollup_hdrs: false },
      2,
      /failure +bucket +.*allow_rollup_hdrs/i,
    ],
    ['aged-10', { max_age: 10 * SECOND_NS }, 2, /failure +max_age +.*living pods lapse[\s\S]*--max-age=0/],
    ['aged-20', { max_age: 20 * SECOND_NS }, 1, /warning +max_age +.*cuts the TTL of 30 s[\s\S]*--max-age=0/],
    [
      'no-markers',
      { subject_delete_marker_ttl: 0 },
      1,
      /warning +markers +.*not told when a key lapses[\s\S]*markers-ttl=1m/,
    ],
  ])('%s is told with what to do about it, and ensure changes none of that', async (bucket, config, exitCode, says) => {
    await anExisting(bucket, config);
    const before = await settings(bucket);
    for (const command of ['check', 'ensure'] as const) {
      const said = await rollcall(command, bucket);
      expect(said.out).toMatch(says);
      expect(said.code).toBe(exitCode);
    }
    expect(await settings(bucket)).toEqual(before);
  });

  test('a stream of that name that is no bucket is refused', async () => {
    await streams.add({ name: 'KV_events', subjects: ['events.>'] });
    const said = await rollcall('ensure', 'events');
    expect(said.code).toBe(2);
    expect(said.out).toMatch(/no KV bucket/);
  });
});

describe('what cannot be looked at or made', () => {
  test('a user without any right is told the subject and where the rights stand', async () => {
    for (const command of ['check', 'ensure'] as const) {
      const said = await rollcall(command, 'right', ...as(NOBODY));
      expect(said.code).toBe(2);
      expect(said.out).toMatch(/failure +bucket +.*\$JS\.API\./);
      expect(said.out).toContain('docs/permissions.md');
    }
  }, 30_000);

  test('a user who may look but not make is told so, and nothing is made', async () => {
    expect((await rollcall('check', 'right', ...as(READER))).code).toBe(0);
    const said = await rollcall('ensure', 'never-made', ...as(READER));
    expect(said.code).toBe(2);
    expect(said.out).toMatch(/failure +bucket +.*this NATS user may not create it: let one that may run/);
    expect(said.out).toContain('docs/permissions.md');
    await expect(settings('never-made')).rejects.toThrow();
  }, 30_000);

  test('a wrong password and a server that is not there are told as such', async () => {
    await writeFile(join(dir, 'wrong'), 'mistyped\n');
    const denied = await rollcall('check', 'right', '--nats-user=all', `--nats-password-file=${join(dir, 'wrong')}`);
    expect(denied.code).toBe(1);
    expect(denied.err).toMatch(/cannot reach NATS at .*authorization/i);
    expect(denied.err).not.toContain('mistyped');
    const away = await run(['bucket', 'check', '--nats-url=nats://127.0.0.1:1', '--bucket=right']);
    expect(away.code).toBe(1);
    expect(away.err).toMatch(/cannot reach NATS at nats:\/\/127\.0\.0\.1:1/);
  }, 60_000);

  test('a server that is too old is refused by name and version', async () => {
    const said = await run(['bucket', 'ensure', `--nats-url=${old.url}`, '--bucket=right']);
    expect(said.code).toBe(2);
    expect(said.out).toMatch(/nats-server 2\.10\.\d+ .*2\.12\.1/i);
  });
});
