// The reflector against the fake API server on fake time: what every fault of F07 to F13 does to a view.

import { afterEach, describe, expect, test } from 'vitest';
import { type Change, View } from '../../../src/controllers/view.ts';
import { objectKey } from '../../../src/domain/pod.ts';
import { field, textField } from '../../../src/kubernetes/api-transport.ts';
import { type ReflectorCount, reflect } from '../../../src/kubernetes/reflector.ts';
import { collectionPath, excludeNamespaces, resources } from '../../../src/kubernetes/resources.ts';
import { FakeApi, type FakeConnection } from '../../support/fake-api.ts';
import { FakeClock } from '../../support/fake-clock.ts';

type Slim = { key: ReturnType<typeof objectKey>; namespace: string; uid: string; ready: boolean };

const trim = (raw: unknown): Slim | undefined => {
  const namespace = textField(raw, 'metadata', 'namespace') ?? '';
  const name = textField(raw, 'metadata', 'name') ?? '';
  if (field(raw, 'spec', 'ignored') === true) return undefined;
  if (field(raw, 'spec', 'throws') === true) throw new Error('trim failed');
  const ready = field(raw, 'status', 'ready') === true;
  return { key: objectKey(namespace, name), namespace, uid: textField(raw, 'metadata', 'uid') ?? '', ready };
};

const stops: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0)) await stop();
});

type Setup = {
  readonly clock: FakeClock;
  readonly api: FakeApi;
  readonly connection: FakeConnection;
  readonly view: View<Slim>;
  readonly changes: string[];
  readonly counts: Map<ReflectorCount, number>;
  readonly logged: string[];
};

/** One reflector of pods on a running clock. */
function start(
  given: {
    before?: (setup: Setup) => void;
    namespaces?: string[];
    exclude?: string[];
    random?: () => number;
    relistIntervalMs?: number;
    /** Deployments are watched as well, over the same connection. */
    besides?: boolean;
    /** Pods are defined by somebody. */
    mayBeAbsent?: boolean;
    isServing?: () => boolean;
  } = {},
): Setup {
  const clock = new FakeClock();
  const api = new FakeApi(clock);
  const connection = api.connect();
  const view = new View<Slim>();
  const changes: string[] = [];
  const counts = new Map<ReflectorCount, number>();
  const logged: string[] = [];
  const note = (level: string) => (_: object, message: string) => logged.push(`${level}: ${message}`);
  view.onChange(({ key, before, after }: Change<Slim>) => {
    changes.push(`${before === undefined ? '+' : after === undefined ? '-' : '~'}${key}`);
  });
  const setup = { clock, api, connection, view, changes, counts, logged };
  given.before?.(setup);
  const stop = new AbortController();
  const fieldSelector = excludeNamespaces(given.exclude ?? []);
  const traits = { sendsBookmarks: false };
  const runs = (given.namespaces ?? [undefined]).map((namespace) =>
    reflect({
      transport: connection,
      clock,
      random: given.random ?? (() => 0.5),
      log: { debug: () => {}, info: note('info'), warn: note('warn'), error: note('error') },
      resource: {
        path: collectionPath(resources.Pod, namespace),
        ...(namespace === undefined ? {} : { namespace }),
        ...(fieldSelector === undefined ? {} : { fieldSelector }),
        ...(given.mayBeAbsent === undefined ? {} : { mayBeAbsent: given.mayBeAbsent }),
      },
      ...(given.isServing === undefined ? {} : { isServing: given.isServing }),
      trim,
      view,
      metrics: { count: (what, _, many) => counts.set(what, (counts.get(what) ?? 0) + many) },
      relistIntervalMs: given.relistIntervalMs ?? 600_000,
      traits,
      signal: stop.signal,
    }),
  );
  if (given.besides === true) {
    const quiet = () => {};
    const log = { debug: quiet, info: quiet, warn: quiet, error: quiet };
    const resource = { path: collectionPath(resources.Deployment) };
    const random = () => 0.5;
    const others = { trim, view: new View<Slim>(), relistIntervalMs: 600_000, traits, signal: stop.signal };
    runs.push(reflect({ transport: connection, clock, random, log, resource, ...others }));
  }
  stops.push(async () => {
    stop.abort();
    const ended = Promise.all(runs);
    await clock.advance(100);
    await ended;
    expect(clock.pendingTimers(), 'timers left behind').toBe(0);
    expect(connection.watches, 'watches left open').toBe(0);
  });
  return setup;
}

