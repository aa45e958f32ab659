// Machines that are lost: their kubelets say nothing any more. And storage that stalls, so that no kubelet can.

import { waitFor } from '../../../hack/control-plane/wait.ts';
import { type FaultCase, longest } from '../fault-case.ts';
import type { Play } from '../play.ts';
import { PODS } from '../stage.ts';

const TOLD_MS = 30_000;
const GONE_MS = 60_500;

const kubeletOf = (play: Play, node: string) => play.stage.cluster.process(`kwok-${node}`);

const nodesOf = (play: Play, metric: 'silent' | 'held') =>
  Promise.all(play.operators.map((operator) => operator.metric(`rollcall_nodes_${metric}`)));

/** Farewells that the operators ever wrote because a pod is not Ready. */
const farewells = async (play: Play): Promise<number> => {
  const written = await Promise.all(
    play.operators.map((operator) => operator.metric('rollcall_writes_total', '{reason="NotReady"}')),
  );
  return written.reduce((sum, one) => sum + one, 0);
};

const untilHeard = (play: Play) =>
  waitFor(
    'every node to be heard',
    async () => (await Promise.all([nodesOf(play, 'silent'), nodesOf(play, 'held')])).flat().every((one) => one === 0),
    { deadlineMs: 60_000 },
  );

const lost: FaultCase = {
  id: 'F33',
  fault: 'one of four nodes lost for 75 s; three of four for 30 s',
  shortened: 'three of four rather than 60 % of more, and for less than the node controller takes to mark their pods',
  stage: { nats: 'one server', controllers: true, kubelets: 'apart' },
  seconds: 200,
  lapsesAtMost: 0,
  oldestRefreshBelowMs: 22_000,
  run: async (play) => {
    const node = 'node-3';
    const { told, gone } = await play.blow(`${node} is lost`, async () => {
      const uids = await play.observer.loseNode(node);
      const sinceMs = play.now();
      await kubeletOf(play, node).kill('SIGKILL');
      const toldMs = (await play.observer.ended(uids, TOLD_MS + 10_000)) - sinceMs;
      const goneMs = (await play.observer.ended(uids, GONE_MS + 10_000 - toldMs, true)) - sinceMs;
      // The node controller marks its pods after 65 s at the latest, and what kwok is told while it starts it may miss.
      await play.pause(sinceMs + 75_000 - play.now());
      return { told: toldMs, gone: goneMs };
    });
    await play.blow(`${node} is back`, async () => {
      const before = await renewTimeOf(play, node);
      await kubeletOf(play, node).restart();
      // A kwok that does not find its lease at first makes one in vain, and speaks ten seconds later.
      const speaks = async () => (await renewTimeOf(play, node)) !== before;
      await waitFor('the node to speak', speaks, { deadlineMs: 20_000, intervalMs: 20 });
      await play.observer.bringNodeBack(node);
      await untilHeard(play);
      await play.observer.replenish(PODS);
    });
    await play.observer.churn(false);
    await play.pause(5_000);
    const before = await farewells(play);
    const held = await play.blow('three of four nodes are lost', async () => {
      const others = ['node-0', 'node-1', 'node-2'].map((name) => kubeletOf(play, name));
      const sinceMs = play.now();
      for (const kubelet of others) await kubelet.kill('SIGKILL');
      await play.pause(sinceMs + 30_000 - play.now());
      const most = Math.min(...(await nodesOf(play, 'held')));
      for (const kubelet of others) await kubelet.restart();
      return most;
    });
    await untilHeard(play);
    const buried = (await farewells(play)) - before;
    await play.observer.churn(true);
    return [
      longest('keys of the lost node UNHEALTHY', [told], TOLD_MS),
      longest('and gone', [gone], GONE_MS),
      { name: 'nodes held by the brake', value: held, unit: '', atLeast: 3 },
      { name: 'pods taken for dead meanwhile', value: buried, unit: '', atMost: 0 },
    ];
  },
};

const stalled: FaultCase = {
  id: 'F34',
  fault: 'SIGSTOP etcd for 60 s, so that no lease moves',
  stage: { nats: 'one server', controllers: true, kubelets: 'apart' },
  seconds: 130,
  lapsesAtMost: 0,
  oldestRefreshBelowMs: 22_000,
  run: async (play) => {
    await play.observer.churn(false);
    await play.pause(5_000);
    const before = await farewells(play);
    const silent: number[] = [];
    const etcd = play.stage.cluster.process('etcd');
    await play.fault('etcd stands still', 'blind', async () => {
      etcd.pause();
      try {
        for (let second = 0; second < 60; second += 5) {
          await play.pause(5_000);
          silent.push(...(await nodesOf(play, 'silent')));
        }
      } finally {
        etcd.resume();
      }
    });
    for (let second = 0; second < 40; second += 5) {
      await play.pause(5_000);
      silent.push(...(await nodesOf(play, 'silent')));
    }
    const buried = (await farewells(play)) - before;
    await play.observer.churn(true);
    return [
      { name: 'nodes taken for lost, during it and after', value: Math.max(...silent), unit: '', atMost: 0 },
      { name: 'pods taken for dead', value: buried, unit: '', atMost: 0 },
    ];
  },
};

const renewTimeOf = async ({ stage }: Play, node: string): Promise<string | undefined> => {
  const path = `/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/${node}`;
  const lease = await stage.cluster.api().get<{ readonly spec?: { readonly renewTime?: string } }>(path);
  return lease.spec?.renewTime;
};

export const nodeCases: readonly FaultCase[] = [lost, stalled];
