// The end-to-end stories, one after the other on one Deployment: real containers come, fail, crash, go and lose their
// node; after each, what the raw stream told readers is compared with what the API server said, both as the test saw it.

import { setTimeout as sleep } from 'node:timers/promises';
import { waitFor } from '../../hack/control-plane/wait.ts';
import { deployment, failProbe, restoreProbe, shortName, ttlMs } from './application.ts';
import { type KubeApi, KubeApiError, openKubeApi } from './kube-api.ts';
import { PodWatch, type Spell } from './pod-watch.ts';
import { Report } from './report.ts';
import {
  execInPod,
  judgeChange,
  judgeSpells,
  namespace,
  reactionLimitMs,
  type Stage,
  untilAllReady,
  untilSpell,
} from './stage.ts';
import { StreamRecord } from './stream-record.ts';
import { judgeStream, judgeValue } from './stream-rules.ts';
import type { Target } from './target.ts';

const kills = 5;
/** How long a failed probe is left failed. */
const probeFailedMs = 1_000;
/** The node controller needs about 50 s; a busy machine some more. */
const nodeLossDeadlineMs = 120_000;
/** A lost node shows by its lease. */
const nodeLossLimitMs = 30_000;

export const runStories = async (target: Target): Promise<Report> => {
  const report = new Report();
  const api = await openKubeApi(target.kubeconfig);
  const record = await StreamRecord.open(target.natsUrl, target.bucket, 60_000);
  await newNamespace(api);
  let lost: Spell | undefined;
  const stage: Stage = { target, api, pods: new PodWatch(api, namespace), record, report };
  try {
    await appear(stage);
    await probeFails(stage);
    await containersKilled(stage);
    await podDeleted(stage);
    lost = await nodeLost(stage);
    await target.checkOperator();
  } catch (error) {
    // A story that cannot go on is a failure of the run; what was judged before it is told all the same.
    const problem = error instanceof Error ? error.message : String(error);
    report.fact('the run', 'every story', 'can be told to its end', problem);
  }
  judgeStream(stage, lost);
  await stage.pods.stop();
  await record.close();
  await api.call('DELETE', `/api/v1/namespaces/${namespace}`);
  await api.close();
  return report;
};

const appear = async (stage: Stage): Promise<void> => {
  const { target, api, pods, record, report } = stage;
  const story = 'appear';
  await api.call('POST', `/apis/apps/v1/namespaces/${namespace}/deployments`, deployment(namespace, target.image));
  for (const pod of await untilAllReady(stage)) {
    const { name, uid } = pod;
    const readyAtMs = pods.of(uid).find(({ ready }) => ready)?.atMs ?? pod.atMs;
    const line = { story, cause: `${shortName(name)} Ready`, causeAtMs: readyAtMs, effect: 'key ACTIVE', sinceMs: 0 };
    await judgeChange(stage, { ...line, uid, status: 'ACTIVE', limitMs: reactionLimitMs });
    report.fact(story, shortName(name), 'the value tells the truth', judgeValue(record.ofPod(uid)[0], pod));
  }
};

const probeFails = async (stage: Stage): Promise<void> => {
  const { pods, record, report } = stage;
  const story = 'probe fails';
  const [victim, ...others] = await untilAllReady(stage);
  if (victim === undefined) throw new Error('no pod');
  const sinceMs = performance.now();
  await execInPod(stage, victim, failProbe);
  const { fromMs } = await untilSpell(stage, victim, sinceMs, 'begun', 20_000);
  await sleep(probeFailedMs);
  await execInPod(stage, victim, restoreProbe);
  await untilSpell(stage, victim, fromMs, 'over', 20_000);
  const spells = await judgeSpells(stage, story, 'probe fails', victim, sinceMs);
  report.fact(story, 'one failure', 'is one spell to judge', spells === 1 ? undefined : `${spells} spells`);
  for (const { uid, name } of others) {
    if (pods.spells(uid).length > 0) continue;
    const statuses = record.changesOf(uid).map(({ status }) => status ?? 'gone');
    const problem = statuses.join() === 'ACTIVE' ? undefined : statuses.join(', ');
    report.fact(story, `${shortName(name)} stays Ready`, 'its key stays ACTIVE', problem);
  }
};

const containersKilled = async (stage: Stage): Promise<void> => {
  const { target, pods, report } = stage;
  const story = 'kill -9';
  let spells = 0;
  for (let kill = 1; kill <= kills; kill++) {
    const ready = await untilAllReady(stage);
    const victim = ready[kill % ready.length];
    if (victim?.node === undefined || victim.containerId === undefined)
      throw new Error('a Ready pod without container');
    const sinceMs = performance.now();
    await target.killContainer(victim.node, victim.containerId);
    await waitFor(
      `${victim.name} Ready with another container`,
      () => {
        const last = pods.of(victim.uid).at(-1);
        return last?.ready === true && last.containerId !== undefined && last.containerId !== victim.containerId;
      },
      { deadlineMs: 60_000, intervalMs: 20 },
    );
    spells += await judgeSpells(stage, story, `kill ${kill}`, victim, sinceMs);
  }
  // Otherwise kills went by that judged nothing.
  const problem = spells >= kills ? undefined : `${spells} spells`;
  report.fact(story, `${kills} kills`, `${kills} spells to judge`, problem);
};