const pod = (name: string, rest: object = {}, namespace = 'default') => ({
  metadata: { name, namespace },
  spec: {},
  ...rest,
});
const ready = { status: { ready: true } };
/** Something happens elsewhere in the cluster about twice a second, as it does in every real one. */
const busyCluster = ({ api, clock }: Setup): void => {
  let turns = 0;
  const tick = () => {
    api.put('Lease', { metadata: { name: 'node' }, spec: { turns: turns++ } });
    stopTick = clock.after(500, tick);
  };
  let stopTick = clock.after(500, tick);
  stops.unshift(async () => stopTick());
};
const ageMs = ({ clock, view }: Setup) => clock.monotonicMs() - view.lastProofAtMs;
/** Moves time on in steps and returns the greatest age of the view on the way. */
const greatestAgeMs = async (setup: Setup, forMs: number): Promise<number> => {
  let greatest = 0;
  for (let ms = 0; ms < forMs; ms += 250) {
    await setup.clock.advance(250);
    greatest = Math.max(greatest, ageMs(setup));
  }
  return greatest;
};

describe('listing', () => {
  test('the initial objects come as a stream and the view is synced when all are there', async () => {
    const setup = start({ before: ({ api }) => void [api.put('Pod', pod('a')), api.put('Pod', pod('b', ready))] });
    expect(setup.view.synced).toBe(false);
    await setup.clock.settle();
    expect(setup.view.synced).toBe(true);
    expect(setup.changes).toEqual(['+default/a', '+default/b']);
    expect(setup.view.get(objectKey('default', 'b'))?.ready).toBe(true);
    expect([...setup.view.byNamespace('default')]).toHaveLength(2);
    expect(setup.api.requests.get('GET pods')).toBeUndefined();
  });

  test('a server that does not stream them is listed in pages, once and for ever', async () => {
    const setup = start({
      before: ({ api, connection }) => {
        connection.faults.noWatchList = true;
        for (let i = 0; i < 1_234; i++) api.put('Pod', pod(`p-${i}`));
      },
    });
    await setup.clock.settle();
    expect(setup.view.size).toBe(1_234);
    expect(setup.api.requests.get('GET pods')).toBe(4);
    setup.api.put('Pod', pod('later'));
    await setup.clock.settle();
    expect(setup.view.size).toBe(1_235);
    setup.api.compact();
    setup.connection.faults.breakWatches();
    setup.api.put('Lease', { metadata: { name: 'x' } });
    await setup.clock.advance(3_000);
    setup.api.compact();
    setup.connection.faults.breakWatches();
    await setup.clock.advance(10_000);
    expect(setup.view.size).toBe(1_235);
    expect(setup.api.requests.get('GET pods')).toBeGreaterThan(4);
  });

  test('a continue token that expires restarts the list', async () => {
    let requests = 0;
    const setup = start({
      before: ({ api, connection }) => {
        connection.faults.noWatchList = true;
        for (let i = 0; i < 300; i++) api.put('Pod', pod(`p-${i}`));
        const request = connection.request.bind(connection);
        connection.request = async (asked) => {
          if (++requests === 2) api.compact();
          return request(asked);
        };
      },
    });
    await setup.clock.settle();
    expect(setup.view.size).toBe(300);
    expect(requests).toBe(4);
  });

  test('watches that are silent from the start: listed in pages after 20 s', async () => {
    const setup = start({
      before: ({ api, connection }) => {
        api.put('Pod', pod('a'));
        connection.faults.silenceWatches();
      },
    });
    await setup.clock.advance(19_000);
    expect(setup.view.synced).toBe(false);
    await setup.clock.advance(3_000);
    expect([setup.view.synced, setup.view.size]).toEqual([true, 1]);
  });

  test('excluded namespaces are never sent', async () => {
    const setup = start({
      exclude: ['kube-system'],
      before: ({ api }) => void [api.put('Pod', pod('a')), api.put('Pod', pod('dns', {}, 'kube-system'))],
    });
    await setup.clock.settle();
    setup.api.put('Pod', pod('dns', ready, 'kube-system'));
    await setup.clock.settle();
    expect(setup.changes).toEqual(['+default/a']);
    expect(setup.counts.get('events')).toBe(1);
  });

  test('namespaced mode: several reflectors feed one view, which is synced when all are', async () => {
    const setup = start({
      namespaces: ['default', 'kube-system'],
      before: ({ api, connection }) => {
        api.put('Pod', pod('a'));
        api.put('Pod', pod('dns', {}, 'kube-system'));
        api.put('Namespace', { metadata: { name: 'third' } });
        api.put('Pod', pod('x', {}, 'third'));
        const stream = connection.stream.bind(connection);
        connection.stream = async (asked) => {
          if (asked.path.includes('kube-system')) await setup.clock.sleep(5_000, asked.signal);
          return stream(asked);
        };
      },
    });
    await setup.clock.advance(1_000);
    expect([setup.view.synced, setup.view.size, setup.view.lastProofAtMs]).toEqual([
      false,
      1,
      Number.NEGATIVE_INFINITY,
    ]);
    await setup.clock.advance(5_000);
    expect([setup.view.synced, setup.view.size]).toEqual([true, 2]);
    // A relist of one namespace leaves the others alone.
    setup.api.compact();
    setup.api.put('Lease', { metadata: { name: 'y' } });
    setup.connection.faults.breakWatches();
    setup.api.compact();
    await setup.clock.advance(20_000);
    expect(setup.changes.filter((change) => change.startsWith('-'))).toEqual([]);
    expect(setup.view.size).toBe(2);
  });
});

