// Names and keys against the conformance table, and the two ways to make an instance id.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { specSchema } from '../../../src/domain/crd-schema.ts';
import { hashHex } from '../../../src/domain/hash.ts';
import {
  formsOf,
  generatedInstanceId,
  instanceKey,
  isInstanceId,
  isServiceName,
  KEY_FORMS,
  type KeyLayout,
  parseInstanceKey,
  podNameInstanceId,
} from '../../../src/domain/names.ts';
import { trimRegistration } from '../../../src/domain/service-registration.ts';
import { someDefaults } from '../../support/builders.ts';

type Table = { readonly accept: readonly string[]; readonly refuse: readonly string[] };
const names = JSON.parse(readFileSync(join(import.meta.dirname, '../../conformance/names.json'), 'utf8')) as {
  readonly serviceName: Table;
  readonly instanceId: Table;
};

describe('service names of the conformance table', () => {
  test.each(names.serviceName.accept)('%j is accepted', (name) => {
    expect(isServiceName(name)).toBe(true);
    expect(instanceKey(name, 'a')).toBe(`service-instances.${name}.a`);
  });

  test.each(names.serviceName.refuse)('%j is refused, everywhere it can come in', (name) => {
    expect(isServiceName(name)).toBe(false);
    expect(instanceKey(name, 'a')).toBeUndefined();
    const raw = { metadata: { name: 'web', namespace: 'a', uid: 'u' }, spec: { serviceName: name } };
    // An empty name is an absent one to Kubernetes, but the schema refuses it.
    if (name === '') expect(specSchema.safeParse({ serviceName: name }).success).toBe(false);
    else expect(trimRegistration(raw, someDefaults)?.settings.kind).toBe('invalid');
  });
});

describe('instance ids of the conformance table', () => {
  test.each(names.instanceId.accept)('%j is accepted', (id) => {
    expect(isInstanceId(id)).toBe(true);
    const key = instanceKey('trading-service', id);
    expect(key).toBe(`service-instances.trading-service.${id}`);
    for (const form of KEY_FORMS) {
      const written = instanceKey('trading-service', id, form) ?? '';
      expect(parseInstanceKey(written)).toEqual({
        key: written,
        form,
        serviceName: 'trading-service',
        instanceId: id,
      });
    }
  });

  test.each(names.instanceId.refuse)('%j is refused', (id) => {
    expect(isInstanceId(id)).toBe(false);
    expect(instanceKey('trading-service', id)).toBeUndefined();
    for (const separator of ['.', '_', '__']) {
      const text = `service-instances${separator}trading-service${separator}${id}`;
      expect(parseInstanceKey(text)?.instanceId).not.toBe(id);
      expect(instanceKey('trading-service', id, 'Underscore')).toBeUndefined();
    }
  });
});

describe('layouts', () => {
  test.each<[KeyLayout, readonly string[]]>([
    ['Dotted', ['service-instances.web-shop.a_b']],
    ['Underscore', ['service-instances.web-shop.a_b', 'service-instances_web-shop_a_b']],
    ['DoubleUnderscore', ['service-instances__web-shop__a_b']],
  ])('%s', (layout, keys) => {
    expect(formsOf(layout).map((form) => instanceKey('web-shop', 'a_b', form))).toEqual(keys);
  });
});

describe('keys that are not ours', () => {
  test.each([
    '',
    'service-instances',
    'service-instances.trading-service',
    'service-instances.trading-service.a.b',
    'service-instances..a',
    'service-instances_trading-service__a',
    'service-instances__trading-service_a',
    'service-instances__trading-service___a',
    'service-instances_-trading-service_a',
    'service-instances_trading-service_a.b',
    'service-instances.trading-service_a',
    'service-instances_trading-service.a',
    'service-instances_trading-service_*',
    'service-instances__trading-service__>',
    'trading-service',
    'sticky-active.trading-service.a',
    '.service-instances.trading-service.a',
    'service-instances.trading-service.*',
  ])('%j', (key) => {
    expect(parseInstanceKey(key)).toBeUndefined();
  });
});

describe('generated ids', () => {
  const uid = '6f1d2c3b-4a59-4e0f-8d7c-1b2a39485766';

  test.each<[string, string, 8 | 16, string]>([
    ['8 digits of the UID', uid, 8, 'web-6f1d2c3b'],
    ['16 digits, the dashes not counted', uid, 16, 'web-6f1d2c3b4a594e0f'],
    ['an upper-case UID', uid.toUpperCase(), 8, 'web-6f1d2c3b'],
    ["a static pod's hash", '0123456789abcdef0123456789abcdef', 8, 'web-01234567'],
  ])('%s', (_, from, digits, expected) => {
    expect(generatedInstanceId('web', from, digits)).toBe(expected);
  });

  test.each([
    'pod-7',
    '',
    'ünïcode',
    'a.b/c',
    '6f1d',
    '0123456789ab',
  ])('the UID %j, which is no hex, counts by its hash', (odd) => {
    const id = generatedInstanceId('web', odd, 8);
    expect(id).toMatch(/^web-[0-9a-f]{8}$/);
    expect(generatedInstanceId('web', odd, 16)).toMatch(new RegExp(`^${id}[0-9a-f]{8}$`));
  });
});

describe('ids from pod names', () => {
  const long = `${'a'.repeat(120)}-0`;

  test.each<[string, string]>([
    ['trading-0', 'trading-0'],
    ['trading.0', 'trading-0'],
    ['a'.repeat(100), 'a'.repeat(100)],
    ['0a', '0a'],
  ])('%s', (name, expected) => {
    expect(podNameInstanceId(name)).toBe(expected);
  });

  test('a name over 100 characters is cut and told apart by its hash', () => {
    const id = podNameInstanceId(long);
    expect(id).toMatch(/^a{91}-[0-9a-f]{8}$/);
    expect(isInstanceId(id)).toBe(true);
    expect(podNameInstanceId(`${long}1`)).not.toBe(id);
  });
});

// Ids are made of it: these may never change.
test.each([
  ['', 'ab3e7c0bebb6c228'],
  ['a', '1a80b1b38e0c7b85'],
  ['pod-7', '9db42f4ae333f849'],
  ['trading-0', 'f2bc888d188444b7'],
])('the hash of %j', (text, hash) => {
  expect(hashHex(text, 16)).toBe(hash);
  expect(hashHex(text, 8)).toBe(hash.slice(0, 8));
});
