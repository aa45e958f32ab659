// The command line on a real control plane and a real NATS server: what `list`, `explain`, `doctor` and `--dry-run` say of
// the same, while an operator runs and when it is killed. A pod per rule of `explain` is `explain.test.ts`, a fault per
// check of `doctor` is `doctor.test.ts`.

import { execFile } from 'node:child_process';
import { mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { jetstreamManager } from '@nats-io/jetstream';
import { connect, headers, type NatsConnection } from '@nats-io/transport-node';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { waitFor } from '../../hack/control-plane/wait.ts';
import type { Check } from '../../src/cli/check.ts';
import type { Explanation } from '../../src/cli/explanation.ts';
import { runProgram } from '../../src/cli/program.ts';
import type { OperatorProcess } from '../support/operator-process.ts';
import {
  createPod,
  createRegistration,
  createWorkload,
  type Pod,
  setReady,
  untilReadyPods,
} from './operator/objects.ts';
import { BUCKET, START_MS, Stage } from './operator/stage.ts';

const NAMESPACE = 'explained';
/** Short, so that lapses need no patience. */
const TTL = ['--default-ttl=3', '--default-refresh-interval=1'];

let stage: Stage;
let operator: OperatorProcess;
let nats: NatsConnection;
let outside: string;
const pods = new Map<string, Pod>();

type Said = { readonly code: number; readonly out: string; readonly err: string };

/** `heard` gets the output while it comes. */
const run = async (
  args: readonly string[],
  signal = new AbortController().signal,
  heard: { out: string } = { out: '' },
): Promise<Said> => {
  let err = '';
  const io = {
    environment: {},
    print: (text: string) => {
      heard.out += text;
    },
    complain: (text: string) => {
      err += text;
    },
    signal,
  };
  return { code: await runProgram(args, io), out: heard.out, err };
};

/** Of the stage, but for what `more` says otherwise. */
const connection = (more: readonly string[] = []): readonly string[] => {
  const own = [`--kubeconfig=${stage.cluster.kubeconfig}`, `--nats-url=${stage.nats.url}`];
  return own.filter((flag) => !more.some((other) => other.split('=')[0] === flag.split('=')[0]));
};

const explain = async (target: string, ...more: readonly string[]): Promise<Explanation> => {
  const args = ['explain', target, '-o', 'json', ...connection(more), ...TTL, ...more];
  const { code, out, err } = await run(more.includes('-n') ? args : [...args, '-n', NAMESPACE]);
  expect(err, target).toBe('');
  expect(code).toBe(0);
  const [first] = JSON.parse(out) as readonly Explanation[];
  if (first === undefined) throw new Error(`nothing was said of ${target}`);
  return first;
};

const doctor = async (
  ...more: readonly string[]
): Promise<{ readonly code: number; readonly checks: readonly Check[] }> => {
  const { code, out } = await run(['doctor', '-o', 'json', ...connection(more), ...TTL, ...more]);
  return { code, checks: (JSON.parse(out) as { readonly checks: readonly Check[] }).checks };
};

const wrong = (checks: readonly Check[], name: string): string =>
  checks
    .filter((check) => check.name === name && check.verdict !== 'ok')
    .map(({ found, advice }) => `${found} ${advice}`)
    .join('\n');

/** As another client writes it. */
const put = (key: string, ttlSeconds = 3_600) => {
  const [, serviceName, instanceId] = key.split('.');
  const sent = headers();
  sent.set('Nats-TTL', String(ttlSeconds));
  const lastHeartbeat = new Date().toISOString();
  const value = {
    serviceName,
    instanceId,
    version: '1.0.0',
    status: 'ACTIVE',
    lastHeartbeat,
    stickyActiveGroup: null,
    metadata: {},
  };
  return nats.request(`$KV.${BUCKET}.${key}`, JSON.stringify(value), { headers: sent, timeout: 5_000 });
};

beforeAll(async () => {
  stage = await Stage.open();
  nats = await connect({ servers: stage.nats.url });
  outside = await mkdtemp(join(tmpdir(), 'rollcall-cli-'));
  await stage.cluster.createNamespace(NAMESPACE);
  operator = await stage.startOperator({ args: TTL, await: 'readyz' });
  await stage.observe();
  await createWorkload(stage.api, NAMESPACE, 'alpha-service', { replicas: 2 });
  await untilReadyPods(stage.api, NAMESPACE, 'alpha-service', 2);
  await stage.untilCondition(NAMESPACE, 'alpha-service', 'Ready', 'Registered');
}, START_MS);

afterAll(async () => {
  await nats?.close();
  if (outside !== undefined) await rm(outside, { recursive: true, force: true });
  await stage?.close();
});

describe('while all is well', () => {
  test('doctor finds nothing, exit code 0', async () => {
    const { code, checks } = await doctor();
    expect(checks.filter(({ verdict }) => verdict !== 'ok')).toEqual([]);
    expect(code).toBe(0);
    expect(checks.map(({ name }) => name)).toEqual(
      expect.arrayContaining([
        'api',
        'rights',
        'crds',
        'nats-server',
        'bucket',
        'clock',
        'leader',
        'operator id',
        'drift',
      ]),
    );
  }, 60_000);

  test('list shows both instances; --watch tells a change, and ends when told', async () => {
    const { code, out } = await run(['list', 'alpha-service', '-o', 'json', `--nats-url=${stage.nats.url}`]);
    expect(code).toBe(0);
    const entries = JSON.parse(out) as readonly {
      readonly status: string;
      readonly owner: { readonly namespace: string };
    }[];
    expect(entries.map(({ status, owner }) => `${status} ${owner.namespace}`)).toEqual([
      'ACTIVE explained',
      'ACTIVE explained',
    ]);
    const enough = new AbortController();
    const heard = { out: '' };
    const args = ['list', '--watch', `--nats-url=${stage.nats.url}`];
    const watching = run(args, enough.signal, heard);
    await waitFor('the watch to begin', async () => heard.out.includes('ADDED'), { deadlineMs: 20_000 });
    await put('service-instances.beta-service.beta-1', 2);
    await waitFor('the watch to tell', async () => heard.out.includes('LAPSED'), { deadlineMs: 20_000 });
    enough.abort();
    const watched = await watching;
    expect(watched.code).toBe(0);
    const lines = watched.out.split('\n').filter((line) => line.includes('beta-1'));
    expect(lines.map((line) => line.split('  ')[1]?.trim())).toEqual(['ADDED', 'LAPSED']);
    expect(watched.out.match(/ADDED +alpha-service/g)).toHaveLength(2);
  }, 60_000);

  test('a dry run keeps what stands, and writes nothing', async () => {
    const { code, out } = await run(['operator', '--dry-run', ...connection(), ...TTL]);
    expect(code).toBe(0);
    expect(out.match(/^keep +service-instances\.alpha-service\./gm)).toHaveLength(2);
    expect(out).toContain('nothing was written');
    expect((await lock())?.header.get('Rollcall-Holder')).not.toContain('rehearsal');
  }, 60_000);

  test('as kubectl rollcall, with kubectl', async () => {
    const bin = join(import.meta.dirname, '../../bin');
    for (const name of ['kubectl-rollcall', 'kubectl_complete-rollcall']) {
      await symlink(join(bin, name), join(outside, name));
    }
    const kubectl = (...args: readonly string[]) =>
      promisify(execFile)(join(stage.cluster.binaries, 'kubectl'), args, {
        env: { ...process.env, PATH: `${outside}:${process.env['PATH']}` },
      });
    expect((await kubectl('rollcall', 'version')).stdout).toMatch(/^rollcall \d/);
    expect((await kubectl('__complete', 'rollcall', 'bucket', '')).stdout).toContain('ensure');
  }, 60_000);
});

const clusterId = async (): Promise<string> => {
  const namespace = await stage.api.find('/api/v1/namespaces/kube-system');
  return namespace?.metadata.uid ?? '';
};

/** The last message of the lock's subject. */
const lock = async () => {
  const manager = await jetstreamManager(nats);
  return manager.streams.getMessage(`KV_${BUCKET}`, { last_by_subj: `$ROLLCALL.${BUCKET}.${await clusterId()}.lock` });
};

describe('explain', () => {
  beforeAll(async () => {
    const { api } = stage;
    const selecting = (app: string, more: object = {}) => ({ selector: { matchLabels: { app } }, ...more });
    const add = async (app: string, options: Parameters<typeof createPod>[3] = {}) =>
      pods.set(app, await createPod(api, NAMESPACE, app, { labels: { app }, ...options }));
    await createRegistration(api, NAMESPACE, 'held-service', selecting('held', { instanceId: 'PodName' }));
    await createRegistration(api, NAMESPACE, 'invalid-service', selecting('invalid', { refreshIntervalSeconds: 10 }));
    await createRegistration(api, NAMESPACE, 'unready-service', selecting('unready'));
    await createRegistration(api, NAMESPACE, 'twins-service', selecting('twin', { instanceId: 'PodName' }));
    await put('service-instances.held-service.held');
    await add('unready', { annotations: { 'rollcall.dev/demo-ready': 'false' } });
    await add('held');
    const older = await createPod(api, NAMESPACE, 'twin.a', { labels: { app: 'twin' } });
    pods.set('twin.a', older);
    // Times of creation are whole seconds.
    const nextSecondMs = Date.parse(older.metadata.creationTimestamp ?? '') + 1_050;
    await waitFor('a second to pass between the twins', async () => Date.now() >= nextSecondMs, { intervalMs: 20 });
    pods.set('twin-a', await createPod(api, NAMESPACE, 'twin-a', { labels: { app: 'twin' } }));
    await untilReadyPods(api, NAMESPACE, 'held', 1);
    await untilReadyPods(api, NAMESPACE, 'twin', 2);
    await stage.untilCondition(NAMESPACE, 'twins-service', 'Conflict', 'SameInstanceId');
    await stage.untilCondition(NAMESPACE, 'held-service', 'Conflict', 'HeldByAnother');
    await stage.untilCondition(NAMESPACE, 'invalid-service', 'Ready', 'InvalidSpec');
  }, 120_000);

  test('a pod whose id an older one has is told so', async () => {
    const explanation = await explain('pod/twin-a');
    expect(explanation).toMatchObject({ registered: false, decidedBy: 'KeyFree' });
    expect(explanation.because).toMatch(/same instance id/);
    expect(explanation.advice).toContain('instanceId: Generated');
  }, 30_000);

  test('a registered pod passes every rule, and its key is shown', async () => {
    const [pod] = await untilReadyPods(stage.api, NAMESPACE, 'alpha-service', 2);
    const explanation = await explain(`pod/${pod?.metadata.name}`);
    expect(
      explanation.rules.filter(({ passed, registration }) => !passed && registration?.endsWith('/alpha-service')),
    ).toEqual([]);
    expect(explanation).toMatchObject({ registered: true, decidedBy: 'KeyStands' });
    const [key] = explanation.keys;
    expect(key?.stands).toMatch(/^ACTIVE 1\.4\.2, .* left of 3 s, of this installation/);
    const byKey = await explain(key?.key ?? '');
    expect(byKey).toMatchObject({ pod: explanation.pod, registered: true });
  }, 30_000);

  test('a workload and a resource are explained pod by pod, as text', async () => {
    for (const target of ['deploy/alpha-service', 'sreg/alpha-service']) {
      const { code, out } = await run(['explain', target, '-n', NAMESPACE, ...connection(), ...TTL]);
      expect(code).toBe(0);
      expect(out).toContain('2 of 2 pods registered');
      expect(out.match(/^yes +explained\/alpha-service-/gm)).toHaveLength(2);
    }
  }, 30_000);

  test('a bucket that is not there, and a server that is not, are the reason then', async () => {
    const target = 'deploy/alpha-service';
    expect(await explain(target, '--bucket=nowhere')).toMatchObject({ registered: false, decidedBy: 'BucketUsable' });
    expect(await explain(target, '--nats-url=nats://127.0.0.1:1')).toMatchObject({
      registered: false,
      decidedBy: 'BucketUsable',
    });
  }, 60_000);

  test('what does not exist is said; exit code 1, and 2 for what cannot be', async () => {
    const absent = await run(['explain', 'pod/nobody', '-n', NAMESPACE, ...connection()]);
    expect(absent).toMatchObject({ code: 1 });
    expect(absent.err).toContain('there is no pod nobody in namespace explained');
    const unknown = await run(['explain', 'service/x', ...connection()]);
    expect(unknown).toMatchObject({ code: 2 });
    expect(unknown.err).toContain('pod/NAME');
  }, 30_000);
});

describe('when the operator is gone', () => {
  test('doctor finds no leader and missing keys; a dry run tells what the operator would do', async () => {
    await operator.process.kill('SIGKILL');
    const { api } = stage;
    await setReady(api, pods.get('unready') ?? never(), true);
    await createWorkload(api, NAMESPACE, 'late-service');
    await untilReadyPods(api, NAMESPACE, 'late-service', 1);
    await waitFor(
      'the keys and the lock to lapse',
      async () => {
        const { out } = await run(['list', 'alpha-service', '-o', 'json', `--nats-url=${stage.nats.url}`]);
        return out.trim() === '[]' && (await lock())?.header.get('Nats-Marker-Reason') === 'MaxAge';
      },
      { deadlineMs: 30_000, intervalMs: 500 },
    );
    expect(await explain('deploy/late-service')).toMatchObject({ registered: false, decidedBy: 'RegistrationMade' });
    expect(await explain('deploy/alpha-service')).toMatchObject({ registered: false, decidedBy: 'KeyStands' });
    const planned = await run(['operator', '--dry-run', ...connection(), ...TTL]);
    expect(planned.code).toBe(0);
    expect(planned.out).toMatch(/^apply +ServiceRegistration explained\/late-service/m);
    expect(planned.out.match(/^create +service-instances\.(alpha|late)-service\./gm)).toHaveLength(3);
    const value = /^create +service-instances\.late-service\..*\n +(\{.*\})$/m.exec(planned.out)?.[1];
    expect(JSON.parse(value ?? '')).toMatchObject({ serviceName: 'late-service', status: 'ACTIVE' });
    expect(await stage.registration(NAMESPACE, 'late-service')).toBeUndefined();
    const { checks } = await doctor();
    expect(wrong(checks, 'leader')).toMatch(/No operator/);
    expect(wrong(checks, 'drift')).toMatch(/missing/);
    expect(wrong(checks, 'conflicts')).toMatch(/explained\/held/);
    expect(wrong(checks, 'resources')).toMatch(/invalid-service InvalidSpec/);
  }, 90_000);

  test('and the CRD as well, explain says so', async () => {
    await stage.removeCrd();
    const { code: explained, err } = await run(['explain', 'pod/held', '-n', NAMESPACE, ...connection()]);
    expect(explained).toBe(0);
    expect(err).toContain('apply the CRDs');
  }, 60_000);
});

const never = (): never => {
  throw new Error('the pod was made');
};
