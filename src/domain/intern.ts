// Shares equal strings and equal label sets between objects: a view of 150,000 pods holds few different ones. A cache
// and nothing more: forgetting everything is always right, so it stays within its limit by doing just that.

// Enough for the names, labels and images of a big cluster; about 20 MB when every entry is used.
const ENTRIES_MAX = 100_000;
// Longer texts are hardly ever equal, and keeping them here would keep them alive.
const TEXT_LENGTH_MAX = 256;
// What is shared by signature (label sets, containers) is longer, and shared by every pod of a ReplicaSet.
const SIGNATURE_LENGTH_MAX = 8_192;

export class Interner {
  readonly #entriesMax: number;
  readonly #texts = new Map<string, string>();
  readonly #values = new Map<string, unknown>();

  constructor(entriesMax = ENTRIES_MAX) {
    this.#entriesMax = entriesMax;
  }

  text(text: string): string {
    if (text.length > TEXT_LENGTH_MAX) return text;
    const known = this.#texts.get(text);
    if (known !== undefined) return known;
    if (this.#texts.size >= this.#entriesMax) this.#texts.clear();
    this.#texts.set(text, text);
    return text;
  }

  /** The value made for this signature before, else `make()`. Equal signatures must mean equal, immutable values. */
  share<T>(signature: string, make: () => T): T {
    if (signature.length > SIGNATURE_LENGTH_MAX) return make();
    const known = this.#values.get(signature);
    if (known !== undefined) return sharedAs<T>(known);
    if (this.#values.size >= this.#entriesMax) this.#values.clear();
    const made = make();
    this.#values.set(signature, made);
    return made;
  }

  get size(): number {
    return this.#texts.size + this.#values.size;
  }
}

// Signatures begin with the kind of value they stand for, so the type is the one that was put in.
const sharedAs = <T>(value: unknown): T => value as T;
