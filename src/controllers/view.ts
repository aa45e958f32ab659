// What Kubernetes said last about one kind of object: the newest state of each, whether the list is complete, and when
// the server last proved it. Not a cache with an expiry: what is here stays until the server says otherwise. Fed by one
// reflector per source (the cluster, or one namespace each; `view-source.ts`).

import { isDeepStrictEqual } from 'node:util';
import { brakeHolds, CONFIRM_AFTER_MS, type Stake } from '../domain/brake.ts';
import type { ObjectKey } from '../domain/pod.ts';
import { ViewSource } from './view-source.ts';

export type ViewObject = { readonly key: ObjectKey; readonly namespace: string; readonly uid: string };

/** `before` absent: it is new. `after` absent: it is gone. A new UID under an old name is told as gone, then new. */
export type Change<T> = { readonly key: ObjectKey; readonly before?: T; readonly after?: T };

export type ReadonlyView<T extends ViewObject> = {
  get(key: ObjectKey): T | undefined;
  values(): IterableIterator<T>;
  byNamespace(namespace: string): Iterable<T>;
  namespaces(): IterableIterator<string>;
  readonly size: number;
  /** Every source has listed everything at least once, but for those that may not be read while others may. */
  readonly synced: boolean;
  /**
   * Monotonic time at which the view was last known to be right: the oldest of its sources, but for those that may not be
   * read while others may; -Infinity before.
   */
  readonly lastProofAtMs: number;
  /** The same of all sources, whether they may be read or not. */
  readonly oldestProofAtMs: number;
  /** The same of what it says of one namespace. */
  provenAtMs(namespace: string): number;
  /** Everything of that namespace has been listed at least once. */
  knows(namespace: string): boolean;
  /** Objects that a list lacked, so many that they are kept until another list confirms it, and then go one by one. */
  readonly held: number;
  /** The same by key, with the monotonic time since when. */
  heldObjects(): Iterable<readonly [ObjectKey, number]>;
  /** Lets go what is held and was confirmed, each at its moment; of `released` all, whatever any list says. */
  letGo(nowMs: number, released?: (key: ObjectKey, sinceMs: number) => boolean): void;
  /** Something says that too little is there: it is listed again in a minute, and doubted until then. */
  doubt(nowMs: number): void;
  readonly doubted: boolean;
  /** What hangs on some objects that are missing; until this is said they are counted themselves. */
  weighBy(stakeOf: (missing: ReadonlyMap<ObjectKey, T>) => Stake): void;
  /** What keeps the sources from being watched (a missing right, a missing CRD), as sentences; empty when nothing does. */
  readonly problems: readonly string[];
  /** Calls back once per change, synchronously, after the view has it. Returns what ends that. */
  onChange(handler: (change: Change<T>) => void): () => void;
};

export class View<T extends ViewObject> implements ReadonlyView<T> {
  readonly #objects = new Map<ObjectKey, T>();
  readonly #namespaces = new Map<string, Map<ObjectKey, T>>();
  readonly #handlers = new Set<(change: Change<T>) => void>();
  readonly #sources: ViewSource<T>[] = [];
  readonly #sourceOf = new Map<string, ViewSource<T>>();
  readonly #onHandlerError: (error: unknown) => void;
  /** By source, what its last list took away and was believed: many sources that lack a little lack much. */
  readonly #believed = new Map<ViewSource<T>, { readonly going: number; readonly atMs: number }>();
  #stakeOf: (missing: ReadonlyMap<ObjectKey, T>) => Stake = ({ size }) => ({ going: size, all: this.size });

  /** `onHandlerError` is told of a handler that threw; nothing else comes of it. */
  constructor(onHandlerError: (error: unknown) => void = () => {}) {
    this.#onHandlerError = onHandlerError;
  }

  /** A new source of objects: of one namespace, or of all. The view is not synced before each of its sources is. */
  addSource(namespace?: string): ViewSource<T> {
    const source = new ViewSource<T>(this, namespace);
    this.#sources.push(source);
    if (namespace !== undefined) this.#sourceOf.set(namespace, source);
    return source;
  }

  get(key: ObjectKey): T | undefined {
    return this.#objects.get(key);
  }

  values(): IterableIterator<T> {
    return this.#objects.values();
  }

  byNamespace(namespace: string): Iterable<T> {
    return this.#namespaces.get(namespace)?.values() ?? [];
  }

  namespaces(): IterableIterator<string> {
    return this.#namespaces.keys();
  }

