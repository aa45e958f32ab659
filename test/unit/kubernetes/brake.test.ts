// I15: a list that lacks much of what was there is not believed before another confirms it (F15).

import { expect, test } from 'vitest';
import { View } from '../../../src/controllers/view.ts';
import { type ObjectKey, objectKey } from '../../../src/domain/pod.ts';
import { textField } from '../../../src/kubernetes/api-transport.ts';
import { reflect } from '../../../src/kubernetes/reflector.ts';
import { collectionPath, resources } from '../../../src/kubernetes/resources.ts';
import { FakeApi } from '../../support/fake-api.ts';
import { FakeClock } from '../../support/fake-clock.ts';

type Slim = { readonly key: ObjectKey; readonly namespace: string; readonly uid: string };

const trim = (raw: unknown): Slim => {
  const namespace = textField(raw, 'metadata', 'namespace') ?? '';
  const key = objectKey(namespace, textField(raw, 'metadata', 'name') ?? '');
  return { key, namespace, uid: textField(raw, 'metadata', 'uid') ?? '' };
};

const withPods = async (count: number) => {
  const clock = new FakeClock();
  const api = new FakeApi(clock);
  for (let i = 0; i < count; i += 1) api.put('Pod', { metadata: { name: `pod-${i}`, namespace: 'default' } });
  const connection = api.connect();
  const view = new View<Slim>();
  const stop = new AbortController();
  const errors: string[] = [];
  const quiet = () => undefined;
  const running = reflect({
    transport: connection,
    clock,
    random: () => 0.5,
    log: { debug: quiet, info: quiet, warn: quiet, error: (_, message) => void errors.push(message) },
    resource: { path: collectionPath(resources.Pod), mayBeAbsent: true },
    trim,
    view,
    relistIntervalMs: 600_000,
    signal: stop.signal,
  });
  await clock.until(() => view.size === count, 5_000);
  const end = async () => {
    stop.abort();
    await clock.advance(5_000);
    await running;
  };
  /** Everything known is forgotten, and the next list is empty. */
  const emptied = () => {
    connection.faults.cut();
    api.put('Pod', { metadata: { name: 'pod-99', namespace: 'default', labels: { changed: 'meanwhile' } } });
    api.compact();
    connection.faults.pass();
    connection.faults.emptyLists = true;
  };
  /** The server says that there is no such resource. Returns what ends that. */
  const denied = () => {
    const request = connection.request.bind(connection);
    const stream = connection.stream.bind(connection);
    connection.request = async () => ({ status: 404, headers: {}, body: 'page not found', bodyBytes: 14 });
    connection.stream = async () => ({ status: 404, headers: {}, body: (async function* () {})() });
    connection.faults.breakWatches();
    return () => Object.assign(connection, { request, stream });
  };
  return { clock, api, view, connection, errors, emptied, denied, end };
};

test('an empty list is held, and forgotten when the next one is whole', async () => {
  const { clock, view, connection, errors, emptied, end } = await withPods(100);
  emptied();
  await clock.until(() => view.held === 100, 10_000);
  expect(errors).toHaveLength(1);
  await clock.advance(40_000);
  connection.faults.emptyLists = false;
  await clock.advance(60_000);
  expect(view).toMatchObject({ size: 100, held: 0 });
  await end();
});

test('what is doubted is listed again after a minute, and not doubted any more', async () => {
  const { clock, api, view, end } = await withPods(3);
  const lists = () => api.requests.get('GET pods') ?? 0;
  view.doubt(clock.monotonicMs());
  await clock.advance(50_000);
  view.doubt(clock.monotonicMs());
  expect(view.doubted).toBe(true);
  const before = lists();
  await clock.advance(12_000);
  expect(view.doubted).toBe(false);
  expect(lists()).toBeGreaterThan(before);
  expect(view).toMatchObject({ size: 3, held: 0 });
  await end();
});

test('what is doubted is confirmed when all that the list brings is there', async () => {
  const { clock, view, emptied, connection, end } = await withPods(100);
  emptied();
  await clock.until(() => view.held === 100, 10_000);
  view.doubt(clock.monotonicMs());
  connection.faults.emptyLists = false;
  const seen: number[] = [];
  view.onChange(() => {
    if (!view.doubted) seen.push(view.size);
  });
  const names = Array.from({ length: 100 }, (_, i) => objectKey('default', `pod-${i}`));
  for (const name of names) view.remove(name);
  seen.length = 0;
  await clock.advance(70_000);
  expect(view.size).toBe(100);
  expect(view.doubted).toBe(false);
  expect(seen).toEqual([]);
  await end();
});

test('"no such resource" is held as an empty list is, and forgotten when the resource is back', async () => {
  const { clock, view, errors, denied, end } = await withPods(100);
  const back = denied();
  await clock.until(() => view.held === 100, 15_000);
  await clock.advance(50_000);
  expect(view).toMatchObject({ size: 100, held: 100 });
  expect(errors).toHaveLength(1);
  back();
  await clock.advance(10_000);
  view.letGo(clock.monotonicMs());
  expect(view).toMatchObject({ size: 100, held: 0 });
  await end();
});

test('"no such resource" is believed when it is said for another minute', async () => {
  const { clock, view, denied, end } = await withPods(100);
  denied();
  await clock.until(() => view.held === 100, 15_000);
  await clock.advance(55_000);
  view.letGo(clock.monotonicMs());
  expect(view.size).toBe(100);
  await clock.advance(30_000);
  view.letGo(clock.monotonicMs());
  expect(view).toMatchObject({ size: 0, held: 0 });
  await end();
});

test('an empty list that is confirmed after a minute is believed', async () => {
  const { clock, view, emptied, end } = await withPods(100);
  emptied();
  await clock.until(() => view.held === 100, 10_000);
  await clock.advance(55_000);
  expect(view.size).toBe(100);
  await clock.advance(10_000);
  expect(view).toMatchObject({ size: 100, held: 100 });
  // One by one from then on, in an order of their own.
  view.letGo(clock.monotonicMs());
  await clock.advance(8_000);
  view.letGo(clock.monotonicMs());
  expect(view.size).toBeGreaterThan(20);
  expect(view.size).toBeLessThan(80);
  await clock.advance(20_000);
  view.letGo(clock.monotonicMs());
  expect(view).toMatchObject({ size: 0, held: 0 });
  await end();
});

test('what events say is gone is gone at once, also while the rest is held', async () => {
  const { clock, api, view, connection, emptied, end } = await withPods(100);
  for (let i = 0; i < 50; i += 1) api.delete('Pod', 'default', `pod-${i}`);
  await clock.advance(1_000);
  expect(view.size).toBe(50);
  emptied();
  await clock.until(() => view.held === 50, 10_000);
  connection.faults.emptyLists = false;
  api.delete('Pod', 'default', 'pod-60');
  await clock.advance(2_000);
  expect(view.size).toBe(49);
  await end();
});

test('a list that lacks a few is believed', async () => {
  const { clock, api, view, connection, end } = await withPods(100);
  connection.faults.cut();
  for (let i = 0; i < 20; i += 1) api.delete('Pod', 'default', `pod-${i}`);
  api.compact();
  connection.faults.pass();
  await clock.until(() => view.size === 80, 40_000);
  await end();
});
