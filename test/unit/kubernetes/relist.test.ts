// The slow relist beside a watch that loses lines, on fake time: what the stream failed to tell comes right, and what it
// told meanwhile is not undone.

import { afterEach, describe, expect, test } from 'vitest';
import { View } from '../../../src/controllers/view.ts';
import { type ObjectKey, objectKey } from '../../../src/domain/pod.ts';
import { field, textField } from '../../../src/kubernetes/api-transport.ts';
import { type ReflectorCount, reflect } from '../../../src/kubernetes/reflector.ts';
import { collectionPath, resources } from '../../../src/kubernetes/resources.ts';
import { FakeApi } from '../../support/fake-api.ts';
import { FakeClock } from '../../support/fake-clock.ts';

type Slim = { readonly key: ObjectKey; readonly namespace: string; readonly uid: string; readonly ready: boolean };

const INTERVAL_MS = 300_000;
/** No jitter where chance says one half. */
const RELISTED_MS = INTERVAL_MS + 10_000;

const trim = (raw: unknown): Slim => {
  const namespace = textField(raw, 'metadata', 'namespace') ?? '';
  const key = objectKey(namespace, textField(raw, 'metadata', 'name') ?? '');
  const ready = field(raw, 'status', 'ready') === true;
  return { key, namespace, uid: textField(raw, 'metadata', 'uid') ?? '', ready };
};

const stops: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0)) await stop();
});

const pod = (name: string, ready = false) => ({
  metadata: { name, namespace: 'default' },
  spec: {},
  status: { ready },
});

/** A reflector of so many pods, all listed, in a cluster where something else happens twice a second. */
const started = async (pods: number, random = () => 0.5) => {
  const clock = new FakeClock();
  const api = new FakeApi(clock);
  for (let i = 0; i < pods; i += 1) api.put('Pod', pod(`pod-${i}`));
  const connection = api.connect();
  const view = new View<Slim>();
  const changes: string[] = [];
  const counts = new Map<ReflectorCount, number>();
  const logged: string[] = [];
  const asked: number[] = [];
  const request = connection.request.bind(connection);
  connection.request = (one) => {
    if (one.query?.['limit'] !== 1) asked.push(clock.monotonicMs());
    return request(one);
  };
  const stop = new AbortController();
  const quiet = () => undefined;
  const running = reflect({
    transport: connection,
    clock,
    random,
    log: { debug: quiet, info: quiet, warn: (_, message) => void logged.push(message), error: quiet },
    resource: { path: collectionPath(resources.Pod) },
    trim,
    view,
    metrics: { count: (what, _, many) => counts.set(what, (counts.get(what) ?? 0) + many) },
    relistIntervalMs: INTERVAL_MS,
    signal: stop.signal,
  });
  let turns = 0;
  const tick = () => {
    api.put('Lease', { metadata: { name: 'node' }, spec: { turns: turns++ } });
    endTick = clock.after(500, tick);
  };
  let endTick = clock.after(500, tick);
  stops.push(async () => {
    endTick();
    stop.abort();
    await clock.advance(5_000);
    await running;
    expect(clock.pendingTimers(), 'timers left behind').toBe(0);
  });
  await clock.until(() => view.size === pods, 5_000);
  view.onChange(({ key, before, after }) => {
    changes.push(`${before === undefined ? '+' : after === undefined ? '-' : '~'}${key}`);
  });
  /** The watch does not tell of this. */
  const unheard = (change: () => void) => {
    connection.faults.lineFate = () => 'drop';
    change();
    connection.faults.lineFate = () => 'pass';
  };
  return { clock, api, connection, view, changes, counts, logged, asked, unheard };
};

/** What the API server has, as the view should have it. */
const stored = (api: FakeApi) =>
  new Map(
    api.list('Pod').map(({ metadata, ...rest }) => [metadata.name, [metadata.uid, field(rest, 'status', 'ready')]]),
  );
const known = (view: View<Slim>) =>
  new Map(Array.from(view.values(), ({ key, uid, ready }) => [key.replace('default/', ''), [uid, ready]]));

