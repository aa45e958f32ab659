/**
 * A real API server with pods that nobody runs: no scheduler, no controllers, no kubelet; the measurement itself writes
 * their status. So a pod is Ready exactly when the measurement says so, and the API server has no other work.
 */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';
import type { ApiClient } from '../control-plane/api-client.ts';
import { type ControlPlane, startControlPlane } from '../control-plane/control-plane.ts';
import { waitFor } from '../control-plane/wait.ts';

const crds = fileURLToPath(new URL('../../crds/', import.meta.url));

export const NAMESPACES = 10;
const SERVICES_PER_NAMESPACE = 5;
/** As the client's connections. */
const IN_FLIGHT = 16;

export type Pod = { readonly namespace: string; readonly name: string };

/** With the CRDs, ten namespaces and five registrations in each. */
export async function startCluster(dir: string): Promise<ControlPlane> {
  const cluster = await startControlPlane({ dir, controllerManager: false, scheduler: false, kwok: false });
  try {
    const api = cluster.api();
    for (const file of await readdir(crds)) {
      const definition: unknown = parse(await readFile(join(crds, file), 'utf8'));
      await api.post('/apis/apiextensions.k8s.io/v1/customresourcedefinitions', definition);
    }
    for (let namespace = 0; namespace < NAMESPACES; namespace += 1) {
      await api.post('/api/v1/namespaces', { metadata: { name: namespaceName(namespace) } });
    }
    for (let namespace = 0; namespace < NAMESPACES; namespace += 1) {
      const path = `/apis/rollcall.dev/v1alpha1/namespaces/${namespaceName(namespace)}/serviceregistrations`;
      for (let service = 0; service < SERVICES_PER_NAMESPACE; service += 1) {
        const name = serviceName(namespace, service);
        const registration = {
          apiVersion: 'rollcall.dev/v1alpha1',
          kind: 'ServiceRegistration',
          metadata: { name },
          spec: { selector: { matchLabels: { app: name } } },
        };
        // The API of a new CRD is not there at once.
        await waitFor('the registrations', () => api.post(path, registration));
      }
    }
    return cluster;
  } catch (error) {
    await cluster.stop();
    throw error;
  }
}

/** Not Ready yet. */
export async function createPods(api: ApiClient, prefix: string, count: number): Promise<readonly Pod[]> {
  const pods = Array.from({ length: count }, (_, index) => ({
    namespace: namespaceName(index % NAMESPACES),
    name: `${prefix}-${index}`,
    app: serviceName(index % NAMESPACES, Math.trunc(index / NAMESPACES) % SERVICES_PER_NAMESPACE),
  }));
  await inParallel(pods, ({ namespace, name, app }) =>
    api.post(`/api/v1/namespaces/${namespace}/pods`, {
      metadata: { name, labels: { app, 'app.kubernetes.io/version': '1.4.2' } },
      spec: {
        automountServiceAccountToken: false,
        nodeName: 'node-0',
        containers: [{ name: 'app', image: 'registry.example/app:1.4.2', ports: [{ containerPort: 8080 }] }],
      },
    }),
  );
  return pods;
}

export async function setReady(api: ApiClient, { namespace, name }: Pod, ready: boolean): Promise<void> {
  const status = ready ? 'True' : 'False';
  const time = new Date().toISOString();
  await api.patch(`/api/v1/namespaces/${namespace}/pods/${name}/status`, {
    status: {
      phase: 'Running',
      podIP: '127.1.2.3',
      startTime: time,
      conditions: [{ type: 'Ready', status, lastTransitionTime: time }],
    },
  });
}

/** Resolves with the ms it took. */
export async function setAllReady(api: ApiClient, pods: readonly Pod[], ready: boolean): Promise<number> {
  const beginMs = performance.now();
  await inParallel(pods, (pod) => setReady(api, pod, ready));
  return performance.now() - beginMs;
}

async function inParallel<T>(items: readonly T[], work: (item: T) => Promise<unknown>): Promise<void> {
  const rest = items.values();
  await Promise.all(
    Array.from({ length: IN_FLIGHT }, async () => {
      for (const item of rest) await work(item);
    }),
  );
}

const namespaceName = (namespace: number): string => `team-${namespace}`;
// The first namespace that asks for a name has it.
const serviceName = (namespace: number, service: number): string => `trading-${namespace}-${service}-service`;
