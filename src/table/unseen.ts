// Rows that were read back from the stream for pods the view does not show: kept up, and from when until when nothing is
// decided about them. Those of many pods are not decided about at a stroke.

import { RELEASE_SPREAD_MS } from '../domain/brake.ts';
import type { Wish } from '../domain/instance.ts';
import { type ObjectKey, objectKey } from '../domain/pod.ts';
import type { Row } from './row.ts';

/** Monotonic ms. */
type Hold = { readonly sinceMs: number; readonly untilMs: number; awaitsList: boolean };

export class Unseen {
  readonly #holds = new Map<Row, Hold>();

  /** @param holdMs 0: the row may be decided about at once; else not before another list has confirmed what is missing */
  add(row: Row, holdMs: number, nowMs: number): void {
    const spreadMs = holdMs === 0 ? 0 : RELEASE_SPREAD_MS * row.fraction;
    this.#holds.set(row, { sinceMs: nowMs, untilMs: nowMs + holdMs + spreadMs, awaitsList: holdMs > 0 });
  }

  has(row: Row): boolean {
    return this.#holds.has(row);
  }

  delete(row: Row): void {
    this.#holds.delete(row);
  }

  /** The pods of rows that may be decided about by now; `isConfirmed`: the list that was awaited has come. */
  duePods(nowMs: number, isConfirmed: boolean): readonly ObjectKey[] {
    const due: ObjectKey[] = [];
    for (const [{ wish }, hold] of this.#holds) {
      if (isConfirmed) hold.awaitsList = false;
      if (nowMs >= hold.untilMs && !hold.awaitsList) due.push(objectKey(wish.pod.namespace, wish.pod.name));
    }
    return due;
  }

  /** Rows that may not be decided about yet. */
  held(nowMs: number): number {
    let held = 0;
    for (const { untilMs, awaitsList } of this.#holds.values()) if (awaitsList || nowMs < untilMs) held += 1;
    return held;
  }

  /** These may be decided about now. `sinceMs`: when the hold began. */
  letGo(released: (wish: Wish, sinceMs: number) => boolean): void {
    for (const [row, { sinceMs }] of this.#holds) {
      if (released(row.wish, sinceMs)) this.#holds.set(row, { sinceMs, untilMs: sinceMs, awaitsList: false });
    }
  }
}
