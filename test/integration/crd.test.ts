// The CRD on a real API server: it is established and structural, lets in what is right, and refuses each wrong thing
// with its path and a message that a person understands.

import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { ApiError, type KubeObject } from '../../hack/control-plane/api-client.ts';
import { type ControlPlane, startControlPlane } from '../../hack/control-plane/control-plane.ts';
import { waitFor } from '../../hack/control-plane/wait.ts';
import { FIELD_EXAMPLES } from '../../hack/field-examples.ts';
import { summarise } from '../../src/domain/registration-status.ts';
import { trimRegistration } from '../../src/domain/service-registration.ts';
import { NINE, someDefaults } from '../support/builders.ts';

type Condition = { readonly type: string; readonly status: string; readonly message?: string };
type Crd = KubeObject & { readonly status?: { readonly conditions?: readonly Condition[] } };
type Registration = KubeObject & { readonly spec: unknown; readonly status?: unknown };

/** The first call may have to build the servers. */
const buildMs = 900_000;
const crds = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
const registrations = '/apis/rollcall.dev/v1alpha1/namespaces/default/serviceregistrations';

let dir: string;
let cluster: ControlPlane;
let crd: Crd;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'rollcall-crd-'));
  cluster = await startControlPlane({ dir, controllerManager: false, scheduler: false, kwok: false });
  const manifest: unknown = parse(
    await readFile(join(import.meta.dirname, '../../crds/serviceregistrations.rollcall.dev.yaml'), 'utf8'),
  );
  await cluster.api().post(crds, manifest);
  crd = await waitFor('the CRD to be established', async () => {
    const found = await cluster.api().get<Crd>(`${crds}/serviceregistrations.rollcall.dev`);
    return conditionOf(found, 'Established')?.status === 'True' && found;
  });
  await waitFor('the resource to be served', () => cluster.api().find(registrations));
}, buildMs);

afterAll(async () => {
  await cluster?.stop();
  await rm(dir, { recursive: true, force: true });
});

const conditionOf = (object: Crd, type: string): Condition | undefined =>
  object.status?.conditions?.find((condition) => condition.type === type);

let made = 0;
const manifestOf = (spec: unknown, name: string) => ({
  apiVersion: 'rollcall.dev/v1alpha1',
  kind: 'ServiceRegistration',
  metadata: { namespace: 'default', name },
  spec,
});
const create = (spec: unknown, name = `some-service-${++made}`): Promise<Registration> =>
  cluster.api().post<Registration>(registrations, manifestOf(spec, name));

const refusalOf = async (attempt: Promise<unknown>): Promise<string> => {
  try {
    await attempt;
  } catch (error) {
    if (error instanceof ApiError && error.status === 422) return error.message;
    throw error;
  }
  return 'accepted';
};

const entries = (count: number, value = 'x'): Record<string, string> =>
  Object.fromEntries(Array.from({ length: count }, (_, i) => [`key${i}`, value]));

describe('the definition', () => {
  test('is structural and its names are accepted', () => {
    expect(conditionOf(crd, 'NamesAccepted')?.status).toBe('True');
    expect(conditionOf(crd, 'NonStructuralSchema')).toBeUndefined();
  });

  test('answers to kubectl by its short name and its category', async () => {
    await create({}, 'listed-service');
    expect(await cluster.kubectlOk(['get', 'sreg'])).toMatch(/^NAME +SERVICE +READY +ACTIVE +TTL +STATUS +AGE/);
    expect(await cluster.kubectlOk(['get', 'sreg', '-o', 'wide'])).toMatch(/MESSAGE/);
    expect(await cluster.kubectlOk(['get', 'all'])).toContain('listed-service');
  });
});

