/**
 * Pods as a busy cluster has them: 10 KB of JSON each, two containers with forty variables, managed fields, conditions,
 * the annotations of a network plug-in. Written from a template, because fifty thousand of them are wanted at once.
 */

export const SYNTHETIC_NAMESPACES = 10;
export const SERVICES_PER_NAMESPACE = 5;
const NODES = 500;

/** A Ready pod, one line of JSON. */
export function syntheticPod(index: number, resourceVersion: number): string {
  const namespace = index % SYNTHETIC_NAMESPACES;
  const service = Math.trunc(index / SYNTHETIC_NAMESPACES) % SERVICES_PER_NAMESPACE;
  const values: Readonly<Record<string, string>> = {
    '@namespace@': namespaceName(namespace),
    '@service@': serviceName(namespace, service),
    '@suffix@': index.toString(36).padStart(5, '0'),
    '@uid@': `${scattered(index)}-4a59-4e0f-8d7c-${index.toString(16).padStart(12, '0')}`,
    '@hex@': index.toString(16).padStart(12, '0'),
    '@ip@': `127.${100 + (index >> 16)}.${(index >> 8) & 255}.${index & 255}`,
    '@node@': `node-${index % NODES}`,
    '@version@': `${resourceVersion}`,
  };
  let text = '';
  for (const part of parts) text += part.charCodeAt(0) === AT ? (values[part] ?? part) : part;
  return text;
}

/** Eight hex digits that differ for every index, as the first ones of UIDs do: instance ids are made of them. */
const scattered = (index: number): string => (Math.imul(index, 0x9e37_79b1) >>> 0).toString(16).padStart(8, '0');

export const namespaceName = (namespace: number): string => `team-${namespace}`;
export const serviceName = (namespace: number, service: number): string => `trading-${namespace}-${service}-service`;

/** A ServiceRegistration for each service, without a status yet. */
export function syntheticRegistrations(resourceVersion: number): object[] {
  const registrations: object[] = [];
  for (let namespace = 0; namespace < SYNTHETIC_NAMESPACES; namespace += 1) {
    for (let service = 0; service < SERVICES_PER_NAMESPACE; service += 1) {
      const name = serviceName(namespace, service);
      registrations.push({
        apiVersion: 'rollcall.dev/v1alpha1',
        kind: 'ServiceRegistration',
        metadata: {
          name,
          namespace: namespaceName(namespace),
          uid: `0a1b2c3d-0000-4000-8000-${String(namespace * 100 + service).padStart(12, '0')}`,
          resourceVersion: `${resourceVersion}`,
          generation: 1,
          creationTimestamp: '2026-11-23T08:00:00Z',
        },
        spec: { selector: { matchLabels: { app: name } } },
      });
    }
  }
  return registrations;
}

const time = '2026-11-23T09:00:00Z';
const variables = (container: string) =>
  Array.from({ length: 20 }, (_, index) => ({
    name: `${container.toUpperCase()}_SETTING_${index}`,
    value: `value-of-setting-${index}-for-@service@-in-@namespace@`,
  }));
