// What every implementation of the port `ApiTransport`, with the server behind it, has to do: run against the fake in
// fake time and against a real kube-apiserver in real time. What Rollcall relies on, and no more.

import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { MANAGED_BY_LABEL, MANAGED_BY_VALUE } from '../../src/domain/service-registration.ts';
import {
  type ApiResponse,
  type ApiTransport,
  field,
  type Query,
  textField,
} from '../../src/kubernetes/api-transport.ts';
import { createCluster } from '../../src/kubernetes/cluster-writer.ts';
import { collectionPath, objectPath, resources } from '../../src/kubernetes/resources.ts';
import { decodeWatch, type WatchEvent } from '../../src/kubernetes/watch-decoder.ts';

export type ApiUnderTest = {
  /** May do everything. */
  readonly transport: ApiTransport;
  /** May do nothing but ask what it may do. */
  readonly powerless: ApiTransport;
  /** A namespace that nobody else uses. */
  readonly namespace: string;
  /** A second one. */
  readonly otherNamespace: string;
  /** A version of ServiceRegistrations that the server does not remember. */
  oldVersion(): Promise<string>;
  /** Whether somebody collects what belongs to deleted owners. */
  readonly collectsGarbage: boolean;
  /** Awaits while time goes on. */
  run<T>(promise: Promise<T>): Promise<T>;
  sleep(ms: number): Promise<void>;
  close(): Promise<void>;
};

const registration = resources.ServiceRegistration;
const GATE = 'rollcall.dev/registered';

