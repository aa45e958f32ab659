// The main path on a real control plane: annotate or declare, and the registry follows the pods. Times are measured from
// the moment at which the API told the test's own watch; the figures are those of the contract.

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { waitFor } from '../../../hack/control-plane/wait.ts';
import { type KubeApi, openKubeApi } from '../../e2e/kube-api.ts';
import { PodWatch } from '../../e2e/pod-watch.ts';
import type { OperatorProcess } from '../../support/operator-process.ts';
import type { Sighting, StreamObserver } from '../../support/stream-observer.ts';
import { breaches } from '../../support/stream-verdicts.ts';
import * as objects from './objects.ts';
import { registrationsPath, START_MS, Stage } from './stage.ts';

const REACTION_MS = 2_000;
/** TTL, the server's delay of a lapse, and the way to us. */
const LAPSE_MS = 31_000;
const { REGISTER, createWorkload, createPod, createRegistration, setReady, untilReadyPods, workloadsPath } = objects;
const QUICK = { 'rollcall.dev/ttl': '6s', 'rollcall.dev/refresh-interval': '2s' };

let stage: Stage;
let observer: StreamObserver;
let operator: OperatorProcess;
let watchApi: KubeApi;
const watches = new Map<string, PodWatch>();

beforeAll(async () => {
  stage = await Stage.open();
  operator = await stage.startOperator({ await: 'readyz' });
  observer = await stage.observe();
  watchApi = await openKubeApi(stage.cluster.kubeconfig);
}, START_MS);

afterAll(async () => {
  await Promise.all([...watches.values()].map((watch) => watch.stop()));
  await watchApi?.close();
  await stage?.close();
});

/** A namespace of the test's own, watched. */
const aNamespace = async (name: string): Promise<string> => {
  await stage.cluster.createNamespace(name);
  watches.set(name, new PodWatch(watchApi, name));
  return name;
};

const keyOf = (service: string, uid: string): string => `service-instances.${service}.${service}-${uid.slice(0, 8)}`;

/** When the API first told the watch, at or after `sinceMs`, that the pod is so. */
const apiTold = (
  namespace: string,
  uid: string,
  fits: (sighting: { ready: boolean; deleting: boolean; removed: boolean }) => boolean,
  sinceMs = 0,
): Promise<number> =>
  waitFor(`the API to tell of pod ${uid}`, () => {
    return watches
      .get(namespace)
      ?.of(uid)
      .find((sighting) => sighting.atMs >= sinceMs && fits(sighting))?.atMs;
  });

const toldReady = (namespace: string, uid: string, sinceMs = 0) =>
  apiTold(namespace, uid, ({ ready, deleting }) => ready && !deleting, sinceMs);
/** After it was Ready, or after `sinceMs`. */
const toldUnready = async (namespace: string, uid: string, sinceMs?: number) => {
  const fits = ({ ready, deleting, removed }: { ready: boolean; deleting: boolean; removed: boolean }) =>
    !ready || deleting || removed;
  return apiTold(namespace, uid, fits, sinceMs ?? (await toldReady(namespace, uid)));
};

const statusOf = (sighting: Sighting | undefined) => sighting?.value?.status;
const untilStatus = (key: string, status: string, from = 0, deadlineMs = 10_000) =>
  observer.until(`${key} ${status}`, (sighting) => sighting.key === key && statusOf(sighting) === status, {
    from,
    deadlineMs,
  });
const untilGone = (key: string, from = 0, deadlineMs = LAPSE_MS + 5_000) =>
  observer.until(`${key} gone`, (sighting) => sighting.key === key && sighting.operation !== 'PUT', {
    from,
    deadlineMs,
  });

const uidOf = (pod: objects.Pod) => pod.metadata.uid;
const stamp = (text: string | undefined) =>
  `${new Date(Date.parse(text ?? '') + 8 * 3_600_000).toISOString().slice(0, -1)}+08:00`;

/** A registered workload: its pods and their keys. */
const aRegistered = async (namespace: string, name: string, options: objects.WorkloadOptions = {}) => {
  await createWorkload(stage.api, namespace, name, options);
  const pods = await untilReadyPods(stage.api, namespace, name, options.replicas ?? 1);
  const keys = pods.map((pod) => keyOf(name, uidOf(pod)));
  await waitFor(`the keys of ${name}`, () => keys.every((key) => statusOf(observer.live.get(key)) === 'ACTIVE'));
  return pods.map((pod) => ({ pod, uid: uidOf(pod), key: keyOf(name, uidOf(pod)) }));
};

