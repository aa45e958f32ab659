// An example for every field of a spec or a status and every annotation, for the reference page. Each is a line that a person could
// write, checked against the schema when the page is made (`test/unit/field-examples.test.ts`), and tried on a real API
// server.

/** By the path under `spec`: YAML of a spec. */
export const FIELD_EXAMPLES: Readonly<Record<string, string>> = {
  serviceName: 'serviceName: pricing-service',
  selector: 'selector: { matchLabels: { app: pricing, track: stable } }',
  'selector.matchLabels': 'selector: { matchLabels: { app: pricing } }',
  'selector.matchExpressions': 'selector: { matchExpressions: [{ key: tier, operator: NotIn, values: [batch] }] }',
  'selector.matchExpressions[].key': 'selector: { matchExpressions: [{ key: tier, operator: Exists }] }',
  'selector.matchExpressions[].operator': 'selector: { matchExpressions: [{ key: canary, operator: DoesNotExist }] }',
  'selector.matchExpressions[].values':
    'selector: { matchExpressions: [{ key: tier, operator: In, values: [front, back] }] }',
  ttlSeconds: 'ttlSeconds: 60',
  refreshIntervalSeconds: 'refreshIntervalSeconds: 5',
  instanceId: 'instanceId: PodName',
  version: 'version: { fromLabel: release }',
  'version.value': 'version: { value: 1.4.2 }',
  'version.fromLabel': 'version: { fromLabel: app.kubernetes.io/version }',
  'version.fromAnnotation': 'version: { fromAnnotation: example.com/release }',
  'version.fromImageTag': 'version: { fromImageTag: app }',
  port: 'port: http',
  stickyActiveGroup: 'stickyActiveGroup: primary',
  metadata: 'metadata: { team: rates, tier: "1" }',
  metadataFromLabels: 'metadataFromLabels: [app.kubernetes.io/part-of]',
  whenNotReady: 'whenNotReady: Remove',
  notReadyGraceSeconds: 'notReadyGraceSeconds: 5',
  apiOutage: 'apiOutage: { mode: Probe, maxHoldSeconds: 600 }',
  'apiOutage.mode': 'apiOutage: { mode: Hold }',
  'apiOutage.maxHoldSeconds': 'apiOutage: { maxHoldSeconds: 900 }',
  nodeLoss: 'nodeLoss: PodReadiness',
  onConflict: 'onConflict: Adopt',
  keyLayout: 'keyLayout: Underscore',
  suspend: 'suspend: true',
};

/** By the path under `status`: YAML of a part of it, as the operator could write it. */
export const STATUS_FIELD_EXAMPLES: Readonly<Record<string, string>> = {
  observedGeneration: 'observedGeneration: 3',
  serviceName: 'serviceName: pricing-service',
  bucket: 'bucket: service-registry',
  effective:
    'effective: { ttlSeconds: 30, refreshIntervalSeconds: 10, keyLayout: Dotted, whenNotReady: MarkUnhealthy }',
  'effective.ttlSeconds': 'effective: { ttlSeconds: 30 }',
  'effective.refreshIntervalSeconds': 'effective: { refreshIntervalSeconds: 10 }',
  'effective.keyLayout': 'effective: { keyLayout: Dotted }',
  'effective.whenNotReady': 'effective: { whenNotReady: MarkUnhealthy }',
  'effective.stickyActiveGroup': 'effective: { stickyActiveGroup: primary }',
  ready: 'ready: 3/4',
  instances:
    'instances: { selected: 4, registered: 3, active: 3, standby: 0, unhealthy: 0, pending: 1, conflicting: 0 }',
  'instances.selected': 'instances: { selected: 4 }',
  'instances.registered': 'instances: { registered: 3 }',
  'instances.active': 'instances: { active: 1 }',
  'instances.standby': 'instances: { standby: 2 }',
  'instances.unhealthy': 'instances: { unhealthy: 0 }',
  'instances.pending': 'instances: { pending: 1 }',
  'instances.conflicting': 'instances: { conflicting: 0 }',
  details:
    'details: [{ pod: pricing-6d5f9c7b4-9zz7q, status: Pending, reason: PodNotReady, since: "2026-11-23T09:00:10Z" }]',
  'details[].pod': 'details: [{ pod: pricing-6d5f9c7b4-x2k4m }]',
  'details[].instanceId': 'details: [{ instanceId: pricing-service-6f1d2c3b }]',
  'details[].key': 'details: [{ key: service-instances.pricing-service.pricing-service-6f1d2c3b }]',
  'details[].status': 'details: [{ status: ACTIVE }]',
  'details[].reason': 'details: [{ reason: PodNotReady }]',
  'details[].version': 'details: [{ version: 1.4.2 }]',
  'details[].since': 'details: [{ since: "2026-11-23T09:00:10Z" }]',
  conditions:
    'conditions: [{ type: Ready, status: "True", reason: Registered, message: "All Ready pods are registered: 4.", lastTransitionTime: "2026-11-23T09:00:10Z" }]',
  'conditions[].type': 'conditions: [{ type: Ready }]',
  'conditions[].status': 'conditions: [{ status: "True" }]',
  'conditions[].observedGeneration': 'conditions: [{ observedGeneration: 3 }]',
  'conditions[].lastTransitionTime': 'conditions: [{ lastTransitionTime: "2026-11-23T09:00:10Z" }]',
  'conditions[].reason': 'conditions: [{ reason: Registered }]',
  'conditions[].message': 'conditions: [{ message: "All Ready pods are registered: 4." }]',
};

/** Likewise, of a ServiceNamePolicy. */
export const POLICY_FIELD_EXAMPLES: Readonly<Record<string, string>> = {
  names: 'names: [payments-*, ledger-service]',
  namespaces: 'namespaces: { matchLabels: { team: payments, stage: prod } }',
  'namespaces.matchLabels': 'namespaces: { matchLabels: { team: payments } }',
  'namespaces.matchExpressions': 'namespaces: { matchExpressions: [{ key: team, operator: In, values: [payments] }] }',
  'namespaces.matchExpressions[].key': 'namespaces: { matchExpressions: [{ key: team, operator: Exists }] }',
  'namespaces.matchExpressions[].operator':
    'namespaces: { matchExpressions: [{ key: sandbox, operator: DoesNotExist }] }',
  'namespaces.matchExpressions[].values':
    'namespaces: { matchExpressions: [{ key: team, operator: NotIn, values: [guests] }] }',
};

/** By the annotation's name without the prefix: its value. */
export const ANNOTATION_EXAMPLES: Readonly<Record<string, string>> = {
  register: 'true',
  'service-name': 'pricing-service',
  version: '1.4.2',
  ttl: '1m',
  'refresh-interval': '5s',
  'instance-id': 'PodName',
  port: 'http',
  'sticky-active-group': 'primary',
  'when-not-ready': 'Remove',
  metadata: '{"team":"rates"}',
  defaults: '{"ttlSeconds":60}',
  'release-brake': '2026-11-23T09:00:00Z',
};
