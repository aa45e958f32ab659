// Where rows wait for the writer: urgent writes, by turns of namespaces, and due refreshes, each oldest first, rows to be
// read, and timing wheels for everything that is not due yet. A row waits in one place at most. What it waits for is
// `nextStep`'s say.

import { FairLane } from './fair-lane.ts';
import { LinkedList } from './linked-list.ts';
import { RefreshLane } from './refresh-lane.ts';
import { nextStep, type Row, type Step } from './row.ts';
import { TimingWheel } from './timing-wheel.ts';

/**
 * Refreshes gather for this long into one batch: an urgent row that comes while one is under way waits for it, 8 ms on a
 * file-backed server whatever its size, so few and large ones are best. Every refresh interval is a multiple of it.
 */
export const TICK_MS = 500;
/** A turn of the wheel: intervals up to 256 s never wait in a slot for a second turn. */
const WHEEL_SLOTS = 512;
/** What may not be written now is thought of again so soon: a refresh before its key lapses, should that change. */
const PUT_OFF_MS = { urgent: 1_000, refresh: 3_000 } as const;
/** A damped write is not to wait for the next gathering of refreshes. */
const DAMPED_TICK_MS = 50;
/** 3.2 s a turn, where 2 s are waited at most. */
const DAMPED_SLOTS = 64;

export type DueWrite = { readonly row: Row; readonly step: Extract<Step, { kind: 'write' | 'purge' }> };

/** The key of a Ready pod, and what is written where nothing stands: no farewell, which readers must not wait for. */
export const mayBePutOff = ({ wish, observed }: Row): boolean => wish.state.kind === 'live' || observed.kind === 'none';

export class Lanes {
  readonly #wheel: TimingWheel<Row>;
  readonly #damped: TimingWheel<Row>;
  readonly #urgent = new FairLane();
  readonly #refresh = new RefreshLane();
  readonly #reads = new LinkedList<Row>();
  readonly #onUrgent: () => void;

  constructor(nowMs: number, onUrgent: () => void) {
    this.#wheel = new TimingWheel(TICK_MS, WHEEL_SLOTS, nowMs);
    this.#damped = new TimingWheel(DAMPED_TICK_MS, DAMPED_SLOTS, nowMs);
    this.#onUrgent = onUrgent;
  }

  /** Monotonic ms at which rows are next handed out. */
  nextTickMs(): number {
    const tickMs = this.#wheel.nextTickMs();
    return this.#damped.size === 0 ? tickMs : Math.min(tickMs, this.#damped.nextTickMs());
  }

  /** Nothing is due, and no change is held back; what else has a time to come does not count. */
  get idle(): boolean {
    return this.#urgent.size + this.#refresh.size + this.#reads.size + this.#damped.size === 0;
  }

  /** Puts the row where its step belongs; one that waits there already keeps its place. */
  place(row: Row, step: Step): void {
    switch (step.kind) {
      case 'write':
        if (step.lane === 'urgent') this.#hasten(row);
        else if (!this.#refresh.has(row)) this.#refresh.push(row);
        return;
      case 'purge':
        return this.#hasten(row);
      case 'read':
        if (row.list === this.#reads) return;
        this.#reads.push(row);
        return this.#onUrgent();
      case 'wait':
        return (step.damped === true ? this.#damped : this.#wheel).schedule(row, step.untilMs);
      case 'rest':
        return this.remove(row);
    }
  }

  /** In front of those that wait for a write, if the row does. */
  toFront(row: Row): void {
    if (this.#refresh.has(row) || this.#urgent.has(row)) row.list?.unshift(row);
  }

  putOff(row: Row, untilMs: number): void {
    this.#wheel.schedule(row, untilMs);
  }

  remove(row: Row): void {
    row.list?.remove(row);
  }

  /** Hands out the rows whose time has come; `onDue` places each anew. */
  advance(nowMs: number, onDue: (row: Row) => void): void {
    this.#wheel.advance(nowMs, onDue);
    this.#damped.advance(nowMs, onDue);
  }

  takeReads(limit: number): readonly Row[] {
    const rows: Row[] = [];
    while (rows.length < limit) {
      const row = this.#reads.shift();
      if (row === undefined) break;
      rows.push(row);
    }
    return rows;
  }

  /**
   * At most `limit` writes: urgent ones first, but starving refreshes get their share. `mayKeep` false puts off what
   * `mayBePutOff`; a row that wants something else by now is given to `replace`.
   */
  takeWrites(
    limit: number,
    starvingShare: number,
    nowMs: number,
    mayKeep: (row: Row) => boolean,
    replace: (row: Row) => void,
  ): DueWrite[] {
    const writes: DueWrite[] = [];
    const reserved = this.#refresh.isStarving(nowMs)
      ? Math.min(Math.ceil(limit * starvingShare), this.#refresh.size)
      : 0;
    this.#take(this.#urgent, limit - reserved, nowMs, writes, mayKeep, replace);
    this.#take(this.#refresh, limit, nowMs, writes, mayKeep, replace);
    return writes;
  }

  /** At most `limit` urgent writes and nothing else. */
  takeUrgent(limit: number, nowMs: number, replace: (row: Row) => void): DueWrite[] {
    const writes: DueWrite[] = [];
    this.#take(this.#urgent, limit, nowMs, writes, () => true, replace);
    return writes;
  }

  get waiting(): { readonly urgent: number; readonly refresh: number } {
    return { urgent: this.#urgent.size, refresh: this.#refresh.size };
  }

  #hasten(row: Row): void {
    if (this.#urgent.has(row)) return;
    this.#urgent.push(row);
    this.#onUrgent();
  }

  #take(
    lane: { shift(): Row | undefined },
    limit: number,
    nowMs: number,
    writes: DueWrite[],
    mayKeep: (row: Row) => boolean,
    replace: (row: Row) => void,
  ): void {
    while (writes.length < limit) {
      const row = lane.shift();
      if (row === undefined) return;
      const step = nextStep(row, nowMs);
      if (step.kind !== 'write' && step.kind !== 'purge') replace(row);
      else if (mayBePutOff(row) && !mayKeep(row)) {
        this.putOff(
          row,
          nowMs + Math.min(PUT_OFF_MS[lane === this.#urgent ? 'urgent' : 'refresh'], row.wish.intervalMs),
        );
      } else writes.push({ row, step });
    }
  }
}
