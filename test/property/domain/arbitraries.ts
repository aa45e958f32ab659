// What the property tests of the domain draw from: ordinary values, odd ones, and the line between them.

import fc from 'fast-check';
import { isServiceName } from '../../../src/domain/names.ts';
import { isUserMetadataKey } from '../../../src/domain/user-metadata.ts';

/** Any text, half surrogate pairs and control characters included. */
export const anyText = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.string({ unit: 'grapheme' }),
  fc.string({ unit: 'grapheme-ascii' }),
  fc.array(fc.integer({ min: 0, max: 0xffff })).map((units) => String.fromCharCode(...units)),
  fc.constantFrom('', '.', '*', '>', '$SYS', '__proto__', 'constructor', 'a\r\nb', '\ud800', '1.2.3', 'v1', '30s'),
);

/** Text that the API server can hold: it replaces halves of surrogate pairs. */
export const anyUnicode = anyText.map((text) => text.toWellFormed());

export const serviceName = fc.stringMatching(/^[a-z][a-z0-9-]{1,62}[a-z0-9]$/).filter(isServiceName);

export const uid = fc.oneof(fc.uuid(), anyText);

/** A Kubernetes name: a DNS subdomain of at most 253 characters. */
export const podName = fc.stringMatching(/^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/);

export const metadataKey = fc
  .oneof(fc.stringMatching(/^[A-Za-z_][A-Za-z0-9_.-]{0,62}$/), fc.constantFrom('constructor', 'toString', 'a'))
  .filter(isUserMetadataKey);

export const labels = fc.dictionary(
  fc.constantFrom('app', 'tier', 'zone', 'constructor'),
  fc.constantFrom('', 'a', 'b'),
);
