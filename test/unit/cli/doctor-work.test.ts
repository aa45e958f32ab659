// What `doctor` says while the world moves, or the bucket will not be read: on lists that change from one to the next
// and a bucket that answers as told. The whole command, on real servers, is `test/integration/doctor.test.ts`.

import { describe, expect, test } from 'vitest';
import { type Check, exitCodeOf } from '../../../src/cli/check.ts';
import { examineEntries, examineWork } from '../../../src/cli/doctor-command.ts';
import { readKeys } from '../../../src/cli/explain-command.ts';
import { rehearsedRegistry } from '../../../src/cli/rehearsed-registry.ts';
import { systemClock } from '../../../src/clock.ts';
import { readConfig } from '../../../src/config-sources.ts';
import { ApiError } from '../../../src/kubernetes/api-transport.ts';
import { RegistryError, type StoredMessage } from '../../../src/writer/registry.ts';
import { aMessage, KEY, USABLE } from './messages.ts';

const { signal } = new AbortController();
const OWNER_UID = '6f1d2c3b-4a59-4e0f-8d7c-1b2a39485766';

const config = () => {
  const read = readConfig({}, {});
  if (read.kind === 'invalid') throw new Error(read.problems.join('; '));
  return read.config;
};

/** Pods that a list shows, each list the next; later lists show what the last one does. Of the rest there is nothing. */
const clusterOf = (...lists: readonly (readonly string[])[]) => {
  let listed = 0;
  return {
    request: async ({ path, query }: { readonly path: string; readonly query?: object }) => {
      const isList = path.endsWith('/pods') && !Object.hasOwn(query ?? {}, 'labelSelector');
      const uids = isList ? (lists[Math.min(listed++, lists.length - 1)] ?? []) : [];
      const items = uids.map((uid) => ({ metadata: { namespace: 'trading', name: 'trading-1', uid } }));
      const body = { metadata: { resourceVersion: '1' }, items };
      return { status: 200, headers: {}, body, bodyBytes: 100 };
    },
    stream: () => Promise.reject(new ApiError('transient', 'nothing is watched')),
    lists: () => listed,
  };
};

/** Holds the messages, or fails every reading. */
const bucketOf = (content: readonly StoredMessage[] | RegistryError, later = content) => ({
  kind: 'reached' as const,
  report: USABLE,
  clockOffsetMs: 0,
  registry: {
    ...rehearsedRegistry({ real: undefined, report: USABLE, lockSubject: '', clock: systemClock, clockOffsetMs: 0 }),
    start: async () => undefined,
    clockOffsetMs: async () => 0,
    read: async () => {
      if (content instanceof RegistryError) throw content;
      return content;
    },
    readBack: readingOf([content, later]),
  },
});

/** Each reading finds the next of these, and then the last. */
const readingOf = (contents: readonly (readonly StoredMessage[] | RegistryError)[]) => {
  let readings = 0;
  return async function* () {
    const content = contents[Math.min(readings++, contents.length - 1)] ?? [];
    if (content instanceof RegistryError) throw content;
    yield content;
  };
};

const siteOf = (transport: ReturnType<typeof clusterOf>, bucket: ReturnType<typeof bucketOf>) => ({
  config: config(),
  transport,
  bucket,
  operatorId: 'my-cluster',
  signal,
});

describe('a key that is refreshed for a pod that the list does not have', () => {
  const fresh = (revision = 7) => aMessage({ storedAtMs: systemClock.wallMs(), ttlSeconds: 2, revision });
  const judge = async (again: StoredMessage, before: readonly string[], ...later: readonly (readonly string[])[]) => {
    const checks: Check[] = [];
    const cluster = clusterOf(...later);
    const site = siteOf(cluster, bucketOf([fresh()], [again]));
    await examineEntries(site, { uids: new Set(before) }, (...found) => void checks.push(...found));
    return { check: checks.find(({ name }) => name === 'operator id'), lists: cluster.lists() };
  };
  const refreshed = () => ({ ...fresh(8), storedAtMs: systemClock.wallMs() + 1_500 });
  const judged = (before: readonly string[], ...later: readonly (readonly string[])[]) =>
    judge(refreshed(), before, ...later);

  test('is of a pod that came meanwhile, if a later list has it', async () => {
    expect(await judged([], [OWNER_UID])).toMatchObject({ check: { verdict: 'ok' }, lists: 1 });
  });

  test('is of a second installation, if no list has it', async () => {
    const { check } = await judged(['another'], ['another']);
    expect(check).toMatchObject({ verdict: 'failure', found: expect.stringContaining('trading/trading-1') });
  });

  test('is left to lapse, if it is not written again', async () => {
    expect(await judge(fresh(), ['another'], ['another'])).toMatchObject({ check: { verdict: 'ok' } });
  });

  test('is nothing new, if the pod went meanwhile; nobody lists again for it', async () => {
    expect(await judged([OWNER_UID], [])).toMatchObject({ check: { verdict: 'ok' }, lists: 0 });
  });
});

describe('a bucket that will not be read', () => {
  test.each([
    'denied',
    'transient',
    'missing',
  ] as const)('is what doctor finds, and not the API server: %s', async (kind) => {
    const checks: Check[] = [];
    const site = siteOf(clusterOf([]), bucketOf(new RegistryError(kind, 'no reading here')));
    await examineWork(site, (...found) => void checks.push(...found));
    expect(checks.map(({ name, verdict }) => `${name} ${verdict}`)).toEqual(['leader failure', 'bucket failure']);
    expect(checks.at(-1)?.found).toMatch(kind === 'missing' ? /does not exist/ : /no reading here/);
    expect(checks.at(-1)?.advice).toContain('docs/permissions.md');
    expect(exitCodeOf(checks)).toBe(2);
  });

  test('is not one without the key, for explain; one that is not there is', async () => {
    const readIn = (content: Parameters<typeof bucketOf>[0]) =>
      readKeys({ bucket: bucketOf(content), config: config(), signal }, [KEY]);
    expect(await readIn(new RegistryError('denied', 'no right'))).toEqual({ read: new Map(), unread: 'no right' });
    expect(await readIn(new RegistryError('transient', 'late'))).toEqual({ read: new Map(), unread: 'late' });
    expect(await readIn(new RegistryError('missing', 'gone'))).toEqual({ read: new Map(), unread: undefined });
    const { read, unread } = await readIn([aMessage()]);
    expect(read.get(KEY)).toMatchObject({ kind: 'entry' });
    expect(unread).toBeUndefined();
  });
});
