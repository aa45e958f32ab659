// The examples of the reference page are what they claim: each is of its field or annotation, and right. The generator
// itself refuses a field without one.

import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { z } from 'zod';
import {
  ANNOTATION_EXAMPLES,
  FIELD_EXAMPLES,
  POLICY_FIELD_EXAMPLES,
  STATUS_FIELD_EXAMPLES,
} from '../../hack/field-examples.ts';
import {
  ANNOTATIONS,
  NAMESPACE_ANNOTATIONS,
  RELEASE_ANNOTATION,
  RESOURCE_ANNOTATIONS,
  readPodAnnotations,
  readSpecAnnotations,
} from '../../src/domain/annotations.ts';
import { parseSpec, specSchema } from '../../src/domain/crd-schema.ts';
import { statusSchema } from '../../src/domain/crd-status-schema.ts';
import { readNamespaceDefaults } from '../../src/domain/namespace-defaults.ts';
import { policyResourceSchema } from '../../src/domain/policy-schema.ts';
import { releaseProblem } from '../../src/domain/release-brake.ts';
import { someDefaults } from '../support/builders.ts';

/** Whether the path leads anywhere; a list counts by its first entry. */
const has = (value: unknown, path: string): boolean => {
  const [name = '', ...rest] = path.split('.');
  const [field = ''] = name.split('[');
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, field)) return false;
  const next: unknown = (value as Readonly<Record<string, unknown>>)[field];
  if (rest.length === 0) return true;
  return Array.isArray(next) ? has(next[0], rest.join('.')) : has(next, rest.join('.'));
};

test.each(Object.entries(FIELD_EXAMPLES))('%s: %s', (path, text) => {
  const spec: unknown = parse(text);
  expect(has(spec, path)).toBe(true);
  expect(Object.keys(spec as object)).toHaveLength(1);
  expect(parseSpec(spec)).toEqual({ kind: 'valid', value: spec });
  expect(specSchema.safeParse(spec).success).toBe(true);
});

/** The schema, every field of which may be left out: an example is a part. */
const anyPart = (schema: z.ZodType): z.ZodType => {
  if (schema instanceof z.ZodOptional) return anyPart(schema.unwrap() as z.ZodType);
  if (schema instanceof z.ZodArray) return z.array(anyPart(schema.element as z.ZodType));
  if (!(schema instanceof z.ZodObject)) return schema;
  const fields = Object.entries(schema.shape as Readonly<Record<string, z.ZodType>>);
  return z.strictObject(Object.fromEntries(fields.map(([name, field]) => [name, anyPart(field).optional()])));
};

test.each(Object.entries(STATUS_FIELD_EXAMPLES))('of a status, %s: %s', (path, text) => {
  const status: unknown = parse(text);
  expect(has(status, path)).toBe(true);
  expect(anyPart(statusSchema).safeParse(status)).toMatchObject({ success: true, data: status });
});

test.each(Object.entries(POLICY_FIELD_EXAMPLES))('of a policy, %s: %s', (path, text) => {
  const spec: unknown = parse(text);
  expect(has(spec, path)).toBe(true);
  const whole = { names: ['*'], namespaces: {}, ...(spec as object) };
  expect(policyResourceSchema.safeParse({ spec: whole }).data).toEqual({ spec: whole });
});

test('every annotation has an example, every example an annotation, and all of them are right', () => {
  const known = [...ANNOTATIONS, ...NAMESPACE_ANNOTATIONS, ...RESOURCE_ANNOTATIONS].map(({ name }) => name);
  expect(Object.keys(ANNOTATION_EXAMPLES).toSorted()).toEqual(known.toSorted());
  const { defaults = '', [RELEASE_ANNOTATION]: releaseBrake = '', ...annotations } = ANNOTATION_EXAMPLES;
  expect(readSpecAnnotations(annotations, someDefaults).problems).toEqual([]);
  expect(readPodAnnotations(annotations).problems).toEqual([]);
  expect(readNamespaceDefaults(defaults)).toMatchObject({ kind: 'valid' });
  expect(releaseProblem({ releaseBrake })).toEqual([]);
});
