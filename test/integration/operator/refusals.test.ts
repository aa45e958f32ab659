// What the operator says and does when it cannot or must not do its work: it names the reason where people look (exit
// code, log, readiness, condition, Event), stays alive, and recovers by itself when the cause is removed.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { jetstreamManager, StorageType } from '@nats-io/jetstream';
import { Kvm } from '@nats-io/kv';
import { connect } from '@nats-io/transport-node';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ApiError } from '../../../hack/control-plane/api-client.ts';
import { type NatsServer, startNats } from '../../../hack/control-plane/nats.ts';
import { waitFor } from '../../../hack/control-plane/wait.ts';
import { type OperatorProcess, runRollcall } from '../../support/operator-process.ts';
import { createPod, createRegistration, createWorkload, REGISTER, untilReadyPods, workloadsPath } from './objects.ts';
import { BUCKET, START_MS, Stage } from './stage.ts';

describe('settings', () => {
  test('every wrong setting is named at once, with where it came from; exit code 2', async () => {
    const args = ['operator', '--default-ttl=1', '--bucket=a.b', '--bucket-policy=create', '--metrics-addr=nowhere'];
    const { code, stderr } = await runRollcall(args, { ROLLCALL_OPERATOR_ID: 'UPPER' });
    expect(code).toBe(2);
    for (const place of ['--default-ttl', '--bucket:', '--bucket-policy', '--metrics-addr', 'ROLLCALL_OPERATOR_ID']) {
      expect(stderr).toContain(place);
    }
    expect(stderr).toContain('must be Create, Upgrade or Verify');
    expect(stderr).not.toMatch(/\n\s+at /);
  });

  test('an unknown flag suggests the right one; exit code 2', async () => {
    const { code, stderr } = await runRollcall(['operator', '--nats-ulr', 'nats://127.0.0.1:1']);
    expect(code).toBe(2);
    expect(stderr).toContain('--nats-url');
  });

  test('a settings file that cannot be read is named; exit code 2', async () => {
    const { code, stderr } = await runRollcall(['operator', '--config=/nowhere/rollcall.yaml']);
    expect(code).toBe(2);
    expect(stderr).toContain('/nowhere/rollcall.yaml');
  });

  test('a kubeconfig that is not there is named; it ends rather than hangs', async () => {
    const { code, stdout, stderr } = await runRollcall(['operator', '--kubeconfig=/nowhere/config', '--health-addr=0']);
    expect(code).not.toBe(0);
    expect(`${stdout}${stderr}`).toContain('/nowhere/config');
  });
});

describe('a nats-server that is too old', () => {
  let stage: Stage;
  let operator: OperatorProcess;

  beforeAll(async () => {
    stage = await Stage.open({ nats: 'old' });
    operator = await stage.startOperator();
  }, START_MS);
  afterAll(() => stage?.close());

  test('is refused by name and version in the log and in the condition, and nothing is written to it', async () => {
    const sentence = /nats-server 2\.10\.\d+ .*2\.12\.1/;
    await stage.cluster.createNamespace('old-server');
    await createWorkload(stage.api, 'old-server', 'some-service', { replicas: 2 });
    const told = await stage.untilCondition('old-server', 'some-service', 'Ready', 'RegistryUnsupported');
    expect(told.status).toBe('False');
    expect(told.message).toMatch(sentence);
    const line = operator.log().find(({ level, message }) => level !== 'info' && sentence.test(String(message)));
    expect(line).toMatchObject({ reason: 'RegistryUnsupported' });
    const connection = await connect({ servers: stage.nats.url });
    const manager = await jetstreamManager(connection);
    expect((await manager.getAccountInfo()).streams).toBe(0);
    await connection.close();
    expect(operator.process.running).toBe(true);
    expect((await operator.livez()).status).toBe(200);
    // It would take the place of one that can write.
    const { status, text } = await operator.readyz();
    expect(status).toBe(503);
    expect(text).toMatch(/^no replica is known to lead yet: nats-server 2\.10/);
    // Told once, not once a second.
    expect(operator.log().filter(({ msg }) => msg === 'registry not writable')).toHaveLength(1);
    expect(operator.crashes()).toEqual([]);
  }, 60_000);
});