describe('events', () => {
  test('each change is told once; what changes nothing we look at is not told', async () => {
    const setup = start();
    await setup.clock.settle();
    setup.api.put('Pod', pod('a'));
    setup.api.put('Pod', pod('a', { spec: { elsewhere: 1 } }));
    setup.api.put('Pod', pod('a', ready));
    setup.api.delete('Pod', 'default', 'a');
    await setup.clock.settle();
    expect(setup.changes).toEqual(['+default/a', '~default/a', '-default/a']);
  });

  test('a pod replaced under its name is told as gone, then new', async () => {
    const setup = start();
    setup.api.put('Pod', pod('a'));
    await setup.clock.settle();
    setup.api.put('Pod', { metadata: { name: 'a', namespace: 'default', uid: 'another' }, spec: {} });
    await setup.clock.settle();
    expect(setup.changes).toEqual(['+default/a', '-default/a', '+default/a']);
    expect(setup.view.get(objectKey('default', 'a'))?.uid).toBe('another');
  });

  test('what trim leaves out is absent, also when it was there before', async () => {
    const setup = start();
    setup.api.put('Pod', pod('a', { spec: { ignored: true } }));
    setup.api.put('Pod', pod('b'));
    await setup.clock.settle();
    setup.api.put('Pod', pod('b', { spec: { ignored: true } }));
    await setup.clock.settle();
    expect(setup.changes).toEqual(['+default/b', '-default/b']);
  });

  test('an object that trim chokes on costs neither the stream nor what was known of it', async () => {
    const setup = start();
    await setup.clock.settle();
    setup.api.put('Pod', pod('bad'));
    await setup.clock.settle();
    setup.api.put('Pod', pod('bad', { spec: { throws: true } }));
    setup.api.put('Pod', pod('good'));
    await setup.clock.settle();
    expect(setup.changes).toEqual(['+default/bad', '+default/good']);
    expect(setup.counts.get('trimFailures')).toBe(1);
  });

  test('a line that comes once more, later, does not bring back an older state', async () => {
    const lines = (['ADDED', 'DELETED', 'ADDED'] as const).map((type) => {
      const resourceVersion = type === 'DELETED' ? '202' : '201';
      const object = { metadata: { name: 'a', namespace: 'default', uid: 'u', resourceVersion } };
      return Buffer.from(`${JSON.stringify({ type, object })}\n`);
    });
    const setup = start();
    await setup.clock.settle();
    const stream = setup.connection.stream.bind(setup.connection);
    setup.connection.stream = async (asked) => {
      setup.connection.stream = stream;
      return {
        status: 200,
        headers: {},
        body: (async function* () {
          yield* lines;
          await setup.clock.sleep(5_000, asked.signal);
        })(),
      };
    };
    setup.connection.faults.endWatches();
    await setup.clock.advance(3_000);
    expect(setup.changes).toEqual(['+default/a', '-default/a']);
  });

  test('lines that come twice change nothing; lines cut in half cost a reconnect and no event (F12)', async () => {
    let lines = 0;
    const setup = start();
    await setup.clock.settle();
    setup.connection.faults.lineFate = () => (++lines % 50 === 0 ? 'cut' : lines % 7 === 0 ? 'double' : 'pass');
    for (let i = 0; i < 500; i++) {
      setup.api.put('Pod', pod(`p-${i % 20}`, { status: { ready: i % 3 === 0 } }));
      if (i % 11 === 0) setup.api.delete('Pod', 'default', `p-${i % 20}`);
      await setup.clock.advance(100);
    }
    setup.connection.faults.pass();
    await setup.clock.advance(30_000);
    const stored = setup.api.list('Pod').map((object) => [object.metadata.name, field(object, 'status', 'ready')]);
    const known = [...setup.view.values()].map(({ key, ready: is }) => [key.replace('default/', ''), is]);
    expect(new Map(known.map(([a, b]) => [a, b]))).toEqual(new Map(stored.map(([a, b]) => [a, b])));
    expect(setup.counts.get('failures')).toBeGreaterThan(5);
  });
});

