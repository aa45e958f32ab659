// What a view tells, to whom, and how often.

import { describe, expect, test } from 'vitest';
import { type Change, View } from '../../../src/controllers/view.ts';
import type { ViewSource } from '../../../src/controllers/view-source.ts';
import { type ObjectKey, objectKey } from '../../../src/domain/pod.ts';

type Thing = { key: ObjectKey; namespace: string; uid: string; labels?: Record<string, string> };

const aThing = (name: string, rest: Partial<Thing> = {}, namespace = 'one'): Thing => ({
  key: objectKey(namespace, name),
  namespace,
  uid: `uid of ${name}`,
  ...rest,
});

const listed = (...things: readonly Thing[]) => new Map(things.map((thing) => [thing.key, thing]));
const replace = (source: ViewSource<Thing>, ...things: readonly Thing[]) => {
  for (const _ of source.replace(listed(...things), 0));
};

function aView(onHandlerError?: (error: unknown) => void) {
  const view = new View<Thing>(onHandlerError);
  const changes: Change<Thing>[] = [];
  view.onChange((change) => changes.push(change));
  return { view, changes, source: view.addSource() };
}

describe('changes', () => {
  test('new, changed, gone: once each, after the view has it', () => {
    const { view, changes, source } = aView();
    const seen: (Thing | undefined)[] = [];
    view.onChange(({ key }) => seen.push(view.get(key)));
    const [first, second] = [aThing('a'), aThing('a', { labels: { x: 'y' } })];
    source.put(first);
    source.put(second);
    source.remove(first.key);
    expect(changes).toEqual([
      { key: first.key, after: first },
      { key: first.key, before: first, after: second },
      { key: first.key, before: second },
    ]);
    expect(seen).toEqual([first, second, undefined]);
  });

  test('an equal object is no change, and the old one stays', () => {
    const { view, changes, source } = aView();
    const first = aThing('a', { labels: { x: 'y' } });
    source.put(first);
    expect(source.put(aThing('a', { labels: { x: 'y' } }))).toBe(false);
    expect(changes).toHaveLength(1);
    expect(view.get(first.key)).toBe(first);
  });

  test('another UID under the name is gone, then new', () => {
    const { changes, source } = aView();
    const [old, next] = [aThing('a'), aThing('a', { uid: 'another' })];
    source.put(old);
    source.put(next);
    expect(changes.slice(1)).toEqual([
      { key: old.key, before: old },
      { key: old.key, after: next },
    ]);
  });

  test('a late deletion of an earlier incarnation leaves the later one alone', () => {
    const { view, source } = aView();
    source.put(aThing('a', { uid: 'later' }));
    expect(source.remove(objectKey('one', 'a'), 'earlier')).toBe(false);
    expect(view.size).toBe(1);
  });

  test('a handler that throws is reported; the others hear of the change, and of the next', () => {
    const errors: unknown[] = [];
    const { view, changes, source } = aView((error) => errors.push(error));
    const stop = view.onChange(() => {
      throw new Error('handler');
    });
    const later: ObjectKey[] = [];
    view.onChange(({ key }) => later.push(key));
    source.put(aThing('a'));
    stop();
    source.put(aThing('b'));
    expect(errors).toHaveLength(1);
    expect(changes).toHaveLength(2);
    expect(later).toHaveLength(2);
  });
});

describe('by namespace', () => {
  test('knows each namespace by itself, and forgets empty ones', () => {
    const { view, source } = aView();
    source.put(aThing('a'));
    source.put(aThing('b'));
    source.put(aThing('a', {}, 'two'));
    expect([...view.byNamespace('one')].map(({ key }) => key)).toEqual(['one/a', 'one/b']);
    source.remove(objectKey('two', 'a'));
    expect([...view.namespaces()]).toEqual(['one']);
    expect([...view.byNamespace('two')]).toEqual([]);
  });
});

describe('sources', () => {
  test('a view without sources is not synced; with several, when all are', () => {
    const view = new View<Thing>();
    expect([view.synced, view.lastProofAtMs]).toEqual([false, Number.NEGATIVE_INFINITY]);
    const [one, two] = [view.addSource('one'), view.addSource('two')];
    one.synced = true;
    one.prove(10);
    expect([view.synced, view.lastProofAtMs]).toEqual([false, Number.NEGATIVE_INFINITY]);
    two.synced = true;
    two.prove(7);
    expect([view.synced, view.lastProofAtMs]).toEqual([true, 7]);
    two.prove(5);
    expect(view.lastProofAtMs).toBe(7);
    two.problem = 'a right is missing';
    expect(view.problems).toEqual(['a right is missing']);
  });

  test('replacing one source tells the differences, by UID, and leaves the other alone', () => {
    const view = new View<Thing>();
    const changes: string[] = [];
    const [one, two] = [view.addSource('one'), view.addSource('two')];
    for (const name of ['stays', 'goes', 'changes', 'replaced']) one.put(aThing(name));
    two.put(aThing('other', {}, 'two'));
    view.onChange(({ key, before, after }) =>
      changes.push(`${before === undefined ? '+' : after === undefined ? '-' : '~'}${key}`),
    );
    replace(
      one,
      aThing('stays'),
      aThing('changes', { labels: { a: 'b' } }),
      aThing('replaced', { uid: 'another' }),
      aThing('comes'),
    );
    expect(changes).toEqual(['-one/goes', '~one/changes', '-one/replaced', '+one/replaced', '+one/comes']);
    expect(view.size).toBe(5);
  });
});

