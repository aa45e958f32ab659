// A Kubernetes API server in memory, on fake time, for one or several clients that each have their own faults. It knows
// the resources that Rollcall reads and writes, and holds to the same contract test as a real API server. No
// authentication, no validation, no admission; garbage collection of owned registrations only.

import type { Random } from '../../src/clock.ts';
import {
  ApiError,
  type ApiRequest,
  type ApiResponse,
  type ApiStream,
  type ApiTransport,
  type Query,
  type StreamRequest,
} from '../../src/kubernetes/api-transport.ts';
import { type Resource, resources } from '../../src/kubernetes/resources.ts';
import { Faults } from './fake-api-faults.ts';
import {
  givenOf,
  hasStatus,
  immutableUid,
  matcher,
  numberOf,
  once,
  parsePath,
  patchOf,
  type Route,
  refusal,
  response,
  review,
  sorted,
  streamRefusal,
  tooLargeVersion,
  verbOf,
  without,
} from './fake-api-http.ts';
import { type ApiObject, type Collection, FakeStore, type Given, jsonOf, merge } from './fake-api-store.ts';
import { FakeWatch } from './fake-api-watch.ts';
import type { FakeClock } from './fake-clock.ts';

export type { ApiObject, Given } from './fake-api-store.ts';

export type FakeApiOptions = { readonly random?: Random; readonly collectAfterMs?: number };

export type Kind = keyof typeof resources;

export class FakeApi {
  readonly clock: FakeClock;
  readonly store: FakeStore;
  /** Requests answered so far, by `METHOD plural`, `WATCH plural`. */
  readonly requests = new Map<string, number>();
  readonly #random: Random;
  readonly #collectAfterMs: number;
  readonly #pages = new Map<
    string,
    { readonly rest: readonly ApiObject[]; readonly version: number; readonly total: number }
  >();
  #pageTokens = 0;

  constructor(clock: FakeClock, options: FakeApiOptions = {}) {
    this.clock = clock;
    this.store = new FakeStore(clock);
    this.#random = options.random ?? (() => 0.5);
    this.#collectAfterMs = options.collectAfterMs ?? 50;
    this.store.put(resources.Namespace, { metadata: { name: 'default' } });
    this.store.put(resources.Namespace, { metadata: { name: 'kube-system' } });
  }