describe.concurrent('an annotated Deployment', () => {
  test('gets an owned resource, and its pods their keys within 2 s of Ready, exactly as in the contract', async () => {
    const namespace = await aNamespace('deployed');
    const workload = await createWorkload(stage.api, namespace, 'trading-service', { replicas: 3 });
    const pods = await untilReadyPods(stage.api, namespace, 'trading-service', 3);
    for (const pod of pods) {
      const key = keyOf('trading-service', uidOf(pod));
      const first = await untilStatus(key, 'ACTIVE');
      expect(first.atMs - (await toldReady(namespace, uidOf(pod)))).toBeLessThan(REACTION_MS);
      expect(first.body).toBe(
        JSON.stringify({
          serviceName: 'trading-service',
          instanceId: `trading-service-${uidOf(pod).slice(0, 8)}`,
          version: '1.4.2',
          status: 'ACTIVE',
          lastHeartbeat: first.value?.lastHeartbeat,
          stickyActiveGroup: null,
          metadata: {
            start_time: stamp(pod.status.startTime),
            namespace,
            pod: pod.metadata.name,
            node: pod.spec.nodeName,
            ip: pod.status.podIP,
            port: 8080,
          },
        }),
      );
      expect(Math.abs(Date.parse(first.value?.lastHeartbeat ?? '') - first.storedAtMs)).toBeLessThan(1_000);
      expect(first.value?.lastHeartbeat).toMatch(/\+08:00$/);
      const kubeSystem = await stage.api.get('/api/v1/namespaces/kube-system');
      expect(first.headers).toMatchObject({
        'Nats-TTL': '30',
        'Rollcall-Owner': `${kubeSystem.metadata.uid}/${namespace}/${pod.metadata.name}/${uidOf(pod)}`,
        'Rollcall-Schema': '1',
        'Rollcall-Reason': 'Registered',
        'Rollcall-Term': observer.lock?.headers['Rollcall-Term'],
      });
    }
    const owned = await stage.registration(namespace, 'trading-service');
    expect(owned?.metadata).toMatchObject({
      labels: { 'app.kubernetes.io/managed-by': 'rollcall' },
      ownerReferences: [
        { kind: 'Deployment', uid: workload.metadata.uid, controller: true, blockOwnerDeletion: false },
      ],
    });
    expect(owned?.spec['selector']).toEqual({ matchLabels: { app: 'trading-service' } });
  }, 60_000);

  test('is refreshed each interval with its TTL, and its status is not written meanwhile', async () => {
    const namespace = await aNamespace('refreshed');
    const instances = await aRegistered(namespace, 'quiet-service', { replicas: 2 });
    await stage.untilCondition(namespace, 'quiet-service', 'Ready', 'Registered');
    const before = await stage.registration(namespace, 'quiet-service');
    // Settled only when two writes' worth of time brought nothing new.
    const settled = await waitFor(
      'the status to settle',
      async () => {
        const first = (await stage.registration(namespace, 'quiet-service'))?.metadata.resourceVersion;
        await new Promise((resolve) => setTimeout(resolve, 2_500));
        const second = (await stage.registration(namespace, 'quiet-service'))?.metadata.resourceVersion;
        return first === second ? second : undefined;
      },
      { deadlineMs: 15_000 },
    );
    const from = observer.mark();
    // Time itself is the subject: 15 s of refreshing hold at least one refresh of each key, 25 s two.
    await new Promise((resolve) => setTimeout(resolve, 25_000));
    expect((await stage.registration(namespace, 'quiet-service'))?.metadata.resourceVersion).toBe(settled);
    expect(before?.status?.ready).toBe('2/2');
    for (const { key } of instances) {
      const refreshes = observer.history(key).slice(1);
      for (const refresh of refreshes) {
        expect(refresh.headers).toMatchObject({ 'Nats-TTL': '30', 'Rollcall-Reason': 'Refresh' });
      }
      const recent = observer.messages.slice(from).filter((sighting) => sighting.key === key);
      expect(recent.length, `refreshes of ${key} in 25 s`).toBeGreaterThanOrEqual(2);
      expect(recent.length, `refreshes of ${key} in 25 s`).toBeLessThanOrEqual(3);
      const history = observer.history(key);
      history.slice(1).forEach((sighting, index) => {
        expect(sighting.storedAtMs - (history[index]?.storedAtMs ?? 0)).toBeLessThan(10_800);
      });
    }
  }, 90_000);

  test('shows a pod that is not Ready as UNHEALTHY and one that is Ready again as ACTIVE, each within 2 s', async () => {
    const namespace = await aNamespace('flapping');
    const [instance] = await aRegistered(namespace, 'flapping-service', { replicas: 2 });
    if (instance === undefined) throw new Error('no instance');
    const { pod, uid, key } = instance;
    const from = observer.mark();
    const sinceMs = performance.now();
    await setReady(stage.api, pod, false);
    const down = await untilStatus(key, 'UNHEALTHY', from);
    const downToldMs = await toldUnready(namespace, uid, sinceMs);
    expect(down.atMs - downToldMs).toBeLessThan(REACTION_MS);
    expect(down.headers).toMatchObject({ 'Nats-TTL': '30', 'Rollcall-Reason': 'NotReady' });
    const back = observer.mark();
    await setReady(stage.api, pod, true);
    const up = await untilStatus(key, 'ACTIVE', back);
    expect(up.atMs - (await toldReady(namespace, uid, downToldMs))).toBeLessThan(REACTION_MS);
    await stage.untilEvent(namespace, `Pod/${pod.metadata.name}`, 'Unhealthy');
    await stage.untilEvent(namespace, `Pod/${pod.metadata.name}`, 'Recovered');
    await stage.untilEvent(namespace, 'ServiceRegistration/flapping-service', 'Registered');
  }, 60_000);

  test('shows a deleted pod as UNHEALTHY within 2 s, once, and has it gone within 31 s', async () => {
    const namespace = await aNamespace('deleting');
    const [instance] = await aRegistered(namespace, 'deleting-service');
    if (instance === undefined) throw new Error('no instance');
    const { pod, uid, key } = instance;
    const from = observer.mark();
    await objects.deletePod(stage.api, pod);
    const down = await untilStatus(key, 'UNHEALTHY', from);
    const toldMs = await toldUnready(namespace, uid);
    expect(down.atMs - toldMs).toBeLessThan(REACTION_MS);
    expect(down.headers['Rollcall-Reason']).toBe('Terminating');
    const gone = await untilGone(key, from);
    expect(gone.operation).toBe('MaxAge');
    expect(gone.atMs - toldMs).toBeLessThan(LAPSE_MS + REACTION_MS);
    expect(gone.storedAtMs - down.storedAtMs).toBeLessThanOrEqual(LAPSE_MS - 500);
    const after = observer.messages.slice(from).filter((sighting) => sighting.key === key);
    expect(after.map(({ operation }) => operation)).toEqual(['PUT', 'MaxAge']);
    // Its successor has a key of its own.
    const [successor] = await untilReadyPods(stage.api, namespace, 'deleting-service', 1);
    await untilStatus(keyOf('deleting-service', successor === undefined ? '' : uidOf(successor)), 'ACTIVE');
  }, 90_000);

  test('scaled to zero leaves no key, and says so', async () => {
    const namespace = await aNamespace('scaled');
    const instances = await aRegistered(namespace, 'scaled-service', {
      replicas: 3,
      annotations: { ...REGISTER, ...QUICK },
    });
    const from = observer.mark();
    await stage.api.patch(`${workloadsPath(namespace, 'Deployment')}/scaled-service`, { spec: { replicas: 0 } });
    for (const { key, uid } of instances) {
      const down = await untilStatus(key, 'UNHEALTHY', from);
      expect(down.atMs - (await toldUnready(namespace, uid))).toBeLessThan(REACTION_MS);
      expect(down.headers['Nats-TTL']).toBe('6');
    }
    for (const { key } of instances) await untilGone(key, from, 10_000);
    await stage.untilCondition(namespace, 'scaled-service', 'Ready', 'NoPodsSelected');
  }, 60_000);

  test('with another image registers the new version within 2 s of the new pod Ready', async () => {
    const namespace = await aNamespace('updated');
    await aRegistered(namespace, 'updated-service');
    await stage.api.patch(
      `${workloadsPath(namespace, 'Deployment')}/updated-service`,
      { spec: { template: { spec: { containers: [{ name: 'app', image: 'registry.invalid/app:v2.0' }] } } } },
      'strategic',
    );
    const fresh = await observer.until(
      'version 2.0.0',
      ({ key, value }) => key?.startsWith('service-instances.updated-service.') === true && value?.version === '2.0.0',
      { deadlineMs: 20_000 },
    );
    expect(fresh.atMs - (await toldReady(namespace, fresh.podUid))).toBeLessThan(REACTION_MS);
    expect(fresh.value?.metadata['sourceVersion']).toBe('v2.0');
    await stage.untilCondition(namespace, 'updated-service', 'Degraded', 'VersionNormalised');
  }, 60_000);

  test('whose annotation is removed loses its resource and its keys', async () => {
    const namespace = await aNamespace('unannotated');
    const [instance] = await aRegistered(namespace, 'unannotated-service', { annotations: { ...REGISTER, ...QUICK } });
    if (instance === undefined) throw new Error('no instance');
    const from = observer.mark();
    await stage.api.patch(`${workloadsPath(namespace, 'Deployment')}/unannotated-service`, {
      metadata: { annotations: { 'rollcall.dev/register': null } },
    });
    await waitFor(
      'the owned resource to go',
      async () => (await stage.registration(namespace, 'unannotated-service')) === undefined,
    );
    const down = await untilStatus(instance.key, 'UNHEALTHY', from);
    expect(down.headers['Rollcall-Reason']).toBe('Deselected');
    await untilGone(instance.key, from, 10_000);
  }, 60_000);

  test('that is deleted takes its resource and its keys along', async () => {
    const namespace = await aNamespace('dropped');
    const instances = await aRegistered(namespace, 'dropped-service', {
      replicas: 2,
      annotations: { ...REGISTER, ...QUICK },
    });
    const from = observer.mark();
    await stage.api.delete(`${workloadsPath(namespace, 'Deployment')}/dropped-service`, {
      propagationPolicy: 'Background',
    });
    for (const { key } of instances) await untilGone(key, from, 15_000);
    await waitFor('the owned resource to go', async () => {
      return (await stage.registration(namespace, 'dropped-service')) === undefined;
    });
  }, 60_000);
});

