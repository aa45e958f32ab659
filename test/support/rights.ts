// What a user may do on a real API server, asked of its authorizer for every resource it serves and every verb there
// is, so that a right too many cannot hide. Grants nothing.

import type { ApiClient } from '../../hack/control-plane/api-client.ts';

export type Subject = { readonly name: string; readonly groups: readonly string[] };
/** No namespace: all of them at once. No name: no object in particular. */
export type Place = { readonly namespace?: string; readonly name?: string };

/** The service account of manifests/install.yaml. */
export const ROLLCALL: Subject = {
  name: 'system:serviceaccount:rollcall-system:rollcall',
  groups: ['system:serviceaccounts', 'system:serviceaccounts:rollcall-system', 'system:authenticated'],
};

export const VERBS = ['get', 'list', 'watch', 'create', 'update', 'patch', 'delete', 'deletecollection'];
/** Verbs of no request, which the API server checks in passing, and resources that it does not serve. */
const SPECIAL: readonly Right[] = [
  ...['clusterroles', 'roles'].flatMap((resource) =>
    ['bind', 'escalate'].map((verb) => ({ verb, resource: `${resource}.rbac.authorization.k8s.io` })),
  ),
  ...['users', 'groups', 'serviceaccounts'].map((resource) => ({ verb: 'impersonate', resource })),
  ...VERBS.map((verb) => ({ verb, resource: 'anything.example.com' })),
];
const REQUESTS_IN_FLIGHT_MAX = 32;

type Right = { readonly verb: string; readonly resource: string };

/** `patch serviceregistrations/status.rollcall.dev`, sorted. */
export async function allowedRights(api: ApiClient, subject: Subject, place: Place): Promise<readonly string[]> {
  const served = await servedResources(api);
  const questions = [...served.flatMap((resource) => VERBS.map((verb) => ({ verb, resource }))), ...SPECIAL];
  const allowed: string[] = [];
  const ask = async () => {
    for (let question = questions.pop(); question !== undefined; question = questions.pop()) {
      const { verb, resource } = question;
      if (await canI(api, subject, verb, resource, place)) allowed.push(`${verb} ${resource}`);
    }
  };
  await Promise.all(Array.from({ length: REQUESTS_IN_FLIGHT_MAX }, ask));
  return allowed.toSorted();
}

/** `resource`: as `pods`, `pods/status`, `deployments.apps` or `deployments/scale.apps`. */
export async function canI(
  api: ApiClient,
  subject: Subject,
  verb: string,
  resource: string,
  place: Place,
): Promise<boolean> {
  const [path = '', ...group] = resource.split('.');
  const [kind, subresource] = path.split('/');
  const review = {
    spec: {
      user: subject.name,
      groups: subject.groups,
      resourceAttributes: { verb, group: group.join('.'), resource: kind, subresource, ...place },
    },
  };
  const { status } = await api.post<{ readonly status: { readonly allowed: boolean } }>(
    '/apis/authorization.k8s.io/v1/subjectaccessreviews',
    review,
  );
  return status.allowed;
}

type Groups = {
  readonly groups: readonly {
    readonly name: string;
    readonly versions: readonly { readonly groupVersion: string }[];
  }[];
};
type Resources = { readonly resources: readonly { readonly name: string }[] };

async function servedResources(api: ApiClient): Promise<readonly string[]> {
  const core = await api.get<Resources>('/api/v1');
  const { groups } = await api.get<Groups>('/apis');
  const names = new Set(core.resources.map(({ name }) => name));
  for (const { name: group, versions } of groups) {
    for (const { groupVersion } of versions) {
      const { resources } = await api.get<Resources>(`/apis/${groupVersion}`);
      for (const { name } of resources) names.add(`${name}.${group}`);
    }
  }
  return [...names];
}
