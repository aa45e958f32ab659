// Finds rows: by key, by instance, by pod name, by registration. Holds no opinion of what a row is; the table adds and
// takes out.

import type { InstanceKey } from '../domain/instance.ts';
import { instanceKey, KEY_FORMS, type KeyForm } from '../domain/names.ts';
import { type ObjectKey, objectKey } from '../domain/pod.ts';
import type { Row } from './row.ts';
import { dropFrom, putInto } from './sets.ts';

const NO_ROWS: readonly Row[] = [];
const EMPTY: ReadonlySet<Row> = new Set();
const DOTTED_ALONE: readonly KeyForm[] = ['Dotted'];

export class RowIndex {
  readonly #byKey = new Map<InstanceKey, Row>();
  readonly #byPod = new Map<ObjectKey, Row[]>();
  readonly #byRegistration = new Map<ObjectKey, Set<Row>>();
  /** Rows whose key has another form than the dotted one. */
  #undotted = 0;

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

  /** Every key is dotted, and so the only one of its instance. */
  get isDotted(): boolean {
    return this.#undotted === 0;
  }

  /** All rows under an id of a service, farewells included. */
  instance(serviceName: string, instanceId: string): readonly Row[] {
    // Nearly always there is no other form, and looking for one costs more than the rest.
    const forms = this.isDotted ? DOTTED_ALONE : KEY_FORMS;
    return forms.flatMap((form) => this.get(keyIn(form, serviceName, instanceId)) ?? []);
  }

  /** The other rows of the row's instance. */
  besides(row: Row): readonly Row[] {
    if (this.isDotted) return NO_ROWS;
    return this.instance(row.wish.serviceName, row.instanceId).filter((other) => other !== row);
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
    if (row.form !== 'Dotted') this.#undotted += 1;
    this.#link(row);
  }

  /** Nothing for a row that has left before: its key may be another's by now. */
  remove(row: Row): void {
    if (!this.has(row)) return;
    this.#byKey.delete(row.key);
    if (row.form !== 'Dotted') this.#undotted -= 1;
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
    putInto(this.#byRegistration, row.wish.registration, row);
  }

  #unlink(row: Row): void {
    const pod = podKey(row);
    const rows = this.ofPod(pod).filter((other) => other !== row);
    if (rows.length === 0) this.#byPod.delete(pod);
    else this.#byPod.set(pod, rows);
    dropFrom(this.#byRegistration, row.wish.registration, row);
  }
}

const podKey = ({ wish: { pod } }: Row): ObjectKey => objectKey(pod.namespace, pod.name);

/** @throws RangeError where the names fail their grammar, which whoever made the wish has seen to */
export const keyIn = (form: KeyForm, serviceName: string, instanceId: string): InstanceKey => {
  const key = instanceKey(serviceName, instanceId, form);
  if (key === undefined) throw new RangeError(`no key for service ${serviceName} and instance ${instanceId}`);
  return key;
};