describe('accepted', () => {
  test.each<[string, unknown]>([
    ['nothing', {}],
    [
      'everything',
      {
        serviceName: 'trading-service',
        selector: {
          matchLabels: { app: 'trading' },
          matchExpressions: [{ key: 'tier', operator: 'In', values: ['a'] }],
        },
        ttlSeconds: 30,
        refreshIntervalSeconds: 10,
        instanceId: 'PodName',
        version: { fromLabel: 'app.kubernetes.io/version' },
        port: 'http',
        stickyActiveGroup: 'blue_1.2-x',
        metadata: { team: 'rates', constructor: 'x', toString: 'y' },
        metadataFromLabels: ['app.kubernetes.io/part-of', 'tier'],
        whenNotReady: 'Remove',
        onConflict: 'Adopt',
        suspend: true,
      },
    ],
    ['a selector for all pods', { selector: {} }],
    ['a selector of absence', { selector: { matchExpressions: [{ key: 'canary', operator: 'DoesNotExist' }] } }],
    ['a port number', { port: 65535 }],
    ['the shortest TTL with its interval', { ttlSeconds: 3, refreshIntervalSeconds: 1 }],
    ['an interval alone', { refreshIntervalSeconds: 10 }],
    ['the most metadata', { metadata: entries(32) }],
    ['the longest metadata value', { metadata: { a: '🙂'.repeat(512) } }],
    ['a version of two parts', { version: { value: '1.4' } }],
    ...Object.entries(FIELD_EXAMPLES).map(([field, text]): [string, unknown] => [
      `the example of ${field}`,
      parse(text),
    ]),
  ])('%s', async (_, spec) => {
    const stored = await create(spec);
    expect(stored.spec).toEqual(spec);
    expect(trimRegistration(stored, someDefaults)?.settings.kind).toBe('valid');
  });
});

