// A thousand Ready pods in twenty services and ten namespaces, on a control plane without controllers: nothing but the
// test changes them, so whatever happens to their keys is the operator's doing.

import { waitFor } from '../../../hack/control-plane/wait.ts';
import type { OperatorProcess } from '../../support/operator-process.ts';
import type { Sighting, StreamObserver } from '../../support/stream-observer.ts';
import { breaches, lapses, oldestRefresh, slanders } from '../../support/stream-verdicts.ts';
import { type Annotations, createPod, createRegistration, deletePod, type Pod } from './objects.ts';
import { Stage, type StageOptions } from './stage.ts';

const NAMESPACES = 10;
const SERVICES_PER_NAMESPACE = 2;
const PODS_PER_SERVICE = 50;
const MEMORY_MIB_MAX = 256;
export const PODS = NAMESPACES * SERVICES_PER_NAMESPACE * PODS_PER_SERVICE;

/** By the number of the pod. */
export type AnnotationsOf = (index: number) => Annotations;

/** Pods are put on their nodes by hand; without a node controller an outage of the API takes no node away. */
const options: StageOptions = { controlPlane: { controllerManager: false, scheduler: false } };

export class Fleet {
  readonly stage: Stage;
  readonly observer: StreamObserver;
  readonly pods: Pod[];
  readonly deleted = new Set<string>();
  #next = 0;

  private constructor(stage: Stage, observer: StreamObserver, pods: Pod[]) {
    this.stage = stage;
    this.observer = observer;
    this.pods = pods;
  }

  /** Two operators, started by `startOperators`, and all keys standing. */
  static async open(
    startOperators: (stage: Stage) => Promise<void>,
    annotationsOf: AnnotationsOf = () => ({}),
  ): Promise<Fleet> {
    const stage = await Stage.open(options);
    try {
      await startOperators(stage);
      const observer = await stage.observe();
      const fleet = new Fleet(stage, observer, await createPods(stage, annotationsOf));
      await fleet.untilAllStand(90_000);
      return fleet;
    } catch (error) {
      await stage.close();
      throw error;
    }
  }

  get living(): number {
    return this.pods.length - this.deleted.size;
  }

  /** For verdicts: every pod is Ready from its first key until it is deleted. */
  readonly wasReady = (uid: string): boolean => !this.deleted.has(uid);

  /** The ACTIVE keys of living pods. */
  standing(): readonly Sighting[] {
    return [...this.observer.live.values()].filter(
      ({ podUid, value }) => value?.status === 'ACTIVE' && this.wasReady(podUid),
    );
  }

  untilAllStand(deadlineMs: number): Promise<true> {
    return waitFor(`${this.living} ACTIVE keys`, () => this.standing().length === this.living || undefined, {
      deadlineMs,
    }).then(() => true);
  }

  /**
   * Waits until every living pod's key was written at or after that moment of the server's clock; returns when the last
   * one was, on the same clock.
   */
  async untilAllWrittenSince(storedAtMs: number, deadlineMs: number): Promise<number> {
    const first = new Map<string, number>();
    let next = 0;
    await waitFor(
      'a write of every key',
      () => {
        for (; next < this.observer.messages.length; next += 1) {
          const sighting = this.observer.messages[next];
          if (sighting?.value?.status !== 'ACTIVE' || sighting.storedAtMs < storedAtMs) continue;
          if (!first.has(sighting.podUid)) first.set(sighting.podUid, sighting.storedAtMs);
        }
        return this.pods.every(({ metadata }) => !this.wasReady(metadata.uid) || first.has(metadata.uid));
      },
      { deadlineMs },
    );
    return Math.max(...first.values());
  }

