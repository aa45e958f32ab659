// What is shipped, on a real API server: install.yaml is admitted under Pod Security "restricted", grants exactly the
// rights that are documented, and can be applied again; the examples are accepted. Containers do not run here (kwok).

import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';
import { ApiClient, ApiError, type KubeObject } from '../../hack/control-plane/api-client.ts';
import { type ControlPlane, startControlPlane } from '../../hack/control-plane/control-plane.ts';
import { createNodes } from '../../hack/control-plane/nodes.ts';
import { waitFor } from '../../hack/control-plane/wait.ts';
import { driftOf } from '../../hack/generated-file.ts';
import { installManifest } from '../../hack/render-manifests.ts';
import { readSpecAnnotations, registerProblem } from '../../src/domain/annotations.ts';
import { allowedRights, canI, ROLLCALL, VERBS } from '../support/rights.ts';

type Pod = KubeObject & {
  readonly spec: {
    readonly nodeName?: string;
    readonly securityContext?: unknown;
    readonly containers: readonly Readonly<Record<string, unknown>>[];
    readonly volumes: readonly { readonly name: string }[];
  };
};
type Deployment = KubeObject & {
  readonly spec: { readonly template: Pick<Pod, 'spec'> };
  readonly status?: { readonly availableReplicas?: number };
};
type Budget = KubeObject & { readonly status?: { readonly disruptionsAllowed?: number } };

type Installed = KubeObject & { readonly status?: unknown };

const root = join(import.meta.dirname, '../..');
const install = join(root, 'manifests/install.yaml');
/** The first call may have to build the servers. */
const buildMs = 900_000;
const deployments = '/apis/apps/v1/namespaces/rollcall-system/deployments';
const pods = '/api/v1/namespaces/rollcall-system/pods';
const leases = '/apis/coordination.k8s.io/v1/namespaces/rollcall-system/leases';

let dir: string;
let cluster: ControlPlane;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'rollcall-manifests-'));
  cluster = await startControlPlane({ dir });
  await createNodes(cluster.api(), 2);
  await waitFor('namespace kube-node-lease', () => cluster.api().find('/api/v1/namespaces/kube-node-lease'));
  await cluster.kubectlOk(['apply', '-f', install]);
  await waitFor(
    'two available replicas',
    async () => (await cluster.api().get<Deployment>(`${deployments}/rollcall`)).status?.availableReplicas === 2,
    { deadlineMs: 30_000 },
  );
}, buildMs);

afterAll(async () => {
  await cluster?.stop();
  await rm(dir, { recursive: true, force: true });
});

