// `rollcall explain` as people start it, on a real control plane and a real nats-server: one prepared pod per rule, and
// for each the rule that decided, with its sentence. A rule without a pod fails here.

import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { jetstreamManager } from '@nats-io/jetstream';
import { connect, headers } from '@nats-io/transport-node';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { waitFor } from '../../hack/control-plane/wait.ts';
import { OUTER_RULES, type OuterRule } from '../../src/cli/explain-rules.ts';
import type { Explanation } from '../../src/cli/explanation.ts';
import { RULES, type Rule } from '../../src/domain/decide.ts';
import type { OperatorProcess } from '../support/operator-process.ts';
import {
  createPod,
  createQuietNode,
  createRegistration,
  createWorkload,
  podsPath,
  untilReadyPods,
} from './operator/objects.ts';
import { BUCKET, registrationsPath, START_MS, Stage } from './operator/stage.ts';

const NAMESPACE = 'explained';
/** Of the operator, and so of whoever explains what it does. */
const SETTINGS = ['--default-ttl=3', '--default-refresh-interval=1', '--quota-instances=12'];
const QUOTA = 12;
/** Many processes start at once here. */
const ANSWER_MS = 120_000;

type Case = {
  readonly target: string;
  readonly namespace?: string;
  readonly says: RegExp;
  readonly flags?: readonly string[];
  readonly registered?: boolean;
};

