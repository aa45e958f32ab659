// The Kubernetes objects that the tests of the operator create: workloads, pods and resources, with what a test cares
// about as arguments and everything else as plain as the API allows.

import type { ApiClient, KubeObject } from '../../../hack/control-plane/api-client.ts';
import { waitFor } from '../../../hack/control-plane/wait.ts';
import { type Registration, registrationsPath } from './stage.ts';

export type Annotations = Readonly<Record<string, string>>;

export type Pod = KubeObject & {
  readonly spec: { readonly nodeName?: string };
  readonly status: {
    readonly phase?: string;
    readonly podIP?: string;
    readonly startTime?: string;
    readonly conditions?: readonly PodCondition[];
  };
};

export type PodCondition = {
  readonly type: string;
  readonly status: string;
  readonly reason?: string;
  readonly message?: string;
};

export const GATE = 'rollcall.dev/registered';
const GATED = { readinessGates: [{ conditionType: GATE }] };

export const REGISTER = { 'rollcall.dev/register': 'true' };

export const workloadsPath = (namespace: string, kind: WorkloadKind): string =>
  `/apis/apps/v1/namespaces/${namespace}/${kind.toLowerCase()}s`;
export const podsPath = (namespace: string): string => `/api/v1/namespaces/${namespace}/pods`;

export type WorkloadKind = 'Deployment' | 'StatefulSet' | 'DaemonSet';

export type WorkloadOptions = {
  readonly kind?: WorkloadKind;
  readonly replicas?: number;
  /** Of the workload itself. */
  readonly annotations?: Annotations;
  readonly podAnnotations?: Annotations;
  readonly podLabels?: Readonly<Record<string, string>>;
  readonly image?: string;
  readonly port?: number;
  /** Its pods list our readiness gate. */
  readonly gated?: boolean;
};

export const createWorkload = (
  api: ApiClient,
  namespace: string,
  name: string,
  options: WorkloadOptions = {},
): Promise<KubeObject> => {
  const { kind = 'Deployment', replicas = 1, annotations = REGISTER, podAnnotations = {} } = options;
  const { podLabels = {}, image = 'registry.invalid/app:1.4.2', port = 8080, gated = false } = options;
  return api.post(workloadsPath(namespace, kind), {
    apiVersion: 'apps/v1',
    kind,
    metadata: { name, annotations },
    spec: {
      ...(kind === 'DaemonSet' ? {} : { replicas }),
      ...(kind === 'StatefulSet' ? { serviceName: name, podManagementPolicy: 'Parallel' } : {}),
      selector: { matchLabels: { app: name } },
      template: {
        metadata: { labels: { app: name, ...podLabels }, annotations: podAnnotations },
        spec: {
          ...(gated ? GATED : {}),
          terminationGracePeriodSeconds: 1,
          containers: [{ name: 'app', image, ports: [{ containerPort: port }] }],
        },
      },
    },
  });
};

export type PodOptions = {
  readonly annotations?: Annotations;
  readonly labels?: Readonly<Record<string, string>>;
  readonly image?: string;
  readonly node?: string;
  /** It lists our readiness gate. */
  readonly gated?: boolean;
  /** The name of its one port, 8080; default: none. */
  readonly port?: string;
  readonly hostNetwork?: boolean;
  /** Default 0: it goes at once. */
  readonly graceSeconds?: number;
};

export const createPod = (api: ApiClient, namespace: string, name: string, options: PodOptions = {}): Promise<Pod> => {
  const { annotations = {}, labels = { app: name }, image = 'registry.invalid/app:1.4.2', node } = options;
  const { gated, port, hostNetwork = false, graceSeconds = 0 } = options;
  return api.post<Pod>(podsPath(namespace), {
    metadata: { name, annotations, labels },
    spec: {
      ...(gated === true ? GATED : {}),
      terminationGracePeriodSeconds: graceSeconds,
      ...(node === undefined ? {} : { nodeName: node }),
      hostNetwork,
      containers: [
        { name: 'app', image, ports: [{ containerPort: 8080, ...(port === undefined ? {} : { name: port }) }] },
      ],
    },
  });
};

export const createRegistration = (
  api: ApiClient,
  namespace: string,
  name: string,
  spec: object = {},
): Promise<Registration> =>
  api.post<Registration>(registrationsPath(namespace), {
    apiVersion: 'rollcall.dev/v1alpha1',
    kind: 'ServiceRegistration',
    metadata: { name },
    spec,
  });

export const conditionOf = (pod: Pod, type: string): PodCondition | undefined =>
  pod.status.conditions?.find((condition) => condition.type === type);

export const isReady = (pod: Pod): boolean =>
  pod.metadata.deletionTimestamp === undefined && conditionOf(pod, 'Ready')?.status === 'True';

/** The Ready pods of an app, once there are that many. */
export const untilReadyPods = (
  api: ApiClient,
  namespace: string,
  app: string,
  count: number,
  deadlineMs = 30_000,
): Promise<readonly Pod[]> =>
  waitFor(
    `${count} Ready pods of ${namespace}/${app}`,
    async () => {
      const pods = await api.list<Pod>(`${podsPath(namespace)}?labelSelector=app=${app}`);
      const ready = pods.filter(isReady);
      return ready.length === count && pods.length === count ? ready : undefined;
    },
    { deadlineMs },
  );

/** Makes KWOK report the pod as Ready or not. */
export const setReady = (api: ApiClient, pod: Pod, ready: boolean): Promise<unknown> =>
  api.patch(`${podsPath(pod.metadata.namespace ?? '')}/${pod.metadata.name}`, {
    metadata: { annotations: { 'rollcall.dev/demo-ready': ready ? null : 'false' } },
  });

export const deletePod = (api: ApiClient, pod: Pod): Promise<unknown> =>
  api.delete(`${podsPath(pod.metadata.namespace ?? '')}/${pod.metadata.name}`);

const NODE_LEASES = '/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases';

/** A node that nobody plays, with a lease that was renewed once, a minute ago. */
export const createQuietNode = async (api: ApiClient, name: string): Promise<void> => {
  await api.post('/api/v1/nodes', { metadata: { name, labels: { 'kubernetes.io/hostname': name } } });
  const renewTime = new Date(Date.now() - 60_000).toISOString().replace('Z', '000Z');
  await api.post(NODE_LEASES, {
    metadata: { name },
    spec: { holderIdentity: name, leaseDurationSeconds: 40, renewTime },
  });
};
