// Who stays within a namespace's quota: its things in the order of their age, as far as both limits reach. Where the
// line is drawn depends on nothing but what there is, so that the oldest stay and each replica draws the same line.
// Costs a search and a shift per change, and the things that moved over the line; not a look at all of them.

export type Quotas = {
  /** Per namespace; absent: as many as there are. */
  readonly instances?: number;
  readonly services?: number;
  /** Of values. */
  readonly bytes?: number;
};

export type Ranked = {
  /** ms since the epoch. */
  readonly createdAtMs: number;
  /** Distinct within the namespace; orders what is equally old. */
  readonly id: string;
  readonly bytes: number;
};

export class OldestFirst<T extends Ranked> {
  readonly #countMax: number;
  readonly #bytesMax: number;
  /** Oldest first. */
  readonly #things: T[] = [];
  /** So many of them are within the quota, and take so many bytes. */
  #within = 0;
  #bytes = 0;

  constructor(countMax = Number.POSITIVE_INFINITY, bytesMax = Number.POSITIVE_INFINITY) {
    this.#countMax = countMax;
    this.#bytesMax = bytesMax;
  }

  get size(): number {
    return this.#things.length;
  }

  /** Puts `after` in the place of `before`. Returns the others that this moved over the line, in or out. */
  replace(before: T | undefined, after: T | undefined): readonly T[] {
    const moved = new Set<T>();
    if (before !== undefined) this.#remove(before);
    if (after !== undefined) this.#insert(after);
    this.#settle((thing) => {
      if (thing !== after) moved.add(thing);
    });
    return [...moved];
  }

  /** Of a thing that was put here. */
  isWithin(thing: T): boolean {
    return this.#placeOf(thing) < this.#within;
  }

  #insert(thing: T): void {
    const place = this.#placeOf(thing);
    this.#things.splice(place, 0, thing);
    if (place >= this.#within) return;
    this.#within += 1;
    this.#bytes += thing.bytes;
  }

  #remove(thing: T): void {
    const place = this.#placeOf(thing);
    this.#things.splice(place, 1);
    if (place >= this.#within) return;
    this.#within -= 1;
    this.#bytes -= thing.bytes;
  }

  /** Moves the line to where it belongs. One way only, for it goes out exactly as far as the limits reach. */
  #settle(moved: (thing: T) => void): void {
    for (let last = this.#things[this.#within - 1]; last !== undefined; last = this.#things[this.#within - 1]) {
      if (this.#within <= this.#countMax && this.#bytes <= this.#bytesMax) break;
      this.#within -= 1;
      this.#bytes -= last.bytes;
      moved(last);
    }
    for (let next = this.#things[this.#within]; next !== undefined; next = this.#things[this.#within]) {
      if (this.#within + 1 > this.#countMax || this.#bytes + next.bytes > this.#bytesMax) break;
      this.#within += 1;
      this.#bytes += next.bytes;
      moved(next);
    }
  }

  #placeOf({ createdAtMs, id }: T): number {
    let from = 0;
    let to = this.#things.length;
    while (from < to) {
      const middle = (from + to) >>> 1;
      const other = this.#things[middle];
      if (other === undefined) break;
      const isBefore = other.createdAtMs !== createdAtMs ? other.createdAtMs < createdAtMs : other.id < id;
      if (isBefore) from = middle + 1;
      else to = middle;
    }
    return from;
  }
}
