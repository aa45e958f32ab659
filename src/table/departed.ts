// Whose keys this replica has decided against of late: it saw the pod go, or be left out. A new leader that finds such a
// key in the stream need not doubt its view (I15): that the pod is missing is no absence. Bounded; forgets the oldest.

import type { Wish } from '../domain/instance.ts';

/** A key is gone a TTL after it was last refreshed, and that is seldom longer. */
const REMEMBERED_MS = 600_000;
/** 10,000 pods that go at once, with some services each; 100 bytes for one. */
const REMEMBERED_MAX = 50_000;

export class Departed {
  /** Monotonic ms of the decision; the oldest first. */
  readonly #atMs = new Map<string, number>();

  note(wish: Wish, nowMs: number): void {
    const name = nameOf(wish);
    this.#atMs.delete(name);
    this.#atMs.set(name, nowMs);
    for (const [oldest, atMs] of this.#atMs) {
      if (this.#atMs.size <= REMEMBERED_MAX && nowMs - atMs < REMEMBERED_MS) break;
      this.#atMs.delete(oldest);
    }
  }

  has(wish: Wish): boolean {
    return this.#atMs.has(nameOf(wish));
  }
}

const nameOf = ({ pod, serviceName }: Wish): string => `${pod.uid}/${serviceName}`;