describe('what the watch did not tell (F12)', () => {
  test('a deletion, a change, a new pod and one in the place of another are found by the next relist', async () => {
    const { clock, api, view, changes, counts, logged, unheard } = await started(100);
    await clock.advance(60_000);
    unheard(() => {
      api.delete('Pod', 'default', 'pod-1');
      api.put('Pod', pod('pod-2', true));
      api.put('Pod', pod('pod-new'));
      api.put('Pod', { ...pod('pod-3'), metadata: { ...pod('pod-3').metadata, uid: 'another' } });
    });
    // The stream goes on as if nothing were: were it silent now, the question for its freshness would find out.
    api.put('Pod', pod('pod-4', true));
    await clock.advance(INTERVAL_MS - 65_000);
    expect(changes).toEqual(['~default/pod-4']);
    await clock.advance(RELISTED_MS - INTERVAL_MS + 5_000);
    expect(changes.slice(1).toSorted()).toEqual([
      '+default/pod-3',
      '+default/pod-new',
      '-default/pod-1',
      '-default/pod-3',
      '~default/pod-2',
    ]);
    expect(known(view)).toEqual(stored(api));
    expect(counts.get('drifted')).toBe(4);
    expect(logged).toEqual(['the watch had not told everything; put right by a list']);
    // The stream was never in doubt.
    expect(counts.get('lists')).toBe(1);
  });

  test('1 % of the lines dropped, 1 % doubled, 0.1 % cut: right after the next relist', async () => {
    let lines = 0;
    const setup = await started(200);
    const { clock, api, view, connection } = setup;
    connection.faults.lineFate = () => {
      lines += 1;
      return lines % 1_000 === 0 ? 'cut' : lines % 100 === 0 ? 'drop' : lines % 100 === 50 ? 'double' : 'pass';
    };
    for (let i = 0; i < 2_800; i += 1) {
      const name = `pod-${(i * 37) % 400}`;
      if (i % 5 === 0) api.delete('Pod', 'default', name);
      else api.put('Pod', pod(name, i % 3 === 0));
      await clock.advance(100);
    }
    connection.faults.lineFate = () => 'pass';
    await clock.advance(1_000);
    expect(known(view)).not.toEqual(stored(api));
    await clock.advance(RELISTED_MS);
    expect(known(view)).toEqual(stored(api));
  });
});

describe('what it did tell', () => {
  test('nothing differs: nothing changes, and the objects are the same ones', async () => {
    const { clock, view, changes, counts, asked, logged } = await started(1_000);
    const before = [...view.values()];
    await clock.advance(RELISTED_MS);
    expect(counts.get('relists')).toBe(1);
    expect(asked).toHaveLength(3);
    expect([...view.values()].every((object, index) => object === before[index])).toBe(true);
    expect([changes, logged, counts.get('drifted')]).toEqual([[], [], undefined]);
  });

  test('is not undone by pages that are older', async () => {
    const { clock, api, view, changes, asked, counts } = await started(3_000);
    // Events all along the pages: of pods that were compared already, and of those that come later.
    await clock.until(() => asked.length > 0, RELISTED_MS);
    const expected: string[] = [];
    for (let i = 0; counts.get('relists') === undefined; i += 1) {
      const [early, late] = [`pod-${i * 7}`, `pod-${2_999 - i * 7}`];
      api.put('Pod', pod(early, true));
      api.delete('Pod', 'default', late);
      api.put('Pod', pod(`new-${i}`));
      expected.push(`~default/${early}`, `-default/${late}`, `+default/new-${i}`);
      await clock.advance(20);
    }
    expect(expected.length).toBeGreaterThan(100);
    await clock.advance(1_000);
    expect(changes).toEqual(expected);
    expect(known(view)).toEqual(stored(api));
    expect(counts.get('drifted')).toBeUndefined();
  });
});

