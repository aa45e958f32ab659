// The reference page of what users write and read, made of the same schema as the CRD. Facts only; how to use them is
// told elsewhere in docs/.

import { ANNOTATIONS, NAMESPACE_ANNOTATIONS, RESOURCE_ANNOTATIONS } from '../src/domain/annotations.ts';
import { CONDITION_REASONS } from '../src/domain/crd-status-schema.ts';
import { EVENT_REASONS } from '../src/domain/event-reasons.ts';
import type { JsonSchema } from './crd-manifest.ts';
import { ANNOTATION_EXAMPLES, FIELD_EXAMPLES, POLICY_FIELD_EXAMPLES, STATUS_FIELD_EXAMPLES } from './field-examples.ts';

const reasonTable: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>> = CONDITION_REASONS;

export const referencePage = (schema: JsonSchema, policy: JsonSchema, annotationPrefix: string): string =>
  [
    '# Reference',
    'Generated from the schema by `hack/generate.ts`. Do not edit.',
    '## ServiceRegistration',
    '`rollcall.dev/v1alpha1`, namespaced, short name `sreg`. No field has a default in the schema: what is in force stands in `status.effective`.',
    ...fieldTable('spec', schema.properties?.['spec'], exampleOf(FIELD_EXAMPLES)),
    '### Rules',
    ...ruleLines(schema),
    ...fieldTable('status', schema.properties?.['status'], exampleOf(STATUS_FIELD_EXAMPLES)),
    '### Conditions',
    '| condition | status | reasons |\n|---|---|---|\n' +
      Object.entries(reasonTable)
        .flatMap(([type, byStatus]) =>
          Object.entries(byStatus)
            .filter(([, reasons]) => reasons.length > 0)
            .map(
              ([status, reasons]) =>
                `| \`${type}\` | ${status} | ${reasons.map((reason) => `\`${reason}\``).join(', ')} |`,
            ),
        )
        .join('\n'),
    '## Events',
    '`events.k8s.io/v1`, on the ServiceRegistration, and on the pod or workload where one is meant; on changes only, repeats as a series.',
    '| reason | meaning |\n|---|---|\n' +
      Object.entries(EVENT_REASONS)
        .map(([reason, meaning]) => `| \`${reason}\` | ${meaning} |`)
        .join('\n'),
    '## ServiceNamePolicy',
    '`rollcall.dev/v1alpha1`, of the cluster, short name `snp`. A name that any policy matches may be registered only by the namespaces that a matching policy selects; for all other names `--name-claims` says who may.',
    ...fieldTable('spec', policy.properties?.['spec'], exampleOf(POLICY_FIELD_EXAMPLES), '### spec of a policy'),
    '### Rules of a policy',
    ...ruleLines(policy),
    '## Annotations',
    'On the pod template or the metadata of a Deployment, StatefulSet or DaemonSet, or on a bare pod. An invalid value leaves the last good one in force, and an event says what would be right.',
    annotationTable(ANNOTATIONS, annotationPrefix),
    'On a namespace:',
    annotationTable(NAMESPACE_ANNOTATIONS, annotationPrefix),
    'On a ServiceRegistration:',
    annotationTable(RESOURCE_ANNOTATIONS, annotationPrefix),
  ]
    .join('\n\n')
    .replaceAll(/^(- .*)\n\n(?=- )/gm, '$1\n')
    .concat('\n');

const annotationTable = (annotations: typeof ANNOTATIONS, prefix: string): string =>
  '| annotation | meaning | example |\n|---|---|---|\n' +
  annotations
    .map(({ name, meaning }) => {
      const example = `${prefix}/${name}: '${exampleOf(ANNOTATION_EXAMPLES)(name)}'`;
      return `| \`${prefix}/${name}\` | ${meaning} | \`${example}\` |`;
    })
    .join('\n');

const ruleLines = (schema: JsonSchema): readonly string[] =>
  rulesOf('', schema).map(({ path, message }) => `- ${path === '' ? '' : `\`${path}\`: `}${message}`);

type ExampleOf = (name: string) => string;

const exampleOf =
  (examples: Readonly<Record<string, string>>): ExampleOf =>
  (name) => {
    const example = examples[name];
    if (example === undefined) throw new Error(`hack/field-examples.ts has no example of ${name}: add one there`);
    return example;
  };

const fieldTable = (
  name: string,
  schema: JsonSchema | undefined,
  example: ExampleOf,
  heading = `### ${name}`,
): readonly string[] => {
  if (schema === undefined) return [];
  const rows = fieldsOf(name, schema).map(({ path, field }) => {
    if (field.description === undefined) throw new Error(`the schema says nothing of ${path}: describe it there`);
    const shown = `\`${example(path.slice(name.length + 1))}\``;
    return `| ${[`\`${path}\``, typeOf(field), boundsOf(field), field.description, shown].join(' | ')} |`;
  });
  const head = '| field | type | bounds | meaning | example |\n|---|---|---|---|---|';
  return [heading, schema.description ?? '', `${head}\n${rows.join('\n')}`];
};

type Field = { readonly path: string; readonly field: JsonSchema };

const fieldsOf = (path: string, schema: JsonSchema): readonly Field[] => [
  ...Object.entries(schema.properties ?? {}).flatMap(([name, field]) => [
    { path: `${path}.${name}`, field },
    ...fieldsOf(`${path}.${name}`, field),
  ]),
  ...(schema.items === undefined ? [] : fieldsOf(`${path}[]`, schema.items)),
];

const typeOf = (field: JsonSchema): string => {
  if (field['x-kubernetes-int-or-string'] === true) return 'integer or string';
  if (field.enum !== undefined) return field.enum.map((word) => `\`${word}\``).join(', ');
  if (field.type === 'array') return `list of ${field.items?.type ?? 'any'}`;
  if (field.additionalProperties !== undefined) return `map of ${field.additionalProperties.type ?? 'any'}`;
  return field.type ?? 'any';
};

const boundsOf = (field: JsonSchema): string => {
  const bounds: string[] = [];
  const between = (what: string, min: number | undefined, max: number | undefined) => {
    if (min !== undefined && max !== undefined) bounds.push(`${min} to ${max}${what}`);
    else if (max !== undefined) bounds.push(`at most ${max}${what}`);
    else if (min !== undefined) bounds.push(`at least ${min}${what}`);
  };
  between('', field.minimum, field.maximum);
  between(' characters', field.minLength, field.maxLength);
  between(' entries', undefined, field.maxItems ?? field.maxProperties);
  const entry = field.items ?? field.additionalProperties;
  if (entry?.maxLength !== undefined) bounds.push(`each at most ${entry.maxLength} characters`);
  return bounds.join('; ');
};

type Rule = { readonly path: string; readonly message: string };

const rulesOf = (path: string, schema: JsonSchema): readonly Rule[] => [
  ...(schema['x-kubernetes-validations'] ?? []).map(({ message }) => ({ path, message })),
  ...Object.entries(schema.properties ?? {}).flatMap(([name, field]) =>
    rulesOf(path === '' ? name : `${path}.${name}`, field),
  ),
  ...(schema.items === undefined ? [] : rulesOf(`${path}[]`, schema.items)),
];
