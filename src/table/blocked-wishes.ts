// Wishes that have no row, because another pod has the better right to their key. They wait under that key: when it
// becomes free, the oldest of them inherits it.

import type { InstanceKey, Wish } from '../domain/instance.ts';
import { type ObjectKey, objectKey } from '../domain/pod.ts';
import { dropFrom, putInto } from './sets.ts';

export type BlockedWish = { readonly key: InstanceKey; readonly wish: Wish };

export class BlockedWishes {
  readonly #byKey = new Map<InstanceKey, Set<BlockedWish>>();
  readonly #byPod = new Map<ObjectKey, Set<BlockedWish>>();
  readonly #byRegistration = new Map<ObjectKey, Set<BlockedWish>>();

  add(key: InstanceKey, wish: Wish): void {
    const blocked = { key, wish };
    putInto(this.#byKey, key, blocked);
    putInto(this.#byPod, podOf(wish), blocked);
    putInto(this.#byRegistration, wish.registration, blocked);
  }

  /** Forgets the wishes of a pod and returns them. */
  takePod(pod: ObjectKey): readonly BlockedWish[] {
    const taken = [...(this.#byPod.get(pod) ?? [])];
    for (const blocked of taken) this.#remove(blocked);
    return taken;
  }

  /** The wish that a key which has become free goes to. */
  takeHeir(key: InstanceKey): Wish | undefined {
    let heir: BlockedWish | undefined;
    for (const blocked of this.#byKey.get(key) ?? []) {
      if (heir === undefined || isOlder(blocked.wish, heir.wish)) heir = blocked;
    }
    if (heir !== undefined) this.#remove(heir);
    return heir?.wish;
  }

  of(registration: ObjectKey): Iterable<BlockedWish> {
    return this.#byRegistration.get(registration) ?? [];
  }

  ofPod(pod: ObjectKey): Iterable<BlockedWish> {
    return this.#byPod.get(pod) ?? [];
  }

  #remove(blocked: BlockedWish): void {
    dropFrom(this.#byKey, blocked.key, blocked);
    dropFrom(this.#byPod, podOf(blocked.wish), blocked);
    dropFrom(this.#byRegistration, blocked.wish.registration, blocked);
  }
}

/** Of two pods that want one key the older has it; of two as old, either replica must name the same. */
export const isOlder = (a: Wish, b: Wish): boolean =>
  a.podCreatedAtMs < b.podCreatedAtMs || (a.podCreatedAtMs === b.podCreatedAtMs && a.pod.uid < b.pod.uid);

const podOf = ({ pod }: Wish): ObjectKey => objectKey(pod.namespace, pod.name);
