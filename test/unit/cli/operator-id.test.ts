import { mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as realSleep } from 'node:timers/promises';
import { beforeEach, expect, test } from 'vitest';
import { untilClusterId } from '../../../src/cli/operator-id.ts';
import { FakeApi } from '../../support/fake-api.ts';
import { FakeClock } from '../../support/fake-clock.ts';

const quiet = () => {};

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'rollcall-state-'));
});

const written = () => readFile(join(dir, 'operator-id'), 'utf8');

/** A replica that starts, beside an API server that can be reached or not. */
const aStart = (stateDir: string | undefined, reach: 'there' | 'away' = 'there') => {
  const clock = new FakeClock();
  const api = new FakeApi(clock);
  const transport = api.connect();
  if (reach === 'away') transport.faults.cut();
  const warnings: string[] = [];
  const log = { debug: quiet, info: quiet, warn: (_: object, text: string) => void warnings.push(text), error: quiet };
  const { signal } = new AbortController();
  let id: string | undefined;
  untilClusterId({ transport, clock, log, stateDir, signal }).then((found) => {
    id = found;
  }, quiet);
  /** Files are real, so real time passes beside the fake one. */
  const after = async (ms: number): Promise<string | undefined> => {
    for (let passed = 0; passed < ms && id === undefined; passed += 100) {
      await realSleep(1);
      await clock.advance(100);
    }
    return id;
  };
  const uid = api.get('Namespace', '', 'kube-system')?.metadata.uid ?? '';
  return { transport, after, warnings, uid };
};

test('without a place to remember it the API server is waited for', async () => {
  const { transport, after, uid } = aStart(undefined, 'away');
  expect(await after(30_000)).toBeUndefined();
  transport.faults.pass();
  expect(await after(3_000)).toBe(uid);
});

test('the first start remembers it, also in a directory that is to be made', async () => {
  dir = join(dir, 'state', 'deep');
  const { after, uid } = aStart(dir);
  expect(await after(3_000)).toBe(uid);
  expect(await written()).toBe(`${uid}\n`);
});

test('a later start without the API server goes by what is remembered, within seconds', async () => {
  await writeFile(join(dir, 'operator-id'), 'the-uid-of-before\n');
  const { after, warnings } = aStart(dir, 'away');
  expect(await after(4_000)).toBe('the-uid-of-before');
  expect(warnings).toEqual(['cannot read the UID of namespace kube-system; it is remembered']);
});

test('the API server knows better than the file', async () => {
  await writeFile(join(dir, 'operator-id'), 'of-another-cluster\n');
  const { after, uid } = aStart(dir);
  expect(await after(3_000)).toBe(uid);
  expect(await written()).toBe(`${uid}\n`);
});

test.each([
  '',
  'Not An Id\n',
  'half-a-line\u0000',
])('a file with %j is no answer, and is written anew', async (text) => {
  await writeFile(join(dir, 'operator-id'), text);
  const away = aStart(dir, 'away');
  expect(await away.after(5_000)).toBeUndefined();
  const { after, uid } = aStart(dir);
  expect(await after(3_000)).toBe(uid);
  expect(await written()).toBe(`${uid}\n`);
});

test('a directory that cannot be used costs nothing but a warning', async () => {
  const file = join(dir, 'a-file');
  await writeFile(file, '');
  const { after, warnings, uid } = aStart(file);
  expect(await after(3_000)).toBe(uid);
  expect(warnings).toEqual(['the operator id cannot be recalled', 'the operator id cannot be remembered']);
});
