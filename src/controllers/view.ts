// What Kubernetes said last about one kind of object: the newest state of each, whether the list is complete, and when
// the server last proved it. Not a cache with an expiry: what is here stays until the server says otherwise. Fed by one
// reflector per source (the cluster, or one namespace each).

import { isDeepStrictEqual } from 'node:util';
import { brakeHolds, CONFIRM_AFTER_MS } from '../domain/brake.ts';
import type { ObjectKey } from '../domain/pod.ts';

export type ViewObject = { readonly key: ObjectKey; readonly namespace: string; readonly uid: string };

/** `before` absent: it is new. `after` absent: it is gone. A new UID under an old name is told as gone, then new. */
export type Change<T> = { readonly key: ObjectKey; readonly before?: T; readonly after?: T };

export type ReadonlyView<T extends ViewObject> = {
  get(key: ObjectKey): T | undefined;
  values(): IterableIterator<T>;
  byNamespace(namespace: string): Iterable<T>;
  namespaces(): IterableIterator<string>;
  readonly size: number;
  /** Every source has listed everything at least once. */
  readonly synced: boolean;
  /** Monotonic time at which the view was last known to be right: the oldest of its sources; -Infinity before. */
  readonly lastProofAtMs: number;
  /** Objects that the last list lacked, so many that they are kept until another list confirms it. */
  readonly held: number;
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
  readonly #onHandlerError: (error: unknown) => void;

  /** `onHandlerError` is told of a handler that threw; nothing else comes of it. */
  constructor(onHandlerError: (error: unknown) => void = () => {}) {
    this.#onHandlerError = onHandlerError;
  }

  /** A new source of objects: of one namespace, or of all. The view is not synced before each of its sources is. */
  addSource(namespace?: string): ViewSource<T> {
    const source = new ViewSource<T>(this, namespace);
    this.#sources.push(source);
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
    return this.#sources.length > 0 && this.#sources.every((source) => source.synced);
  }

  get lastProofAtMs(): number {
    if (this.#sources.length === 0) return Number.NEGATIVE_INFINITY;
    return Math.min(...this.#sources.map((source) => source.lastProofAtMs));
  }

  get held(): number {
    return this.#sources.reduce((sum, source) => sum + (source.held?.objects ?? 0), 0);
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

/** The writing side of a view, for one reflector. */
export class ViewSource<T extends ViewObject> {
  synced = false;
  /** Objects that the last list lacked and that are kept until another confirms it, and the first such list's time. */
  held: { readonly objects: number; readonly sinceMs: number } | undefined;
  lastProofAtMs = Number.NEGATIVE_INFINITY;
  /** Why nothing comes, when a person must do something about it. */
  problem: string | undefined;
  readonly #view: View<T>;
  readonly #namespace: string | undefined;

  constructor(view: View<T>, namespace: string | undefined) {
    this.#view = view;
    this.#namespace = namespace;
  }

  put(object: T): boolean {
    return this.#view.put(object);
  }

  /** Removes what is stored under the key unless it is another incarnation than the one that is gone. */
  remove(key: ObjectKey, uid?: string): boolean {
    if (uid !== undefined && this.#view.get(key)?.uid !== uid) return false;
    return this.#view.remove(key);
  }

  /**
   * Makes the source's part of the view equal to `listed`, a few objects per step so that the caller can breathe. What
   * is absent stays while the brake holds it; `nowMs` undefined: without the brake.
   */
  *replace(listed: ReadonlyMap<ObjectKey, T>, nowMs?: number): Generator<void> {
    const absent: ObjectKey[] = [];
    let had = 0;
    for (const { key } of [...this.#own()]) {
      had += 1;
      if (!listed.has(key)) absent.push(key);
      yield;
    }
    this.held = nowMs === undefined ? undefined : this.#hold(absent.length, had, nowMs);
    if (this.held === undefined) {
      for (const key of absent) {
        this.#view.remove(key);
        yield;
      }
    }
    for (const object of listed.values()) {
      this.#view.put(object);
      yield;
    }
  }

  /** The view is known to be right as of `atMs`. */
  prove(atMs: number): void {
    if (atMs > this.lastProofAtMs) this.lastProofAtMs = atMs;
  }

  #hold(absent: number, had: number, nowMs: number): ViewSource<T>['held'] {
    if (!brakeHolds(absent, had)) return undefined;
    const sinceMs = this.held?.sinceMs ?? nowMs;
    return nowMs - sinceMs >= CONFIRM_AFTER_MS ? undefined : { objects: absent, sinceMs };
  }

  #own(): Iterable<T> {
    return this.#namespace === undefined ? this.#view.values() : this.#view.byNamespace(this.#namespace);
  }
}