describe('interruptions', () => {
  test('a broken watch resumes where it stood, without a list', async () => {
    const setup = start();
    setup.api.put('Pod', pod('a'));
    await setup.clock.settle();
    setup.connection.faults.breakWatches();
    setup.api.put('Pod', pod('b'));
    await setup.clock.advance(1_000);
    expect(setup.changes).toEqual(['+default/a', '+default/b']);
    expect(setup.counts.get('lists')).toBe(1);
  });

  test('the server ends the watch at its timeout: the next one follows at once', async () => {
    const setup = start();
    await setup.clock.advance(451_000);
    setup.api.put('Pod', pod('a'));
    await setup.clock.settle();
    expect(setup.changes).toEqual(['+default/a']);
    expect(setup.counts.get('failures')).toBeUndefined();
    expect(setup.counts.get('lists')).toBe(1);
  });

  test('410: the list finds what was missed, by UID, and the old view lives meanwhile', async () => {
    const setup = start();
    for (const name of ['stays', 'goes', 'changes', 'replaced']) setup.api.put('Pod', pod(name));
    await setup.clock.settle();
    setup.changes.length = 0;
    setup.connection.faults.cut();
    setup.api.delete('Pod', 'default', 'goes');
    setup.api.put('Pod', pod('changes', ready));
    setup.api.put('Pod', { metadata: { name: 'replaced', namespace: 'default', uid: 'another' }, spec: {} });
    setup.api.put('Pod', pod('comes'));
    setup.api.compact();
    await setup.clock.advance(60_000);
    expect(setup.view.size).toBe(4);
    expect(setup.changes).toEqual([]);
    setup.connection.faults.pass();
    await setup.clock.advance(60_000);
    expect(setup.changes.sort()).toEqual([
      '+default/comes',
      '+default/replaced',
      '-default/goes',
      '-default/replaced',
      '~default/changes',
    ]);
    expect(setup.view.synced).toBe(true);
  });

  test('a cluster restored from a backup is listed anew, though its watches only fall silent', async () => {
    const setup = start();
    for (const name of ['stays', 'came-back']) setup.api.put('Pod', pod(name));
    await setup.clock.settle();
    const restore = setup.api.backup();
    setup.api.delete('Pod', 'default', 'came-back');
    setup.api.put('Pod', pod('never-was'));
    await setup.clock.advance(60_000);
    restore();
    setup.connection.faults.breakWatches();
    await setup.clock.advance(20_000);
    expect([...setup.view.values()].map(({ key }) => key).sort()).toEqual(['default/came-back', 'default/stays']);
    expect(setup.logged).toContain('warn: the watch is replaced');
    setup.api.put('Pod', pod('new'));
    await setup.clock.advance(1_000);
    expect(setup.view.size).toBe(3);
    expect(await greatestAgeMs(setup, 120_000)).toBeLessThan(10_000);
  });

  test('a server that calls our version too large: list anew', async () => {
    const setup = start();
    setup.api.put('Pod', pod('a'));
    await setup.clock.settle();
    setup.connection.faults.breakWatches();
    const stream = setup.connection.stream.bind(setup.connection);
    let told = 0;
    setup.connection.stream = async (asked) => {
      if (asked.query['resourceVersion'] === undefined || told++ > 0) return stream(asked);
      const details = { causes: [{ reason: 'ResourceVersionTooLarge' }] };
      return { status: 504, headers: {}, body: (async function* () {})(), errorBody: { code: 504, details } };
    };
    await setup.clock.advance(5_000);
    expect(setup.counts.get('lists')).toBe(2);
    expect(setup.view.size).toBe(1);
  });

  test('410 every 5 s for 2 minutes: the view is never more than a second behind, whatever chance says (F13)', async () => {
    const setup = start({ random: () => 0.999 });
    await setup.clock.advance(5_000);
    for (let i = 0; i < 24; i++) {
      setup.connection.faults.endWatches();
      setup.api.put('Pod', pod(`p-${i}`));
      setup.api.compact();
      await setup.clock.advance(1_000);
      expect(setup.view.size).toBe(i + 1);
      await setup.clock.advance(4_000);
    }
  });

  test('backoff: doubling to 5 s with jitter, and one log line for the whole outage (F07)', async () => {
    const setup = start();
    await setup.clock.settle();
    setup.connection.faults.cut();
    await setup.clock.advance(600_000);
    const attempts = setup.counts.get('failures') ?? 0;
    // With jitter of one half: 0.4 0.8 1.6 and then 2.5 s each.
    expect(attempts).toBeGreaterThan(230);
    expect(attempts).toBeLessThan(250);
    expect(setup.logged.filter((line) => line.startsWith('warn'))).toEqual(['warn: watch failed, retrying']);
    setup.connection.faults.pass();
    await setup.clock.advance(5_000);
    expect(setup.logged.at(-1)).toBe('info: watching again');
  });

  test('half of all answers are 429, 500, 503: Retry-After is honoured and the view comes right (F10)', async () => {
    const asked: number[] = [];
    const setup = start({ random: () => 0.3 });
    await setup.clock.settle();
    const stream = setup.connection.stream.bind(setup.connection);
    setup.connection.stream = (request) => {
      if (request.shared !== true) asked.push(setup.clock.monotonicMs());
      return stream(request);
    };
    setup.connection.faults.answer(429, { retryAfterSeconds: 7 });
    setup.connection.faults.breakWatches();
    setup.api.put('Pod', pod('a'));
    await setup.clock.advance(60_000);
    const gaps = asked.slice(1).map((at, index) => at - (asked[index] ?? 0));
    expect(Math.min(...gaps)).toBeGreaterThanOrEqual(7_000);
    setup.connection.faults.answer(503, { fraction: 0.5 });
    await setup.clock.advance(30_000);
    setup.connection.faults.pass();
    await setup.clock.advance(30_000);
    expect(setup.view.size).toBe(1);
  });
});