  /** A client with faults of its own, and with its process's clock. */
  connect(clock = this.clock): FakeConnection {
    return new FakeConnection(this, new Faults(this.#random), clock);
  }

  // ---- what a test does to the cluster ----

  put(kind: Kind, object: Given): ApiObject {
    const before = this.store.get(resources[kind], object.metadata.namespace ?? '', object.metadata.name);
    const stored = this.store.put(resources[kind], object);
    if (before !== undefined && before.metadata.uid !== stored.metadata.uid) this.#collectLater();
    return stored;
  }

  get(kind: Kind, namespace: string, name: string): ApiObject | undefined {
    return this.store.get(resources[kind], namespace, name);
  }

  list(kind: Kind): ApiObject[] {
    return [...this.store.collection(resources[kind]).objects.values()];
  }

  delete(kind: Kind, namespace: string, name: string): boolean {
    const stored = this.get(kind, namespace, name);
    if (stored === undefined) return false;
    this.store.remove(resources[kind], stored);
    this.#collectLater();
    return true;
  }

  /** What happened so far is forgotten: watches from before get 410. */
  compact(): void {
    this.store.compact();
    this.#pages.clear();
  }

  /** Returns what restores the cluster to what it is now. Watches do not end by that. */
  backup(): () => void {
    return this.store.backup();
  }

  /** The CRD is deleted, with all its objects. */
  dropResource(kind: Kind): void {
    this.store.removeResource(resources[kind]);
  }

  addResource(resource: Resource): void {
    this.store.addResource(resource);
  }

  // ---- what a client may ask ----

  answer(request: ApiRequest, faults: Faults): ApiResponse {
    const route = parsePath(request.path);
    const collection = route === undefined ? undefined : this.store.find(route.group, route.plural);
    if (route === undefined || collection === undefined) return response(404, '404 page not found\n');
    this.#countRequest(request.method, route.plural);
    const refused = this.refused(faults, verbOf(request.method, route), route);
    if (refused !== undefined) return refused;
    const { namespace = '', name, subresource } = route;
    if (collection.resource === resources.SelfSubjectAccessReview) return review(request.body, faults);
    if (request.method === 'POST') return this.#create(collection.resource, namespace, request.body);
    if (name === undefined) return this.#list(collection, route.namespace, request.query ?? {}, faults);
    const stored = collection.objects.get(`${namespace}/${name}`);
    if (request.method === 'PATCH' && request.contentType === 'application/apply-patch+yaml') {
      return this.#apply(collection.resource, request.body);
    }
    if (stored === undefined) return refusal(404, 'NotFound', `${route.plural} "${name}" not found`);
    switch (request.method) {
      case 'GET':
        return response(200, stored);
      case 'PATCH':
        return this.#patch(collection.resource, stored, subresource, patchOf(request, stored));
      case 'DELETE':
        return this.#deleteChecked(collection.resource, stored, jsonOf(request.body));
      default:
        return request.method satisfies never;
    }
  }

  watch(
    request: StreamRequest,
    faults: Faults,
    opened: (watch: FakeWatch) => void,
    closed: (watch: FakeWatch) => void,
  ): ApiStream {
    const route = parsePath(request.path);
    const collection = route === undefined ? undefined : this.store.find(route.group, route.plural);
    if (route === undefined || collection === undefined) return streamRefusal(response(404, '404 page not found\n'));
    this.#countRequest('WATCH', route.plural);
    const refused = this.refused(faults, 'watch', route);
    if (refused !== undefined) return streamRefusal(refused);
    const { query, signal } = request;
    const matches = matcher(route.namespace, query);
    if (matches === undefined) return streamRefusal(refusal(400, 'BadRequest', 'field label not supported'));
    const sendInitial = query['sendInitialEvents'] === true;
    if (sendInitial && (faults.noWatchList || query['resourceVersionMatch'] !== 'NotOlderThan')) {
      return streamRefusal(refusal(422, 'Invalid', 'sendInitialEvents is forbidden'));
    }
    const from = sendInitial ? undefined : numberOf(query['resourceVersion']);
    if (from !== undefined && from < collection.compactedTo) {
      const status = {
        kind: 'Status',
        status: 'Failure',
        reason: 'Expired',
        code: 410,
        message: `too old resource version: ${from}`,
      };
      return { status: 200, headers: {}, body: once(`${JSON.stringify({ type: 'ERROR', object: status })}\n`) };
    }
    if (sendInitial) collection.cacheVersion = this.store.version;
    const initial = sendInitial ? (faults.emptyLists ? [] : sorted(collection).filter(matches)) : undefined;
    const spec = {
      collection,
      matches,
      from,
      initial,
      version: this.store.version,
      bookmarks: query['allowWatchBookmarks'] === true,
      timeoutMs: (numberOf(query['timeoutSeconds']) ?? 1_800) * 1_000,
    };
    const watch = new FakeWatch(this.clock, faults, spec, closed);
    opened(watch);
    return { status: 200, headers: {}, body: watch.body(signal) };
  }

  refused(faults: Faults, verb: string, route: Route): ApiResponse | undefined {
    const what = route.subresource === undefined ? route.plural : `${route.plural}/${route.subresource}`;
    if (faults.isDenied(`${verb} ${what}`)) return refusal(403, 'Forbidden', `${what} is forbidden: cannot ${verb}`);
    const injected = faults.refusal(route.plural);
    if (injected === undefined) return undefined;
    const { status, retryAfterSeconds } = injected;
    const headers = retryAfterSeconds === undefined ? {} : { 'retry-after': String(retryAfterSeconds) };
    return refusal(status, 'Injected', 'a fault of the test', headers);
  }

  // ---- verbs ----

  #list(collection: Collection, namespace: string | undefined, query: Query, faults: Faults): ApiResponse {
    const matches = matcher(namespace, query);
    if (matches === undefined) return refusal(400, 'BadRequest', 'field label not supported');
    const token = String(query['continue'] ?? '');
    const page = token === '' ? undefined : this.#pages.get(token);
    if (token !== '' && page === undefined)
      return refusal(410, 'Expired', 'the provided continue parameter is too old');
    const tooLarge = (numberOf(query['resourceVersion']) ?? 0) > this.store.version;
    if (tooLarge) return tooLargeVersion();
    const version = page?.version ?? this.store.version;
    // A consistent read makes the watch cache catch up.
    collection.cacheVersion = Math.max(collection.cacheVersion, version);
    const found = page?.rest ?? (faults.emptyLists ? [] : sorted(collection).filter(matches));
    const limit = numberOf(query['limit']) ?? Number.POSITIVE_INFINITY;
    const items = found.slice(0, limit);
    const rest = found.slice(items.length);
    const metadata: Record<string, unknown> = { resourceVersion: String(version) };
    if (rest.length > 0) {
      const next = `page-${++this.#pageTokens}`;
      this.#pages.set(next, { rest, version, total: found.length });
      metadata['continue'] = next;
      if (query['fieldSelector'] === undefined && query['labelSelector'] === undefined)
        metadata['remainingItemCount'] = rest.length;
    }
    const { kind } = collection.resource;
    return response(200, { kind: `${kind}List`, metadata, items });
  }

  #create(resource: Resource, namespace: string, body: unknown): ApiResponse {
    const given = givenOf(body, namespace);
    if (resource.namespaced && this.store.get(resources.Namespace, '', namespace) === undefined) {
      return refusal(404, 'NotFound', `namespaces "${namespace}" not found`);
    }
    if (this.store.get(resource, namespace, given.metadata.name) !== undefined) {
      return refusal(409, 'AlreadyExists', `${resource.plural} "${given.metadata.name}" already exists`);
    }
    return response(201, this.store.put(resource, hasStatus(resource) ? without(given, 'status') : given));
  }

