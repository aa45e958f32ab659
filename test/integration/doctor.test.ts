// `rollcall doctor` as people start it, on a real control plane and real NATS servers: ten prepared faults, and for each
// the check that finds it, with the sentence that helps, and nothing else accused but what the fault brings about.

import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { jetstreamManager, type StreamConfig } from '@nats-io/jetstream';
import { connect, headers, type NatsConnection } from '@nats-io/transport-node';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { KubeObject } from '../../hack/control-plane/api-client.ts';
import { type NatsServer, startNats } from '../../hack/control-plane/nats.ts';
import { waitFor } from '../../hack/control-plane/wait.ts';
import type { Check } from '../../src/cli/check.ts';
import type { OperatorProcess } from '../support/operator-process.ts';
import { createWorkload, untilReadyPods } from './operator/objects.ts';
import { BUCKET, START_MS, Stage } from './operator/stage.ts';

const NAMESPACE = 'examined';
/** Two installations that were given one id, each with a namespace of its own. */
const [EAST, WEST] = ['east', 'west'];
/** Of an installation whose clock is behind. */
const LATE = 'late';
const OF_OTHERS = [EAST, WEST, LATE].map((namespace) => `--exclude-namespace=${namespace}`);
const SHARED = '--operator-id=shared';
const PODS = 2;
const ANSWER_MS = 120_000;
/** Of the lock, by which the next leader knows that there is none. */
const LOCK_LAPSES_MS = 30_000;

let stage: Stage;
let operator: OperatorProcess;
let old: NatsServer;
let nats: NatsConnection;
/** Of the operator's own user. */
let kubeconfig: string;

type Prepared = {
  readonly flags?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  /** Takes the fault away again. */
  readonly undo?: () => Promise<unknown>;
};

type Fault = {
  readonly what: string;
  readonly prepare: () => Promise<Prepared>;
  /** The check that finds it. */
  readonly check: string;
  readonly says: RegExp;
  readonly advises: RegExp;
  /** 1: something is to be looked at; 2: something is broken. */
  readonly exitCode: 1 | 2;
  /** What else is not well for that reason. */
  readonly besides?: readonly string[];
};

