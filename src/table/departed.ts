// Whose keys this replica has decided against of late: it saw the pod go, or be left out. A new leader that finds such a
// key in the stream need not doubt its view (I15): that the pod is missing is no absence. And what was in force for it then
// is in force for its key, whatever became of the resource. Bounded; forgets the oldest.

import type { Wish } from '../domain/instance.ts';

/** A key is gone a TTL after it was last refreshed, and that is seldom longer. */
const REMEMBERED_MS = 600_000;
/** 10,000 pods that go at once, with some services each; 100 bytes for one. */
const REMEMBERED_MAX = 50_000;

export type Departure = {
  /** The pod is gone for good. Else it was left out, and may have been taken in again where this replica did not see it. */
  readonly gone: boolean;
  /** What its key was to become. */
  readonly whenNotReady: Wish['whenNotReady'];
};

export class Departed {
  /** The oldest first; `atMs`: monotonic ms of the decision. */
  readonly #decided = new Map<string, Departure & { readonly atMs: number }>();

  note(wish: Wish, gone: boolean, nowMs: number): void {
    const name = nameOf(wish);
    this.#decided.delete(name);
    this.#decided.set(name, { atMs: nowMs, gone, whenNotReady: wish.whenNotReady });
    for (const [oldest, { atMs }] of this.#decided) {
      if (this.#decided.size <= REMEMBERED_MAX && nowMs - atMs < REMEMBERED_MS) break;
      this.#decided.delete(oldest);
    }
  }

  /** Undefined: nothing was decided. */
  of(wish: Wish): Departure | undefined {
    return this.#decided.get(nameOf(wish));
  }
}

const nameOf = ({ pod, serviceName }: Wish): string => `${pod.uid}/${serviceName}`;
