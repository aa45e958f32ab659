// A hashed timing wheel: members wait in the slot of their due time, and time passing hands them out slot by slot.
// Scheduling, moving and removing are O(1); there is no timer per member. It owns no clock: `advance` is told the time.
//
//   due 2.3 s  ─┐                 tick = 0.5 s, turn = slots x tick
//        slots: [0.0][0.5][1.0][1.5][2.0] ... a member due beyond one turn waits in its slot and is passed over
//                               now ^         until its own turn comes

import { type Linked, LinkedList } from './linked-list.ts';

export interface Timed<T extends Timed<T>> extends Linked<T> {
  dueMs: number;
}

export class TimingWheel<T extends Timed<T>> {
  readonly #tickMs: number;
  readonly #slots: readonly LinkedList<T>[];
  /** The next tick to be handed out: all slots before it are empty of due members. */
  #tick: number;

  /**
   * @param tickMs width of a slot: members come up to this much early, and one that is not wanted yet so much later at most
   * @param slots slots a turn; a turn longer than the usual wait makes passing over rare
   * @param nowMs monotonic time of the start
   */
  constructor(tickMs: number, slots: number, nowMs: number) {
    this.#tickMs = tickMs;
    this.#slots = Array.from({ length: slots }, () => new LinkedList<T>());
    this.#tick = Math.floor(nowMs / tickMs);
  }

  get tickMs(): number {
    return this.#tickMs;
  }

  /** How many wait. Asks every slot: members leave their lists without a word. */
  get size(): number {
    return this.#slots.reduce((size, slot) => size + slot.size, 0);
  }

  schedule(member: T, dueMs: number): void {
    member.dueMs = dueMs;
    this.#slot(Math.max(Math.floor(dueMs / this.#tickMs), this.#tick)).push(member);
  }

  /**
   * Hands out, slot by slot, every member whose slot has begun by `nowMs`, and forgets it. A member that `onDue`
   * schedules again comes with the next call at the earliest.
   */
  advance(nowMs: number, onDue: (member: T) => void): void {
    const last = Math.floor(nowMs / this.#tickMs);
    // After a long pause one look at every slot is enough.
    const ticks = Math.min(last - this.#tick + 1, this.#slots.length);
    const due: T[] = [];
    for (let tick = last - ticks + 1; tick <= last; tick += 1) {
      for (let member = this.#slot(tick).first; member !== undefined; member = member.next) {
        if (Math.floor(member.dueMs / this.#tickMs) <= last) due.push(member);
      }
    }
    this.#tick = Math.max(this.#tick, last + 1);
    for (const member of due) member.list?.remove(member);
    for (const member of due) onDue(member);
  }

  /** Monotonic time at which the next slot begins. */
  nextTickMs(): number {
    return this.#tick * this.#tickMs;
  }

  #slot(tick: number): LinkedList<T> {
    const slot = this.#slots[tick % this.#slots.length];
    if (slot === undefined) throw new RangeError(`tick ${tick} is no whole number >= 0`);
    return slot;
  }
}