export function apiContract(name: string, makeApi: () => Promise<ApiUnderTest>): void {
  describe(`${name} as a Kubernetes API`, () => {
    let it: ApiUnderTest;
    let stop: AbortController;
    let collection: string;
    beforeEach(async () => {
      it = await makeApi();
      stop = new AbortController();
      collection = collectionPath(registration, it.namespace);
    });
    afterEach(async () => {
      stop.abort();
      await it.close();
    });

    const path = (objectName: string, subresource = '') =>
      objectPath(registration, it.namespace, objectName) + subresource;
    const ask = (method: 'GET' | 'POST' | 'PATCH' | 'DELETE', where: string, rest: object = {}): Promise<ApiResponse> =>
      it.run(it.transport.request({ method, path: where, signal: stop.signal, ...rest }));
    const list = (query: Query = {}, where = collection) => ask('GET', where, { query });
    const create = async (objectName: string, rest: object = {}, namespace = it.namespace) => {
      const body = manifest(objectName, namespace, rest);
      return bodyOf(await ask('POST', collectionPath(registration, namespace), { body }), 201);
    };
    const patch = (where: string, body: object) =>
      ask('PATCH', where, { body, contentType: 'application/merge-patch+json' });
    const apply = (body: object) =>
      ask('PATCH', path(textField(body, 'metadata', 'name') ?? ''), {
        body,
        contentType: 'application/apply-patch+yaml',
        query: { fieldManager: 'rollcall', force: true },
      });
    /** A Deployment, as an owner reference: one that does not exist would be collected at once. */
    const createOwner = async () => {
      const deployments = collectionPath(resources.Deployment, it.namespace);
      const owner = bodyOf(await ask('POST', deployments, { body: aDeployment('owner', it.namespace) }), 201);
      const uid = textField(owner, 'metadata', 'uid') ?? '';
      return { apiVersion: 'apps/v1', kind: 'Deployment', name: 'owner', uid, controller: true };
    };
    /** Opens a watch; `seen` fills while time goes on. */
    const watch = async (query: Query, where = collection) => {
      const ended = new AbortController();
      const signal = AbortSignal.any([stop.signal, ended.signal]);
      const stream = await it.run(it.transport.stream({ path: where, query: { watch: 1, ...query }, signal }));
      const seen: WatchEvent[] = [];
      const read = async (): Promise<unknown> => {
        try {
          for await (const event of decodeWatch(stream.body, systemClock)) seen.push(event);
          return undefined;
        } catch (error) {
          return error;
        }
      };
      return { stream, seen, end: read(), stop: () => ended.abort() };
    };
    const until = async (condition: () => boolean, limitMs = 5_000) => {
      for (let waitedMs = 0; !condition() && waitedMs < limitMs; waitedMs += 25) await it.sleep(25);
      expect(condition(), `not within ${limitMs} ms`).toBe(true);
    };

    describe('objects', () => {
      test('what is created has an identity, a version and generation 1, and no status', async () => {
        const body = await create('first-service', { status: { serviceName: 'sneaked-in' } });
        expect(textField(body, 'metadata', 'uid')).toMatch(/^[0-9a-f-]{36}$/);
        expect(versionOf(body)).toMatch(/^[0-9]+$/);
        expect(field(body, 'metadata', 'generation')).toBe(1);
        expect(textField(body, 'metadata', 'creationTimestamp')).toMatch(/^[0-9-]{10}T[0-9:]{8}Z$/);
        expect(field(body, 'status')).toBeUndefined();
      });

      test('refusals say what they are: 409 AlreadyExists, 404 NotFound, for a namespace too', async () => {
        await create('first-service');
        const again = await ask('POST', collection, { body: manifest('first-service', it.namespace) });
        expect(refusal(again)).toEqual([409, 'AlreadyExists']);
        expect(refusal(await ask('GET', path('absent')))).toEqual([404, 'NotFound']);
        expect(refusal(await patch(path('absent', '/status'), { status: {} }))).toEqual([404, 'NotFound']);
        expect(refusal(await ask('DELETE', path('absent')))).toEqual([404, 'NotFound']);
        const nowhere = collectionPath(registration, 'no-such-namespace');
        expect(refusal(await ask('POST', nowhere, { body: manifest('x-service', 'no-such-namespace') }))).toEqual([
          404,
          'NotFound',
        ]);
        expect((await ask('GET', '/apis/none.example/v1/things')).status).toBe(404);
      });

      test('a merge patch of the status changes nothing but the status; null removes', async () => {
        const before = await create('first-service', { spec: { ttlSeconds: 30 } });
        const status = { serviceName: 'first-service', ready: '1/2' };
        const first = bodyOf(await patch(path('first-service', '/status'), { status, spec: { ttlSeconds: 60 } }));
        expect(field(first, 'status')).toEqual(status);
        expect(field(first, 'spec')).toEqual({ ttlSeconds: 30 });
        expect(field(first, 'metadata', 'generation')).toBe(1);
        expect(versionOf(first)).not.toBe(versionOf(before));
        const second = bodyOf(await patch(path('first-service', '/status'), { status: { ready: null } }));
        expect(field(second, 'status')).toEqual({ serviceName: 'first-service' });
        const third = bodyOf(
          await patch(path('first-service'), { spec: { ttlSeconds: 90 }, status: { ready: '9/9' } }),
        );
        expect(field(third, 'status')).toEqual({ serviceName: 'first-service' });
        expect(field(third, 'metadata', 'generation')).toBe(2);
      });

      test('a patch that changes nothing writes nothing; one of an old version is a conflict', async () => {
        const created = await create('first-service');
        const body = { metadata: { resourceVersion: versionOf(created) }, status: { serviceName: 'first-service' } };
        const patched = bodyOf(await patch(path('first-service', '/status'), body));
        const same = bodyOf(
          await patch(path('first-service', '/status'), { status: { serviceName: 'first-service' } }),
        );
        expect(versionOf(same)).toBe(versionOf(patched));
        expect(refusal(await patch(path('first-service', '/status'), body))).toEqual([409, 'Conflict']);
      });

      test('apply creates, repeats for nothing, takes its own fields back and leaves those of others', async () => {
        const owner = await createOwner();
        const owned = manifest('owned-service', it.namespace, { spec: { ttlSeconds: 30, port: 80 } });
        const labelled = { ...owned, metadata: { ...owned.metadata, labels: { a: 'b' }, ownerReferences: [owner] } };
        const first = await apply(labelled);
        expect(first.status).toBe(201);
        expect(field(first.body, 'metadata', 'ownerReferences')).toEqual([owner]);
        const again = await apply(labelled);
        expect([again.status, versionOf(again.body)]).toEqual([200, versionOf(first.body)]);
        bodyOf(await patch(path('owned-service'), { spec: { whenNotReady: 'Lapse', ttlSeconds: 99 } }));
        const last = bodyOf(await apply(manifest('owned-service', it.namespace, { spec: { ttlSeconds: 45 } })));
        expect(field(last, 'spec')).toEqual({ ttlSeconds: 45, whenNotReady: 'Lapse' });
        expect(field(last, 'metadata', 'labels') ?? {}).toEqual({});
        expect(refusal(await apply(manifest('owned-service', 'no-such-namespace')))[0]).toBeGreaterThanOrEqual(400);
      });

      test('a deletion with the wrong UID is a conflict, with the right one it is done', async () => {
        const uid = textField(await create('first-service'), 'metadata', 'uid');
        const wrong = await ask('DELETE', path('first-service'), { body: { preconditions: { uid: 'another' } } });
        expect(refusal(wrong)).toEqual([409, 'Conflict']);
        expect((await ask('DELETE', path('first-service'), { body: { preconditions: { uid } } })).status).toBe(200);
        expect((await ask('GET', path('first-service'))).status).toBe(404);
      });

      test('the writes that Rollcall makes come to their outcomes', async () => {
        const cluster = createCluster(it.transport);
        const { signal } = stop;
        const owned = {
          apiVersion: 'rollcall.dev/v1alpha1',
          kind: 'ServiceRegistration',
          spec: { ttlSeconds: 30 },
        } as const;
        const labels = { [MANAGED_BY_LABEL]: MANAGED_BY_VALUE };
        const metadata = { namespace: it.namespace, name: 'owned-service', labels, ownerReferences: [] };
        expect(await it.run(cluster.createOwned({ ...owned, metadata }, signal))).toEqual({ kind: 'done' });
        expect((await it.run(cluster.createOwned({ ...owned, metadata }, signal))).kind).toBe('conflict');
        expect(await it.run(cluster.applyOwned({ ...owned, metadata }, signal))).toEqual({ kind: 'done' });
        const ref = { namespace: it.namespace, name: 'owned-service' };
        const stored = { serviceName: 'owned-service', ready: '0/1' };
        expect(await it.run(cluster.patchStatus(ref, stored, signal))).toEqual({ kind: 'done' });
        const next = { serviceName: 'owned-service' };
        expect(await it.run(cluster.patchStatus({ ...ref, status: stored }, next, signal))).toEqual({ kind: 'done' });
        expect(field(bodyOf(await ask('GET', path('owned-service'))), 'status')).toEqual(next);
        const other = await it.run(cluster.patchStatus({ ...ref, uid: 'another' }, stored, signal));
        expect(other.kind).toBe('conflict');
        const absent = await it.run(cluster.patchStatus({ ...ref, name: 'absent' }, stored, signal));
        expect(absent).toEqual({ kind: 'notFound' });
        expect((await it.run(cluster.deleteOwned({ ...ref, uid: 'another' }, signal))).kind).toBe('conflict');
        const uid = textField(bodyOf(await ask('GET', path('owned-service'))), 'metadata', 'uid') ?? '';
        bodyOf(await patch(path('owned-service'), { metadata: { labels: { [MANAGED_BY_LABEL]: null } } }));
        expect((await it.run(cluster.deleteOwned({ ...ref, uid }, signal))).kind).toBe('conflict');
        expect((await it.run(cluster.applyOwned({ ...owned, metadata }, signal))).kind).toBe('conflict');
        bodyOf(await patch(path('owned-service'), { metadata: { labels } }));
        expect(await it.run(cluster.deleteOwned({ ...ref, uid }, signal))).toEqual({ kind: 'done' });
        expect(await it.run(cluster.deleteOwned({ ...ref, uid }, signal))).toEqual({ kind: 'notFound' });
      });

      test('a condition of a pod is set beside those of others, and only of that very pod', async () => {
        const cluster = createCluster(it.transport);
        const pods = collectionPath(resources.Pod, it.namespace);
        const body = {
          metadata: { name: 'one', namespace: it.namespace },
          spec: { readinessGates: [{ conditionType: GATE }], containers: [{ name: 'main', image: 'none' }] },
        };
        let pod: ApiResponse | undefined;
        // The namespace's service account may come a moment later.
        for (let tries = 0; pod?.status !== 201; tries++) {
          expect(tries, String(field(pod?.body, 'message'))).toBeLessThan(100);
          if (tries > 0) await it.sleep(100);
          pod = await ask('POST', pods, { body });
        }
        const where = objectPath(resources.Pod, it.namespace, 'one');
        bodyOf(await patch(`${where}/status`, { status: { conditions: [{ type: 'Ready', status: 'False' }] } }));
        const ref = { namespace: it.namespace, name: 'one', uid: textField(pod.body, 'metadata', 'uid') ?? '' };
        const set = (status: 'True' | 'False', reason: string, rest: object = {}, to = ref) =>
          it.run(cluster.patchPodCondition(to, { type: GATE, status, reason, message: reason, ...rest }, stop.signal));
        const shown = async () => {
          const conditions: unknown = field(bodyOf(await ask('GET', where)), 'status', 'conditions');
          return (Array.isArray(conditions) ? conditions : []).map((condition: unknown) =>
            ['type', 'status', 'reason', 'lastTransitionTime'].map((name) => textField(condition, name) ?? ''),
          );
        };
        const at = { lastTransitionTime: '2026-11-23T09:00:00Z' };
        expect(await set('False', 'NotSelected', at)).toEqual({ kind: 'done' });
        // Without a time the stored one stays.
        expect(await set('False', 'Conflict')).toEqual({ kind: 'done' });
        expect(await shown()).toEqual(
          expect.arrayContaining([
            ['Ready', 'False', '', ''],
            [GATE, 'False', 'Conflict', '2026-11-23T09:00:00Z'],
          ]),
        );
        expect((await set('True', 'Registered', at, { ...ref, uid: 'another' })).kind).toBe('conflict');
        expect(await set('True', 'Registered', at, { ...ref, name: 'absent' })).toEqual({ kind: 'notFound' });
        expect(await shown()).toEqual(expect.arrayContaining([[GATE, 'False', 'Conflict', '2026-11-23T09:00:00Z']]));
      });

      test('what belongs to a deleted owner is collected', { timeout: 120_000 }, async () => {
        if (!it.collectsGarbage) return;
        const body = manifest('owned-service', it.namespace);
        bodyOf(await apply({ ...body, metadata: { ...body.metadata, ownerReferences: [await createOwner()] } }), 201);
        expect((await ask('DELETE', objectPath(resources.Deployment, it.namespace, 'owner'))).status).toBe(200);
        for (let waited = 0; (await ask('GET', path('owned-service'))).status !== 404; waited++) {
          expect(waited, 'not collected').toBeLessThan(180);
          await it.sleep(500);
        }
      });
    });

    describe('lists', () => {
      test('are in order of namespace and name, in pages of one version', async () => {
        const names = ['c-service', 'a-service', 'b-service', 'd-service', 'e-service'];
        for (const each of names) await create(each);
        const first = await list({ limit: 2, resourceVersion: '' });
        expect(namesOf(first.body)).toEqual(['a-service', 'b-service']);
        expect(field(first.body, 'metadata', 'remainingItemCount')).toBe(3);
        await create('a-later-service');
        const next = textField(first.body, 'metadata', 'continue') ?? '';
        const second = await list({ limit: 2, continue: next });
        expect(namesOf(second.body)).toEqual(['c-service', 'd-service']);
        expect(versionOf(second.body)).toBe(versionOf(first.body));
        const last = await list({ limit: 2, continue: textField(second.body, 'metadata', 'continue') ?? '' });
        expect(namesOf(last.body)).toEqual(['e-service']);
        expect(textField(last.body, 'metadata', 'continue') ?? '').toBe('');
      });

      test('leave out namespaces by field selector', async () => {
        await create('a-service');
        await create('b-service', {}, it.otherNamespace);
        const everywhere = collectionPath(registration);
        const without = (namespace: string) => list({ fieldSelector: `metadata.namespace!=${namespace}` }, everywhere);
        expect(namesOf((await without(it.namespace)).body, it.namespace)).toEqual([]);
        expect(namesOf((await without(it.otherNamespace)).body, it.namespace)).toEqual(['a-service']);
        expect((await list({ fieldSelector: 'spec.nothing=1' }, everywhere)).status).toBe(400);
      });

      test('the version of a consistent list is at least that of the last write anywhere', async () => {
        const created = await create('b-service', {}, it.otherNamespace);
        expect(Number(versionOf((await list({ limit: 1 })).body))).toBeGreaterThanOrEqual(Number(versionOf(created)));
      });

      test('a version from the future is too large', async () => {
        const answer = await list({ resourceVersion: '999999999', resourceVersionMatch: 'NotOlderThan' });
        expect(answer.status).toBe(504);
        expect(field(answer.body, 'details', 'causes')).toEqual([
          expect.objectContaining({ reason: 'ResourceVersionTooLarge' }),
        ]);
      });
    });

    describe('watches', () => {
      test('bring what happens, in order, each with its version; a deletion brings the last state', async () => {
        const from = versionOf((await list()).body);
        const { seen } = await watch({ resourceVersion: from });
        const created = await create('a-service', { spec: { ttlSeconds: 30 } });
        bodyOf(await patch(path('a-service'), { spec: { ttlSeconds: 60 } }));
        bodyOf(await ask('DELETE', path('a-service')));
        await until(() => seen.length === 3);
        expect(seen.map(({ kind }) => kind)).toEqual(['added', 'modified', 'deleted']);
        const versions = seen.map(({ resourceVersion }) => Number(resourceVersion));
        expect(versions).toEqual([...versions].sort((a, b) => a - b));
        expect(versions[0]).toBe(Number(versionOf(created)));
        expect(new Set(versions).size).toBe(3);
        const last = seen[2];
        expect(last?.kind === 'deleted' && field(last.object, 'spec')).toEqual({ ttlSeconds: 60 });
      });

      test('resume after any version they have brought', async () => {
        const from = versionOf((await list()).body);
        for (const each of ['a-service', 'b-service', 'c-service']) await create(each);
        const first = await watch({ resourceVersion: from });
        await until(() => first.seen.length === 3);
        first.stop();
        await it.run(first.end);
        const second = await watch({ resourceVersion: first.seen[0]?.resourceVersion ?? '' });
        await until(() => second.seen.length >= 2);
        expect(second.seen.map(nameIn)).toEqual(['b-service', 'c-service']);
      });

      test('are opened from a version that is still to come, and say nothing', async () => {
        const from = versionOf((await list()).body);
        const far = await watch({ resourceVersion: String(Number(from) + 1_000_000), allowWatchBookmarks: true });
        expect(far.stream.status).toBe(200);
        const near = await watch({ resourceVersion: from });
        await create('a-service');
        await until(() => near.seen.length === 1);
        expect(far.seen).toEqual([]);
      });

      test('begin with everything there is, and say when that is complete', async () => {
        await create('b-service');
        await create('a-service');
        const initial = { sendInitialEvents: true, resourceVersionMatch: 'NotOlderThan', allowWatchBookmarks: true };
        const { seen } = await watch(initial);
        await until(() => seen.length >= 3);
        expect(new Set(seen.slice(0, 2).map(nameIn))).toEqual(new Set(['a-service', 'b-service']));
        expect(seen[2]).toMatchObject({ kind: 'bookmark', initialEventsEnd: true });
        const after = await create('c-service');
        // Bookmarks may come before it and after it.
        const later = () => seen.slice(3).filter(({ kind }) => kind !== 'bookmark');
        await until(() => later().length > 0);
        expect(later()).toMatchObject([{ kind: 'added', resourceVersion: versionOf(after) }]);
        const refused = await watch({
          sendInitialEvents: true,
          resourceVersionMatch: 'Exact',
          allowWatchBookmarks: true,
        });
        expect([refused.stream.status, field(refused.stream.errorBody, 'reason')]).toEqual([422, 'Invalid']);
      });

      test('leave out namespaces by field selector', async () => {
        const from = versionOf((await list()).body);
        const { seen } = await watch(
          { resourceVersion: from, fieldSelector: `metadata.namespace!=${it.otherNamespace}` },
          collectionPath(registration),
        );
        await create('b-service', {}, it.otherNamespace);
        await create('a-service');
        await until(() => seen.length > 0);
        expect(seen.map(nameIn)).toEqual(['a-service']);
      });

      test('a short one proves by a bookmark that nothing happened, once a list has asked for the newest version', async () => {
        const from = versionOf((await list()).body);
        await createOwner();
        const current = versionOf((await list({ limit: 1 })).body);
        const { seen, end } = await watch({ resourceVersion: from, allowWatchBookmarks: true, timeoutSeconds: 3 });
        expect(await it.run(end)).toBeUndefined();
        expect(seen.length).toBeGreaterThan(0);
        for (const event of seen) expect(event).toMatchObject({ kind: 'bookmark', initialEventsEnd: false });
        expect(Number(seen.at(-1)?.resourceVersion)).toBeGreaterThanOrEqual(Number(current));
      });

      test('a version from before the memory ends in 410', async () => {
        const { end } = await watch({ resourceVersion: await it.run(it.oldVersion()) });
        expect(await it.run(end)).toMatchObject({ name: 'ApiError', kind: 'gone', status: 410 });
      });

      test('end when the signal aborts', async () => {
        const { end, stop: stopWatch } = await watch({ resourceVersion: versionOf((await list()).body) });
        stopWatch();
        expect(await it.run(end)).toBeUndefined();
      });
    });

    describe('rights', () => {
      test('a reader without rights is refused, and can ask before', async () => {
        const answer = await it.run(it.powerless.request({ method: 'GET', path: collection, signal: stop.signal }));
        expect(refusal(answer)).toEqual([403, 'Forbidden']);
        const right = { verb: 'watch', group: registration.group, resource: registration.plural };
        expect(await it.run(createCluster(it.powerless).canI(right, stop.signal))).toBe(false);
        expect(await it.run(createCluster(it.transport).canI(right, stop.signal))).toBe(true);
        const stream = await it.run(
          it.powerless.stream({ path: collection, query: { watch: 1 }, signal: stop.signal }),
        );
        expect([stream.status, field(stream.errorBody, 'reason')]).toEqual([403, 'Forbidden']);
      });
    });
  });
}

