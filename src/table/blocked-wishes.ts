// Wishes that have no row, because another pod has the better right to their key. They wait under that key: when it
// becomes free, the oldest of them inherits it.

import type { InstanceKey, Wish } from '../domain/instance.ts';
import { type ObjectKey, objectKey } from '../domain/pod.ts';

export type BlockedWish = { readonly key: InstanceKey; readonly wish: Wish };

export class BlockedWishes {
  readonly #byKey = new Map<InstanceKey, Set<BlockedWish>>();
  readonly #byPod = new Map<ObjectKey, Set<BlockedWish>>();
  readonly #byRegistration = new Map<ObjectKey, Set<BlockedWish>>();

  add(key: InstanceKey, wish: Wish): void {
    const blocked = { key, wish };
    put(this.#byKey, key, blocked);
    put(this.#byPod, podOf(wish), blocked);
    put(this.#byRegistration, wish.registration, blocked);
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
    drop(this.#byKey, blocked.key, blocked);
    drop(this.#byPod, podOf(blocked.wish), blocked);
    drop(this.#byRegistration, blocked.wish.registration, blocked);
  }
}

/** Of two pods that want one key the older has it; of two as old, either replica must name the same. */
export const isOlder = (a: Wish, b: Wish): boolean =>
  a.podCreatedAtMs < b.podCreatedAtMs || (a.podCreatedAtMs === b.podCreatedAtMs && a.pod.uid < b.pod.uid);

const podOf = ({ pod }: Wish): ObjectKey => objectKey(pod.namespace, pod.name);

const put = <K>(sets: Map<K, Set<BlockedWish>>, key: K, blocked: BlockedWish): void => {
  const set = sets.get(key);
  if (set === undefined) sets.set(key, new Set([blocked]));
  else set.add(blocked);
};

const drop = <K>(sets: Map<K, Set<BlockedWish>>, key: K, blocked: BlockedWish): void => {
  const set = sets.get(key);
  set?.delete(blocked);
  if (set?.size === 0) sets.delete(key);
};