const probe = { httpGet: { path: '/healthz', port: 'http', scheme: 'HTTP' }, periodSeconds: 5, failureThreshold: 3 };
const container = (name: string, port: number) => ({
  name,
  image: `registry.example/trading/${name}:1.4.2`,
  ports: [{ name: name === 'app' ? 'http' : 'metrics', containerPort: port, protocol: 'TCP' }],
  env: variables(name),
  resources: { limits: { cpu: '2', memory: '1Gi' }, requests: { cpu: '250m', memory: '512Mi' } },
  volumeMounts: [
    { name: 'config', mountPath: '/etc/trading', readOnly: true },
    { name: 'kube-api-access-x7k2p', mountPath: '/var/run/secrets/kubernetes.io/serviceaccount', readOnly: true },
  ],
  livenessProbe: probe,
  readinessProbe: probe,
  terminationMessagePath: '/dev/termination-log',
  terminationMessagePolicy: 'File',
  imagePullPolicy: 'IfNotPresent',
});
const managed = (manager: string, fields: readonly string[], subresource?: string) => ({
  manager,
  operation: 'Update',
  apiVersion: 'v1',
  time,
  fieldsType: 'FieldsV1',
  fieldsV1: Object.fromEntries(fields.map((name) => [`f:${name}`, { '.': {}, 'f:name': {}, 'f:value': {} }])),
  ...(subresource === undefined ? {} : { subresource }),
});
const template = JSON.stringify({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: {
    name: '@service@-7c9f6d5b4c-@suffix@',
    generateName: '@service@-7c9f6d5b4c-',
    namespace: '@namespace@',
    uid: '@uid@',
    resourceVersion: '@version@',
    creationTimestamp: time,
    labels: {
      app: '@service@',
      'pod-template-hash': '7c9f6d5b4c',
      team: '@namespace@',
      'app.kubernetes.io/version': '1.4.2',
    },
    annotations: {
      'cni.example/containerID': `@hex@${'a1b2c3d4e5f60718'.repeat(3)}`,
      'cni.example/podIP': '@ip@/32',
      'prometheus.io/scrape': 'true',
      'checksum/config': 'f3c0d1b2a49586776859a4b3c2d1e0f'.repeat(2),
    },
    ownerReferences: [
      {
        apiVersion: 'apps/v1',
        kind: 'ReplicaSet',
        name: '@service@-7c9f6d5b4c',
        uid: '1f2e3d4c-5b6a-4978-8695-a4b3c2d1e0f9',
        controller: true,
        blockOwnerDeletion: true,
      },
    ],
    managedFields: [
      managed(
        'kube-controller-manager',
        [...variables('app'), ...variables('proxy')].map(({ name }) => name),
      ),
      managed('kubelet', ['conditions', 'containerStatuses', 'hostIP', 'phase', 'podIP', 'startTime'], 'status'),
    ],
  },
  spec: {
    containers: [container('app', 8080), container('proxy', 9090)],
    volumes: [
      { name: 'config', configMap: { name: '@service@', defaultMode: 420 } },
      {
        name: 'kube-api-access-x7k2p',
        projected: { defaultMode: 420, sources: [{ serviceAccountToken: { expirationSeconds: 3607, path: 'token' } }] },
      },
    ],
    restartPolicy: 'Always',
    terminationGracePeriodSeconds: 30,
    dnsPolicy: 'ClusterFirst',
    serviceAccountName: 'default',
    nodeName: '@node@',
    securityContext: {},
    schedulerName: 'default-scheduler',
    tolerations: ['not-ready', 'unreachable'].map((key) => ({
      key: `node.kubernetes.io/${key}`,
      operator: 'Exists',
      effect: 'NoExecute',
      tolerationSeconds: 300,
    })),
  },
  status: {
    phase: 'Running',
    conditions: ['PodReadyToStartContainers', 'Initialized', 'Ready', 'ContainersReady', 'PodScheduled'].map(
      (type) => ({
        type,
        status: 'True',
        lastProbeTime: null,
        lastTransitionTime: time,
      }),
    ),
    hostIP: '172.16.0.1',
    podIP: '@ip@',
    podIPs: [{ ip: '@ip@' }],
    startTime: time,
    containerStatuses: ['app', 'proxy'].map((name) => ({
      name,
      state: { running: { startedAt: time } },
      ready: true,
      restartCount: 0,
      image: `registry.example/trading/${name}:1.4.2`,
      imageID: `registry.example/trading/${name}@sha256:${'0123456789abcdef'.repeat(4)}`,
      containerID: `containerd://@hex@${'fedcba9876543210'.repeat(3)}`,
      started: true,
    })),
    qosClass: 'Burstable',
  },
});

const AT = '@'.charCodeAt(0);
const parts = template.split(/(@(?:namespace|service|suffix|uid|hex|ip|node|version)@)/);