describe.concurrent('when a pod is not Ready', () => {
  test('Lapse writes nothing more and lets the key run out', async () => {
    const namespace = await aNamespace('lapsing');
    const annotations = { ...REGISTER, ...QUICK, 'rollcall.dev/when-not-ready': 'Lapse' };
    const [instance] = await aRegistered(namespace, 'lapsing-service', { annotations });
    if (instance === undefined) throw new Error('no instance');
    const { pod, uid, key } = instance;
    await setReady(stage.api, pod, false);
    const toldMs = await toldUnready(namespace, uid);
    const gone = await untilGone(key, 0, 12_000);
    expect(gone.operation).toBe('MaxAge');
    const history = observer.history(key);
    const last = history.at(-2);
    expect(statusOf(last)).toBe('ACTIVE');
    // A refresh that was under way may come after.
    expect((last?.atMs ?? 0) - toldMs).toBeLessThan(500);
    expect(gone.storedAtMs - (last?.storedAtMs ?? 0)).toBeLessThanOrEqual(6_500);
    const from = observer.mark();
    await setReady(stage.api, pod, true);
    const up = await untilStatus(key, 'ACTIVE', from);
    expect(up.atMs - (await toldReady(namespace, uid, toldMs))).toBeLessThan(REACTION_MS);
  }, 60_000);

  test('Remove purges the key at once, with a marker that runs out', async () => {
    const namespace = await aNamespace('removing');
    const annotations = { ...REGISTER, 'rollcall.dev/when-not-ready': 'Remove' };
    const [instance] = await aRegistered(namespace, 'removing-service', { annotations });
    if (instance === undefined) throw new Error('no instance');
    const from = observer.mark();
    await objects.deletePod(stage.api, instance.pod);
    const gone = await untilGone(instance.key, from, 5_000);
    expect(gone.atMs - (await toldUnready(namespace, instance.uid))).toBeLessThan(REACTION_MS);
    expect(gone.headers).toMatchObject({ 'KV-Operation': 'PURGE', 'Nats-Rollup': 'sub', 'Nats-TTL': '60' });
  }, 60_000);
});