describe('lists that are not believed', () => {
  test('one that lacks too much is held by the brake, and forgotten when a whole one comes', async () => {
    const { clock, view, connection } = await started(100);
    connection.faults.emptyLists = true;
    await clock.until(() => view.held === 100, RELISTED_MS);
    expect(view.size).toBe(100);
    connection.faults.emptyLists = false;
    await clock.advance(65_000);
    expect([view.size, view.held]).toEqual([100, 0]);
  });

  test('one of a server that lags behind the watch changes nothing', async () => {
    const { clock, api, view, connection, changes, counts } = await started(10);
    api.put('Pod', pod('new', true));
    await clock.advance(1_000);
    const request = connection.request.bind(connection);
    connection.request = async (one) => {
      if (one.query?.['limit'] === 1) return request(one);
      return { status: 200, headers: {}, body: { metadata: { resourceVersion: '3' }, items: [] }, bodyBytes: 100 };
    };
    await clock.advance(RELISTED_MS);
    expect([view.size, changes, counts.get('relists')]).toEqual([11, ['+default/new'], undefined]);
  });

  test('one that the stream never catches up with changes nothing', async () => {
    const { clock, api, view, connection, changes, unheard } = await started(10);
    unheard(() => void api.delete('Pod', 'default', 'pod-1'));
    api.put('Pod', pod('pod-2', true));
    await clock.advance(INTERVAL_MS - 10_000);
    const { version } = api.store;
    const request = connection.request.bind(connection);
    // As of a version that nothing ever says.
    connection.request = async (one) => {
      const answer = await request(one);
      if (one.query?.['limit'] === 1) return answer;
      const body = { metadata: { resourceVersion: `${version + 1_000_000}` }, items: field(answer.body, 'items') };
      return { ...answer, body };
    };
    await clock.advance(60_000);
    expect([view.size, changes]).toEqual([10, ['~default/pod-2']]);
  });
});

describe('when it fails', () => {
  test('it is made again a minute later, and not before the server wants it', async () => {
    const { clock, api, view, connection, asked, unheard } = await started(10);
    unheard(() => void api.delete('Pod', 'default', 'pod-1'));
    api.put('Pod', pod('pod-2', true));
    await clock.advance(1_000);
    connection.faults.answer(429, { retryAfterSeconds: 100 });
    await clock.advance(RELISTED_MS);
    expect(asked).toHaveLength(1);
    await clock.advance(85_000);
    expect(asked).toHaveLength(1);
    connection.faults.pass();
    await clock.advance(20_000);
    expect(asked).toHaveLength(2);
    expect(view.size).toBe(9);
  });

  test('a token that expires between pages takes nothing away', async () => {
    const { clock, api, view, asked, changes } = await started(2_000);
    await clock.until(() => asked.length === 2, RELISTED_MS);
    api.compact();
    await clock.advance(30_000);
    expect([view.size, changes]).toEqual([2_000, []]);
    await clock.advance(60_000);
    expect(asked.length).toBeGreaterThan(5);
  });

  test('a list of the whole that comes between two pages ends it', async () => {
    const { clock, api, view, connection, asked, counts } = await started(3_000);
    await clock.until(() => asked.length === 2, RELISTED_MS);
    connection.faults.cut();
    api.delete('Pod', 'default', 'pod-2999');
    api.compact();
    connection.faults.pass();
    await clock.advance(60_000);
    expect(counts.get('lists')).toBe(2);
    expect(counts.get('relists')).toBeUndefined();
    expect(known(view)).toEqual(stored(api));
  });
});

test('replicas and views are a quarter of the interval apart, either way', async () => {
  for (const [chance, afterMs] of [
    [0, 0.75 * INTERVAL_MS],
    [0.999, 1.25 * INTERVAL_MS],
  ] as const) {
    const { clock, asked } = await started(10, () => chance);
    const sinceMs = clock.monotonicMs();
    await clock.until(() => asked.length > 0, 2 * INTERVAL_MS);
    expect(Math.abs((asked[0] ?? 0) - sinceMs - afterMs)).toBeLessThan(2_000);
  }
});