  #apply(resource: Resource, body: unknown): ApiResponse {
    const given = givenOf(body, '');
    const namespace = given.metadata.namespace ?? '';
    if (this.store.get(resources.Namespace, '', namespace) === undefined) {
      return refusal(404, 'NotFound', `namespaces "${namespace}" not found`);
    }
    const { object, created } = this.store.apply(resource, given);
    return response(created ? 201 : 200, object);
  }

  #patch(
    resource: Resource,
    stored: ApiObject,
    subresource: string | undefined,
    patch: ReturnType<typeof jsonOf>,
  ): ApiResponse {
    const expected = jsonOf(patch['metadata'])['resourceVersion'];
    if (expected !== undefined && expected !== stored.metadata.resourceVersion) {
      return refusal(409, 'Conflict', 'the object has been modified');
    }
    const uid = jsonOf(patch['metadata'])['uid'];
    if (resource === resources.Pod && uid !== undefined && uid !== stored.metadata.uid) return immutableUid();
    const merged = merge(stored, patch);
    const metadata = {
      ...stored.metadata,
      ...jsonOf(merged['metadata']),
      name: stored.metadata.name,
      uid: stored.metadata.uid,
    };
    const status = stored['status'] === undefined ? {} : { status: stored['status'] };
    const whole = hasStatus(resource) ? { ...without(merged, 'status'), ...status } : merged;
    const next = subresource === 'status' ? { ...stored, status: merged['status'] } : { ...whole, metadata };
    return response(200, this.store.put(resource, next as Given));
  }

  #deleteChecked(resource: Resource, stored: ApiObject, options: ReturnType<typeof jsonOf>): ApiResponse {
    const { uid, resourceVersion } = jsonOf(options['preconditions']);
    const wrongUid = uid !== undefined && uid !== stored.metadata.uid;
    const wrongVersion = resourceVersion !== undefined && resourceVersion !== stored.metadata.resourceVersion;
    if (wrongUid || wrongVersion) return refusal(409, 'Conflict', 'the precondition does not hold');
    this.store.remove(resource, stored);
    this.#collectLater();
    return response(200, { kind: 'Status', status: 'Success' });
  }

  #collectLater(): void {
    this.clock.after(this.#collectAfterMs, () => {
      if (this.store.find(resources.ServiceRegistration.group, resources.ServiceRegistration.plural) === undefined)
        return;
      for (const orphan of [...this.store.orphans(resources.ServiceRegistration)]) {
        this.store.remove(resources.ServiceRegistration, orphan);
      }
    });
  }

  #countRequest(method: string, plural: string): void {
    const name = `${method} ${plural}`;
    this.requests.set(name, (this.requests.get(name) ?? 0) + 1);
  }
}

/** One client's way to the fake API server. */
export class FakeConnection implements ApiTransport {
  readonly faults: Faults;
  readonly #api: FakeApi;
  readonly #clock: FakeClock;
  readonly #watches = new Set<FakeWatch>();

  constructor(api: FakeApi, faults: Faults, clock: FakeClock) {
    this.#api = api;
    this.#clock = clock;
    this.faults = faults;
    faults.onBreak = (how) => {
      for (const watch of [...this.#watches]) watch.end(how);
    };
    faults.onUnsilenced = () => {
      for (const watch of this.#watches) watch.release();
    };
  }

  async request(request: ApiRequest): Promise<ApiResponse> {
    await this.#arrive(request.timeoutMs ?? 10_000, request.signal);
    return this.#api.answer(request, this.faults);
  }

  async stream(request: StreamRequest): Promise<ApiStream> {
    await this.#arrive(request.timeoutMs ?? 30_000, request.signal);
    return this.#api.watch(
      request,
      this.faults,
      (watch) => this.#watches.add(watch),
      (watch) => this.#watches.delete(watch),
    );
  }

  /** Watches that are open. */
  get watches(): number {
    return this.#watches.size;
  }

  async #arrive(timeoutMs: number, signal: AbortSignal): Promise<void> {
    await this.#clock.yield();
    const { held } = this.faults;
    if (held !== undefined && !signal.aborted) {
      const done = new AbortController();
      const stop = AbortSignal.any([signal, done.signal]);
      const late = this.#clock.sleep(timeoutMs, stop).then(() => 'late' as const);
      const outcome = await Promise.race([late, held]);
      done.abort();
      if (outcome === 'late' && !signal.aborted) throw new ApiError('transient', `no answer within ${timeoutMs} ms`);
    }
    if (signal.aborted) throw new ApiError('transient', 'aborted');
    if (this.faults.unreachable) throw new ApiError('transient', 'connection refused');
  }
}
