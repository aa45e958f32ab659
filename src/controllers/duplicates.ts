// Which registrations select a pod that an older registration of the same service has already: remembered per pod by
// the pod reconciler, asked per registration for its status. Not in the table, for these have no key.

import type { SelectedTwice } from '../domain/decide.ts';
import type { ObjectKey } from '../domain/pod.ts';

export class Duplicates {
  readonly #byPod = new Map<ObjectKey, readonly SelectedTwice[]>();
  readonly #byRegistration = new Map<ObjectKey, Map<ObjectKey, ObjectKey>>();

  /** Replaces what is known of a pod; returns the registrations whose status this changes. */
  set(pod: ObjectKey, conflicts: readonly SelectedTwice[]): readonly ObjectKey[] {
    const before = this.#byPod.get(pod) ?? [];
    if (before.length === 0 && conflicts.length === 0) return [];
    for (const { registration } of before) {
      const pods = this.#byRegistration.get(registration);
      pods?.delete(pod);
      if (pods?.size === 0) this.#byRegistration.delete(registration);
    }
    for (const { registration, winner } of conflicts) {
      const pods = this.#byRegistration.get(registration) ?? new Map<ObjectKey, ObjectKey>();
      this.#byRegistration.set(registration, pods.set(pod, winner));
    }
    if (conflicts.length === 0) this.#byPod.delete(pod);
    else this.#byPod.set(pod, conflicts);
    return [...before, ...conflicts].map(({ registration }) => registration);
  }

  /** Pods a registration selects in vain, with the registration that has them. */
  of(registration: ObjectKey): Iterable<readonly [ObjectKey, ObjectKey]> {
    return this.#byRegistration.get(registration) ?? [];
  }
}
