/** The ground that the other integration tests stand on: a real control plane with kwok, and real nats-servers. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { connect } from '@nats-io/transport-node';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { ApiError, type KubeObject } from '../../hack/control-plane/api-client.ts';
import { type ControlPlane, startControlPlane } from '../../hack/control-plane/control-plane.ts';
import { startNats, startNatsCluster } from '../../hack/control-plane/nats.ts';
import { createNodes } from '../../hack/control-plane/nodes.ts';
import { type OwnedProcess, StartError } from '../../hack/control-plane/owned-process.ts';
import { processStartTime } from '../../hack/control-plane/process-identity.ts';
import { end, identify, isAlive } from '../../hack/control-plane/run-state.ts';
import { waitFor } from '../../hack/control-plane/wait.ts';

type Pod = KubeObject & {
  readonly spec: { readonly nodeName?: string };
  readonly status: {
    readonly phase: string;
    readonly podIP?: string;
    readonly startTime?: string;
    readonly conditions?: readonly { type: string; status: string; reason?: string; lastTransitionTime: string }[];
    readonly containerStatuses?: readonly {
      readonly image: string;
      readonly ready: boolean;
      readonly state: { readonly running?: { readonly startedAt: string } };
    }[];
  };
};

// Deadlines are those of the waits; this one is for a machine under load.
vi.setConfig({ testTimeout: 60_000 });

/** The first call may have to build the servers. */
const buildMs = 900_000;

const pods = '/api/v1/namespaces/trading/pods';
const deployments = '/apis/apps/v1/namespaces/trading/deployments';

let dir: string;
let cluster: ControlPlane;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'rollcall-control-plane-'));
  cluster = await startControlPlane({ dir });
  await createNodes(cluster.api(), 2);
  await cluster.createNamespace('trading');
}, buildMs);

afterAll(async () => {
  await cluster?.stop();
  await rm(dir, { recursive: true, force: true });
});

describe('pods on kwok', () => {
  test('a Deployment of three gets Ready with addresses, images and times', async () => {
    await cluster.api().post(deployments, aDeployment('orders', 3));
    const created = performance.now();
    const ready = await waitFor('three Ready pods', async () => {
      const found = (await podsOf('orders')).filter(isReady);
      return found.length === 3 && found;
    });
    expect(performance.now() - created).toBeLessThan(5_000);
    expect(new Set(ready.map((pod) => pod.status.podIP)).size).toBe(3);
    for (const { spec, status } of ready) {
      expect(spec.nodeName).toMatch(/^node-[01]$/);
      expect(status.phase).toBe('Running');
      expect(status.podIP).toMatch(/^127\.128\./);
      expect(Date.parse(status.startTime ?? '')).not.toBeNaN();
      expect(status.containerStatuses?.map(({ image, ready }) => ({ image, ready }))).toEqual([
        { image: 'registry.example/orders:1.4.2', ready: true },
      ]);
      expect(Date.parse(status.containerStatuses?.[0]?.state.running?.startedAt ?? '')).not.toBeNaN();
      // One write made it Ready: no condition came later than the start.
      expect(condition({ status }, 'Ready')?.lastTransitionTime).toBe(status.startTime);
      for (const type of ['Ready', 'ContainersReady', 'Initialized', 'PodScheduled']) {
        expect(condition({ status }, type)?.status, type).toBe('True');
        expect(Date.parse(condition({ status }, type)?.lastTransitionTime ?? ''), type).not.toBeNaN();
      }
    }
    await waitFor('the Deployment to count them', async () => (await readyReplicas('orders')) === 3);
  });

  test.each([
    ['removed', null],
    ['set to "true"', 'true'],
  ])('the annotation demo-ready makes a pod not Ready, and Ready again when %s', async (_, restored) => {
    await cluster.api().post(pods, aPod(`flapping-${restored}`));
    const path = `${pods}/flapping-${restored}`;
    await waitFor('Ready', async () => isReady(await cluster.api().get<Pod>(path)));
    await cluster.api().patch(path, { metadata: { annotations: { 'rollcall.dev/demo-ready': 'false' } } });
    const unready = await waitFor('not Ready', async () => {
      const pod = await cluster.api().get<Pod>(path);
      return condition(pod, 'Ready')?.status === 'False' && pod;
    });
    expect(unready.status.phase).toBe('Running');
    expect(condition(unready, 'ContainersReady')).toMatchObject({ status: 'False', reason: 'ContainersNotReady' });
    expect(unready.status.containerStatuses?.[0]?.ready).toBe(false);
    await cluster.api().patch(path, { metadata: { annotations: { 'rollcall.dev/demo-ready': restored } } });
    const again = await waitFor('Ready again', async () => {
      const pod = await cluster.api().get<Pod>(path);
      return isReady(pod) && pod;
    });
    expect(condition(again, 'Ready')?.reason).toBeUndefined();
    expect(again.status.podIP).toBe(unready.status.podIP);
  });

  test('a pod with a readiness gate is Ready only while its condition is True', async () => {
    const gate = 'rollcall.dev/registered';
    await cluster.api().post(pods, aPod('gated', { spec: { readinessGates: [{ conditionType: gate }] } }));
    const readyIs = (status: string) =>
      waitFor(
        `Ready=${status}`,
        async () => condition(await cluster.api().get<Pod>(`${pods}/gated`), 'Ready')?.status === status,
      );
    const setGate = (status: string) =>
      cluster.api().patch(`${pods}/gated/status`, { status: { conditions: [{ type: gate, status }] } }, 'strategic');
    await readyIs('False');
    await setGate('True');
    await readyIs('True');
    await setGate('False');
    await readyIs('False');
  });

  test('a pod takes the address it asks for', async () => {
    await cluster.api().post(pods, aPod('local', { annotations: { 'rollcall.dev/demo-ip': '127.1.2.3' } }));
    const pod = await waitFor('Ready', async () => {
      const found = await cluster.api().get<Pod>(`${pods}/local`);
      return isReady(found) && found;
    });
    expect(pod.status.podIP).toBe('127.1.2.3');
  });

  test('a pod of a Job completes', async () => {
    const template = aPod('', {
      annotations: { 'rollcall.dev/demo-complete': 'true' },
      spec: { restartPolicy: 'Never' },
    });
    await cluster
      .api()
      .post('/apis/batch/v1/namespaces/trading/jobs', { metadata: { name: 'report' }, spec: { template } });
    await waitFor('the Job to be complete', async () => {
      const job = await cluster
        .api()
        .get<{ status: { succeeded?: number } }>('/apis/batch/v1/namespaces/trading/jobs/report');
      return job.status.succeeded === 1;
    });
  });

  test('a deleted pod goes at once, also with a finalizer', async () => {
    await cluster.api().post(pods, aPod('leaving', { finalizers: ['rollcall.dev/test'] }));
    await waitFor('Ready', async () => isReady(await cluster.api().get<Pod>(`${pods}/leaving`)));
    await cluster.api().delete(`${pods}/leaving`);
    await waitFor('it to be gone', async () => (await cluster.api().find(`${pods}/leaving`)) === undefined, {
      deadlineMs: 3_000,
    });
  });

  test('a lingering pod stays Terminating for its time', async () => {
    await cluster.api().post(pods, aPod('lingering', { annotations: { 'rollcall.dev/demo-linger': '1s' } }));
    await waitFor('Ready', async () => isReady(await cluster.api().get<Pod>(`${pods}/lingering`)));
    const deleted = performance.now();
    await cluster.api().delete(`${pods}/lingering`);
    expect(await cluster.api().get(`${pods}/lingering`)).toHaveProperty('metadata.deletionTimestamp');
    await waitFor('it to be gone', async () => (await cluster.api().find(`${pods}/lingering`)) === undefined);
    expect(performance.now() - deleted).toBeGreaterThan(900);
  });
});