/** One fault each, and what kubectl prints about it. */
const WRONG: readonly (readonly [string, unknown, RegExp])[] = [
  ['no spec', undefined, /spec: Required value/],
  ['a short name', { serviceName: 'ab' }, /spec\.serviceName.*at least 3/],
  ['a name of 65 letters', { serviceName: 'a'.repeat(65) }, /spec\.serviceName: Too long/],
  [
    'an upper-case name',
    { serviceName: 'Trading' },
    /spec\.serviceName: .*the service name .* must be 3 to 64 lower-case/,
  ],
  ['a name with a wildcard', { serviceName: 'trading-*' }, /spec\.serviceName: .*the service name/],
  ['a name with a dot', { serviceName: 'trading.service' }, /spec\.serviceName: .*the service name/],
  ['a name with two hyphens', { serviceName: 'a--b' }, /spec\.serviceName: .*the service name/],
  ['a name with a trailing newline', { serviceName: 'trading\n' }, /spec\.serviceName: .*the service name/],
  ['TTL 0', { ttlSeconds: 0 }, /spec\.ttlSeconds.*greater than or equal to 3/],
  ['TTL 3601', { ttlSeconds: 3601 }, /spec\.ttlSeconds.*less than or equal to 3600/],
  ['TTL 1.5', { ttlSeconds: 1.5 }, /spec\.ttlSeconds.*must be of type integer/],
  ['TTL as text', { ttlSeconds: '30s' }, /spec\.ttlSeconds.*must be of type integer/],
  ['interval 0', { refreshIntervalSeconds: 0 }, /spec\.refreshIntervalSeconds.*greater than or equal to 1/],
  [
    'interval above a third',
    { ttlSeconds: 30, refreshIntervalSeconds: 11 },
    /spec\.refreshIntervalSeconds: .*at most a third/,
  ],
  ['an unknown instance id', { instanceId: 'Random' }, /spec\.instanceId: Unsupported value/],
  ['an unknown whenNotReady', { whenNotReady: 'Delete' }, /spec\.whenNotReady: Unsupported value/],
  ['an unknown onConflict', { onConflict: 'Fight' }, /spec\.onConflict: Unsupported value/],
  ['two version sources', { version: { value: '1.0.0', fromLabel: 'v' } }, /spec\.version: .*at most one of/],
  ['a version without text', { version: { value: '' } }, /spec\.version\.value/],
  ['a label name with a space', { version: { fromLabel: 'a b' } }, /spec\.version\.fromLabel/],
  ['port 0', { port: 0 }, /spec\.port: .*from 1 to 65535/],
  ['port 65536', { port: 65536 }, /spec\.port: .*from 1 to 65535/],
  ['port as digits in text', { port: '8080' }, /spec\.port: .*from 1 to 65535/],
  ['a port name of 16', { port: 'a'.repeat(16) }, /spec\.port/],
  ['port true', { port: true }, /spec\.port/],
  ['an empty group', { stickyActiveGroup: '' }, /spec\.stickyActiveGroup/],
  ['a group with a blank', { stickyActiveGroup: 'a b' }, /spec\.stickyActiveGroup/],
  ['a group of 64', { stickyActiveGroup: 'a'.repeat(64) }, /spec\.stickyActiveGroup/],
  ['33 metadata entries', { metadata: entries(33) }, /spec\.metadata: Too many/],
  ['a metadata number', { metadata: { a: 1 } }, /spec\.metadata\.a.*must be of type string/],
  ['nested metadata', { metadata: { a: { b: 'c' } } }, /spec\.metadata\.a.*must be of type string/],
  ['a metadata list', { metadata: ['a'] }, /spec\.metadata.*must be of type object/],
  ['a long metadata value', { metadata: { a: 'x'.repeat(513) } }, /spec\.metadata\.a: Too long/],
  ['a metadata key with a space', { metadata: { 'a b': 'c' } }, /spec\.metadata: .*metadata keys begin with/],
  ['a metadata key of 64', { metadata: { ['a'.repeat(64)]: 'c' } }, /spec\.metadata: .*metadata keys begin with/],
  ['the key __proto__', JSON.parse('{"metadata":{"__proto__":"x"}}'), /spec\.metadata: .*__proto__ is refused/],
  ['a reserved key', { metadata: { pod: 'x' } }, /spec\.metadata: .*set by Rollcall itself/],
  ['a later reserved key', { metadata: { stickyTerm: '1' } }, /spec\.metadata: .*set by Rollcall itself/],
  [
    'a label that is reserved',
    { metadataFromLabels: ['example.com/pod'] },
    /spec\.metadataFromLabels: .*after the slash/,
  ],
  ['a label that begins with a digit', { metadataFromLabels: ['1a'] }, /spec\.metadataFromLabels: .*after the slash/],
  ['a label twice', { metadataFromLabels: ['a', 'a'] }, /spec\.metadataFromLabels\[1\]: Duplicate/],
  [
    'In without values',
    { selector: { matchExpressions: [{ key: 'a', operator: 'In' }] } },
    /spec\.selector\.matchExpressions\[0\]: .*need values/,
  ],
  [
    'Exists with values',
    { selector: { matchExpressions: [{ key: 'a', operator: 'Exists', values: ['b'] }] } },
    /spec\.selector\.matchExpressions\[0\]: .*must have none/,
  ],
  [
    'an unknown operator',
    { selector: { matchExpressions: [{ key: 'a', operator: 'Gt', values: ['1'] }] } },
    /spec\.selector\.matchExpressions\[0\]\.operator: Unsupported value/,
  ],
  ['a grace below 0', { notReadyGraceSeconds: -1 }, /spec\.notReadyGraceSeconds.*greater than or equal to 0/],
  ['a grace of 301 s', { notReadyGraceSeconds: 301 }, /spec\.notReadyGraceSeconds.*less than or equal to 300/],
  ['an unknown word on lost nodes', { nodeLoss: 'Never' }, /spec\.nodeLoss: Unsupported value/],
  ['an unknown layout', { keyLayout: 'Slashed' }, /spec\.keyLayout: Unsupported value/],
  ['suspend as text', { suspend: 'true' }, /spec\.suspend.*must be of type boolean/],
];

