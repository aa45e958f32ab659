// What the schemas of our resources are made of: CEL rules, bounded text, names of labels, label selectors. Which fields
// there are is `crd-schema.ts`'s and `policy-schema.ts`'s.

import { z } from 'zod';
import { lengthOf } from './user-metadata.ts';

/** A rule in CEL, as Kubernetes wants it. */
type CelRule = { readonly rule: string; readonly message: string; readonly fieldPath?: string };

export const rules = (...list: readonly CelRule[]) => ({ 'x-kubernetes-validations': list });

// Zod counts UTF-16 units, the API server code points.
export const text = (max: number, min = 1) =>
  z
    .string()
    .refine((value) => lengthOf(value) >= min && lengthOf(value) <= max, `must have ${min} to ${max} characters`)
    .meta({ minLength: min, maxLength: max });

// A label's or annotation's name: an optional DNS prefix of 253 characters, a slash, 63 characters.
const QUALIFIED_NAME = '^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$';
export const qualifiedName = () => z.string().max(317).regex(new RegExp(QUALIFIED_NAME));

const requirement = z
  .object({
    key: qualifiedName().meta({ description: 'The name of the label.' }),
    operator: z.enum(['In', 'NotIn', 'Exists', 'DoesNotExist']).meta({
      description:
        'In: the label has one of the values. NotIn: it has none of them, or is absent. Exists, DoesNotExist: it is there, or is not, whatever its value.',
    }),
    values: z
      .array(z.string().max(63))
      .max(64)
      .optional()
      .meta({ 'x-kubernetes-list-type': 'atomic', description: 'For In and NotIn, and for no others.' }),
  })
  .refine(
    ({ operator, values = [] }) => (operator === 'In' || operator === 'NotIn') === values.length > 0,
    'In and NotIn need values, Exists and DoesNotExist must have none',
  )
  .meta(
    rules({
      rule: "(self.operator in ['In', 'NotIn']) == (has(self.values) && size(self.values) > 0)",
      message: 'In and NotIn need values, Exists and DoesNotExist must have none',
    }),
  );

export const labelSelector = (description: string) =>
  z
    .object({
      matchLabels: z
        .record(z.string(), z.string().max(63))
        .refine((labels) => Object.keys(labels).length <= 32, 'at most 32 labels are allowed')
        .optional()
        .meta({ maxProperties: 32, description: 'Labels with their values, all of which must be there.' }),
      matchExpressions: z
        .array(requirement)
        .max(32)
        .optional()
        .meta({ 'x-kubernetes-list-type': 'atomic', description: 'What else must be so of labels, all of it.' }),
    })
    .meta({ 'x-kubernetes-map-type': 'atomic', description });
