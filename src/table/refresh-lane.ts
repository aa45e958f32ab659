// A line of rows whose refresh is due, in which no key waits behind one that can wait for longer: rows with about the same
// slack (TTL - interval) stand in one line, first come first, and the line whose first row is nearest to its end goes next.

import { LinkedList } from './linked-list.ts';
import type { Row } from './row.ts';

/** Late by this share of its slack a refresh starves. Slacks of a line differ by less than two, so none is late by half. */
const STARVING_SHARE = 0.25;

export class RefreshLane {
  /** By the power of two below the slack in ms: a dozen lines at most. */
  readonly #lines = new Map<number, LinkedList<Row>>();

  get size(): number {
    let size = 0;
    for (const line of this.#lines.values()) size += line.size;
    return size;
  }

  has(row: Row): boolean {
    return row.list !== undefined && this.#lines.get(magnitudeOf(row)) === row.list;
  }

  push(row: Row): void {
    const magnitude = magnitudeOf(row);
    const line = this.#lines.get(magnitude) ?? new LinkedList<Row>();
    this.#lines.set(magnitude, line);
    line.push(row);
  }

  shift(): Row | undefined {
    return this.#next()?.shift();
  }

  /** Some refresh has waited for so long that it gets its share, whatever is urgent. */
  isStarving(nowMs: number): boolean {
    const row = this.#next()?.first;
    return row !== undefined && starvesAtMs(row) < nowMs;
  }

  #next(): LinkedList<Row> | undefined {
    let next: LinkedList<Row> | undefined;
    let nextMs = Number.POSITIVE_INFINITY;
    for (const line of this.#lines.values()) {
      if (line.first === undefined) continue;
      const atMs = starvesAtMs(line.first);
      if (atMs >= nextMs) continue;
      next = line;
      nextMs = atMs;
    }
    return next;
  }
}

const slackMs = ({ wish: { ttlMs, intervalMs } }: Row): number => ttlMs - intervalMs;

const starvesAtMs = (row: Row): number => row.refreshDueMs + slackMs(row) * STARVING_SHARE;

const magnitudeOf = (row: Row): number => Math.floor(Math.log2(Math.max(1, slackMs(row))));