describe('a working NATS', () => {
  let stage: Stage;

  beforeAll(async () => {
    stage = await Stage.open();
  }, START_MS);
  afterAll(() => stage?.close());

  const withNats = async <T>(use: (server: NatsServer) => Promise<T>): Promise<T> => {
    const dir = await mkdtemp(join(tmpdir(), 'rollcall-nats-'));
    const server = await startNats({ dir });
    try {
      return await use(server);
    } finally {
      await server.stop();
      await rm(dir, { recursive: true, force: true });
    }
  };

  test('a bucket without TTL: Verify refuses it and leaves it as it is; Upgrade completes it', async () => {
    await stage.cluster.createNamespace('plain-bucket');
    await createWorkload(stage.api, 'plain-bucket', 'plain-service');
    await withNats(async (server) => {
      const connection = await connect({ servers: server.url });
      const kv = await new Kvm(connection).create(BUCKET, { storage: StorageType.Memory });
      await kv.put('trading-service', 'a definition');
      const manager = await jetstreamManager(connection);
      const before = (await manager.streams.info(`KV_${BUCKET}`)).config;
      const args = ['--bucket-policy=Verify'];
      const verifying = await stage.startOperator({ natsUrl: server.url, args });
      const told = await stage.untilCondition('plain-bucket', 'plain-service', 'Ready', 'RegistryUnsupported');
      expect(told.message).toMatch(
        /\(allow_msg_ttl\): set --bucket-policy=Upgrade; bucket service-registry takes no atomic batches \(allow_atomic\): /,
      );
      const after = await manager.streams.info(`KV_${BUCKET}`);
      expect(after.config).toEqual(before);
      expect(after.state.messages).toBe(1);
      await verifying.process.kill('SIGTERM');
      const upgrading = await stage.startOperator({ natsUrl: server.url, args: ['--bucket-policy=Upgrade'] });
      await stage.untilCondition('plain-bucket', 'plain-service', 'Ready', 'Registered');
      expect((await kv.get('trading-service'))?.string()).toBe('a definition');
      await upgrading.process.kill('SIGTERM');
      await connection.close();
    });
  }, 90_000);

  test('a missing bucket under Verify: says so, makes none, registers once it is there', async () => {
    await stage.cluster.createNamespace('no-bucket');
    await createWorkload(stage.api, 'no-bucket', 'unlucky-service');
    await withNats(async (server) => {
      const operator = await stage.startOperator({ natsUrl: server.url, args: ['--bucket-policy=Verify'] });
      const told = await stage.untilCondition('no-bucket', 'unlucky-service', 'Ready', 'RegistryUnavailable');
      expect(told.message).toContain(BUCKET);
      const other = await stage.startOperator({ natsUrl: server.url });
      await stage.untilCondition('no-bucket', 'unlucky-service', 'Ready', 'Registered');
      await other.process.kill('SIGTERM');
      await operator.process.kill('SIGTERM');
    });
  }, 60_000);

  test('missing rights are named in /readyz and in the log; given, it goes on without a restart', async () => {
    const kubeconfig = await stage.cluster.writeKubeconfig({ user: 'viewer' });
    const operator = await stage.startOperator({ kubeconfig, args: ['--operator-id=viewer-test'] });
    const { text } = await waitFor('the sentence', async () => {
      const answer = await operator.readyz();
      return answer.status === 503 && /forbidden|right|may not/i.test(answer.text) && answer;
    });
    expect(text).toMatch(/list/);
    expect(text).toMatch(/pods|serviceregistrations|deployments|statefulsets|daemonsets|replicasets/);
    // The question what we may do is answered before the first watch is refused.
    await waitFor('the refusal in the log', () =>
      operator.log().some((line) => line.level !== 'info' && /forbidden/i.test(JSON.stringify(line))),
    );
    await stage.api.post('/apis/rbac.authorization.k8s.io/v1/clusterrolebindings', {
      metadata: { name: 'viewer-test' },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'rollcall' },
      subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name: 'viewer' }],
    });
    await waitFor('the operator to be ready', async () => (await operator.readyz()).status === 200, {
      deadlineMs: 40_000,
    });
    expect(operator.crashes()).toEqual([]);
    await operator.process.kill('SIGTERM');
  }, 90_000);

  test('bad annotations are told in an Event and register nothing; other services do not notice', async () => {
    const operator = await stage.startOperator({ await: 'readyz' });
    const observer = await stage.observe();
    const namespace = 'bad-input';
    await stage.cluster.createNamespace(namespace);
    await createWorkload(stage.api, namespace, 'good-service');
    await untilReadyPods(stage.api, namespace, 'good-service', 1);
    const [good] = await waitFor('the good key', () => {
      const keys = observer.ofService('good-service');
      return keys.length === 1 && keys;
    });
    const cases: readonly (readonly [string, Readonly<Record<string, string>>, RegExp])[] = [
      ['bad-register', { 'rollcall.dev/register': 'yes' }, /register must be "true" or "false".*"yes"/],
      ['bad-name', { ...REGISTER, 'rollcall.dev/service-name': 'Trading_Service' }, /service-name.*Trading_Service/],
      ['bad-ttl', { ...REGISTER, 'rollcall.dev/ttl': '1.5s' }, /ttl.*1\.5s/],
      ['bad-metadata', { ...REGISTER, 'rollcall.dev/metadata': '["a"]' }, /metadata.*JSON object/],
      ['bad-typo', { ...REGISTER, 'rollcall.dev/tll': '30s' }, /tll is no annotation/],
    ];
    for (const [name, annotations] of cases) await createWorkload(stage.api, namespace, name, { annotations });
    for (const [name, , sentence] of cases) {
      const event = await stage.untilEvent(namespace, `Deployment/${name}`, 'InvalidAnnotation');
      expect(event.note, name).toMatch(sentence);
      expect(event.type).toBe('Warning');
    }
    // What is invalid is as if it were not there: the wish stands or falls with `register` alone.
    await stage.untilCondition(namespace, 'bad-ttl', 'Ready', 'Registered');
    expect((await stage.registration(namespace, 'bad-ttl'))?.status?.effective).toMatchObject({ ttlSeconds: 30 });
    expect(await stage.registration(namespace, 'bad-register')).toBeUndefined();
    expect(observer.ofService('bad-register')).toEqual([]);
    expect(observer.messages.filter(({ subject }) => /Trading_Service/i.test(subject))).toEqual([]);
    // Turned bad later: the last good value stays.
    await stage.api.patch(`${workloadsPath(namespace, 'Deployment')}/good-service`, {
      metadata: { annotations: { 'rollcall.dev/register': 'yes', 'rollcall.dev/ttl': '-1s' } },
    });
    await stage.untilEvent(namespace, 'Deployment/good-service', 'InvalidAnnotation');
    expect(await stage.registration(namespace, 'good-service')).toBeDefined();
    const history = observer.history(good?.key ?? '');
    expect(history.every(({ value }) => value?.status === 'ACTIVE')).toBe(true);
    expect(operator.crashes()).toEqual([]);
    expect(operator.process.running).toBe(true);
    await operator.process.kill('SIGTERM');
  }, 90_000);

  test('an invalid spec is refused by the API server', async () => {
    await stage.cluster.createNamespace('refused');
    const wrong = [
      { ttlSeconds: 2 },
      { ttlSeconds: 30, refreshIntervalSeconds: 11 },
      { serviceName: 'Trading_Service' },
    ];
    for (const spec of wrong) {
      const attempt = createRegistration(stage.api, 'refused', 'some-service', spec);
      const error: unknown = await attempt.then(
        () => undefined,
        (reason: unknown) => reason,
      );
      expect(error instanceof ApiError && error.status, JSON.stringify(spec)).toBe(422);
    }
  });

  test('a Succeeded pod and a pod that says no are left out, whatever selects them', async () => {
    const operator = await stage.startOperator({ await: 'readyz' });
    const observer = await stage.observe();
    await stage.cluster.createNamespace('left-out');
    await createRegistration(stage.api, 'left-out', 'chosen-service', { selector: {} });
    await createPod(stage.api, 'left-out', 'refuser', { annotations: { 'rollcall.dev/register': 'false' } });
    const chosen = await createPod(stage.api, 'left-out', 'chosen');
    await stage.untilCondition('left-out', 'chosen-service', 'Ready', 'Registered');
    expect(observer.ofService('chosen-service').map(({ podUid }) => podUid)).toEqual([chosen.metadata.uid]);
    await operator.process.kill('SIGTERM');
  }, 60_000);
});

describe('a cluster without the CRD', () => {
  let stage: Stage;

  beforeAll(async () => {
    stage = await Stage.open({ crd: false });
  }, START_MS);
  afterAll(() => stage?.close());

  test('is not ready, says what to apply, and goes on by itself when that is done', async () => {
    await stage.cluster.createNamespace('early');
    await createWorkload(stage.api, 'early', 'early-service');
    const operator = await stage.startOperator();
    const { text } = await waitFor('the sentence', async () => {
      const answer = await operator.readyz();
      return answer.status === 503 && /serviceregistrations/i.test(answer.text) && answer;
    });
    expect(text).toMatch(/the API server has no .*rollcall\.dev/);
    expect((await operator.livez()).status).toBe(200);
    await stage.applyCrd();
    await waitFor('the operator to be ready', async () => (await operator.readyz()).status === 200, {
      deadlineMs: 40_000,
    });
    await stage.untilCondition('early', 'early-service', 'Ready', 'Registered', 40_000);
    expect(operator.crashes()).toEqual([]);
  }, 120_000);
});
