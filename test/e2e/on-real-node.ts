// The stories on a real node in the sandbox, with a nats-server and the operator as processes beside it. The operator runs
// as the ordinary user `rollcall`, with exactly the rights that the shipped manifests give it. Started by hack/e2e.ts.

import { mkdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { request } from 'undici';
import { parseAllDocuments } from 'yaml';
import { z } from 'zod';
import type { ControlPlane } from '../../hack/control-plane/control-plane.ts';
import { freePort } from '../../hack/control-plane/free-port.ts';
import { startNats } from '../../hack/control-plane/nats.ts';
import type { OwnedProcess } from '../../hack/control-plane/owned-process.ts';
import { startRealNode } from '../../hack/real-node/node.ts';
import { runStories } from './stories.ts';

const repository = fileURLToPath(new URL('../../', import.meta.url));
const dir = join(repository, '.run', 'e2e');
const user = 'rollcall';
const bucket = 'service-registry';
/** With them one lost node is a third of all: a lost node, and not the loss of the sight of most. */
const companions = 2;

const rbac = 'rbac.authorization.k8s.io';
const objectSchema = z.looseObject({
  kind: z.string(),
  metadata: z.looseObject({ name: z.string(), namespace: z.string().optional() }),
});
/** Roles before the bindings that name them. */
const rightsKinds = ['Namespace', 'ClusterRole', 'Role', 'ClusterRoleBinding', 'RoleBinding'];

/** The rights that the shipped manifests give the operator's service account, given to the user instead. */
const grantRights = async (controlPlane: ControlPlane): Promise<void> => {
  const path = join(repository, 'manifests', 'install.yaml');
  const objects = parseAllDocuments(await readFile(path, 'utf8'))
    .map((document): unknown => document.toJS())
    .flatMap((object) => objectSchema.safeParse(object).data ?? []);
  const subjects = [{ kind: 'User', apiGroup: rbac, name: user }];
  const granted = rightsKinds
    .flatMap((kind) => objects.filter((object) => object.kind === kind))
    .map((object) => (object.kind.endsWith('Binding') ? { ...object, subjects } : object));
  if (!granted.some(({ kind }) => kind === 'ClusterRoleBinding')) throw new Error(`${path}: no ClusterRoleBinding`);
  for (const object of granted) {
    await controlPlane.kubectlOk(['apply', '-f', '-'], { input: JSON.stringify(object) });
  }
};

const startOperator = async (controlPlane: ControlPlane, natsUrl: string): Promise<OwnedProcess> => {
  const health = `127.0.0.1:${await freePort()}`;
  return controlPlane.start({
    name: 'operator',
    command: join(repository, 'bin', 'rollcall'),
    args: [
      'operator',
      ...['--nats-url', natsUrl],
      ...['--kubeconfig', await controlPlane.writeKubeconfig({ user })],
      ...['--bucket', bucket],
      ...['--metrics-addr', `127.0.0.1:${await freePort()}`],
      ...['--health-addr', health],
    ],
    ready: async () => {
      const { statusCode, body } = await request(`http://${health}/readyz`);
      await body.dump();
      return statusCode === 200;
    },
  });
};

await rm(dir, { recursive: true, force: true });
await mkdir(dir, { recursive: true });
const node = await startRealNode({ dir, companions });
const { controlPlane } = node;
process.stderr.write(`e2e: node ${node.name} is Ready; logs in ${dir}\n`);
await controlPlane.kubectlOk(['apply', '-f', join(repository, 'crds')]);
await controlPlane.kubectlOk(['wait', '--for=condition=Established', '--timeout=30s', 'crd', '--all']);
await grantRights(controlPlane);
const nats = await startNats({ dir });
const operator = await startOperator(controlPlane, nats.url);

const report = await runStories({
  kubectl: node.kubectl,
  kubeconfig: controlPlane.kubeconfig,
  natsUrl: nats.url,
  bucket,
  image: node.appImage,
  killContainer: (_node, id) => node.killContainer(id),
  loseNode: () => node.killKubelet(),
  recoverNode: () => node.restartKubelet(),
  checkOperator: async () => {
    if (!operator.running) throw new Error(`the operator ended:\n${operator.logTail()}`);
  },
});
process.stdout.write(`${report.toString()}\n`);
await controlPlane.stop();
await nats.stop();
process.exitCode = report.failed === 0 ? 0 : 1;