test('one more kwok plays its own nodes only, so that they can be lost alone', async () => {
  const other = await cluster.startKwok('other');
  await createNodes(cluster.api(), 1, { group: 'other', prefix: 'other' });
  await other.kill();
  const late = createNodes(cluster.api(), 1, { group: 'other', prefix: 'other', from: 1 });
  await createNodes(cluster.api(), 1, { from: 2 });
  expect(await Promise.race([late, silence(500)])).toBe('silent');
  await other.restart();
  expect(await late).toEqual(['other-1']);
});

describe('the API', () => {
  test.each(['viewer', 'rollcall'])('denies an ordinary user without a binding: %s', async (user) => {
    const refusal = await cluster
      .api(user)
      .list(pods)
      .catch((error: unknown) => error);
    expect(refusal).toBeInstanceOf(ApiError);
    expect(refusal).toMatchObject({ status: 403, reason: 'Forbidden' });
    const { code, stderr } = await cluster.kubectl(['get', 'pods', '-n', 'trading'], { user });
    expect(code).toBe(1);
    expect(stderr).toContain(`User "${user}" cannot list resource "pods"`);
  });

  test('keeps its objects when it is killed and restarted, on the same address, and the rest works on', async () => {
    const before = await cluster.api().post('/api/v1/namespaces/trading/configmaps', { metadata: { name: 'kept' } });
    const server = cluster.process('kube-apiserver');
    const { pid } = server;
    await server.kill();
    await expect(cluster.api().get('/api/v1/namespaces/trading/configmaps/kept')).rejects.toThrow();
    await server.restart();
    expect(server.pid).not.toBe(pid);
    const after = await cluster.api().get('/api/v1/namespaces/trading/configmaps/kept');
    expect(after.metadata.uid).toBe(before.metadata.uid);
    await cluster.api().post(deployments, aDeployment('after', 1));
    await waitFor('a new pod to be Ready', async () => (await podsOf('after')).some(isReady), { deadlineMs: 30_000 });
    expect(cluster.processes.filter(({ running }) => !running)).toEqual([]);
  });

  test('answers nothing while it is paused, and again when it is resumed', async () => {
    const server = cluster.process('kube-apiserver');
    server.pause();
    const answer = cluster.api().text('/readyz');
    expect(await Promise.race([answer, silence(300)])).toBe('silent');
    server.resume();
    expect(await answer).toBe('ok');
  });
});