describe.concurrent('other workloads', () => {
  test.for<objects.WorkloadKind>(['StatefulSet', 'DaemonSet'])('an annotated %s is registered', {
    timeout: 60_000,
  }, async (kind) => {
    const namespace = await aNamespace(kind.toLowerCase());
    const name = `some-${kind.toLowerCase()}`;
    await createWorkload(stage.api, namespace, name, { kind, replicas: 2 });
    const pods = await untilReadyPods(stage.api, namespace, name, 2);
    for (const pod of pods) {
      const first = await untilStatus(keyOf(name, uidOf(pod)), 'ACTIVE');
      expect(first.atMs - (await toldReady(namespace, uidOf(pod)))).toBeLessThan(REACTION_MS);
    }
    expect((await stage.registration(namespace, name))?.metadata).toMatchObject({ ownerReferences: [{ kind, name }] });
  });

  test('an annotated pod template is enough', async () => {
    const namespace = await aNamespace('templated');
    await createWorkload(stage.api, namespace, 'templated-service', { annotations: {}, podAnnotations: REGISTER });
    const [pod] = await untilReadyPods(stage.api, namespace, 'templated-service', 1);
    await untilStatus(keyOf('templated-service', pod === undefined ? '' : uidOf(pod)), 'ACTIVE');
  }, 60_000);

  test('an annotated bare pod gets a resource of its service, which goes with it', async () => {
    const namespace = await aNamespace('bare');
    const annotations = { ...REGISTER, 'rollcall.dev/service-name': 'bare-service' };
    const pod = await createPod(stage.api, namespace, 'bare', { annotations });
    const key = keyOf('bare-service', uidOf(pod));
    const first = await untilStatus(key, 'ACTIVE');
    expect(first.atMs - (await toldReady(namespace, uidOf(pod)))).toBeLessThan(REACTION_MS);
    const owned = await stage.registration(namespace, 'bare-service');
    expect(owned?.metadata).toMatchObject({ ownerReferences: [{ kind: 'Pod', uid: uidOf(pod) }] });
    expect(owned?.spec['selector']).toBeUndefined();
    await objects.deletePod(stage.api, pod);
    await untilStatus(key, 'UNHEALTHY');
    await waitFor(
      'the resource to go',
      async () => (await stage.registration(namespace, 'bare-service')) === undefined,
    );
  }, 60_000);
});

