/** Creates nodes for kwok to play, through the API, and waits until they are Ready. */
import { type ApiClient, ApiError, type KubeObject } from './api-client.ts';
import { waitFor } from './wait.ts';

/** kwok plays the nodes whose annotation names its group. */
export const groupAnnotation = 'kwok.x-k8s.io/node';
export const defaultGroup = 'fake';

export type NodeOptions = {
  /** Which kwok plays them (`startKwok(group)`); default `fake`. */
  readonly group?: string;
  /** Names are `{prefix}-{i}`; default `node`. */
  readonly prefix?: string;
  /** The first i; default 0. */
  readonly from?: number;
  readonly labels?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal | undefined;
};

type Node = KubeObject & {
  readonly status: { readonly conditions?: readonly { readonly type: string; readonly status: string }[] };
};

/** Fits the 16,382 addresses of a node's range; the ranges suffice for 512 nodes. */
const podsPerNode = '10000';

/** Existing nodes of the same name are left as they are. Returns the names. */
export async function createNodes(
  api: ApiClient,
  count: number,
  { group = defaultGroup, prefix = 'node', from = 0, labels = {}, signal }: NodeOptions = {},
): Promise<readonly string[]> {
  const names: string[] = [];
  let index = (await api.list('/api/v1/nodes')).length;
  for (let i = from; i < from + count; i += 1) {
    const name = `${prefix}-${i}`;
    names.push(name);
    await createNode(api, { name, index, group, labels });
    index += 1;
  }
  await waitFor(
    `${count} nodes to be Ready`,
    async () => {
      const nodes = await api.list<Node>('/api/v1/nodes');
      const ready = new Set(nodes.filter(isReady).map((node) => node.metadata.name));
      return names.every((name) => ready.has(name));
    },
    { deadlineMs: 30_000, signal },
  );
  return names;
}

function isReady(node: Node): boolean {
  return node.status.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') ?? false;
}

type NewNode = {
  readonly name: string;
  /** Of all nodes, for addresses that differ. */
  readonly index: number;
  readonly group: string;
  readonly labels: Readonly<Record<string, string>>;
};

async function createNode(api: ApiClient, { name, index, group, labels }: NewNode): Promise<void> {
  const capacity = { cpu: '10000', memory: '10Ti', 'ephemeral-storage': '10Ti', pods: podsPerNode };
  const node = {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: {
      name,
      annotations: { [groupAnnotation]: group },
      labels: { 'kubernetes.io/hostname': name, 'kubernetes.io/os': 'linux', type: 'kwok', ...labels },
    },
    // A range of its own per node, because two kwoks would give the same addresses out of a common one. All of them are
    // this machine's: an operator under test probes its pods, and must not reach anybody else's hosts.
    spec: { podCIDR: `127.${128 + (index >> 2)}.${(index & 3) * 64}.0/18` },
    status: {
      capacity,
      allocatable: capacity,
      addresses: [
        { type: 'InternalIP', address: `127.16.${index >> 8}.${index & 255}` },
        { type: 'Hostname', address: name },
      ],
      nodeInfo: {
        architecture: 'amd64',
        bootID: '',
        containerRuntimeVersion: 'kwok',
        kernelVersion: 'kwok',
        kubeProxyVersion: '',
        kubeletVersion: 'kwok',
        machineID: '',
        operatingSystem: 'linux',
        osImage: 'kwok',
        systemUUID: '',
      },
    },
  };
  try {
    await api.post('/api/v1/nodes', node);
  } catch (error) {
    if (!(error instanceof ApiError && error.reason === 'AlreadyExists')) throw error;
  }
}
