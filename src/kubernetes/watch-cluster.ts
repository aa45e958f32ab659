// Starts one reflector per kind that Rollcall reads, and gives the views they feed. Which kinds, how each is trimmed
// and which namespaces are left out is decided here; how watching works is `reflector.ts`.

import type { Clock, Random } from '../clock.ts';
import { View, type ViewObject } from '../controllers/view.ts';
import type { Views } from '../controllers/views.ts';
import { Interner } from '../domain/intern.ts';
import { type NamespaceView, trimNamespace } from '../domain/namespace.ts';
import { type LeaseView, type NodeView, trimLease, trimNode } from '../domain/node.ts';
import { type PodView, trimPod } from '../domain/pod.ts';
import { type PolicyView, trimPolicy } from '../domain/service-name-policy.ts';
import { type RegistrationView, trimRegistration } from '../domain/service-registration.ts';
import type { Defaults } from '../domain/settings.ts';
import { trimWorkload, type WorkloadKind, type WorkloadView } from '../domain/workload.ts';
import type { Log } from '../log.ts';
import type { ApiTransport } from './api-transport.ts';
import type { ServerTraits } from './freshness.ts';
import { type ReflectorMetrics, type ReflectorOptions, reflect } from './reflector.ts';
import { collectionPath, excludeNamespaces, type Resource, resources } from './resources.ts';

export type WatchClusterOptions = {
  readonly transport: ApiTransport;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly annotationPrefix: string;
  /** These and no others; none: all but the excluded ones. */
  readonly namespaces: readonly string[];
  readonly excludeNamespaces: readonly string[];
  readonly defaults: Defaults;
  readonly relistIntervalMs: number;
  /** Told with the plural of the resource. */
  readonly metrics?: ReflectorMetrics;
  readonly signal: AbortSignal;
};

/** `watching` resolves when the signal aborted and every watch has ended. */
export const watchCluster = (
  options: WatchClusterOptions,
): { readonly views: ClusterViews; readonly watching: Promise<void> } => {
  const watches: Promise<void>[] = [];
  const traits: ServerTraits = { sendsBookmarks: false };
  const { transport, clock, random, log, relistIntervalMs, signal } = options;
  const isServing = (sinceMs: number): boolean => views.pods.lastProofAtMs > sinceMs;
  const views = clusterViews(options, (resource, trim, view) => {
    const sources = sourcesOf(resource, options);
    const metrics: ReflectorMetrics = {
      count: (what, _, many) => options.metrics?.count(what, resource.plural, many),
    };
    if (sources.length === 0) knowNothing(view);
    for (const source of sources) {
      const reflected = { resource: source, trim, view, metrics, traits };
      const limits = resource.readIn === undefined ? {} : { limits: LEASE_LIMITS };
      watches.push(
        reflect({ transport, clock, random, log, ...reflected, isServing, relistIntervalMs, signal, ...limits }),
      );
    }
  });
  return { views, watching: Promise.all(watches).then(() => undefined) };
};

/** Where a kind is watched: in all namespaces at once, or in each of some; nowhere, when that takes rights to the cluster. */
export const sourcesOf = (
  resource: Resource,
  options: Pick<WatchClusterOptions, 'namespaces' | 'excludeNamespaces'>,
): readonly ReflectorOptions<ViewObject>['resource'][] => {
  if (options.namespaces.length > 0) {
    if (!resource.namespaced || resource.readIn !== undefined) return [];
    return options.namespaces.map((namespace) => ({
      path: collectionPath(resource, namespace),
      namespace,
      ...definedAs(resource),
    }));
  }
  const { readIn } = resource;
  if (readIn !== undefined) return [{ path: collectionPath(resource, readIn), namespace: readIn }];
  const fieldSelector = resource.namespaced ? excludeNamespaces(options.excludeNamespaces) : undefined;
  const path = collectionPath(resource);
  return [{ path, ...(fieldSelector === undefined ? {} : { fieldSelector }), ...definedAs(resource) }];
};

const definedAs = ({ defined, optional }: Resource) => ({
  ...(defined === undefined ? {} : { mayBeAbsent: defined }),
  ...(optional === undefined ? {} : { optional }),
});

/** Silence is judged by the time that is proven: where kubelets speak all at once there would be gaps of seconds. */
const LEASE_LIMITS = { proofIntervalMs: 2_000 } as const;

/** The view is empty, and as right as it will ever be. */
const knowNothing = <T extends ViewObject>(view: View<T>): void => {
  const source = view.addSource();
  source.synced = true;
  source.prove(Number.POSITIVE_INFINITY);
};

/** The views, with their writing side. */
export type ClusterViews = Views & {
  readonly pods: View<PodView>;
  readonly registrations: View<RegistrationView>;
};

/** Sees to it that a view is fed with the objects of a kind, each as `trim` leaves it. */
type Feed = <T extends ViewObject>(resource: Resource, trim: (raw: unknown) => T | undefined, view: View<T>) => void;

/** One view per kind that decisions need, whether it is watched or listed once. */
export const clusterViews = (
  options: Pick<WatchClusterOptions, 'annotationPrefix' | 'defaults' | 'log'>,
  feed: Feed,
): ClusterViews => {
  const interner = new Interner();
  const { annotationPrefix, defaults, log } = options;
  const fed = <T extends ViewObject>(resource: Resource, trim: (raw: unknown) => T | undefined): View<T> => {
    const view = new View<T>((error) => log.error({ kind: resource.kind, error }, 'a handler of changes failed'));
    feed(resource, trim, view);
    return view;
  };
  const workload = (kind: WorkloadKind): View<WorkloadView> =>
    fed(resources[kind], (raw) => trimWorkload(kind, raw, annotationPrefix, interner));
  return {
    pods: fed<PodView>(resources.Pod, (raw) => trimPod(raw, annotationPrefix, interner)),
    registrations: fed<RegistrationView>(resources.ServiceRegistration, (raw) =>
      trimRegistration(raw, defaults, annotationPrefix),
    ),
    namespaces: fed<NamespaceView>(resources.Namespace, (raw) => trimNamespace(raw, annotationPrefix, interner)),
    workloads: {
      Deployment: workload('Deployment'),
      StatefulSet: workload('StatefulSet'),
      DaemonSet: workload('DaemonSet'),
      ReplicaSet: workload('ReplicaSet'),
    },
    policies: fed<PolicyView>(resources.ServiceNamePolicy, trimPolicy),
    nodes: fed<NodeView>(resources.Node, trimNode),
    leases: fed<LeaseView>(resources.Lease, trimLease),
  };
};
