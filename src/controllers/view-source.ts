// The writing side of a view, for one reflector: puts and removes what events tell, and makes its part of the view equal
// to a list. What a list lacks is not always believed: see the states. Not the brake's measure: `brake.ts` and the view.
//
//   there      missing in a list, few        -> gone
//              missing in a list, too many   -> held
//   held       an event or a list shows it   -> there;   an event deletes it, a person releases it -> gone
//              missing in a list 60 s later  -> leaving
//   leaving    as held; or its moment comes  -> gone

import { CONFIRM_AFTER_MS, RELEASE_SPREAD_MS } from '../domain/brake.ts';
import type { ObjectKey } from '../domain/pod.ts';
import { fractionOf } from '../table/spread.ts';
import type { View, ViewObject } from './view.ts';

/** Monotonic: since when a list lacked it; and when it goes, once another has confirmed it. */
type Held = { readonly sinceMs: number; readonly leavesAtMs?: number };

export class ViewSource<T extends ViewObject> {
  synced = false;
  lastProofAtMs = Number.NEGATIVE_INFINITY;
  /** Why nothing comes, when a person must do something about it. */
  problem: string | undefined;
  /** The right to read it is missing: others of the view do not wait for it. */
  denied = false;
  readonly #view: View<T>;
  readonly #namespace: string | undefined;
  readonly #held = new Map<ObjectKey, Held>();
  #doubtedSinceMs: number | undefined;

  constructor(view: View<T>, namespace: string | undefined) {
    this.#view = view;
    this.#namespace = namespace;
  }

  get heldObjects(): ReadonlyMap<ObjectKey, Held> {
    return this.#held;
  }

  /** What was listed may be wrong, by what somebody else knows: another list is to confirm it, as what is held. */
  doubt(nowMs: number): void {
    // Of what nobody lists there will be no other list.
    if (this.lastProofAtMs < Number.POSITIVE_INFINITY) this.#doubtedSinceMs ??= nowMs;
  }

  /** No list since then has confirmed it. */
  get doubted(): boolean {
    return this.#doubtedSinceMs !== undefined;
  }

  /** Everything that there is, as listed at `nowMs`, has been put. */
  confirm(nowMs: number): void {
    if (nowMs - (this.#doubtedSinceMs ?? nowMs) >= CONFIRM_AFTER_MS) this.#doubtedSinceMs = undefined;
  }

  /** Since when something is held, or doubted, that no second list has confirmed. */
  get unconfirmedSinceMs(): number | undefined {
    let oldestMs = this.#doubtedSinceMs;
    for (const { sinceMs, leavesAtMs } of this.#held.values()) {
      if (leavesAtMs === undefined) oldestMs = Math.min(oldestMs ?? sinceMs, sinceMs);
    }
    return oldestMs;
  }

  get(key: ObjectKey): T | undefined {
    return this.#view.get(key);
  }

  put(object: T): boolean {
    this.#held.delete(object.key);
    return this.#view.put(object);
  }

  /** Removes what is stored under the key unless it is another incarnation than the one that is gone. */
  remove(key: ObjectKey, uid?: string): boolean {
    if (uid !== undefined && this.#view.get(key)?.uid !== uid) return false;
    this.#held.delete(key);
    return this.#view.remove(key);
  }

  /**
   * Makes the source's part of the view equal to `listed`, a few objects per step so that the caller can breathe. What
   * is absent stays while the brake holds it.
   */
  *replace(listed: ReadonlyMap<ObjectKey, T>, nowMs: number): Generator<void> {
    for (const _ of this.removeAbsent((key) => !listed.has(key), nowMs)) yield;
    for (const object of listed.values()) {
      this.put(object);
      yield;
    }
    this.confirm(nowMs);
  }

  /**
   * The first half of that, for who puts what is listed by himself; yields true for each object that is removed. Events
   * may come between two steps: what is absent no longer, stays.
   */
  *removeAbsent(isAbsent: (key: ObjectKey) => boolean, nowMs: number): Generator<boolean> {
    const absent = new Map<ObjectKey, T>();
    for (const object of [...this.#own()]) {
      if (isAbsent(object.key)) absent.set(object.key, object);
      yield false;
    }
    for (const key of absent.keys()) if (!isAbsent(key)) absent.delete(key);
    for (const key of this.#believed(absent, nowMs)) {
      if (isAbsent(key)) yield this.remove(key);
    }
  }

  letGo(nowMs: number, released: (key: ObjectKey, sinceMs: number) => boolean): void {
    for (const [key, { sinceMs, leavesAtMs }] of this.#held) {
      if ((leavesAtMs !== undefined && nowMs >= leavesAtMs) || released(key, sinceMs)) this.remove(key);
    }
  }

  /** The view is known to be right as of `atMs`. */
  prove(atMs: number): void {
    if (atMs > this.lastProofAtMs) this.lastProofAtMs = atMs;
  }

  /** Of what a list lacks, what is gone at once. The rest is held, or leaves. */
  #believed(absent: ReadonlyMap<ObjectKey, T>, nowMs: number): Iterable<ObjectKey> {
    const doubted = new Map<ObjectKey, T>();
    for (const [key, object] of absent) {
      const held = this.#held.get(key);
      if (held === undefined || nowMs - held.sinceMs < CONFIRM_AFTER_MS) doubted.set(key, object);
      else if (held.leavesAtMs === undefined)
        this.#held.set(key, { ...held, leavesAtMs: nowMs + RELEASE_SPREAD_MS * fractionOf(key) });
    }
    if (!this.#view.brakes(this, doubted, nowMs)) return doubted.keys();
    for (const key of doubted.keys()) if (!this.#held.has(key)) this.#held.set(key, { sinceMs: nowMs });
    return [];
  }

  #own(): Iterable<T> {
    return this.#namespace === undefined ? this.#view.values() : this.#view.byNamespace(this.#namespace);
  }
}