describe('the brake', () => {
  const names = (count: number, namespace: string) =>
    Array.from({ length: count }, (_, i) => aThing(`thing-${i}`, {}, namespace));
  const list = (source: ViewSource<Thing>, nowMs: number, ...things: readonly Thing[]) => {
    for (const _ of source.replace(listed(...things), nowMs));
  };
  const filled = (count: number) => {
    const { view, source } = aView();
    list(source, 0, ...names(count, 'one'));
    return { view, source };
  };

  test('measures by what hangs on the objects: three may be worth more than it believes, and thirty nothing', () => {
    const few = filled(3);
    few.view.weighBy(() => ({ going: 900, all: 1_000 }));
    list(few.source, 1);
    expect(few.view).toMatchObject({ size: 3, held: 3 });
    const many = filled(30);
    many.view.weighBy(() => ({ going: 0, all: 1_000 }));
    list(many.source, 1);
    expect(many.view).toMatchObject({ size: 0, held: 0 });
  });

  test('counts all sources of a minute together', () => {
    const view = new View<Thing>();
    const sources = Array.from({ length: 10 }, (_, i) => view.addSource(`namespace-${i}`));
    sources.forEach((source, i) => list(source, 0, ...names(10, `namespace-${i}`)));
    sources.forEach((source, i) => list(source, 1_000 + i));
    expect(view).toMatchObject({ size: 80, held: 80 });
  });

  test('does not add up the lists of one source: each takes away what is gone since the last', () => {
    const { view, source } = filled(100);
    for (let round = 1; round <= 8; round += 1) list(source, round * 5_000, ...names(100 - round * 10, 'one'));
    expect(view).toMatchObject({ size: 20, held: 0 });
  });

  test('a second list confirms what the first lacked, and nothing else', () => {
    const { view, source } = filled(100);
    list(source, 1_000, ...names(50, 'one'));
    expect(source.unconfirmedSinceMs).toBe(1_000);
    list(source, 61_000);
    view.letGo(90_000);
    expect(view).toMatchObject({ size: 50, held: 50 });
    expect(source.unconfirmedSinceMs).toBe(61_000);
  });

  test('what an event or a list shows again stays, what an event deletes goes', () => {
    const { view, source } = filled(100);
    list(source, 1_000);
    source.put(aThing('thing-7'));
    source.remove(objectKey('one', 'thing-8'));
    expect(view).toMatchObject({ size: 99, held: 98 });
    list(source, 62_000, aThing('thing-7'), aThing('thing-9'));
    view.letGo(90_000);
    expect([...view.values()].map(({ key }) => key)).toEqual(['one/thing-7', 'one/thing-9']);
  });

  test('a person releases at once', () => {
    const { view, source } = filled(100);
    list(source, 1_000);
    view.letGo(2_000, (key, sinceMs) => key === 'one/thing-3' && sinceMs === 1_000);
    expect(view).toMatchObject({ size: 99, held: 99 });
  });
});

describe('sources of single namespaces', () => {
  const twoNamespaces = () => {
    const view = new View<Thing>();
    return { view, one: view.addSource('one'), two: view.addSource('two') };
  };

  test('the view waits for all that may be read, and is as old as the oldest of them', () => {
    const { view, one, two } = twoNamespaces();
    one.synced = true;
    one.prove(20);
    expect([view.synced, view.lastProofAtMs]).toEqual([false, Number.NEGATIVE_INFINITY]);
    two.synced = true;
    two.prove(10);
    expect([view.synced, view.lastProofAtMs]).toEqual([true, 10]);
    expect([view.provenAtMs('one'), view.provenAtMs('two')]).toEqual([20, 10]);
  });

  test('one that may not be read keeps nobody from the others, and proves nothing of its own', () => {
    const { view, one, two } = twoNamespaces();
    one.synced = true;
    one.prove(20);
    two.denied = true;
    expect([view.synced, view.lastProofAtMs]).toEqual([true, 20]);
    expect(view.provenAtMs('two')).toBe(Number.NEGATIVE_INFINITY);
    expect(view.oldestProofAtMs).toBe(Number.NEGATIVE_INFINITY);
    expect([view.knows('one'), view.knows('two'), view.knows('elsewhere')]).toEqual([true, false, true]);
    view.doubt(0);
    expect(view.doubted).toBe(true);
    one.confirm(60_000);
    expect(view.doubted).toBe(false);
    one.denied = true;
    expect([view.synced, view.lastProofAtMs]).toEqual([false, Number.NEGATIVE_INFINITY]);
  });
});