describe('refused, with path and reason', () => {
  const told = new Map<string, string>();

  // All in one call: kubectl says of each what is wrong with it, and goes on. Its own check of types, which comes first
  // and ends the call, is left out.
  beforeAll(async () => {
    const items = WRONG.map(([, spec], index) => manifestOf(spec, `wrong-${index}`));
    const input = JSON.stringify({ apiVersion: 'v1', kind: 'List', items });
    const { code, stdout, stderr } = await cluster.kubectl(
      ['apply', '--dry-run=server', '--validate=ignore', '-f', '-'],
      { input },
    );
    expect(code).toBe(1);
    expect(stdout).toBe('');
    let name = 'nobody';
    for (const line of stderr.split('\n')) {
      [, name = name] = /"(wrong-\d+)" is invalid/.exec(line) ?? [];
      told.set(name, `${told.get(name) ?? ''}${line}\n`);
    }
  });

  test.each(
    WRONG.map(([what, , message], index) => [what, `wrong-${index}`, message] as const),
  )('%s', (_, name, message) => {
    expect(told.get(name)).toMatch(message);
    // One fault, and so one field is named.
    expect(new Set(told.get(name)?.match(/(?<=invalid: |\* |\[|, )spec[^\s:]*: /g)).size).toBe(1);
  });

  test('these are thirty and more', () => expect(WRONG.length).toBeGreaterThanOrEqual(30));

  test('a misspelt field', async () => {
    const input = JSON.stringify(manifestOf({ ttlSecond: 30 }, 'misspelt'));
    const { code, stderr } = await cluster.kubectl(['apply', '--dry-run=server', '-f', '-'], { input });
    expect(code).toBe(1);
    expect(stderr).toContain('unknown field "spec.ttlSecond"');
  });

  test('a resource whose own name is no service name', async () => {
    expect(await refusalOf(create({}, 'trading.service'))).toMatch(/the service name/);
    expect(await refusalOf(create({ serviceName: 'trading-service' }, 'trading.service'))).toBe('accepted');
  });

  test('fields of later versions are dropped, not kept without effect', async () => {
    const stored = await create({ region: 'north', ttlSeconds: 30 });
    expect(stored.spec).toEqual({ ttlSeconds: 30 });
  });
});

test('an interval that only the default TTL contradicts is accepted, and shown as invalid', async () => {
  const stored = await create({ refreshIntervalSeconds: 20 });
  expect(trimRegistration(stored, someDefaults)?.settings).toEqual({
    kind: 'invalid',
    problem: 'spec.refreshIntervalSeconds: 20 is more than a third of the TTL in force, 30 s',
  });
});

describe('the name in force', () => {
  test('never changes', async () => {
    await create({}, 'lasting-service');
    const patch = (spec: object) => cluster.api().patch(`${registrations}/lasting-service`, { spec });
    expect(await refusalOf(patch({ serviceName: 'other-service' }))).toMatch(
      /spec\.serviceName: .*can never change: make a new/,
    );
    // Said or left out, it is the same name.
    expect(await refusalOf(patch({ serviceName: 'lasting-service' }))).toBe('accepted');
    expect(await refusalOf(patch({ serviceName: null, ttlSeconds: 60 }))).toBe('accepted');
  });
});

describe('the status', () => {
  test('as summarised is stored whole, selectable, and leaves generation and spec alone', async () => {
    const stored = await create({}, 'reported-service');
    const registration = trimRegistration(stored, someDefaults);
    if (registration === undefined) throw new Error('it has no identity');
    const status = summarise({
      registration,
      bucket: 'service-registry',
      reports: [
        {
          pod: 'reported-service-1',
          instanceId: 'reported-service-6f1d2c3b',
          key: 'service-instances.reported-service.reported-service-6f1d2c3b',
          status: 'ACTIVE',
          ready: true,
          version: '1.4.2',
          versionNote: '"v1.4.2" from the image tag is registered as 1.4.2',
          sinceMs: NINE,
        },
      ],
      registry: { kind: 'writable', maxAgeSeconds: 0 },
      viewFresh: true,
      wallMs: NINE,
    });
    const path = `${registrations}/reported-service`;
    const written = await cluster.api().patch<Registration>(`${path}/status`, { status });
    expect(written.status).toEqual(status);
    expect(written.metadata.generation).toBe(stored.metadata.generation);
    const bySelector = `${registrations}?fieldSelector=${encodeURIComponent('status.serviceName=reported-service')}`;
    expect((await cluster.api().list(bySelector)).map(({ metadata }) => metadata.name)).toEqual(['reported-service']);
    const row = await cluster.kubectlOk(['get', 'sreg', 'reported-service', '--no-headers', '-o', 'wide']);
    expect(row).toMatch(
      /^reported-service +reported-service +1\/1 +1 +30 +Registered +\S+ +(\S+ +)?Dotted +All Ready pods are registered/,
    );
  });
});
