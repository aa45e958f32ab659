// The kinds of Kubernetes objects that Rollcall watches and writes: where the API serves them. The one table.

export type Resource = {
  readonly kind: string;
  /** Empty for the core group. */
  readonly group: string;
  readonly version: string;
  readonly plural: string;
  readonly namespaced: boolean;
  /** By a CustomResourceDefinition of ours, which may be missing. */
  readonly defined?: true;
  /** A cluster may do without its definition. */
  readonly optional?: true;
  /** Read in this namespace alone. */
  readonly readIn?: string;
};

export const resources = {
  Pod: { kind: 'Pod', group: '', version: 'v1', plural: 'pods', namespaced: true },
  Namespace: { kind: 'Namespace', group: '', version: 'v1', plural: 'namespaces', namespaced: false },
  Node: { kind: 'Node', group: '', version: 'v1', plural: 'nodes', namespaced: false },
  Lease: {
    kind: 'Lease',
    group: 'coordination.k8s.io',
    version: 'v1',
    plural: 'leases',
    namespaced: true,
    readIn: 'kube-node-lease',
  },
  Deployment: { kind: 'Deployment', group: 'apps', version: 'v1', plural: 'deployments', namespaced: true },
  StatefulSet: { kind: 'StatefulSet', group: 'apps', version: 'v1', plural: 'statefulsets', namespaced: true },
  DaemonSet: { kind: 'DaemonSet', group: 'apps', version: 'v1', plural: 'daemonsets', namespaced: true },
  ReplicaSet: { kind: 'ReplicaSet', group: 'apps', version: 'v1', plural: 'replicasets', namespaced: true },
  ServiceRegistration: {
    kind: 'ServiceRegistration',
    group: 'rollcall.dev',
    version: 'v1alpha1',
    plural: 'serviceregistrations',
    namespaced: true,
    defined: true,
  },
  ServiceNamePolicy: {
    kind: 'ServiceNamePolicy',
    group: 'rollcall.dev',
    version: 'v1alpha1',
    plural: 'servicenamepolicies',
    namespaced: false,
    defined: true,
    optional: true,
  },
  Event: { kind: 'Event', group: 'events.k8s.io', version: 'v1', plural: 'events', namespaced: true },
  SelfSubjectAccessReview: {
    kind: 'SelfSubjectAccessReview',
    group: 'authorization.k8s.io',
    version: 'v1',
    plural: 'selfsubjectaccessreviews',
    namespaced: false,
  },
} as const satisfies Record<string, Resource>;

export const apiVersionOf = (resource: Resource): string =>
  resource.group === '' ? resource.version : `${resource.group}/${resource.version}`;

/** The path of a collection: of one namespace, or of all. */
export function collectionPath(resource: Resource, namespace?: string): string {
  const root = resource.group === '' ? `/api/${resource.version}` : `/apis/${resource.group}/${resource.version}`;
  return namespace === undefined || !resource.namespaced
    ? `${root}/${resource.plural}`
    : `${root}/namespaces/${encodeURIComponent(namespace)}/${resource.plural}`;
}

export const objectPath = (resource: Resource, namespace: string, name: string): string =>
  `${collectionPath(resource, namespace)}/${encodeURIComponent(name)}`;

/** `metadata.namespace!=a,metadata.namespace!=b`: objects of these namespaces are never sent. Undefined when there are none. */
export const excludeNamespaces = (namespaces: readonly string[]): string | undefined =>
  namespaces.length === 0 ? undefined : namespaces.map((namespace) => `metadata.namespace!=${namespace}`).join(',');
