// Asks the API server at the start for every right we need. A missing `watch` would freeze a view without a word, so
// what is missing is said in one go, before anything is believed.

import type { Clock } from '../clock.ts';
import type { Cluster, Right } from '../controllers/cluster.ts';
import { ApiError } from './api-transport.ts';
import { type Resource, resources } from './resources.ts';

/** While rights are missing, and while the API server does not say: somebody may be granting them. */
const ASK_AGAIN_MS = 5_000;

const {
  Pod,
  Namespace,
  Node,
  Lease,
  Deployment,
  StatefulSet,
  DaemonSet,
  ReplicaSet,
  ServiceRegistration,
  ServiceNamePolicy,
  Event,
} = resources;

const rightsTo = (verbs: readonly string[], { group, plural }: Resource, subresource = ''): readonly Right[] =>
  verbs.map((verb) => ({ verb, group, resource: `${plural}${subresource}` }));

export type RightsOptions = {
  readonly readinessGates: boolean;
  /** Where; none: everywhere. */
  readonly namespace: readonly string[];
};

/** What the operator does in every namespace that it watches. */
export const operatorRights = ({ readinessGates, namespace }: RightsOptions): readonly Right[] => {
  const everywhere: readonly Right[] = [
    ...readingRights([Pod, Deployment, StatefulSet, DaemonSet, ReplicaSet, ServiceRegistration], []),
    ...rightsTo(['create', 'patch', 'delete'], ServiceRegistration),
    ...rightsTo(['patch'], ServiceRegistration, '/status'),
    ...rightsTo(['create', 'patch'], Event),
    ...(readinessGates ? rightsTo(['patch'], Pod, '/status') : []),
  ];
  if (namespace.length === 0) return [...everywhere, ...readingRights([Namespace, ServiceNamePolicy], [])];
  return namespace.flatMap((name) => everywhere.map((right) => ({ ...right, namespace: name })));
};

/** What an installation may leave out: then no node counts as lost. */
export const nodeRights = ({ namespace }: Pick<RightsOptions, 'namespace'>): readonly Right[] =>
  namespace.length > 0 ? [] : [...readingRights([Node], []), ...readingRights([Lease], [Lease.readIn])];

/** Asks until none is missing. `onMissing` is told what is, as a person would ask for it, whenever that is another. */
export async function awaitRights(
  cluster: Pick<Cluster, 'canI'>,
  rights: readonly Right[],
  clock: Clock,
  onMissing: (missing: readonly string[]) => void,
  signal: AbortSignal,
): Promise<void> {
  let told = '';
  while (!signal.aborted) {
    try {
      const missing = (await missingRights(cluster, rights, signal)).map(describeRight);
      if (missing.join() !== told) onMissing(missing);
      if (missing.length === 0) return;
      told = missing.join();
    } catch (error) {
      // Whoever watches says that the API server is away.
      if (!(error instanceof ApiError) && !signal.aborted) throw error;
    }
    await clock.sleep(ASK_AGAIN_MS, signal);
  }
}

/** The rights to read what is watched: list and watch of each, in each namespace or (none given) in all. */
export function readingRights(watched: readonly Resource[], namespaces: readonly string[]): readonly Right[] {
  const places = namespaces.length === 0 ? [{}] : namespaces.map((namespace) => ({ namespace }));
  return watched.flatMap(({ group, plural }) =>
    places.flatMap((place) => ['list', 'watch'].map((verb) => ({ verb, group, resource: plural, ...place }))),
  );
}

/** Those of `rights` that we do not have. @throws ApiError when the server does not answer */
export async function missingRights(
  cluster: Pick<Cluster, 'canI'>,
  rights: readonly Right[],
  signal: AbortSignal,
): Promise<readonly Right[]> {
  const granted = await Promise.all(rights.map((right) => cluster.canI(right, signal)));
  return rights.filter((_, index) => granted[index] !== true);
}

/** `watch pods`, `patch serviceregistrations/status.rollcall.dev in trading`: as a person would ask for it. */
export function describeRight({ verb, group, resource, namespace }: Right): string {
  const what = group === '' ? resource : `${resource}.${group}`;
  return namespace === undefined ? `${verb} ${what}` : `${verb} ${what} in ${namespace}`;
}