  /** The first pods die where nobody can see it: for verdicts they are no more. */
  die(count: number): readonly Pod[] {
    const doomed = this.pods.slice(this.#next, this.#next + count);
    this.#next += count;
    for (const { metadata } of doomed) this.deleted.add(metadata.uid);
    return doomed;
  }

  /** Deletes pods through the API and knows of it. */
  async deletePods(count: number): Promise<readonly string[]> {
    const doomed = this.die(count);
    await Promise.all(doomed.map((pod) => deletePod(this.stage.api, pod)));
    return doomed.map(({ metadata }) => metadata.uid);
  }

  /** Waits until each of these pods has an UNHEALTHY key or none; returns when the last became so, by the server. */
  async untilNotActive(uids: readonly string[], from: number, deadlineMs: number): Promise<number> {
    const ended = new Map<string, number>();
    const keys = new Map<string, string>();
    let next = 0;
    await waitFor(
      `${uids.length} keys to be UNHEALTHY or gone`,
      () => {
        for (; next < this.observer.messages.length; next += 1) {
          const sighting = this.observer.messages[next];
          if (sighting?.key === undefined) continue;
          if (sighting.podUid !== '') keys.set(sighting.key, sighting.podUid);
          const uid = keys.get(sighting.key) ?? '';
          if (sighting.value?.status === 'ACTIVE') ended.delete(uid);
          else if (next >= from && !ended.has(uid)) ended.set(uid, sighting.storedAtMs);
        }
        return uids.every((uid) => ended.has(uid));
      },
      { deadlineMs },
    );
    return Math.max(...uids.map((uid) => ended.get(uid) ?? 0));
  }

  /** What must hold whatever happened: no lapse, no slander, no breach of the contract since the mark. */
  faults(from: number): readonly string[] {
    return [
      ...lapses(this.observer, this.wasReady, from).map(({ sentence }) => `lapsed: ${sentence}`),
      ...slanders(this.observer, this.wasReady, from).map((sentence) => `slandered: ${sentence}`),
      ...breaches(this.observer, from),
    ].slice(0, 20);
  }

  oldestRefreshMs(from: number): number {
    return oldestRefresh(this.observer, from).ageMs;
  }

  /** No operator crashed or grew beyond what it is given. */
  async health(): Promise<readonly string[]> {
    const problems: string[] = [];
    for (const operator of this.stage.operators) {
      problems.push(...operator.crashes());
      if (!operator.process.running) continue;
      const memoryMiB = await operator.memoryMiB();
      if (memoryMiB >= MEMORY_MIB_MAX) problems.push(`${operator.name} uses ${Math.round(memoryMiB)} MiB`);
    }
    return problems;
  }

  close(): Promise<void> {
    return this.stage.close();
  }
}

/** When the process last logged the message with these fields, by its own wall clock, which is the server's. */
export const loggedAtMs = (
  operator: OperatorProcess,
  msg: string,
  fields: Readonly<Record<string, unknown>> = {},
): number => {
  const line = operator
    .log()
    .findLast((entry) => entry.msg === msg && Object.entries(fields).every(([name, value]) => entry[name] === value));
  return line === undefined ? 0 : Date.parse(line.time);
};

export const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

const createPods = async (stage: Stage, annotationsOf: AnnotationsOf): Promise<Pod[]> => {
  const pods: Promise<Pod>[] = [];
  for (let space = 0; space < NAMESPACES; space += 1) {
    const namespace = `space-${space}`;
    await stage.cluster.createNamespace(namespace);
    for (let number = 0; number < SERVICES_PER_NAMESPACE; number += 1) {
      const service = `service-${space}-${number}`;
      await createRegistration(stage.api, namespace, service, { selector: { matchLabels: { app: service } } });
      for (let pod = 0; pod < PODS_PER_SERVICE; pod += 1) {
        pods.push(
          createPod(stage.api, namespace, `${service}-${pod}`, {
            labels: { app: service },
            annotations: annotationsOf(pods.length),
            node: `node-${pod % 2}`,
          }),
        );
      }
    }
  }
  return Promise.all(pods);
};
