// What the test of bad input puts in place: one case per text of the tables, and what somebody left in the bucket. Data;
// what becomes of it the test knows.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { BY_ANNOTATION, METADATA, PORTS, REGISTERS, TTLS, VERSIONS, type Written } from '../../support/bad-input.ts';
import type { Annotations } from './objects.ts';

export const NAMESPACE = 'bad-input';
export const OPERATOR_ID = 'judged';

const names = JSON.parse(readFileSync(join(import.meta.dirname, '../../conformance/names.json'), 'utf8')) as {
  readonly serviceName: { readonly accept: readonly string[]; readonly refuse: readonly string[] };
};
/** Refused ones that would mean something in a subject or a line of the protocol are tried on pods, which have keys. */
const MEANINGFUL = /[.*>$\s\0]/;
const refused: readonly Written<string>[] = [...new Set(names.serviceName.refuse)].map((text) => ({ text }));
const NAMES: readonly Written<string>[] = [
  ...names.serviceName.accept.map((text) => ({ text, means: text })),
  ...refused.filter(({ text }) => MEANINGFUL.test(text)),
];

export type Case = { readonly object: string; readonly annotation: string; readonly written: Written<unknown> };

/** One text of each table on an object: the first ones on the first, and so on. Few objects, for Events take time. */
const casesOf = (prefix: string, tables: Readonly<Record<string, readonly Written<unknown>[]>>): readonly Case[] =>
  Object.entries(tables).flatMap(([annotation, table]) =>
    table.map((written, index) => ({ object: `${prefix}-${index}`, annotation, written })),
  );

const { ttl, 'instance-id': instanceId, 'when-not-ready': whenNotReady, ...others } = BY_ANNOTATION;
export const WORKLOADS = [
  ...casesOf('timed', { ttl, 'instance-id': instanceId, 'when-not-ready': whenNotReady }),
  ...casesOf('shown', others),
  ...casesOf('called', { 'service-name': refused.filter(({ text }) => !MEANINGFUL.test(text)) }),
];
export const WISHES = casesOf('wish', { register: REGISTERS });
export const PODS = casesOf('pod', { version: VERSIONS, port: PORTS, metadata: METADATA });
export const POD_WISHES = casesOf('pod-wish', { register: REGISTERS });
export const NAMED = casesOf('named', { 'service-name': NAMES });
export const SPECS = Object.entries({ version: VERSIONS, port: PORTS, metadata: METADATA, ttl: TTLS }).flatMap(
  ([annotation, table]) =>
    casesOf(`spec-${annotation}`, { [annotation]: table.filter(({ means }) => means !== undefined) }),
);

const title = ({ annotation, written: { text } }: Case): string =>
  `${annotation}: ${JSON.stringify(text).slice(0, 60)}`;
export const titled = (cases: readonly Case[]) => cases.map((some) => [title(some), some] as const);

/** The objects of these cases, with all annotations of each. */
export const objectsOf = (cases: readonly Case[], base: Annotations = {}): ReadonlyMap<string, Annotations> => {
  const objects = new Map<string, Annotations>();
  for (const { object, annotation, written } of cases) {
    objects.set(object, { ...base, ...objects.get(object), [`rollcall.dev/${annotation}`]: written.text });
  }
  return objects;
};
// What somebody left under the names that our pods will have, and what must become of the pod.
export const owner = (pod: string, uid: string, operatorId = OPERATOR_ID) => `${operatorId}/${NAMESPACE}/${pod}/${uid}`;
export const heir =
  '{"serviceName":"x","instanceId":"y","version":"v1","status":"ACTIVE","lastHeartbeat":"2026-11-23T00:00:00Z"}';
export type Left = {
  readonly body: string;
  readonly headers?: (pod: string, uid: string) => Readonly<Record<string, string>>;
  readonly becomes: 'foreign' | 'ours';
};
export const LEFT: Readonly<Record<string, Left>> = {
  'no-json': { body: '{"serviceName":', becomes: 'foreign' },
  'not-utf8': { body: '\u0000\ufffd\u0001', becomes: 'foreign' },
  'json-null': { body: 'null', becomes: 'foreign' },
  'one-mib': { body: 'x'.repeat(1_048_576 - 200), becomes: 'foreign' },
  'other-installation': {
    body: heir,
    headers: (pod) => ({ 'Rollcall-Owner': owner(pod, 'another-uid', 'another'), 'Nats-TTL': '600' }),
    becomes: 'foreign',
  },
  'owner-of-two-parts': { body: heir, headers: () => ({ 'Rollcall-Owner': `${OPERATOR_ID}/x` }), becomes: 'foreign' },
  'owner-of-slashes': { body: heir, headers: () => ({ 'Rollcall-Owner': '//////' }), becomes: 'foreign' },
  'owner-encoded-badly': {
    body: heir,
    headers: () => ({ 'Rollcall-Owner': `${OPERATOR_ID}/a/b/%E0%A4%A` }),
    becomes: 'foreign',
  },
  'term-in-future': {
    body: heir,
    headers: (pod, uid) => ({
      'Rollcall-Owner': owner(pod, uid),
      'Rollcall-Term': '9007199254740993',
      'Rollcall-Schema': '1',
      'Nats-TTL': '600',
    }),
    becomes: 'ours',
  },
  'term-no-number': {
    body: 'no JSON',
    headers: (pod, uid) => ({ 'Rollcall-Owner': owner(pod, uid), 'Rollcall-Term': 'NaN', 'Rollcall-Schema': '9' }),
    becomes: 'ours',
  },
};
