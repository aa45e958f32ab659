// Which instances stay within their namespace's quota. A pod counts from when a resource selects it until it is
// deleted, Ready or not, so that one that flaps moves the line for no other. Remembered per pod by the pod reconciler,
// before anything is written; asked per registration for its status. Where the line is drawn is `quotas.ts`'s.

import { isUnready, type Wish } from '../domain/instance.ts';
import { generatedInstanceId } from '../domain/names.ts';
import type { ObjectKey } from '../domain/pod.ts';
import { namespaceOf } from '../domain/pod.ts';
import { OldestFirst, type Quotas, type Ranked } from '../domain/quotas.ts';
import { encodeInstance } from '../domain/service-instance.ts';

/** What one registration wants for one pod, as the quota sees it. */
type Instance = Ranked & { readonly pod: ObjectKey; readonly registration: ObjectKey };

export type Admission = {
  readonly within: readonly Wish[];
  /** Other pods that this moved over the line, in or out: to be decided about anew. */
  readonly moved: readonly ObjectKey[];
  /** The registrations that have other pods over the quota than before. */
  readonly reported: readonly ObjectKey[];
};

const NONE: readonly Instance[] = [];

export class InstanceQuotas {
  readonly #limits: Pick<Quotas, 'instances' | 'bytes'>;
  readonly #rankings = new Map<string, OldestFirst<Instance>>();
  readonly #byPod = new Map<ObjectKey, readonly Instance[]>();
  /** Pods over the quota, by registration. */
  readonly #over = new Map<ObjectKey, Set<ObjectKey>>();

  constructor(limits: Pick<Quotas, 'instances' | 'bytes'>) {
    this.#limits = limits;
  }

  get isLimited(): boolean {
    return this.#limits.instances !== undefined || this.#limits.bytes !== undefined;
  }

  /** For people, as `20 instances (--quota-instances)`. */
  get description(): string {
    const { instances, bytes } = this.#limits;
    return [
      ...(instances === undefined ? [] : [`${instances} instances (--quota-instances)`]),
      ...(bytes === undefined ? [] : [`${bytes} bytes of values (--quota-bytes)`]),
    ].join(' and ');
  }

  /** Replaces what is known of a pod; `frozen`: registrations under which what is known of it stays as it is. */
  admit(pod: ObjectKey, wishes: readonly Wish[], frozen: readonly ObjectKey[]): Admission {
    if (!this.isLimited) return { within: wishes, moved: [], reported: [] };
    const before = this.#byPod.get(pod) ?? NONE;
    const after = [
      ...wishes.filter(counts).map((wish) => this.#instanceOf(pod, wish)),
      ...before.filter(({ registration }) => frozen.includes(registration)),
    ].map((instance) => before.find((known) => isSame(known, instance)) ?? instance);
    const moved = this.#rank(namespaceOf(pod), before, after);
    if (after.length === 0) this.#byPod.delete(pod);
    else this.#byPod.set(pod, after);
    return {
      within: wishes.filter((wish) => !counts(wish) || this.isWithin(pod, wish.registration)),
      moved: [...moved].flatMap((instance) => (instance.pod === pod ? [] : instance.pod)),
      reported: this.#report(pod, before, after),
    };
  }

  isWithin(pod: ObjectKey, registration: ObjectKey): boolean {
    const instance = this.#byPod.get(pod)?.find((known) => known.registration === registration);
    return instance === undefined || this.#rankings.get(namespaceOf(pod))?.isWithin(instance) !== false;
  }

  /** Pods that a registration selects, over the quota. */
  over(registration: ObjectKey): Iterable<ObjectKey> {
    return this.#over.get(registration) ?? [];
  }

  #rank(namespace: string, before: readonly Instance[], after: readonly Instance[]): ReadonlySet<Instance> {
    const ranking =
      this.#rankings.get(namespace) ?? new OldestFirst<Instance>(this.#limits.instances, this.#limits.bytes);
    const moved = new Set<Instance>();
    const replace = (old: Instance | undefined, now: Instance | undefined) => {
      for (const instance of ranking.replace(old, now)) moved.add(instance);
    };
    for (const old of before) {
      if (!after.includes(old))
        replace(
          old,
          after.find(({ id }) => id === old.id),
        );
    }
    for (const now of after) if (!before.some(({ id }) => id === now.id)) replace(undefined, now);
    if (ranking.size === 0) this.#rankings.delete(namespace);
    else this.#rankings.set(namespace, ranking);
    return moved;
  }

  #report(pod: ObjectKey, before: readonly Instance[], after: readonly Instance[]): readonly ObjectKey[] {
    const reported: ObjectKey[] = [];
    for (const registration of new Set([...before, ...after].map((instance) => instance.registration))) {
      const pods = this.#over.get(registration) ?? new Set();
      const isOver = !this.isWithin(pod, registration);
      if (pods.has(pod) === isOver) continue;
      if (isOver) pods.add(pod);
      else pods.delete(pod);
      if (pods.size === 0) this.#over.delete(registration);
      else this.#over.set(registration, pods);
      reported.push(registration);
    }
    return reported;
  }

  #instanceOf(pod: ObjectKey, wish: Wish): Instance {
    return {
      pod,
      registration: wish.registration,
      createdAtMs: wish.podCreatedAtMs,
      id: `${wish.pod.uid} ${wish.registration}`,
      bytes: this.#limits.bytes === undefined ? 0 : bytesOf(wish),
    };
  }
}

/** A pod that is deleted, or whose resource is suspended, keeps no place. */
const counts = ({ state }: Wish): boolean => state.kind === 'live' || isUnready(state.reason);

const HEARTBEAT_LENGTH = '2026-11-23T17:00:10.123+08:00'.length;

/** Of the value, with an instance id of the usual length: the id in force is the table's business. */
const bytesOf = ({ content, serviceName, pod }: Wish): number => {
  const { head, tail } = encodeInstance(content, generatedInstanceId(serviceName, pod.uid, 8), 'ACTIVE');
  return new TextEncoder().encode(head + tail).length + HEARTBEAT_LENGTH;
};

const isSame = (a: Instance, b: Instance): boolean =>
  a.id === b.id && a.createdAtMs === b.createdAtMs && a.bytes === b.bytes;
