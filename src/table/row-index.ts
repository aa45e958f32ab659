// Finds rows: by key, by pod name, by registration. Holds no opinion of what a row is; the table adds and takes out.

import type { InstanceKey } from '../domain/instance.ts';
import { type ObjectKey, objectKey } from '../domain/pod.ts';
import type { Row } from './row.ts';

const NO_ROWS: readonly Row[] = [];
const EMPTY: ReadonlySet<Row> = new Set();

export class RowIndex {
  readonly #byKey = new Map<InstanceKey, Row>();
  readonly #byPod = new Map<ObjectKey, Row[]>();
  readonly #byRegistration = new Map<ObjectKey, Set<Row>>();

  get size(): number {
    return this.#byKey.size;
  }

  all(): IterableIterator<Row> {
    return this.#byKey.values();
  }

  get(key: InstanceKey): Row | undefined {
    return this.#byKey.get(key);
  }

  /** Whether exactly this row is in the index: an older one may be held by a batch after it has left. */
  has(row: Row): boolean {
    return this.#byKey.get(row.key) === row;
  }

  /** Rows of all incarnations of the pod's name. Not to be kept: the next change may change it. */
  ofPod(pod: ObjectKey): readonly Row[] {
    return this.#byPod.get(pod) ?? NO_ROWS;
  }

  ofRegistration(registration: ObjectKey): ReadonlySet<Row> {
    return this.#byRegistration.get(registration) ?? EMPTY;
  }

  add(row: Row): void {
    this.#byKey.set(row.key, row);
    this.#link(row);
  }

  /** Nothing for a row that has left before: its key may be another's by now. */
  remove(row: Row): void {
    if (!this.has(row)) return;
    this.#byKey.delete(row.key);
    this.#unlink(row);
  }

  /** `change` gives the row another pod or registration. */
  move(row: Row, change: () => void): void {
    this.#unlink(row);
    change();
    this.#link(row);
  }

  #link(row: Row): void {
    const pod = podKey(row);
    const rows = this.#byPod.get(pod);
    if (rows === undefined) this.#byPod.set(pod, [row]);
    else rows.push(row);
    const siblings = this.#byRegistration.get(row.wish.registration);
    if (siblings === undefined) this.#byRegistration.set(row.wish.registration, new Set([row]));
    else siblings.add(row);
  }

  #unlink(row: Row): void {
    const pod = podKey(row);
    const rows = this.ofPod(pod).filter((other) => other !== row);
    if (rows.length === 0) this.#byPod.delete(pod);
    else this.#byPod.set(pod, rows);
    const siblings = this.#byRegistration.get(row.wish.registration);
    siblings?.delete(row);
    if (siblings?.size === 0) this.#byRegistration.delete(row.wish.registration);
  }
}

const podKey = ({ wish: { pod } }: Row): ObjectKey => objectKey(pod.namespace, pod.name);