describe('install.yaml', () => {
  test('is what crds/ and manifests/base render to', async () => {
    expect(await driftOf(await installManifest())).toBeUndefined();
  });

  test('drift is named with its line and its remedy', async () => {
    const base = await changedBase('deployment.yaml', (text) => text.replace('replicas: 2', 'replicas: 3'));
    expect(await driftOf(await installManifest(base))).toMatch(
      /^manifests\/install\.yaml is out of date from line \d+: " {2}replicas: 2" should be " {2}replicas: 3"\. Run: node hack\/render-manifests\.ts/,
    );
  });

  test("an image of another version than the package's is not rendered", async () => {
    const base = await changedBase('kustomization.yaml', (text) => text.replace(/newTag: .*/, 'newTag: 9.9.9'));
    await expect(installManifest(base)).rejects.toThrow('newTag must be');
  });

  test('applied again it changes nothing, also through kustomize', async () => {
    const before = await installed();
    expect(before.length).toBeGreaterThan(10);
    await cluster.kubectlOk(['apply', '-f', install]);
    await cluster.kubectlOk(['apply', '-k', join(root, 'manifests')]);
    expect(await installed()).toEqual(before);
  });

  test('two replicas come up on two nodes, with a token and a disruption budget', async () => {
    const running = await cluster.api().list<Pod>(pods);
    expect(new Set(running.map(({ spec }) => spec.nodeName)).size).toBe(2);
    for (const { spec } of running) {
      expect(spec.volumes.some(({ name }) => name.startsWith('kube-api-access-'))).toBe(true);
    }
    await waitFor('a budget of one', async () => {
      const path = '/apis/policy/v1/namespaces/rollcall-system/poddisruptionbudgets/rollcall';
      return (await cluster.api().get<Budget>(path)).status?.disruptionsAllowed === 1;
    });
  });

  test('its namespace refuses the same pod without its security context', async () => {
    const { spec } = (await cluster.api().get<Deployment>(`${deployments}/rollcall`)).spec.template;
    const [{ securityContext: _, ...container } = {}] = spec.containers;
    const strict = { metadata: { name: 'strict' }, spec };
    const lax = { metadata: { name: 'lax' }, spec: { ...spec, securityContext: {}, containers: [container] } };
    await expect(cluster.api().post(`${pods}?dryRun=All`, strict)).resolves.toBeDefined();
    await expect(cluster.api().post(`${pods}?dryRun=All`, lax)).rejects.toThrow(/violates PodSecurity "restricted/);
  });
});

describe('the component readiness-gates', () => {
  const overlay = async (): Promise<string> => {
    const copy = await mkdtemp(join(dir, 'overlay-'));
    await cp(join(root, 'manifests'), join(copy, 'manifests'), { recursive: true });
    await mkdir(join(copy, 'gates'));
    await writeFile(
      join(copy, 'gates/kustomization.yaml'),
      'resources: [../manifests]\ncomponents: [../manifests/components/readiness-gates]\n',
    );
    return join(copy, 'gates');
  };

  test('adds one setting and one right, and nothing else', async () => {
    const rendered = async (path: string) =>
      parseAllDocuments(await cluster.kubectlOk(['kustomize', path])).map(
        (document) => document.toJS() as KubeObject & { rules?: unknown[]; data?: Record<string, string> },
      );
    const plain = await rendered(join(root, 'manifests'));
    const changed = (await rendered(await overlay())).filter((object, i) => !isDeepStrictEqual(object, plain[i]));
    expect(changed.map(({ kind, metadata }) => `${kind} ${metadata.name}`)).toEqual([
      'ClusterRole rollcall',
      'ConfigMap rollcall-config',
    ]);
    expect(changed[0]?.rules?.at(-1)).toEqual({ apiGroups: [''], resources: ['pods/status'], verbs: ['patch'] });
    expect(changed[1]?.data?.['ROLLCALL_READINESS_GATES']).toBe('true');
  });

  test('grants its right when it is applied, and install.yaml takes it away again', async () => {
    const mayPatch = () => canI(cluster.api(), ROLLCALL, 'patch', 'pods/status', { namespace: 'default' });
    expect(await mayPatch()).toBe(false);
    await cluster.kubectlOk(['apply', '-k', await overlay()]);
    await waitFor('the right', mayPatch);
    await cluster.kubectlOk(['apply', '-f', install]);
    await waitFor('the right to be gone', async () => !(await mayPatch()));
  });
});

const READ = ['get', 'list', 'watch'];

/** Everything that the operator may do in any namespace, and that everybody may do (the last two). */
const ANYWHERE: readonly (readonly [string, readonly string[]])[] = [
  ['pods', READ],
  ['namespaces', READ],
  ['nodes', READ],
  ['deployments.apps', READ],
  ['statefulsets.apps', READ],
  ['daemonsets.apps', READ],
  ['replicasets.apps', READ],
  ['serviceregistrations.rollcall.dev', [...READ, 'create', 'update', 'patch', 'delete']],
  ['serviceregistrations/status.rollcall.dev', ['patch']],
  ['servicenamepolicies.rollcall.dev', READ],
  ['events.events.k8s.io', ['create', 'patch']],
  ['selfsubjectaccessreviews.authorization.k8s.io', ['create']],
  ['selfsubjectrulesreviews.authorization.k8s.io', ['create']],
  ['selfsubjectreviews.authentication.k8s.io', ['create']],
];
const LEASES = 'leases.coordination.k8s.io';

const flat = (rights: readonly (readonly [string, readonly string[]])[]) =>
  rights.flatMap(([resource, verbs]) => verbs.map((verb) => `${verb} ${resource}`)).toSorted();

describe('the rights of the service account', () => {
  test.each([
    ['in any namespace', { namespace: 'default' }, []],
    ['in all namespaces at once', {}, []],
    [
      'in its own namespace, on objects of its name',
      { namespace: 'rollcall-system', name: 'rollcall' },
      [[LEASES, ['get', 'create', 'patch']]],
    ],
    ['in its own namespace, on objects of other names', { namespace: 'rollcall-system', name: 'other' }, []],
    ['in kube-node-lease', { namespace: 'kube-node-lease' }, [[LEASES, READ]]],
  ] as const)(
    'of all resources and verbs there are, exactly the documented ones: %s',
    async (_, place, more) => {
      expect(await allowedRights(cluster.api(), ROLLCALL, place)).toEqual(flat([...ANYWHERE, ...more]));
    },
    60_000,
  );

  test('a right too many would be seen', async () => {
    await cluster.createNamespace('generous');
    await cluster.kubectlOk([
      '-n',
      'generous',
      'create',
      'rolebinding',
      'more',
      '--clusterrole=view',
      '--serviceaccount=rollcall-system:rollcall',
    ]);
    expect(await allowedRights(cluster.api(), ROLLCALL, { namespace: 'generous' })).toContain('get configmaps');
  }, 60_000);

  test.each([
    ['watch', 'pods', 'yes'],
    ['patch', 'serviceregistrations.rollcall.dev/status', 'yes'],
    ['get', 'secrets', 'no'],
    ['get', 'configmaps', 'no'],
    ['patch', 'pods', 'no'],
    ['delete', 'pods', 'no'],
    ['create', 'pods/exec', 'no'],
    ['*', '*', 'no'],
  ])('kubectl auth can-i %s %s: %s', async (verb, resource, answer) => {
    const [name, subresource] = resource.split('/');
    const what = [verb, name ?? resource, ...(subresource === undefined ? [] : [`--subresource=${subresource}`])];
    const { stdout } = await cluster.kubectl(['auth', 'can-i', ...what, '--all-namespaces', `--as=${ROLLCALL.name}`]);
    expect(stdout.trim()).toBe(answer);
  });

  test('make its own Lease by server-side apply, and no other', async () => {
    const token = (await cluster.kubectlOk(['-n', 'rollcall-system', 'create', 'token', 'rollcall'])).trim();
    const api = new ApiClient({ url: cluster.url, caFile: cluster.caFile, token });
    try {
      const apply = (name: string) => {
        const lease = { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata: { name }, spec: {} };
        return api.patch(`${leases}/${name}?fieldManager=rollcall`, lease, 'apply');
      };
      expect((await apply('rollcall')).metadata.name).toBe('rollcall');
      await expect(apply('other')).rejects.toMatchObject({ status: 403 } satisfies Partial<ApiError>);
    } finally {
      await api.close();
    }
  });
});

test('who may view or edit a namespace may view or edit its registrations', async () => {
  const resource = 'serviceregistrations.rollcall.dev';
  for (const [role, verbs] of [
    ['view', READ],
    ['edit', [...READ, 'create', 'update', 'patch', 'delete', 'deletecollection']],
  ] as const) {
    await cluster.kubectlOk(['create', 'rolebinding', role, `--clusterrole=${role}`, `--user=a-${role}er`]);
    const user = { name: `a-${role}er`, groups: ['system:authenticated'] };
    // The controller manager adds the rules to the built-in roles.
    const last = verbs[verbs.length - 1] ?? '';
    await waitFor(`the rights of ${user.name}`, () =>
      canI(cluster.api(), user, last, resource, { namespace: 'default' }),
    );
    const answers = await Promise.all(
      VERBS.map((verb) => canI(cluster.api(), user, verb, resource, { namespace: 'default' })),
    );
    expect(VERBS.filter((_, i) => answers[i])).toEqual(verbs);
  }
}, 60_000);

describe('the examples', async () => {
  const files = (await readdir(join(root, 'examples'))).filter((file) => file.endsWith('.yaml'));

  beforeAll(async () => {
    const labels = Object.fromEntries(
      ['enforce', 'warn'].map((mode) => [`pod-security.kubernetes.io/${mode}`, 'restricted']),
    );
    await cluster.createNamespace('examples', { labels });
  });

  test.each(files)('%s is accepted without a warning', async (file) => {
    const path = join(root, 'examples', file);
    const result = await cluster.kubectl(['apply', '-n', 'examples', '--dry-run=server', '-f', path]);
    expect(result).toMatchObject({ code: 0, stderr: '' });
  });

  test.each(files)('%s has no annotation that Rollcall would refuse', async (file) => {
    for (const annotations of rollcallAnnotations(await readFile(join(root, 'examples', file), 'utf8'))) {
      expect(registerProblem(annotations)).toEqual([]);
      expect(readSpecAnnotations(annotations, { ttlSeconds: 30 }).problems).toEqual([]);
    }
  });

  test('one of them is annotated', async () => {
    const texts = await Promise.all(files.map((file) => readFile(join(root, 'examples', file), 'utf8')));
    expect(texts.flatMap(rollcallAnnotations).length).toBeGreaterThan(1);
  });
});

/** All objects of install.yaml without what controllers write. (Not by kubectl's words: it sends every budget again.) */
async function installed(): Promise<readonly unknown[]> {
  const { items } = parse(await cluster.kubectlOk(['get', '-f', install, '-o', 'yaml'])) as {
    items: readonly Installed[];
  };
  return items.map(({ status: _status, metadata: { resourceVersion: _version, ...metadata }, ...rest }) => ({
    metadata,
    ...rest,
  }));
}

/** A copy of manifests/base with one file changed. */
async function changedBase(file: string, change: (text: string) => string): Promise<string> {
  const base = await mkdtemp(join(dir, 'base-'));
  await cp(join(root, 'manifests/base'), base, { recursive: true });
  const path = join(base, file);
  await writeFile(path, change(await readFile(path, 'utf8')));
  return base;
}

/** Of each object that has some, by their names without the prefix. */
function rollcallAnnotations(yaml: string): readonly Readonly<Record<string, string>>[] {
  const prefix = 'rollcall.dev/';
  return parseAllDocuments(yaml).flatMap((document) => {
    const annotations: unknown = document.getIn(['metadata', 'annotations']);
    if (annotations === undefined) return [];
    const entries = Object.entries((document.toJS() as KubeObject).metadata.annotations ?? {});
    return [
      Object.fromEntries(
        entries.flatMap(([name, value]) => (name.startsWith(prefix) ? [[name.slice(prefix.length), value]] : [])),
      ),
    ];
  });
}
