// Starts one reflector per kind that Rollcall reads, and gives the views they feed. Which kinds, how each is trimmed
// and which namespaces are left out is decided here; how watching works is `reflector.ts`.

import type { Clock, Random } from '../clock.ts';
import { View, type ViewObject } from '../controllers/view.ts';
import type { Views } from '../controllers/views.ts';
import { Interner } from '../domain/intern.ts';
import { type PodView, trimPod } from '../domain/pod.ts';
import { type InstallationDefaults, type RegistrationView, trimRegistration } from '../domain/service-registration.ts';
import { trimWorkload, type WorkloadKind, type WorkloadView } from '../domain/workload.ts';
import type { Log } from '../log.ts';
import type { ApiTransport } from './api-transport.ts';
import { reflect } from './reflector.ts';
import { collectionPath, excludeNamespaces, type Resource, resources } from './resources.ts';

export type WatchClusterOptions = {
  readonly transport: ApiTransport;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly annotationPrefix: string;
  readonly excludeNamespaces: readonly string[];
  readonly defaults: InstallationDefaults;
  readonly signal: AbortSignal;
};

/** `watching` resolves when the signal aborted and every watch has ended. */
export const watchCluster = (
  options: WatchClusterOptions,
): { readonly views: Views; readonly watching: Promise<void> } => {
  const interner = new Interner();
  const { annotationPrefix } = options;
  const watches: Promise<void>[] = [];
  const watch = <T extends ViewObject>(resource: Resource, trim: (raw: unknown) => T | undefined): View<T> => {
    const view = new View<T>((error) =>
      options.log.error({ kind: resource.kind, error }, 'a handler of changes failed'),
    );
    const fieldSelector = excludeNamespaces(options.excludeNamespaces);
    watches.push(
      reflect({
        transport: options.transport,
        clock: options.clock,
        random: options.random,
        log: options.log,
        resource: { path: collectionPath(resource), ...(fieldSelector === undefined ? {} : { fieldSelector }) },
        trim,
        view,
        signal: options.signal,
      }),
    );
    return view;
  };
  const workload = (kind: WorkloadKind): View<WorkloadView> =>
    watch(resources[kind], (raw) => trimWorkload(kind, raw, annotationPrefix, interner));
  const views = {
    pods: watch<PodView>(resources.Pod, (raw) => trimPod(raw, annotationPrefix, interner)),
    registrations: watch<RegistrationView>(resources.ServiceRegistration, (raw) =>
      trimRegistration(raw, options.defaults),
    ),
    workloads: {
      Deployment: workload('Deployment'),
      StatefulSet: workload('StatefulSet'),
      DaemonSet: workload('DaemonSet'),
      ReplicaSet: workload('ReplicaSet'),
    },
  };
  return { views, watching: Promise.all(watches).then(() => undefined) };
};
