// The CustomResourceDefinitions of our resources, made of their zod schemas. Structural: types at every level, no
// defaults, no unions but int-or-string.

import { z } from 'zod';
import { resourceSchema } from '../src/domain/crd-schema.ts';
import { policyResourceSchema } from '../src/domain/policy-schema.ts';

export type JsonSchema = {
  readonly type?: string;
  readonly description?: string;
  readonly format?: string;
  readonly enum?: readonly string[];
  readonly pattern?: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly maxItems?: number;
  readonly maxProperties?: number;
  readonly required?: readonly string[];
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly additionalProperties?: JsonSchema;
  readonly items?: JsonSchema;
  readonly 'x-kubernetes-int-or-string'?: boolean;
  readonly 'x-kubernetes-validations'?: readonly { readonly rule: string; readonly message: string }[];
};

/** Spec and status, as the API server will check them. */
export const openApiSchema = (): JsonSchema => openApiOf(resourceSchema);

export const policyOpenApiSchema = (): JsonSchema => openApiOf(policyResourceSchema);

const openApiOf = (resource: z.ZodType): JsonSchema => {
  const schema = z.toJSONSchema(resource, {
    target: 'openapi-3.0',
    io: 'input',
    override: ({ jsonSchema }) => tidy(jsonSchema),
  });
  // The generator's output is what this type describes, and the API server refuses anything else.
  const { properties, ...rest } = schema as JsonSchema;
  return {
    ...rest,
    properties: {
      apiVersion: { type: 'string' },
      kind: { type: 'string' },
      metadata: { type: 'object' },
      ...properties,
    },
  };
};

const tidy = (schema: Record<string, unknown>): void => {
  // Kubernetes has its own word for this union, and structural schemas allow no types inside another.
  if (schema['x-kubernetes-int-or-string'] === true) delete schema['anyOf'];
  // What zod writes for "any integer".
  if (schema['minimum'] === Number.MIN_SAFE_INTEGER) delete schema['minimum'];
  if (schema['maximum'] === Number.MAX_SAFE_INTEGER) delete schema['maximum'];
};

const column = (name: string, type: string, jsonPath: string, rest: object = {}) => ({ name, type, jsonPath, ...rest });

export const crdManifest = () => ({
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: { name: 'serviceregistrations.rollcall.dev' },
  spec: {
    group: 'rollcall.dev',
    scope: 'Namespaced',
    names: {
      kind: 'ServiceRegistration',
      listKind: 'ServiceRegistrationList',
      plural: 'serviceregistrations',
      singular: 'serviceregistration',
      shortNames: ['sreg'],
      categories: ['all'],
    },
    versions: [
      {
        name: 'v1alpha1',
        served: true,
        storage: true,
        subresources: { status: {} },
        selectableFields: [{ jsonPath: '.status.serviceName' }],
        additionalPrinterColumns: [
          column('Service', 'string', '.status.serviceName'),
          column('Ready', 'string', '.status.ready', { description: 'Registered and selected pods.' }),
          column('Active', 'integer', '.status.instances.active'),
          column('TTL', 'integer', '.status.effective.ttlSeconds', { description: 'Seconds.' }),
          column('Status', 'string', '.status.conditions[?(@.type=="Ready")].reason'),
          column('Age', 'date', '.metadata.creationTimestamp'),
          column('Sticky', 'string', '.status.effective.stickyActiveGroup', { priority: 1 }),
          column('Layout', 'string', '.status.effective.keyLayout', { priority: 1 }),
          column('Message', 'string', '.status.conditions[?(@.type=="Ready")].message', { priority: 1 }),
        ],
        schema: { openAPIV3Schema: openApiSchema() },
      },
    ],
  },
});

export const policyCrdManifest = () => ({
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: { name: 'servicenamepolicies.rollcall.dev' },
  spec: {
    group: 'rollcall.dev',
    scope: 'Cluster',
    names: {
      kind: 'ServiceNamePolicy',
      listKind: 'ServiceNamePolicyList',
      plural: 'servicenamepolicies',
      singular: 'servicenamepolicy',
      shortNames: ['snp'],
    },
    versions: [
      {
        name: 'v1alpha1',
        served: true,
        storage: true,
        additionalPrinterColumns: [
          column('Names', 'string', '.spec.names'),
          column('Namespaces', 'string', '.spec.namespaces'),
          column('Age', 'date', '.metadata.creationTimestamp'),
        ],
        schema: { openAPIV3Schema: policyOpenApiSchema() },
      },
    ],
  },
});