const podDeleted = async (stage: Stage): Promise<void> => {
  const { api, pods } = stage;
  const story = 'delete';
  const [victim] = await untilAllReady(stage);
  if (victim === undefined) throw new Error('no pod');
  const { name, uid } = victim;
  const before = pods.uids();
  await api.call('DELETE', `/api/v1/namespaces/${namespace}/pods/${name}`);
  const deleted = await waitFor(`${name} being deleted`, () =>
    pods.of(uid).find(({ deleting, removed }) => deleting || removed),
  );
  const line = { story, cause: `${shortName(name)} deleted`, causeAtMs: deleted.atMs, uid };
  await judgeChange(stage, { ...line, effect: 'key UNHEALTHY', status: 'UNHEALTHY', limitMs: reactionLimitMs });

  const next = await waitFor(
    'a Ready replacement',
    () => pods.present().find((pod) => pod.ready && !before.has(pod.uid)),
    {
      deadlineMs: 60_000,
      intervalMs: 20,
    },
  );
  await judgeChange(stage, {
    story,
    cause: `${shortName(next.name)} Ready`,
    causeAtMs: pods.of(next.uid).find(({ ready }) => ready)?.atMs ?? next.atMs,
    effect: 'a key of its own ACTIVE',
    uid: next.uid,
    status: 'ACTIVE',
    limitMs: reactionLimitMs,
  });
  await judgeChange(stage, { ...line, effect: 'key gone', status: undefined, limitMs: ttlMs + 1_000 });
};

/** Returns the time in which what the API says of the pods was not the truth about them. */
const nodeLost = async (stage: Stage): Promise<Spell> => {
  const { target, record } = stage;
  const story = 'node lost';
  const ready = await untilAllReady(stage);
  const node = ready[0]?.node;
  if (node === undefined) throw new Error('no pod');
  const pods = ready.filter((pod) => pod.node === node);
  const killedAtMs = performance.now();
  await target.loseNode(node);
  try {
    for (const { name, uid, ...pod } of pods) {
      const line = { story, effect: 'key UNHEALTHY', uid, status: 'UNHEALTHY' as const, sinceMs: killedAtMs };
      const lost = {
        ...line,
        cause: `kubelet of ${shortName(name)} killed`,
        causeAtMs: killedAtMs,
        limitMs: nodeLossLimitMs,
      };
      await judgeChange(stage, lost);
      const { fromMs } = await untilSpell(stage, { name, uid, ...pod }, killedAtMs, 'begun', nodeLossDeadlineMs);
      await judgeChange(stage, {
        ...line,
        cause: `API: ${shortName(name)} not Ready`,
        causeAtMs: fromMs,
        limitMs: reactionLimitMs,
      });
    }
    for (const { name, uid } of pods) {
      const writes = record.ofPod(uid).filter(({ value }) => value !== undefined);
      const line = {
        story,
        cause: `last write for ${shortName(name)}`,
        causeAtMs: writes.at(-1)?.atMs ?? killedAtMs,
        uid,
      };
      await judgeChange(stage, { ...line, effect: 'key gone', status: undefined, limitMs: ttlMs + 1_000 });
    }
  } finally {
    await target.recoverNode(node);
  }
  for (const pod of pods) {
    const { name, uid } = pod;
    const { toMs = killedAtMs } = await untilSpell(stage, pod, killedAtMs, 'over', nodeLossDeadlineMs);
    const line = { story, cause: `kubelet back, ${shortName(name)} Ready`, causeAtMs: toMs, effect: 'key ACTIVE', uid };
    await judgeChange(stage, { ...line, status: 'ACTIVE', limitMs: reactionLimitMs });
  }
  return { fromMs: killedAtMs, toMs: performance.now() };
};

/** An empty namespace, also after a run that was killed half-way. */
const newNamespace = async (api: KubeApi): Promise<void> => {
  const path = `/api/v1/namespaces/${namespace}`;
  const exists = () =>
    api.call('GET', path).then(
      () => true,
      (error: unknown) => {
        if (error instanceof KubeApiError && error.status === 404) return false;
        throw error;
      },
    );
  if (await exists()) {
    await api.call('DELETE', path).catch(() => undefined);
    await waitFor(`namespace ${namespace} to be gone`, async () => !(await exists()), { deadlineMs: 120_000 });
  }
  await api.call('POST', '/api/v1/namespaces', { metadata: { name: namespace } });
};
