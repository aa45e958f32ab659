// The memory of the fake API server: objects, one counter of versions for all of them, and per kind the log of what
// happened, as far back as the last compaction. No HTTP, no time but creation timestamps.

import type { Clock } from '../../src/clock.ts';
import { apiVersionOf, type Resource, resources } from '../../src/kubernetes/resources.ts';

export type Json = { readonly [name: string]: unknown };

export type ApiObject = Json & {
  readonly metadata: Json & {
    readonly name: string;
    readonly namespace?: string;
    readonly uid: string;
    readonly resourceVersion: string;
  };
};

export type Change = {
  readonly version: number;
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED';
  readonly object: ApiObject;
  readonly before?: ApiObject;
  /** The line a watch sends, made once for all watches. */
  readonly line: Buffer;
};

export type Collection = {
  readonly resource: Resource;
  readonly objects: Map<string, ApiObject>;
  readonly log: Change[];
  /** Watches and lists from before this are too old. */
  compactedTo: number;
  /** What the watch cache has heard of: moved by its own changes and by consistent reads. */
  cacheVersion: number;
  readonly onChange: Set<(change: Change) => void>;
};

/** What a test gives: metadata may lack everything but the name. */
export type Given = Json & { readonly metadata: Json & { readonly name: string; readonly namespace?: string } };