describe.concurrent('a resource written by a person', () => {
  test('registers what it selects and is never written but for its status', async () => {
    const namespace = await aNamespace('written');
    const spec = {
      selector: { matchLabels: { app: 'written' } },
      version: { value: '3.2.1' },
      metadata: { team: 'rates' },
    };
    const made = await createRegistration(stage.api, namespace, 'written-service', spec);
    const pod = await createPod(stage.api, namespace, 'written');
    const first = await untilStatus(keyOf('written-service', uidOf(pod)), 'ACTIVE');
    expect(first.value).toMatchObject({ version: '3.2.1', metadata: { team: 'rates' } });
    await stage.untilCondition(namespace, 'written-service', 'Ready', 'Registered');
    const now = await stage.registration(namespace, 'written-service');
    expect(now?.spec).toEqual(made.spec);
    expect(now?.metadata.generation).toBe(made.metadata.generation);
    expect(now?.metadata.labels).toEqual(made.metadata.labels);
    expect(now?.metadata.annotations).toEqual(made.metadata.annotations);
  }, 60_000);

  test('beats an owned one, which is deleted, and leaves no gap', async () => {
    const namespace = await aNamespace('beaten');
    const [instance] = await aRegistered(namespace, 'beaten-service', { podLabels: { tier: 'front' } });
    if (instance === undefined) throw new Error('no instance');
    const spec = {
      serviceName: 'beaten-service',
      selector: { matchLabels: { tier: 'front' } },
      metadata: { by: 'hand' },
    };
    await createRegistration(stage.api, namespace, 'by-hand', spec);
    await waitFor(
      'the owned resource to go',
      async () => (await stage.registration(namespace, 'beaten-service')) === undefined,
    );
    await observer.until(
      'the value by hand',
      ({ key, value }) => key === instance.key && value?.metadata['by'] === 'hand',
    );
    await stage.untilCondition(namespace, 'by-hand', 'Ready', 'Registered');
    expect(observer.history(instance.key).every((sighting) => statusOf(sighting) === 'ACTIVE')).toBe(true);
  }, 60_000);

  test('that no longer selects a relabelled pod has its key go', async () => {
    const namespace = await aNamespace('relabelled');
    await createRegistration(stage.api, namespace, 'relabelled-service', {
      selector: { matchLabels: { app: 'relabelled' } },
      ttlSeconds: 6,
      refreshIntervalSeconds: 2,
    });
    const pod = await createPod(stage.api, namespace, 'relabelled');
    const key = keyOf('relabelled-service', uidOf(pod));
    await untilStatus(key, 'ACTIVE');
    const sinceMs = performance.now();
    await stage.api.patch(`${objects.podsPath(namespace)}/relabelled`, { metadata: { labels: { app: 'other' } } });
    const down = await untilStatus(key, 'UNHEALTHY');
    expect(down.atMs - sinceMs).toBeLessThan(REACTION_MS);
    expect(down.headers['Rollcall-Reason']).toBe('Deselected');
    await untilGone(key, 0, 10_000);
  }, 60_000);
});