test('a question for freshness that was refused for a time is not put again by the next stream either (F10)', async () => {
  const setup = start();
  busyCluster(setup);
  await setup.clock.advance(8_000);
  const asked: number[] = [];
  const request = setup.connection.request.bind(setup.connection);
  setup.connection.request = async (one) => {
    if (one.query?.['limit'] !== 1) return request(one);
    asked.push(setup.clock.monotonicMs());
    return { status: 429, headers: { 'retry-after': '7' }, body: {}, bodyBytes: 2 };
  };
  for (let i = 0; i < 30; i++) {
    await setup.clock.advance(1_000);
    setup.connection.faults.endWatches();
  }
  const gaps = asked.slice(1).map((at, index) => at - (asked[index] ?? 0));
  expect(gaps.length).toBeGreaterThan(2);
  expect(Math.min(...gaps)).toBeGreaterThanOrEqual(7_000);
});

describe('refusals', () => {
  test('a missing right is said loudly, and granted later it works', async () => {
    const setup = start({ before: ({ connection }) => connection.faults.deny('watch pods') });
    await setup.clock.advance(60_000);
    expect(setup.view.synced).toBe(false);
    expect(setup.view.problems).toEqual([expect.stringContaining('no right to list and watch /api/v1/pods')]);
    expect(setup.logged.filter((line) => line.startsWith('error'))).toHaveLength(1);
    setup.connection.faults.grant();
    await setup.clock.advance(31_000);
    expect(setup.view.synced).toBe(true);
    expect(setup.view.problems).toEqual([]);
  });

  test.each([
    ['to list', ['list pods']],
    ['to list and to watch', ['list pods', 'watch pods']],
  ])('a right %s that is taken away is noticed by the next question for freshness', async (_, rights) => {
    const setup = start();
    setup.api.put('Pod', pod('a'));
    await setup.clock.advance(1_000);
    setup.connection.faults.deny(...rights);
    await setup.clock.advance(10_000);
    const before = [...setup.api.requests.values()].reduce((sum, count) => sum + count, 0);
    await setup.clock.advance(60_000);
    const asked = [...setup.api.requests.values()].reduce((sum, count) => sum + count, 0) - before;
    expect(asked).toBeLessThan(60);
    expect(setup.view.problems).toEqual([expect.stringContaining('no right to list and watch /api/v1/pods')]);
    expect(setup.logged.filter((line) => line.startsWith('error'))).toHaveLength(1);
    setup.connection.faults.grant();
    await setup.clock.advance(15_000);
    expect(setup.view.problems).toEqual([]);
    expect(setup.view.size).toBe(1);
  });

  test('a resource that does not exist counts as empty after several answers, and as a problem', async () => {
    const setup = start({ mayBeAbsent: true, before: ({ api }) => api.dropResource('Pod') });
    await setup.clock.advance(1_000);
    expect(setup.view.synced).toBe(false);
    await setup.clock.advance(20_000);
    expect([setup.view.synced, setup.view.size]).toEqual([true, 0]);
    expect(setup.view.problems).toHaveLength(1);
    setup.view.doubt(setup.clock.monotonicMs());
    await setup.clock.advance(55_000);
    expect(setup.view.doubted).toBe(true);
    await setup.clock.advance(15_000);
    expect(setup.view.doubted).toBe(false);
    setup.api.addResource(resources.Pod);
    setup.api.put('Pod', pod('a'));
    await setup.clock.advance(6_000);
    expect(setup.view.size).toBe(1);
    expect(setup.view.problems).toEqual([]);
  });

  test.each([
    ['that is always there', { mayBeAbsent: false }],
    ['that may be absent, of a server that shows nothing else', { mayBeAbsent: true, isServing: () => false }],
  ])('"not found" of a resource %s is believed by nobody', async (_, given) => {
    const setup = start(given);
    setup.api.put('Pod', pod('a'));
    await setup.clock.settle();
    const request = setup.connection.request.bind(setup.connection);
    const stream = setup.connection.stream.bind(setup.connection);
    setup.connection.request = async () => ({ status: 404, headers: {}, body: 'page not found', bodyBytes: 14 });
    setup.connection.stream = async () => ({ status: 404, headers: {}, body: (async function* () {})() });
    setup.connection.faults.breakWatches();
    await setup.clock.advance(300_000);
    expect(setup.view.size).toBe(1);
    expect(setup.clock.monotonicMs() - setup.view.lastProofAtMs).toBeGreaterThan(290_000);
    expect(setup.view.problems).toHaveLength(1);
    Object.assign(setup.connection, { request, stream });
    await setup.clock.advance(10_000);
    expect(setup.view.problems).toEqual([]);
    expect(setup.changes).toEqual(['+default/a']);
  });

  test('"not found" counts as often as it is said in a row', async () => {
    const setup = start({ mayBeAbsent: true });
    setup.api.put('Pod', pod('a'));
    await setup.clock.settle();
    const stream = setup.connection.stream.bind(setup.connection);
    let answers = 0;
    setup.connection.stream = async () => ({
      status: (answers += 1) % 3 === 0 ? 503 : 404,
      headers: {},
      body: (async function* () {})(),
    });
    setup.connection.faults.breakWatches();
    await setup.clock.advance(120_000);
    expect(answers).toBeGreaterThan(10);
    expect(setup.view.size).toBe(1);
    Object.assign(setup.connection, { stream });
    await setup.clock.advance(10_000);
  });

  test('a resource deleted while we could not hear takes its objects with it', async () => {
    const setup = start({ mayBeAbsent: true });
    setup.api.put('Pod', pod('a'));
    await setup.clock.settle();
    setup.connection.faults.cut();
    setup.api.compact();
    setup.api.dropResource('Pod');
    await setup.clock.advance(30_000);
    expect(setup.view.size).toBe(1);
    setup.connection.faults.pass();
    await setup.clock.advance(60_000);
    expect(setup.view.size).toBe(0);
  });
});