  get size(): number {
    return this.#objects.size;
  }

  get synced(): boolean {
    return this.#sources.length > 0 && this.#readable.every((source) => source.synced);
  }

  get lastProofAtMs(): number {
    if (this.#sources.length === 0) return Number.NEGATIVE_INFINITY;
    return Math.min(...this.#readable.map((source) => source.lastProofAtMs));
  }

  get oldestProofAtMs(): number {
    return Math.min(this.lastProofAtMs, ...this.#sources.map((source) => source.lastProofAtMs));
  }

  knows(namespace: string): boolean {
    return this.#sourceOf.get(namespace)?.synced ?? this.synced;
  }

  provenAtMs(namespace: string): number {
    return this.#sourceOf.get(namespace)?.lastProofAtMs ?? this.lastProofAtMs;
  }

  /** Where none may be read, all of them. */
  get #readable(): readonly ViewSource<T>[] {
    if (this.#sources.length === 1) return this.#sources;
    const some = this.#sources.filter(({ denied }) => !denied);
    return some.length > 0 ? some : this.#sources;
  }

  get held(): number {
    return this.#sources.reduce((sum, source) => sum + source.heldObjects.size, 0);
  }

  *heldObjects(): Iterable<readonly [ObjectKey, number]> {
    for (const { heldObjects } of this.#sources) for (const [key, { sinceMs }] of heldObjects) yield [key, sinceMs];
  }

  letGo(nowMs: number, released: (key: ObjectKey, sinceMs: number) => boolean = () => false): void {
    for (const source of this.#sources) source.letGo(nowMs, released);
  }

  doubt(nowMs: number): void {
    for (const source of this.#sources) source.doubt(nowMs);
  }

  get doubted(): boolean {
    return this.#readable.some(({ doubted }) => doubted);
  }

  weighBy(stakeOf: (missing: ReadonlyMap<ObjectKey, T>) => Stake): void {
    this.#stakeOf = stakeOf;
  }

  get problems(): readonly string[] {
    return this.#sources.flatMap((source) => source.problem ?? []);
  }

  onChange(handler: (change: Change<T>) => void): () => void {
    this.#handlers.add(handler);
    return () => this.#handlers.delete(handler);
  }

  /** For the sources only. True when this changed anything a handler was told of. */
  put(object: T): boolean {
    const before = this.#objects.get(object.key);
    if (before === undefined) {
      this.#store(object);
      this.#tell({ key: object.key, after: object });
      return true;
    }
    if (before.uid !== object.uid) {
      this.remove(object.key);
      return this.put(object);
    }
    // Most events change nothing we look at. Comparing costs a microsecond, reconciling far more; and keeping the old
    // object keeps the memory of a relist flat.
    if (isDeepStrictEqual(before, object)) return false;
    this.#store(object);
    this.#tell({ key: object.key, before, after: object });
    return true;
  }

  /** For the sources only. */
  remove(key: ObjectKey): boolean {
    const before = this.#objects.get(key);
    if (before === undefined) return false;
    this.#objects.delete(key);
    const siblings = this.#namespaces.get(before.namespace);
    siblings?.delete(key);
    if (siblings?.size === 0) this.#namespaces.delete(before.namespace);
    this.#tell({ key, before });
    return true;
  }

  /** For the sources only: whether what a list of this one lacks is so much that it is held. */
  brakes(source: ViewSource<T>, missing: ReadonlyMap<ObjectKey, T>, nowMs: number): boolean {
    let elsewhere = 0;
    for (const [other, { going, atMs }] of this.#believed) {
      if (other !== source && nowMs - atMs < CONFIRM_AFTER_MS) elsewhere += going;
    }
    const { going, all } = this.#stakeOf(missing);
    const holds = brakeHolds(going + elsewhere, all + elsewhere);
    // A list that lacks nothing takes nothing away; nor do the lists before it of the same source count twice.
    this.#believed.set(source, { going: holds ? 0 : going, atMs: nowMs });
    return holds;
  }

  #store(object: T): void {
    this.#objects.set(object.key, object);
    const siblings = this.#namespaces.get(object.namespace);
    if (siblings === undefined) this.#namespaces.set(object.namespace, new Map([[object.key, object]]));
    else siblings.set(object.key, object);
  }

  #tell(change: Change<T>): void {
    for (const handler of this.#handlers) {
      try {
        handler(change);
      } catch (error) {
        this.#onHandlerError(error);
      }
    }
  }
}
