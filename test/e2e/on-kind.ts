// The stories on a kind cluster into which hack/kind-e2e.sh has installed the operator: node containers of the Docker engine
// are what the stories treat badly, through `docker exec`.

import { parseArgs } from 'node:util';
import { run } from '../../hack/real-node/command.ts';
import { runStories } from './stories.ts';

const { values } = parseArgs({
  options: {
    kubeconfig: { type: 'string' },
    'nats-url': { type: 'string' },
    bucket: { type: 'string', default: 'service-registry' },
    image: { type: 'string', default: 'busybox:1.36' },
  },
});
const { kubeconfig, 'nats-url': natsUrl, bucket, image } = values;
if (kubeconfig === undefined || natsUrl === undefined) {
  throw new Error('usage: on-kind.ts --kubeconfig FILE --nats-url URL [--bucket NAME] [--image IMAGE]');
}

/** kind's node containers bear the names of the nodes. */
const onNode = (node: string, ...command: readonly string[]) => run('docker', ['exec', node, ...command]);

const report = await runStories({
  kubectl: 'kubectl',
  kubeconfig,
  natsUrl,
  bucket,
  image,
  killContainer: async (node, id) => {
    await onNode(node, 'ctr', '-n', 'k8s.io', 'tasks', 'kill', '-s', 'SIGKILL', id.replace('containerd://', ''));
  },
  loseNode: async (node) => {
    await onNode(node, 'systemctl', 'kill', '--signal=SIGKILL', 'kubelet');
    // systemd would start it again.
    await onNode(node, 'systemctl', 'stop', 'kubelet');
  },
  recoverNode: async (node) => {
    await onNode(node, 'systemctl', 'start', 'kubelet');
  },
  checkOperator: async () => {
    const path = '{range .items[*]}{.status.containerStatuses[*].restartCount}{" "}{end}';
    const selector = 'app.kubernetes.io/name=rollcall';
    const args = ['get', 'pods', '--all-namespaces', '--selector', selector, '--output', `jsonpath=${path}`];
    const restarts = (await run('kubectl', ['--kubeconfig', kubeconfig, ...args])).stdout.trim();
    if (restarts === '' || /[1-9]/.test(restarts))
      throw new Error(`restarts of the operator's containers: ${restarts || 'no pods'}`);
  },
});
process.stdout.write(`${report.toString()}\n`);
process.exitCode = report.failed === 0 ? 0 : 1;