describe('freshness', () => {
  test('a quiet resource in a busy cluster is proven fresh all the time', async () => {
    const setup = start();
    busyCluster(setup);
    await setup.clock.settle();
    expect(await greatestAgeMs(setup, 600_000)).toBeLessThan(10_000);
    expect(setup.counts.get('lists')).toBe(1);
    expect(setup.counts.get('silentStreams')).toBeUndefined();
  });

  test('a cluster in which nothing happens at all is proven fresh by the version alone', async () => {
    const setup = start();
    await setup.clock.settle();
    expect(await greatestAgeMs(setup, 600_000)).toBeLessThan(10_000);
    expect(setup.counts.get('lists')).toBe(1);
  });

  test('events that the selector leaves out are a proof as well', async () => {
    const setup = start({ exclude: ['kube-system'] });
    await setup.clock.settle();
    let greatest = 0;
    for (let i = 0; i < 60; i++) {
      setup.api.put('Pod', pod('dns', { status: { turns: i } }, 'kube-system'));
      greatest = Math.max(greatest, await greatestAgeMs(setup, 5_000));
    }
    expect(greatest).toBeLessThan(10_000);
    expect(setup.counts.get('lists')).toBe(1);
  });

  test('namespaced mode in an idle cluster: what cannot be proven is listed, before it counts as blind', async () => {
    const setup = start({ namespaces: ['default'] });
    busyCluster(setup);
    await setup.clock.advance(30_000);
    for (const stop of stops.splice(0, 1)) await stop();
    setup.api.put('Pod', pod('dns', {}, 'kube-system'));
    expect(await greatestAgeMs(setup, 120_000)).toBeLessThan(15_000);
  });

  test('a busy resource costs no probe', async () => {
    const setup = start();
    await setup.clock.settle();
    for (let i = 0; i < 200; i++) {
      setup.api.put('Pod', pod('a', { status: { ready: i % 2 === 0 } }));
      await setup.clock.advance(1_000);
    }
    expect(setup.counts.get('probes')).toBeUndefined();
  });

  test('a server that hangs makes the view old within 16 s, and young again when it answers (F08)', async () => {
    const setup = start();
    busyCluster(setup);
    await setup.clock.advance(30_000);
    setup.connection.faults.hold();
    await setup.clock.advance(16_000);
    expect(ageMs(setup)).toBeGreaterThan(15_000);
    setup.api.put('Pod', pod('a'));
    await setup.clock.advance(44_000);
    expect(setup.view.size).toBe(0);
    setup.connection.faults.pass();
    await setup.clock.advance(1_000);
    expect(setup.view.size).toBe(1);
    expect(ageMs(setup)).toBeLessThan(2_000);
  });

  test('watches fall silent while the server answers: old within 16 s, and a list finds the dead pod within 60 s (F11)', async () => {
    const setup = start();
    busyCluster(setup);
    setup.api.put('Pod', pod('dies'));
    await setup.clock.advance(60_000);
    setup.connection.faults.silenceWatches('pods');
    setup.api.delete('Pod', 'default', 'dies');
    await setup.clock.advance(16_000);
    expect(ageMs(setup)).toBeGreaterThan(15_000);
    await setup.clock.advance(30_000);
    expect(setup.view.size).toBe(0);
    setup.connection.faults.pass();
    await setup.clock.advance(30_000);
    expect(await greatestAgeMs(setup, 60_000)).toBeLessThan(10_000);
  });

  test('pods that were never quiet before fall silent: what the server does was learned from others (F11)', async () => {
    const setup = start({ besides: true });
    busyCluster(setup);
    for (let i = 0; i < 120; i++) {
      setup.api.put('Pod', pod('busy', { status: { ready: i % 2 === 0 } }));
      if (i === 0) setup.api.put('Pod', pod('dies'));
      await setup.clock.advance(250);
    }
    setup.connection.faults.silenceWatches('pods');
    setup.api.delete('Pod', 'default', 'dies');
    await setup.clock.advance(16_000);
    expect(ageMs(setup)).toBeGreaterThan(15_000);
    await setup.clock.advance(10_000);
    expect(setup.view.get(objectKey('default', 'dies'))).toBeUndefined();
  });

  test('one watch falls silent, a new one would not: it is replaced as soon as there is something to miss', async () => {
    const setup = start();
    busyCluster(setup);
    await setup.clock.advance(30_000);
    // The stream that is open now never says a word again.
    const stream = setup.connection.stream.bind(setup.connection);
    setup.connection.faults.silenceWatches('pods');
    setup.connection.stream = async (asked) => {
      setup.connection.faults.silenceWatches('none');
      return stream(asked);
    };
    setup.api.put('Pod', pod('a'));
    const tookMs = await setup.clock.until(() => setup.view.size === 1, 20_000);
    expect(tookMs).toBeLessThan(12_000);
    expect(setup.counts.get('lists')).toBe(1);
  });

  test('a server without bookmarks on short watches is believed until it has shown that it has them', async () => {
    const setup = start({
      before: ({ connection }) => {
        connection.faults.noBookmarks = true;
      },
    });
    busyCluster(setup);
    await setup.clock.settle();
    expect(await greatestAgeMs(setup, 80_000)).toBeLessThan(10_000);
  });

  test('but not for ever: when its watches are really silent, a list finds the dead pod within 60 s', async () => {
    const setup = start({
      before: ({ connection }) => {
        connection.faults.noBookmarks = true;
      },
    });
    busyCluster(setup);
    setup.api.put('Pod', pod('dies'));
    await setup.clock.advance(20_000);
    setup.connection.faults.silenceWatches('pods');
    setup.api.delete('Pod', 'default', 'dies');
    await setup.clock.advance(60_000);
    expect(setup.view.size).toBe(0);
  });
});

test('everything ends at the signal, wherever it is', async () => {
  for (const afterMs of [0, 1, 4_000, 5_001, 6_000, 10_000]) {
    const setup = start();
    busyCluster(setup);
    await setup.clock.advance(afterMs);
  }
  const held = start({ before: ({ connection }) => connection.faults.hold() });
  await held.clock.advance(3_000);
});