describe('nats-server', () => {
  test('three servers elect a meta leader, and another one when it is killed', async () => {
    await using nats = await startNatsCluster({ dir });
    const first = await nats.metaLeader();
    expect(nats.servers.map(({ name }) => name)).toContain(first);
    await nats.server(first ?? '').process.kill();
    const second = await waitFor(
      'another leader',
      async () => {
        const leader = await nats.metaLeader();
        return leader !== first && leader;
      },
      { deadlineMs: 20_000 },
    );
    expect(second).not.toBe(first);
    await nats.server(first ?? '').process.restart();
  });

  test('one server is restarted on its port', async () => {
    await using server = await startNats({ dir, name: 'single' });
    await server.process.restart();
    await using client = await connectTo(server.url);
    expect(client.info).toMatchObject({ jetstream: true, server_name: 'single', port: server.port });
  });

  test('the old one answers as 2.10', async () => {
    await using server = await startNats({ dir, name: 'old', binary: 'old' });
    await using client = await connectTo(server.url);
    expect(client.info?.version).toMatch(/^2\.10\./);
  });
});

describe('processes', () => {
  test('servers end with the process that started them, also when it is killed', async () => {
    const module = fileURLToPath(new URL('../../hack/control-plane/nats.ts', import.meta.url));
    const script = `const { startNats } = await import(${JSON.stringify(module)});
      const { process } = await startNats({ dir: ${JSON.stringify(dir)}, name: 'orphan' });
      console.log(process.pid);
      process.pause();`;
    const parent = spawn(process.execPath, ['--input-type=module', '--eval', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [output]: unknown[] = await once(parent.stdout, 'data');
    const orphan = Number(String(output));
    expect(processStartTime(orphan)).toBeDefined();
    parent.kill('SIGKILL');
    await waitFor('the server to end', () => processStartTime(orphan) === undefined);
  });

  test('a server that does not start says why, with its log', async () => {
    const taken = await startNats({ dir, name: 'taken' });
    const failure = await startNats({ dir, name: 'second', port: taken.port }).catch((error: unknown) => error);
    await taken.stop();
    expect(failure).toBeInstanceOf(StartError);
    expect(failure).toMatchObject({ kind: 'portInUse', process: 'second' });
    expect(failure).toHaveProperty('message', expect.stringContaining('address already in use'));
  });

  test('an abort while starting ends what was started', async () => {
    const abort = new AbortController();
    const pids: number[] = [];
    const onStart = ({ name, pid }: OwnedProcess) => {
      pids.push(pid);
      if (name === 'kube-apiserver') abort.abort();
    };
    const start = startControlPlane({ dir: join(dir, 'aborted'), signal: abort.signal, onStart });
    await expect(start).rejects.toThrow('aborted');
    expect(pids).toHaveLength(2);
    expect(pids.map(processStartTime)).toEqual([undefined, undefined]);
  });

  test('a pid that means another process now is not ended', async () => {
    const recycled = { name: 'recycled', pid: process.pid, startTime: 'earlier' };
    expect(isAlive(recycled)).toBe(false);
    expect(await end(recycled)).toBe(false);
    const own = identify('own', process.pid);
    expect(own !== undefined && isAlive(own)).toBe(true);
  });
});

const silence = (ms: number) => new Promise<string>((resolve) => setTimeout(() => resolve('silent'), ms));

async function connectTo(url: string) {
  const connection = await connect({ servers: url });
  return { info: connection.info, [Symbol.asyncDispose]: () => connection.close() };
}

const podsOf = (app: string) => cluster.api().list<Pod>(`${pods}?labelSelector=app%3D${app}`);

async function readyReplicas(name: string): Promise<number | undefined> {
  const { status } = await cluster.api().get<{ status: { readyReplicas?: number } }>(`${deployments}/${name}`);
  return status.readyReplicas;
}

function condition({ status }: Pick<Pod, 'status'>, type: string) {
  return status.conditions?.find((found) => found.type === type);
}

const isReady = (pod: Pod) => condition(pod, 'Ready')?.status === 'True';

function aPod(
  name: string,
  { spec = {}, ...metadata }: { spec?: object; annotations?: object; finalizers?: string[] } = {},
) {
  return {
    metadata: { name, ...metadata },
    spec: { containers: [{ name: 'main', image: 'registry.example/orders:1.4.2' }], ...spec },
  };
}

function aDeployment(app: string, replicas: number) {
  const { spec } = aPod(app);
  return {
    metadata: { name: app },
    spec: { replicas, selector: { matchLabels: { app } }, template: { metadata: { labels: { app } }, spec } },
  };
}