const FAULTS: readonly Fault[] = [
  {
    what: 'a right is missing',
    prepare: async () => {
      await grantAllBut('events', 'patch');
      return { flags: [`--kubeconfig=${await stage.cluster.writeKubeconfig({ user: 'nobody' })}`] };
    },
    check: 'rights',
    says: /^These credentials lack 1 right: patch events\.events\.k8s\.io\.$/,
    advises: /kubectl apply -f manifests\/base\/cluster-role\.yaml/,
    exitCode: 2,
  },
  {
    what: 'the server is too old',
    prepare: async () => ({ flags: [`--nats-url=${old.url}`] }),
    check: 'bucket',
    says: /nats-server 2\.10\.\d+ .*2\.12\.1/i,
    advises: /^Upgrade the server; docs\/compatibility\.md says which will do\./,
    exitCode: 2,
    besides: ['leader', 'drift'],
  },
  {
    what: 'the bucket has no TTL',
    prepare: async () => {
      await addBucket('no-ttl', { subject_delete_marker_ttl: 0 });
      return { flags: ['--bucket=no-ttl'] };
    },
    check: 'bucket',
    says: /Bucket no-ttl has no per-message TTL \(allow_msg_ttl\)/,
    advises: /^`rollcall bucket ensure` adds it, and changes nothing else\./,
    exitCode: 2,
    besides: ['leader', 'drift'],
  },
  {
    what: 'the bucket has a history of 10',
    prepare: async () => {
      // With markers of a minute it would be refused: `bucket.test.ts`.
      await changeBucket({ max_msgs_per_subject: 10, subject_delete_marker_ttl: 6e9 });
      return { undo: () => changeBucket({ max_msgs_per_subject: 1, subject_delete_marker_ttl: 60e9 }) };
    },
    check: 'history',
    says: /keeps 10 values per key/,
    advises: /nats stream edit KV_service-registry --max-msgs-per-subject=1$/,
    exitCode: 1,
  },
  {
    what: 'the bucket has a max_age of 10 s',
    prepare: async () => {
      await changeBucket({ max_age: 10e9, duplicate_window: 10e9 });
      return { undo: () => changeBucket({ max_age: 0 }) };
    },
    check: 'max_age',
    says: /max_age of 10 s cuts the TTL of 30 s, and keys are refreshed only each 10 s: living pods lapse/,
    advises: /nats stream edit KV_service-registry --max-age=0$/,
    exitCode: 2,
  },
  {
    what: 'the clock is 30 s off',
    prepare: async () => ({ environment: { NODE_OPTIONS: `--import=${await aClockBehind()}` } }),
    check: 'clock',
    says: /^The clock here and that of the NATS server are (29\.\d+|30|30\.\d+) s apart\.$/,
    advises: /Set the clock that is wrong.*chrony.*older than 35 s/,
    exitCode: 2,
  },
  {
    what: 'the clock of the leader is 30 s off',
    prepare: async () => {
      const flags = [`--namespace=${LATE}`, '--operator-id=late', '--bucket=late'];
      await stage.startOperator({ args: flags, preload: await aClockBehind(), await: 'readyz' });
      await createWorkload(stage.api, LATE, 'late-service');
      await stage.untilCondition(LATE, 'late-service', 'Ready', 'Registered', 30_000);
      return { flags };
    },
    check: 'heartbeat',
    says: /^The leader's clock, by its last heartbeat, and that of the NATS server are (29\.\d+|30|30\.\d+) s apart\.$/,
    advises: /Set the clock that is wrong/,
    exitCode: 2,
  },
  {
    what: 'keys and Ready pods drift apart',
    prepare: async () => {
      await addBucket('drifted', CAPABLE);
      return { flags: ['--bucket=drifted'], undo: await leadAndWriteNothing('drifted') };
    },
    check: 'drift',
    says: /^Pods and keys do not agree: 2 keys missing, or not ACTIVE \(examined\/web-service-\S+, examined\/web-service-/,
    advises: /the log of the leader.*rollcall explain pod\/NAME/,
    exitCode: 2,
  },
  {
    what: 'a second installation has the same id',
    prepare: async () => {
      for (const namespace of [WEST, EAST]) {
        const args = [`--namespace=${namespace}`, SHARED, '--bucket=shared'];
        await stage.startOperator({ args, await: 'readyz' });
      }
      return { flags: [`--namespace=${EAST}`, SHARED, '--bucket=shared'] };
    },
    check: 'operator id',
    says: /^Somebody refreshes 1 key under the id shared for pods that are not in this cluster \(west\/there-service-.*: a second installation uses the same id\.$/,
    advises: /an id of its own \(--operator-id, ROLLCALL_OPERATOR_ID\)/,
    exitCode: 2,
    besides: ['drift'],
  },
  {
    what: 'nobody leads',
    prepare: async () => {
      await operator.process.kill('SIGKILL');
      await waitFor('the lock to lapse', async () => !(await isLocked()), { deadlineMs: LOCK_LAPSES_MS });
      return {};
    },
    check: 'leader',
    says: /^No operator with the id \S+ leads: nothing is refreshed, and every key lapses\.$/,
    advises: /kubectl -n rollcall-system get pods/,
    exitCode: 2,
  },
  {
    what: 'a CRD is missing',
    prepare: async () => {
      await operator.process.restart();
      await stage.removeCrd();
      return {};
    },
    check: 'crds',
    says: /^The API server does not know serviceregistrations\.$/,
    advises: /^kubectl apply -f crds\/$/,
    exitCode: 2,
  },
];

/** For Node to load before anything else. */
const aClockBehind = async (): Promise<string> => {
  const file = join(stage.dir, 'clock-behind.mjs');
  await writeFile(file, 'const now = Date.now; Date.now = () => now() - 30_000;\n');
  return file;
};

const CAPABLE = { allow_msg_ttl: true, allow_atomic: true };

const addBucket = async (bucket: string, settings: Partial<StreamConfig>): Promise<void> => {
  const manager = await jetstreamManager(nats);
  await manager.streams.add({
    name: `KV_${bucket}`,
    subjects: [`$KV.${bucket}.>`, `$ROLLCALL.${bucket}.>`],
    max_msgs_per_subject: 1,
    allow_rollup_hdrs: true,
    allow_direct: true,
    subject_delete_marker_ttl: 60e9,
    ...settings,
  });
};

const changeBucket = async (change: Partial<StreamConfig>): Promise<void> => {
  const manager = await jetstreamManager(nats);
  await manager.streams.update(`KV_${BUCKET}`, change);
};

const clusterId = async (): Promise<string> =>
  (await stage.api.get<KubeObject>('/api/v1/namespaces/kube-system')).metadata.uid;

const isLocked = async (): Promise<boolean> => {
  const manager = await jetstreamManager(nats);
  const subject = `$ROLLCALL.${BUCKET}.${await clusterId()}.lock`;
  const lock = await manager.streams.getMessage(`KV_${BUCKET}`, { last_by_subj: subject });
  return lock?.header.get('Nats-Marker-Reason') !== 'MaxAge';
};

/** Renews the lock of that bucket as a leader does, until it is told to end. */
const leadAndWriteNothing = async (bucket: string): Promise<() => Promise<void>> => {
  const subject = `$ROLLCALL.${bucket}.${await clusterId()}.lock`;
  const sent = headers();
  sent.set('Nats-TTL', '6');
  sent.set('Rollcall-Holder', 'idler');
  const renew = () => nats.request(subject, '', { headers: sent, timeout: 5_000 });
  await renew();
  // A renewal that fails leaves the lock to lapse, and the test to say so.
  const timer = setInterval(() => void renew().catch(() => undefined), 500);
  return async () => clearInterval(timer);
};

type Role = KubeObject & {
  readonly rules: readonly { readonly resources: readonly string[]; readonly verbs: readonly string[] }[];
};

/** The shipped rights but for one, for the user `nobody`. */
const grantAllBut = async (resource: string, verb: string): Promise<void> => {
  const group = '/apis/rbac.authorization.k8s.io/v1';
  const { rules } = await stage.api.get<Role>(`${group}/clusterroles/rollcall`);
  const without = rules.map((rule) =>
    rule.resources.includes(resource) ? { ...rule, verbs: rule.verbs.filter((one) => one !== verb) } : rule,
  );
  const roleRef = (kind: string, name: string) => ({ apiGroup: 'rbac.authorization.k8s.io', kind, name });
  const subjects = [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name: 'nobody' }];
  await stage.api.post(`${group}/clusterroles`, { metadata: { name: 'almost' }, rules: without });
  await stage.api.post(`${group}/clusterrolebindings`, {
    metadata: { name: 'almost' },
    roleRef: roleRef('ClusterRole', 'almost'),
    subjects,
  });
  await stage.api.post(`${group}/namespaces/kube-node-lease/rolebindings`, {
    metadata: { name: 'almost' },
    roleRef: roleRef('Role', 'rollcall-node-leases'),
    subjects,
  });
};

type Answer = { readonly exitCode: number; readonly checks: readonly Check[] };

const doctor = async ({ flags = [], environment = {} }: Prepared = {}): Promise<Answer> => {
  const stated = flags.map((flag) => flag.split('=')[0]);
  const own = [`--kubeconfig=${kubeconfig}`, `--nats-url=${stage.nats.url}`].filter(
    (flag) => !stated.includes(flag.split('=')[0]),
  );
  const binary = join(import.meta.dirname, '../../bin/rollcall');
  const options = { env: { ...process.env, ...environment } };
  const running = promisify(execFile)(binary, ['doctor', '-o', 'json', ...own, ...flags], options);
  // It ends with another code than 0 wherever something is not well.
  const { stdout, code } = await running.then(
    (ended) => ({ ...ended, code: 0 }),
    (error: { readonly stdout: string; readonly code: number }) => error,
  );
  return { exitCode: code, checks: (JSON.parse(stdout) as { readonly checks: readonly Check[] }).checks };
};

const doctorUnder = async ({ undo, flags = [], environment = {} }: Prepared): Promise<Answer> => {
  const others = flags.some((flag) => flag.startsWith('--namespace')) ? [] : OF_OTHERS;
  try {
    return await doctor({ flags: [...flags, ...others], environment });
  } finally {
    await undo?.();
  }
};

const notWell = ({ checks }: Answer): readonly Check[] => checks.filter(({ verdict }) => verdict !== 'ok');

beforeAll(async () => {
  stage = await Stage.open({ controlPlane: { users: [{ name: 'nobody' }] } });
  kubeconfig = await stage.cluster.writeKubeconfig({ user: 'rollcall' });
  old = await startNats({ dir: stage.dir, name: 'old', binary: 'old' });
  nats = await connect({ servers: stage.nats.url });
  for (const namespace of [NAMESPACE, EAST, WEST, LATE]) await stage.cluster.createNamespace(namespace);
  operator = await stage.startOperator({ args: OF_OTHERS, await: 'readyz' });
  await stage.observe();
  await createWorkload(stage.api, NAMESPACE, 'web-service', { replicas: PODS });
  await createWorkload(stage.api, WEST, 'there-service');
  await untilReadyPods(stage.api, NAMESPACE, 'web-service', PODS);
  await stage.untilCondition(NAMESPACE, 'web-service', 'Ready', 'Registered');
}, START_MS);

afterAll(async () => {
  await nats?.close();
  await old?.stop();
  await stage?.close();
});

test(
  'nothing is wrong while nothing is',
  async () => {
    const answer = await doctor({ flags: OF_OTHERS });
    expect(notWell(answer)).toEqual([]);
    expect(answer.exitCode).toBe(0);
  },
  ANSWER_MS,
);

test.each(FAULTS)(
  '$what',
  async ({ prepare, check, says, advises, exitCode, besides = [] }) => {
    const prepared = await prepare();
    const answer = await doctorUnder(prepared);
    const found = notWell(answer);
    expect([...new Set(found.map(({ name }) => name))].toSorted()).toEqual([check, ...besides].toSorted());
    const named = found.filter(({ name }) => name === check);
    expect(named.map((one) => one.found)).toContainEqual(expect.stringMatching(says));
    expect(named.map(({ advice }) => advice)).toContainEqual(expect.stringMatching(advises));
    expect(answer.exitCode).toBe(exitCode);
  },
  ANSWER_MS,
);

test('ten faults and more were prepared, each of them another', () => {
  expect(new Set(FAULTS.map(({ what }) => what)).size).toBe(FAULTS.length);
  expect(FAULTS.length).toBeGreaterThanOrEqual(10);
});
