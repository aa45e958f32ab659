// Rows that were read back from the stream for pods the view does not show: kept up, and from when until when nothing is
// decided about them. Those of many pods are not decided about at a stroke.

import { CONFIRM_AFTER_MS, RELEASE_SPREAD_MS } from '../domain/brake.ts';
import type { Wish } from '../domain/instance.ts';
import { type ObjectKey, objectKey } from '../domain/pod.ts';
import type { Row } from './row.ts';

/**
 * What a row waits for before it is decided about. `proof`: that the view of its namespace is proven right, as of a moment
 * after the row came. `list`: that another list, a minute later, confirms what is missing.
 */
export type Awaits = 'proof' | 'list';

/** Monotonic ms. */
type Hold = { readonly sinceMs: number; readonly untilMs: number; awaits: Awaits | 'nothing' };

export type Proven = {
  /** The list that was awaited has come. */
  readonly isConfirmed: boolean;
  /** Monotonic: as of when the view of a namespace was proven right. */
  readonly atMs: (namespace: string) => number;
};

export class Unseen {
  readonly #holds = new Map<Row, Hold>();

  add(row: Row, awaits: Awaits, nowMs: number): void {
    const holdMs = awaits === 'list' ? CONFIRM_AFTER_MS + RELEASE_SPREAD_MS * row.fraction : 0;
    this.#holds.set(row, { sinceMs: nowMs, untilMs: nowMs + holdMs, awaits });
  }

  has(row: Row): boolean {
    return this.#holds.has(row);
  }

  delete(row: Row): void {
    this.#holds.delete(row);
  }

  /** The pods of rows that may be decided about by now. */
  duePods(nowMs: number, { isConfirmed, atMs }: Proven): readonly ObjectKey[] {
    const due: ObjectKey[] = [];
    for (const [{ wish }, hold] of this.#holds) {
      const { namespace, name } = wish.pod;
      if (hold.awaits === 'list' && isConfirmed) hold.awaits = 'proof';
      if (hold.awaits === 'proof' && atMs(namespace) >= hold.sinceMs) hold.awaits = 'nothing';
      if (nowMs >= hold.untilMs && hold.awaits === 'nothing') due.push(objectKey(namespace, name));
    }
    return due;
  }

  /** Rows that the brake holds. */
  held(nowMs: number): number {
    let held = 0;
    for (const { untilMs, awaits } of this.#holds.values()) if (awaits === 'list' || nowMs < untilMs) held += 1;
    return held;
  }

  /** These may be decided about now. `sinceMs`: when the hold began. */
  letGo(released: (wish: Wish, sinceMs: number) => boolean): void {
    for (const [row, { sinceMs }] of this.#holds) {
      if (released(row.wish, sinceMs)) this.#holds.set(row, { sinceMs, untilMs: sinceMs, awaits: 'nothing' });
    }
  }
}