test('an owned resource that somebody edited is put back', async () => {
  const namespace = await aNamespace('edited');
  const [instance] = await aRegistered(namespace, 'edited-service');
  const path = `${registrationsPath(namespace)}/edited-service`;
  // A value of ours changed, and one added beside it that we never wrote.
  await stage.api.patch(path, { spec: { selector: { matchLabels: { app: 'nobody', tier: 'none' } } } });
  await waitFor('the selector to be put back', async () => {
    const owned = await stage.registration(namespace, 'edited-service');
    return JSON.stringify(owned?.spec['selector']) === JSON.stringify({ matchLabels: { app: 'edited-service' } });
  });
  await stage.api.patch(path, { spec: { ttlSeconds: 60 } });
  await waitFor('the added field to go', async () => {
    return (await stage.registration(namespace, 'edited-service'))?.spec['ttlSeconds'] === undefined;
  });
  await waitFor('the key to stand', () => statusOf(observer.live.get(instance?.key ?? '')) === 'ACTIVE');
}, 60_000);

test('status, kubectl get, describe and wait agree with the bucket', async () => {
  const namespace = await aNamespace('told');
  const instances = await aRegistered(namespace, 'told-service', { replicas: 2 });
  const { cluster } = stage;
  await cluster.kubectlOk(['-n', namespace, 'wait', '--for=condition=Ready', '--timeout=10s', 'sreg/told-service']);
  const status = (await stage.registration(namespace, 'told-service'))?.status;
  expect(status).toMatchObject({
    serviceName: 'told-service',
    bucket: 'service-registry',
    ready: '2/2',
    effective: { ttlSeconds: 30, refreshIntervalSeconds: 10, keyLayout: 'Dotted', whenNotReady: 'MarkUnhealthy' },
    instances: { selected: 2, registered: 2, active: 2, standby: 0, unhealthy: 0, pending: 0, conflicting: 0 },
  });
  const told = status?.details.map(({ key, pod, status: word, version }) => `${key} ${pod} ${word} ${version}`);
  expect(told?.toSorted()).toEqual(
    instances.map(({ key, pod }) => `${key} ${pod.metadata.name} ACTIVE 1.4.2`).toSorted(),
  );
  expect(await cluster.kubectlOk(['-n', namespace, 'get', 'sreg'])).toMatch(
    /told-service +told-service +2\/2 +2 +30 +Registered/,
  );
  const described = await cluster.kubectlOk(['-n', namespace, 'describe', 'sreg', 'told-service']);
  for (const { key } of instances) expect(described).toContain(key);
  await waitFor('the Event in kubectl describe', async () => {
    const text = await cluster.kubectlOk(['-n', namespace, 'describe', 'sreg', 'told-service']);
    return /Normal +Registered/.test(text);
  });
  const [instance] = instances;
  if (instance === undefined) throw new Error('no instance');
  await setReady(stage.api, instance.pod, false);
  await waitFor('the status to tell of the UNHEALTHY one', async () => {
    const now = (await stage.registration(namespace, 'told-service'))?.status;
    return (
      now?.ready === '1/2' && now.details[0]?.['status'] === 'UNHEALTHY' && now.details[0]?.['reason'] === 'PodNotReady'
    );
  });
}, 60_000);

test('nothing in the stream broke the contract, and nothing in the log is an accident', () => {
  expect(breaches(observer)).toEqual([]);
  expect(operator.crashes()).toEqual([]);
  expect(operator.log().filter(({ level }) => level === 'error')).toEqual([]);
});
