// How the fake API server reads a request and words an answer. No state.

import {
  type ApiRequest,
  type ApiResponse,
  type ApiStream,
  type Query,
  textField,
} from '../../src/kubernetes/api-transport.ts';
import { type Resource, resources } from '../../src/kubernetes/resources.ts';
import type { Faults } from './fake-api-faults.ts';
import { type ApiObject, type Collection, type Given, type Json, jsonOf } from './fake-api-store.ts';

export type Route = {
  readonly group: string;
  readonly plural: string;
  readonly namespace?: string;
  readonly name?: string;
  readonly subresource?: string;
};

export function parsePath(path: string): Route | undefined {
  const parts = (path.includes('%') ? path.split('/').map(decodeURIComponent) : path.split('/')).slice(1);
  const group = parts[0] === 'api' ? '' : parts[1];
  const rest = parts.slice(parts[0] === 'api' ? 2 : 3);
  const inNamespace = rest[0] === 'namespaces' && rest.length >= 3;
  const [plural, name, subresource] = inNamespace ? rest.slice(2) : rest;
  if (group === undefined || plural === undefined) return undefined;
  return {
    group,
    plural,
    ...(inNamespace && rest[1] !== undefined ? { namespace: rest[1] } : {}),
    ...(name === undefined ? {} : { name }),
    ...(subresource === undefined ? {} : { subresource }),
  };
}

/** The selectors that Rollcall uses: `metadata.namespace` and `metadata.name` with `=` and `!=`; labels with `=`. */
export function matcher(namespace: string | undefined, query: Query): ((object: ApiObject) => boolean) | undefined {
  const tests: ((object: ApiObject) => boolean)[] = [];
  if (namespace !== undefined) tests.push((object) => object.metadata.namespace === namespace);
  for (const term of String(query['fieldSelector'] ?? '')
    .split(',')
    .filter(Boolean)) {
    const match = /^metadata\.(namespace|name)(!=|==?)(.*)$/.exec(term);
    if (match === null) return undefined;
    const [, fieldName = '', operator, value] = match;
    tests.push((object) => (object.metadata[fieldName] === value) === (operator !== '!='));
  }
  for (const term of String(query['labelSelector'] ?? '')
    .split(',')
    .filter(Boolean)) {
    const [label = '', value] = term.split('=');
    tests.push((object) => jsonOf(object.metadata['labels'])[label] === value);
  }
  return (object) => tests.every((test) => test(object));
}

export function review(body: unknown, faults: Faults): ApiResponse {
  const attributes = ['spec', 'resourceAttributes'] as const;
  const [verb = '', resource = '', subresource] = ['verb', 'resource', 'subresource'].map((name) =>
    textField(body, ...attributes, name),
  );
  const what = subresource === undefined ? resource : `${resource}/${subresource}`;
  return response(201, { ...jsonOf(body), status: { allowed: !faults.isDenied(`${verb} ${what}`) } });
}

export function verbOf(method: ApiRequest['method'], route: Route): string {
  if (method === 'GET') return route.name === undefined ? 'list' : 'get';
  return method === 'POST' ? 'create' : method.toLowerCase();
}

/** The merge patch that a request means: a strategic one merges conditions by their type. */
export function patchOf({ body, contentType }: ApiRequest, stored: ApiObject): Json {
  const patch = jsonOf(body);
  const changed = jsonOf(patch['status'])['conditions'];
  if (contentType !== 'application/strategic-merge-patch+json' || !Array.isArray(changed)) return patch;
  const conditions = new Map(conditionsOf(stored).map((condition) => [condition['type'], condition]));
  for (const condition of changed.map(jsonOf)) {
    conditions.set(condition['type'], { ...conditions.get(condition['type']), ...condition });
  }
  return { ...patch, status: { ...jsonOf(patch['status']), conditions: [...conditions.values()] } };
}

export const conditionsOf = (object: Json): readonly Json[] => {
  const conditions = jsonOf(object['status'])['conditions'];
  return Array.isArray(conditions) ? conditions.map(jsonOf) : [];
};

export const hasStatus = (resource: Resource): boolean => resource !== resources.Event;

export function givenOf(body: unknown, namespace: string): Given {
  const metadata = jsonOf(jsonOf(body)['metadata']);
  const name = metadata['name'];
  if (typeof name !== 'string') throw new Error('the fake API wants metadata.name');
  const own = metadata['namespace'];
  return { ...jsonOf(body), metadata: { ...metadata, name, namespace: typeof own === 'string' ? own : namespace } };
}

export function without<T extends object>(value: T, name: string): T {
  const copy = { ...value };
  Reflect.deleteProperty(copy, name);
  return copy;
}

export const sorted = (collection: Collection): ApiObject[] =>
  [...collection.objects.entries()].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, object]) => object);

export const numberOf = (value: unknown): number | undefined =>
  value === undefined || value === '' ? undefined : Number(value);

export const response = (
  status: number,
  body: unknown,
  headers: Readonly<Record<string, string>> = {},
): ApiResponse => ({
  status,
  headers,
  body,
  bodyBytes: 1_000,
});

export const refusal = (
  code: number,
  reason: string,
  message: string,
  headers: Readonly<Record<string, string>> = {},
): ApiResponse =>
  response(code, { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Failure', message, reason, code }, headers);

export const immutableUid = (): ApiResponse =>
  response(422, {
    kind: 'Status',
    status: 'Failure',
    message: 'metadata.uid: Invalid value: field is immutable',
    reason: 'Invalid',
    details: { causes: [{ reason: 'FieldValueInvalid', field: 'metadata.uid' }] },
    code: 422,
  });

export const tooLargeVersion = (): ApiResponse =>
  response(504, {
    kind: 'Status',
    status: 'Failure',
    message: 'Timeout: Too large resource version',
    reason: 'Timeout',
    details: { causes: [{ reason: 'ResourceVersionTooLarge' }], retryAfterSeconds: 1 },
    code: 504,
  });

export const streamRefusal = ({ status, headers, body }: ApiResponse): ApiStream => ({
  status,
  headers,
  body: once(''),
  errorBody: body,
});

export async function* once(text: string): AsyncGenerator<Uint8Array> {
  if (text !== '') yield Buffer.from(text);
}
