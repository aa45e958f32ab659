// What only the cases ask that are about the cluster's side: its resources, crowds of pods, pods that listen. All other
// questions are in `observer-worker.ts`; the world they are asked of is the same.

import { type ApiClient, ApiError } from '../../../hack/control-plane/api-client.ts';
import { waitFor } from '../../../hack/control-plane/wait.ts';
import { trusted } from '../../../hack/control-plane/worker-process.ts';
import type { StreamObserver } from '../../support/stream-observer.ts';
import { nowMs, pause } from '../monotonic.ts';
import type { KnownPod, PodTruth } from './pod-truth.ts';
import type { Population, Service } from './population.ts';
import { converged } from './settled.ts';

export type ClusterWorld = {
  readonly api: ApiClient;
  readonly truth: PodTruth;
  readonly population: Population;
  readonly stream: StreamObserver;
  readonly isForeign: (key: string) => boolean;
};

export type Enlarging = { readonly services: readonly Service[]; readonly pods: number };
export type Flapping = { readonly services: readonly string[]; readonly ready: boolean };

type Registration = {
  readonly metadata: { readonly name: string };
  readonly status?: {
    readonly instances?: { readonly registered: number };
    readonly conditions?: readonly { readonly type: string; readonly status: string }[];
  };
};

const API = '/apis/rollcall.dev/v1alpha1';

export const clusterQuestions = (here: () => ClusterWorld) => ({
  calm: () => here().population.still(),
  converged: (argument: unknown) => converged(here(), trusted<number>(argument)),
  statusRight: (argument: unknown) => whenStatusIsRight(here(), trusted<number>(argument)),
  enlarge: (argument: unknown) => enlarge(here(), trusted<Enlarging>(argument)),
  shrink: (argument: unknown) => shrink(here(), trusted<readonly string[]>(argument)),
  flap: (argument: unknown) => flap(here(), trusted<Flapping>(argument)),
  leaving: (argument: unknown) => leaving(here(), trusted<readonly string[]>(argument)),
  withdrawn: (argument: unknown) => withdrawn(here(), trusted<readonly string[]>(argument)),
  restore: (argument: unknown) => restore(here(), trusted<readonly string[]>(argument)),
  ttls: () => ttls(here()),
  mute: (argument: unknown) => here().population.mute(trusted<number>(argument)),
  dieUnseen: (argument: unknown) => here().population.dieUnseen(trusted<readonly string[] | number>(argument)),
  bury: (argument: unknown) => bury(here(), trusted<readonly string[]>(argument)),
});

const podsOf = ({ truth }: ClusterWorld, services: readonly string[]): readonly KnownPod[] =>
  [...truth.pods.values()].filter((pod) => services.includes(pod.service) && !pod.gone);

/** When every resource said Ready, with as many registered instances as there are Ready pods. The churn must be at rest. */
const whenStatusIsRight = async ({ api, population }: ClusterWorld, deadlineMs: number): Promise<number> => {
  let wrong = '';
  const isRight = async () => {
    const resources = await api.list<Registration>(`${API}/serviceregistrations`);
    const living = Map.groupBy(population.living(), ({ service }) => service);
    const first = resources.find(({ metadata: { name }, status }) => {
      const ready = status?.conditions?.find(({ type }) => type === 'Ready');
      return ready?.status !== 'True' || status?.instances?.registered !== (living.get(name)?.length ?? 0);
    });
    if (first === undefined) return nowMs();
    wrong = `${first.metadata.name} says ${JSON.stringify(first.status?.instances)}`;
    return undefined;
  };
  try {
    return await waitFor('every status to be right', isRight, { deadlineMs, intervalMs: 200 });
  } catch (cause) {
    throw new Error(`not every status is right: ${wrong}`, { cause });
  }
};

/** Further resources with so many pods in all; resolves when the pods are Ready. */
const enlarge = async ({ population }: ClusterWorld, { services, pods }: Enlarging): Promise<void> => {
  await population.register(services);
  await population.add(pods, services);
  await population.untilReady(300_000);
};

/** Deletes the pods of these services, then the resources that are still there. */
const shrink = async (world: ClusterWorld, services: readonly string[]): Promise<void> => {
  const namespaces = new Map(podsOf(world, services).map(({ service, namespace }) => [service, namespace]));
  for (const service of services) world.population.close(service);
  // What churn had begun to make comes a moment later.
  for (let pods = podsOf(world, services); pods.length > 0; pods = podsOf(world, services)) {
    await world.population.kill(pods.filter(({ pending }) => !pending));
    await pause(1_000);
  }
  for (const [name, namespace] of namespaces) {
    await world.api.delete(`${API}/namespaces/${namespace}/serviceregistrations/${name}`).catch((error: unknown) => {
      if (!(error instanceof ApiError && error.status === 404)) throw error;
    });
  }
};

/** Resolves when the API has shown it of all: who flaps faster than kwok works does not flap. */
const flap = async (world: ClusterWorld, { services, ready }: Flapping): Promise<void> => {
  await world.population.setReady(podsOf(world, services), ready);
  await waitFor('the change to be shown', () => podsOf(world, services).every(({ pending }) => !pending), {
    deadlineMs: 120_000,
    intervalMs: 200,
  });
};

/** What registers them is about to go: nobody is accused of their keys until it is gone. Returns the UIDs. */
const leaving = (world: ClusterWorld, services: readonly string[]): readonly string[] => {
  const pods = podsOf(world, services);
  for (const pod of pods) world.truth.askedToGo(pod, nowMs());
  return pods.map(({ uid }) => uid);
};

const withdrawn = (world: ClusterWorld, services: readonly string[]): void => {
  for (const pod of podsOf(world, services)) world.truth.isWithdrawn(pod, nowMs());
};

/** Their resources are made again. */
const restore = async (world: ClusterWorld, services: readonly string[]): Promise<void> => {
  await world.population.register(world.population.services.filter(({ service }) => services.includes(service)));
  for (const pod of podsOf(world, services)) world.truth.isRestored(pod, nowMs());
};

/** How many keys of ours that are no farewell were last written with which TTL. */
const ttls = ({ stream, isForeign }: ClusterWorld): Readonly<Record<string, number>> => {
  const ours = [...stream.live.values()].filter(
    ({ key = '', value }) => !isForeign(key) && value?.status !== 'UNHEALTHY',
  );
  const by = Map.groupBy(ours, ({ headers }) => headers['Nats-TTL'] ?? 'none');
  return Object.fromEntries(Array.from(by, ([ttl, { length }]) => [ttl, length]));
};

/** Pods that died unseen are deleted, now that somebody hears of it. */
const bury = ({ truth, population }: ClusterWorld, uids: readonly string[]): Promise<void> =>
  population.kill(uids.flatMap((uid) => truth.pods.get(uid) ?? []));