const manifest = (name: string, namespace: string, rest: object = {}) => ({
  apiVersion: 'rollcall.dev/v1alpha1',
  kind: 'ServiceRegistration',
  metadata: { name, namespace },
  spec: {},
  ...rest,
});

const aDeployment = (name: string, namespace: string) => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name, namespace },
  spec: {
    replicas: 0,
    selector: { matchLabels: { app: name } },
    template: { metadata: { labels: { app: name } }, spec: { containers: [{ name: 'main', image: 'none' }] } },
  },
});

const bodyOf = (answer: ApiResponse, status = 200): unknown => {
  expect([answer.status, field(answer.body, 'message')]).toEqual([status, undefined]);
  return answer.body;
};

const refusal = ({ status, body }: ApiResponse) => [status, field(body, 'reason')];
const versionOf = (body: unknown): string => textField(body, 'metadata', 'resourceVersion') ?? '';
/** The names in a list, of one namespace if one is given. */
const namesOf = (body: unknown, namespace?: string): unknown[] => {
  const items: unknown = field(body, 'items');
  return (Array.isArray(items) ? items : [])
    .filter((item) => namespace === undefined || field(item, 'metadata', 'namespace') === namespace)
    .map((item) => field(item, 'metadata', 'name'));
};
const nameIn = (event: WatchEvent): unknown =>
  event.kind === 'bookmark' ? event.kind : field(event.object, 'metadata', 'name');