export class FakeStore {
  version = 100;
  readonly #clock: Clock;
  readonly #collections = new Map<string, Collection>();
  /** What `rollcall` applied last, by UID, so that a later apply can take fields back. */
  readonly #applied = new Map<string, Json>();
  #uids = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
    for (const resource of Object.values(resources)) this.addResource(resource);
  }

  addResource(resource: Resource): void {
    this.#collections.set(idOf(resource.group, resource.plural), {
      resource,
      objects: new Map(),
      log: [],
      compactedTo: 0,
      cacheVersion: this.version,
      onChange: new Set(),
    });
  }

  /** The resource is served no more, as after the deletion of its CRD: its objects are deleted first. */
  removeResource(resource: Resource): void {
    for (const object of [...this.collection(resource).objects.values()]) this.remove(resource, object);
    this.#collections.delete(idOf(resource.group, resource.plural));
  }

  find(group: string, plural: string): Collection | undefined {
    return this.#collections.get(idOf(group, plural));
  }

  collection(resource: Resource): Collection {
    const found = this.find(resource.group, resource.plural);
    if (found === undefined) throw new Error(`the fake API has no ${resource.plural}`);
    return found;
  }

  get(resource: Resource, namespace: string, name: string): ApiObject | undefined {
    return this.collection(resource).objects.get(`${namespace}/${name}`);
  }

  /** Creates or replaces. A UID other than the stored one deletes that first. What changes nothing writes nothing. */
  put(resource: Resource, given: Given): ApiObject {
    const { objects } = this.collection(resource);
    const namespace = resource.namespaced ? (given.metadata.namespace ?? 'default') : '';
    const key = `${namespace}/${given.metadata.name}`;
    const stored = objects.get(key);
    const uid = given.metadata['uid'];
    if (stored !== undefined && uid !== undefined && uid !== stored.metadata.uid) {
      this.remove(resource, stored);
      return this.put(resource, given);
    }
    const generation = stored?.metadata['generation'];
    const sameSpec = stored !== undefined && isSame(stored['spec'], given['spec']);
    const metadata = {
      ...given.metadata,
      ...(resource.namespaced ? { namespace } : {}),
      uid: typeof uid === 'string' ? uid : (stored?.metadata.uid ?? this.#newUid()),
      creationTimestamp:
        stored?.metadata['creationTimestamp'] ?? given.metadata['creationTimestamp'] ?? rfc3339(this.#clock.wallMs()),
      generation: stored === undefined ? 1 : Number(generation) + (sameSpec ? 0 : 1),
      resourceVersion: stored?.metadata.resourceVersion ?? '',
    };
    const next = { apiVersion: apiVersionOf(resource), kind: resource.kind, ...given, metadata };
    if (stored !== undefined && isSame(stored, next)) return stored;
    return this.#write(resource, stored === undefined ? 'ADDED' : 'MODIFIED', next, stored);
  }

  remove(resource: Resource, stored: ApiObject): ApiObject {
    this.#applied.delete(stored.metadata.uid);
    return this.#write(resource, 'DELETED', stored, stored);
  }

  /** Server-side apply by one manager, by force: its fields win, and those it no longer names go. */
  apply(resource: Resource, manifest: Given): { readonly object: ApiObject; readonly created: boolean } {
    const namespace = manifest.metadata.namespace ?? 'default';
    const stored = this.get(resource, namespace, manifest.metadata.name);
    const before = stored === undefined ? undefined : this.#applied.get(stored.metadata.uid);
    const base = stored === undefined ? { metadata: manifest.metadata } : withoutOwn(stored, before ?? {}, manifest);
    const merged = merge(base, manifest, false);
    const object = this.put(resource, { ...merged, metadata: { ...manifest.metadata, ...jsonOf(merged['metadata']) } });
    this.#applied.set(object.metadata.uid, frozenCopy(manifest));
    return { object, created: stored === undefined };
  }

  /** Forgets what happened up to now: older watches get 410. */
  compact(): void {
    for (const collection of this.#collections.values()) {
      collection.compactedTo = this.version;
      collection.log.length = 0;
    }
  }

  /** Returns what brings back what is stored now, as after a restore from a backup: versions go on from there. */
  backup(): () => void {
    const { version } = this;
    const stored = Array.from(this.#collections.values(), (each) => [each, new Map(each.objects)] as const);
    return () => {
      this.version = version;
      for (const [collection, objects] of stored) {
        collection.objects.clear();
        for (const [key, object] of objects) collection.objects.set(key, object);
        collection.log.length = 0;
        collection.compactedTo = version;
        collection.cacheVersion = version;
      }
    };
  }

  /** Objects whose owners are all gone, to be collected by whoever plays the garbage collector. */
  *orphans(resource: Resource): Generator<ApiObject> {
    const alive = new Set<string>();
    for (const { objects } of this.#collections.values())
      for (const object of objects.values()) alive.add(object.metadata.uid);
    for (const object of this.collection(resource).objects.values()) {
      const owners = object.metadata['ownerReferences'];
      if (!Array.isArray(owners) || owners.length === 0) continue;
      if (owners.every((owner: unknown) => !alive.has(String(jsonOf(owner)['uid'])))) yield object;
    }
  }

  #write(resource: Resource, type: Change['type'], next: Given, before: ApiObject | undefined): ApiObject {
    const collection = this.collection(resource);
    this.version++;
    const metadata = { ...next.metadata, resourceVersion: String(this.version) };
    const object = frozenCopy({ ...next, metadata }) as ApiObject;
    const key = `${object.metadata.namespace ?? ''}/${object.metadata.name}`;
    if (type === 'DELETED') collection.objects.delete(key);
    else collection.objects.set(key, object);
    collection.cacheVersion = this.version;
    const line = Buffer.from(`${JSON.stringify({ type, object })}\n`);
    const change: Change = { version: this.version, type, object, line, ...(before === undefined ? {} : { before }) };
    collection.log.push(change);
    for (const listener of [...collection.onChange]) listener(change);
    return object;
  }

  #newUid(): string {
    this.#uids++;
    return `00000000-0000-4000-8000-${this.#uids.toString(16).padStart(12, '0')}`;
  }
}

/** RFC 7386; `removes`: null takes a field away (else it is stored, as apply does with empty maps). */
export function merge(base: Json, patch: Json, removes = true): Json {
  const result: Record<string, unknown> = { ...base };
  for (const [name, value] of Object.entries(patch)) {
    if (value === null && removes) delete result[name];
    else if (isMap(value)) result[name] = merge(jsonOf(result[name]), value, removes);
    else result[name] = value;
  }
  return result;
}

export const jsonOf = (value: unknown): Json => (isMap(value) ? value : {});

const isMap = (value: unknown): value is Json => typeof value === 'object' && value !== null && !Array.isArray(value);

/** `stored` without the fields that `before` named and `manifest` does not. Identity is never taken back. */
function withoutOwn(stored: Json, before: Json, manifest: Json): Json {
  const result: Record<string, unknown> = { ...stored };
  for (const [name, value] of Object.entries(before)) {
    if (!(name in manifest)) delete result[name];
    else if (isMap(value)) result[name] = withoutOwn(jsonOf(result[name]), value, jsonOf(manifest[name]));
  }
  return result;
}

const idOf = (group: string, plural: string): string => `${group}/${plural}`;

const rfc3339 = (wallMs: number): string => new Date(wallMs).toISOString().replace(/\.[0-9]+Z$/, 'Z');

/** Of data as JSON has it. What is frozen came from here, and is frozen all the way down. */
function frozenCopy<T>(value: T): T;
function frozenCopy(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value;
  if (Array.isArray(value)) return Object.freeze(value.map((entry: unknown) => frozenCopy(entry)));
  const copy: Record<string, unknown> = {};
  for (const [name, entry] of Object.entries(value)) {
    // By assignment it would be something else.
    if (name === '__proto__') Object.defineProperty(copy, name, { value: frozenCopy(entry), enumerable: true });
    else copy[name] = frozenCopy(entry);
  }
  return Object.freeze(copy);
}

/** Of data as JSON has it: a field that is undefined is none that is missing. */
function isSame(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true;
  if (Array.isArray(a))
    return Array.isArray(b) && a.length === b.length && a.every((entry, index) => isSame(entry, b[index]));
  if (!isMap(a) || !isMap(b)) return false;
  const names = Object.keys(a);
  return (
    names.length === Object.keys(b).length && names.every((name) => Object.hasOwn(b, name) && isSame(a[name], b[name]))
  );
}
