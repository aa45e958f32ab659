// Every spec field but the two that name and select has an installation default, and its setting reaches the settings in
// force. How settings are read is `config-sources.test.ts`.

import { expect, test } from 'vitest';
import { defaultsOf } from '../../../src/cli/from-config.ts';
import { readConfig } from '../../../src/config-sources.ts';
import { defaultsSchema } from '../../../src/domain/crd-schema.ts';
import { resolveSettings } from '../../../src/domain/settings.ts';

/** By spec field: its setting, a text of it, and what that comes to. */
const DEFAULTS: Readonly<Record<string, readonly [setting: string, text: string, value: unknown]>> = {
  ttlSeconds: ['defaultTtl', '60', 60],
  refreshIntervalSeconds: ['defaultRefreshInterval', '5', 5],
  instanceId: ['defaultInstanceId', 'PodName', 'PodName'],
  version: ['defaultVersion', '{"fromLabel":"rel"}', { kind: 'Label', name: 'rel' }],
  port: ['defaultPort', 'http', 'http'],
  stickyActiveGroup: ['defaultStickyActiveGroup', 'primary', 'primary'],
  metadata: ['defaultMetadata', '{"team":"rates"}', { team: 'rates' }],
  metadataFromLabels: ['defaultMetadataFromLabels', 'team', ['team']],
  whenNotReady: ['defaultWhenNotReady', 'Remove', 'Remove'],
  notReadyGraceSeconds: ['defaultNotReadyGrace', '3', 3],
  apiOutage: ['defaultApiOutageMode', 'Hold', { mode: 'Hold', maxHoldSeconds: 300 }],
  nodeLoss: ['defaultNodeLoss', 'PodReadiness', 'PodReadiness'],
  onConflict: ['defaultOnConflict', 'Adopt', 'Adopt'],
  keyLayout: ['keyLayout', 'Underscore', 'Underscore'],
  suspend: ['defaultSuspend', 'true', true],
};

test.each(Object.keys(defaultsSchema.shape))('%s has a default that counts where a resource leaves it out', (field) => {
  const [setting = '', text, value] = DEFAULTS[field] ?? [];
  const read = readConfig({ [setting]: text }, {});
  if (read.kind === 'invalid') throw new Error(read.problems.join('; '));
  const resolved = resolveSettings({}, 'trading-service', defaultsOf(read.config));
  expect(resolved).toMatchObject({ kind: 'valid', value: { [field]: value } });
});

test('a resource that says otherwise counts before them', () => {
  const read = readConfig({ defaultSuspend: 'true', defaultStickyActiveGroup: 'primary' }, {});
  if (read.kind === 'invalid') throw new Error(read.problems.join('; '));
  const stated = { suspend: false, stickyActiveGroup: 'blue' };
  expect(resolveSettings(stated, 'trading-service', defaultsOf(read.config))).toMatchObject({ value: stated });
});