const CASES: Readonly<Record<Rule | OuterRule, Case>> = {
  NamespaceIncluded: {
    target: 'pod/apart',
    namespace: 'kube-system',
    says: /^Namespace kube-system is excluded \(--exclude-namespace/,
  },
  RegistrationExists: {
    target: 'pod/lonely',
    namespace: 'bare',
    says: /has no ServiceRegistration that counts, and neither the pod nor its workload is annotated/,
  },
  PodExists: {
    target: 'service-instances.gone-service.gone',
    says: /^Its pod explained\/gone \(UID .*\) is not in this cluster any more/,
  },
  PodNotFinished: { target: 'pod/finished', says: /^The pod has ended: its phase is Succeeded\.$/ },
  PodNotKeptOut: { target: 'pod/kept-out', says: /is annotated rollcall\.dev\/register: "false", which keeps it out/ },
  RegistrationStays: { target: 'pod/leaving', says: /^explained\/leaving-service is being deleted/ },
  SpecValid: { target: 'pod/invalid', says: /^The spec of explained\/invalid-service is invalid: .*refreshInterval/ },
  PodSelected: { target: 'pod/unselected', says: /does not match the pod's labels \(app=unselected\)/ },
  NameGranted: { target: 'pod/wanted', says: /wanted-service is held by namespace awarded/ },
  NoOlderRegistration: {
    target: 'sreg/younger-service',
    says: /^explained\/older-service is older and registers the pod for the same service/,
  },
  RegistrationMade: {
    target: 'deploy/late-service',
    says: /ask for explained\/late-service, which no operator has made/,
  },
  WithinQuota: { target: 'pod/too-many', namespace: 'crowded', says: /over its quota, and older pods come first/ },
  NotSuspended: { target: 'pod/suspended', says: /^explained\/suspended-service is suspended \(spec\.suspend: true\)/ },
  PodNotTerminating: { target: 'pod/ending', says: /^The pod is being deleted\.$/ },
  PodReady: { target: 'pod/unready', says: /^The pod is not Ready \(phase Running\)\.$/ },
  NodeHeard: {
    target: 'pod/cut-off',
    says: /^Its node quiet does not renew its lease, so the pod counts as not Ready/,
  },
  KeyFree: { target: 'pod/held', says: /^The key service-instances\.held-service\.held is held by / },
  BucketUsable: {
    target: 'pod/unwritable',
    flags: ['--bucket=no-ttl'],
    says: /^The bucket will not do: .*allow_msg_ttl/,
  },
  KeyStands: {
    target: 'pod/standing',
    says: /^Its key service-instances\.standing-service\.standing stands\.$/,
    registered: true,
  },
};

const rules = [...RULES, ...OUTER_RULES];

let stage: Stage;
let operator: OperatorProcess;

const explain = async (rule: Rule | OuterRule | undefined, { target, namespace = NAMESPACE, flags = [] }: Case) => {
  const own = [`--kubeconfig=${stage.cluster.kubeconfig}`, `--nats-url=${stage.nats.url}`, ...SETTINGS, ...flags];
  const binary = join(import.meta.dirname, '../../bin/rollcall');
  const { stdout, stderr } = await promisify(execFile)(binary, [
    'explain',
    target,
    '-n',
    namespace,
    '-o',
    'json',
    ...own,
  ]);
  expect(stderr, rule).toBe('');
  const explanations = JSON.parse(stdout) as readonly Explanation[];
  expect(explanations, rule).toHaveLength(1);
  const [explanation] = explanations;
  if (explanation === undefined) throw new Error(`nothing was said of ${target}`);
  return explanation;
};

const untilSecondIsOver = async (createdAt: string): Promise<void> => {
  const nextMs = Date.parse(createdAt) + 1_050;
  await waitFor('times of creation to differ', () => Date.now() >= nextMs, { intervalMs: 20 });
};

/** What another client writes under a key that a pod of ours will come to; and a bucket that another client made. */
const prepareRegistry = async (): Promise<void> => {
  const nats = await connect({ servers: stage.nats.url });
  const manager = await jetstreamManager(nats);
  await manager.streams.add({ name: 'KV_no-ttl', subjects: ['$KV.no-ttl.>'], max_msgs_per_subject: 1 });
  const sent = headers();
  sent.set('Nats-TTL', '3600');
  const value = {
    serviceName: 'held-service',
    instanceId: 'held',
    version: '1.0.0',
    status: 'ACTIVE',
    lastHeartbeat: new Date().toISOString(),
    stickyActiveGroup: null,
    metadata: {},
  };
  const subject = `$KV.${BUCKET}.service-instances.held-service.held`;
  await nats.request(subject, JSON.stringify(value), { headers: sent, timeout: 5_000 });
  await nats.close();
};

const prepareResources = async (): Promise<void> => {
  const add = (namespace: string, app: string, name = `${app}-service`, more: object = {}) =>
    createRegistration(stage.api, namespace, name, { selector: { matchLabels: { app } }, ...more });
  for (const app of ['finished', 'kept-out', 'leaving', 'ending', 'unready', 'cut-off', 'unwritable'])
    await add(NAMESPACE, app);
  await add(NAMESPACE, 'invalid', undefined, { refreshIntervalSeconds: 10 });
  await add(NAMESPACE, 'suspended', undefined, { suspend: true });
  await add(NAMESPACE, 'held', undefined, { instanceId: 'PodName' });
  await add(NAMESPACE, 'standing', undefined, { instanceId: 'PodName' });
  // Its key outlives it for as long as the tests take.
  await add(NAMESPACE, 'gone', undefined, { instanceId: 'PodName', ttlSeconds: 600 });
  // Of one age at the worst, and then the first by name counts.
  for (const name of ['older-service', 'younger-service']) {
    await add(NAMESPACE, 'contested', name, { serviceName: 'contested-service' });
  }
  for (const namespace of ['awarded', NAMESPACE]) await add(namespace, 'wanted');
  await add('crowded', 'crowd');
};

const preparePods = async (): Promise<void> => {
  const { api } = stage;
  const add = (app: string, options: Parameters<typeof createPod>[3] = {}, namespace = NAMESPACE) =>
    createPod(api, namespace, app, { labels: { app }, ...options });
  await add('apart', {}, 'kube-system');
  await add('lonely', {}, 'bare');
  await add('hesitant', { annotations: { 'rollcall.dev/register': 'yes' } }, 'bare');
  const ready = ['leaving', 'invalid', 'unselected', 'wanted', 'contested', 'suspended', 'held', 'unwritable'];
  for (const app of [...ready, 'standing', 'gone', 'finished']) await add(app);
  await add('kept-out', { annotations: { 'rollcall.dev/register': 'false' } });
  await add('unready', { annotations: { 'rollcall.dev/demo-ready': 'false' } });
  await createQuietNode(api, 'quiet');
  await add('cut-off', { node: 'quiet' });
  const conditions = ['ContainersReady', 'Ready'].map((type) => ({ type, status: 'True' }));
  await api.patch(`${podsPath(NAMESPACE)}/cut-off/status`, { status: { phase: 'Running', conditions } });
  // On no node of KWOK's, which would delete it in spite of its finalizer; nor on none, where it would soon be Failed.
  await add('ending', { node: 'quiet' });
  const crowd = Array.from({ length: QUOTA }, (_, i) => `crowd-${i}`);
  const made = await Promise.all(crowd.map((name) => createPod(api, 'crowded', name, { labels: { app: 'crowd' } })));
  await untilSecondIsOver(
    made
      .map(({ metadata }) => metadata.creationTimestamp)
      .toSorted()
      .at(-1) ?? '',
  );
  await createPod(api, 'crowded', 'too-many', { labels: { app: 'crowd' } });
  await untilReadyPods(api, 'crowded', 'crowd', QUOTA + 1);
  for (const app of [...ready, 'standing', 'gone', 'finished']) await untilReadyPods(api, NAMESPACE, app, 1);
};

beforeAll(async () => {
  stage = await Stage.open();
  const { api } = stage;
  for (const namespace of [NAMESPACE, 'bare', 'awarded', 'crowded']) await stage.cluster.createNamespace(namespace);
  operator = await stage.startOperator({ args: SETTINGS, await: 'readyz' });
  await stage.observe();
  await prepareRegistry();
  await prepareResources();
  await preparePods();
  await stage.untilCondition(NAMESPACE, 'gone-service', 'Ready', 'Registered');
  await api.delete(`${podsPath(NAMESPACE)}/gone`);
  await api.patch(`${podsPath(NAMESPACE)}/finished/status`, { status: { phase: 'Succeeded' } });
  const held = { metadata: { finalizers: ['example.org/hold'] } };
  for (const path of [`${podsPath(NAMESPACE)}/ending`, `${registrationsPath(NAMESPACE)}/leaving-service`]) {
    await api.patch(path, held);
    await api.delete(path);
  }
  await stage.untilCondition(NAMESPACE, 'standing-service', 'Ready', 'Registered');
  await stage.untilCondition(NAMESPACE, 'held-service', 'Conflict', 'HeldByAnother');
  await stage.untilCondition(NAMESPACE, 'younger-service', 'Conflict', 'SelectedTwice');
  await stage.untilCondition(NAMESPACE, 'invalid-service', 'Ready', 'InvalidSpec');
  await stage.untilCondition(NAMESPACE, 'wanted-service', 'Ready', 'NameDenied');
  await stage.untilCondition('crowded', 'crowd-service', 'Ready', 'QuotaExceeded');
  await stage.untilCondition(NAMESPACE, 'gone-service', 'Ready', 'NoPodsSelected');
}, START_MS);

afterAll(() => stage?.close());

test('every rule has a pod of its own', () => {
  expect(Object.keys(CASES).toSorted()).toEqual(rules.toSorted());
  expect(new Set(Object.values(CASES).map(({ target }) => target)).size).toBe(rules.length);
  expect(rules.length).toBeGreaterThanOrEqual(15);
});

const decides = async (rule: Rule | OuterRule): Promise<void> => {
  const one = CASES[rule];
  const explanation = await explain(rule, one);
  expect(explanation).toMatchObject({ decidedBy: rule, registered: one.registered ?? false });
  expect(explanation.because).toMatch(one.says);
  expect(explanation.advice === undefined).toBe(explanation.registered);
  expect(explanation.rules).toContainEqual(expect.objectContaining({ rule, passed: explanation.registered }));
};

// It takes an operator that is gone.
const whileOperated = rules.filter((rule) => rule !== 'RegistrationMade');

test.concurrent.each(whileOperated)('%s', decides, ANSWER_MS);

test(
  'an annotation that is neither true nor false is named, with what would be right',
  async () => {
    const { decidedBy, because, advice } = await explain(undefined, {
      target: 'pod/hesitant',
      namespace: 'bare',
      says: /./,
    });
    expect(decidedBy).toBe('RegistrationExists');
    expect(because).toContain(
      'pod/hesitant is annotated rollcall.dev/register: "yes", which must be "true" or "false"',
    );
    expect(advice).toContain('kubectl -n bare annotate --overwrite pod/hesitant rollcall.dev/register=true');
  },
  ANSWER_MS,
);

test(
  'RegistrationMade',
  async () => {
    await operator.process.kill('SIGKILL');
    await createWorkload(stage.api, NAMESPACE, 'late-service');
    await untilReadyPods(stage.api, NAMESPACE, 'late-service', 1);
    await decides('RegistrationMade');
  },
  ANSWER_MS,
);
