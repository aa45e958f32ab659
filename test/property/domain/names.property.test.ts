// Whatever comes in, what goes out fits its grammar: names, ids, keys, versions, durations, times.

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseDuration } from '../../../src/domain/duration.ts';
import { ownerHeader, parseOwner } from '../../../src/domain/message-headers.ts';
import {
  generatedInstanceId,
  instanceKey,
  isInstanceId,
  isServiceName,
  KEY_FORMS,
  parseInstanceKey,
  podNameInstanceId,
} from '../../../src/domain/names.ts';
import { parsePort } from '../../../src/domain/port.ts';
import { formatTimestamp, parseOffset, UTC } from '../../../src/domain/timestamp.ts';
import { imageTag, normaliseVersion, resolveVersion } from '../../../src/domain/version.ts';
import { aPod } from '../../support/builders.ts';
import { anyText, podName, serviceName, uid } from './arbitraries.ts';

const KEYS = {
  Dotted: /^service-instances\.[a-z][a-z0-9-]{1,62}[a-z0-9]\.[a-zA-Z0-9][a-zA-Z0-9_-]{0,99}$/,
  Underscore: /^service-instances_[a-z][a-z0-9-]{1,62}[a-z0-9]_[a-zA-Z0-9][a-zA-Z0-9_-]{0,99}$/,
  DoubleUnderscore: /^service-instances__[a-z][a-z0-9-]{1,62}[a-z0-9]__[a-zA-Z0-9][a-zA-Z0-9_-]{0,99}$/,
};
const form = fc.constantFrom(...KEY_FORMS);
const instanceId = fc.stringMatching(/^[a-zA-Z0-9][a-zA-Z0-9_-]{0,99}$/);
const VERSION = /^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)$/;

test('a key exists for two texts exactly when both fit, and is then one subject token each', () => {
  fc.assert(
    fc.property(fc.oneof(serviceName, anyText), fc.oneof(instanceId, anyText), form, (name, id, look) => {
      const key = instanceKey(name, id, look);
      expect(key !== undefined).toBe(isServiceName(name) && isInstanceId(id));
      if (key === undefined) return;
      expect(key).toMatch(KEYS[look]);
      expect(parseInstanceKey(key)).toEqual({ key, form: look, serviceName: name, instanceId: id });
    }),
  );
});

test('only what makes a key again is read as one', () => {
  fc.assert(
    fc.property(
      fc.oneof(
        anyText,
        fc
          .tuple(fc.constantFrom('.', '_', '__'), fc.constantFrom('.', '_', '__'), anyText)
          .map(([a, b, text]) => `service-instances${a}web${b}${text}`),
        fc.stringMatching(/^service-instances[._]{1,3}[ab_.-]{0,6}[._]{1,3}[ab_.-]{0,6}$/),
      ),
      (text) => {
        const parsed = parseInstanceKey(text);
        if (parsed !== undefined) expect(instanceKey(parsed.serviceName, parsed.instanceId, parsed.form)).toBe(text);
      },
    ),
  );
});

test('every pod of every service has an id, and always the same', () => {
  fc.assert(
    fc.property(serviceName, uid, podName, (service, podUid, pod) => {
      for (const digits of [8, 16] as const) {
        const id = generatedInstanceId(service, podUid, digits);
        expect(isInstanceId(id)).toBe(true);
        expect(id).toBe(generatedInstanceId(service, podUid, digits));
        expect(id.startsWith(`${service}-`)).toBe(true);
        expect(id).toHaveLength(service.length + 1 + digits);
      }
      expect(generatedInstanceId(service, podUid, 16).startsWith(generatedInstanceId(service, podUid, 8))).toBe(true);
      expect(isInstanceId(podNameInstanceId(pod))).toBe(true);
    }),
  );
});

test('every text comes to a version that readers accept', () => {
  fc.assert(
    fc.property(anyText, anyText, (text, image) => {
      expect(normaliseVersion(text)).toMatch(VERSION);
      const pod = aPod({ labels: { version: text }, containers: [{ name: 'a', image, ports: [] }] });
      const { version, sourceVersion } = resolveVersion(pod, { kind: 'Chain' });
      expect(version).toMatch(VERSION);
      expect(sourceVersion === undefined || (sourceVersion.isWellFormed() && sourceVersion.length <= 64)).toBe(true);
    }),
  );
});

test('a version that fits is left alone', () => {
  const part = fc.nat({ max: 999_999 });
  fc.assert(
    fc.property(
      part,
      part,
      part,
      fc.constantFrom('', '-rc.1', '+b', '-a+b'),
      fc.constantFrom('', 'v'),
      (a, b, c, rest, v) => {
        expect(normaliseVersion(`${v}${a}.${b}.${c}${rest}`)).toBe(`${a}.${b}.${c}`);
      },
    ),
  );
});

test('a tag is found behind every registry and before every digest', () => {
  const tag = fc.stringMatching(/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,40}$/);
  const host = fc.constantFrom('', 'registry.example/', 'registry.example:5000/', 'localhost:1/a/b/');
  fc.assert(
    fc.property(host, tag, fc.constantFrom('', `@sha256:${'a'.repeat(64)}`), (registry, text, digest) => {
      expect(imageTag(`${registry}repo:${text}${digest}`)).toBe(text);
    }),
  );
});

test('durations: what is whole seconds in range, and nothing else', () => {
  fc.assert(
    fc.property(fc.nat({ max: 1 }), fc.nat({ max: 99 }), fc.nat({ max: 9999 }), (h, m, s) => {
      const seconds = h * 3600 + m * 60 + s;
      const parsed = parseDuration(`${h}h${m}m${s}s`, 3, 3600);
      expect(parsed).toEqual(
        seconds >= 3 && seconds <= 3600 ? { kind: 'seconds', seconds } : expect.objectContaining({ kind: 'problem' }),
      );
    }),
  );
  fc.assert(
    fc.property(anyText, (text) => {
      const parsed = parseDuration(text, 3, 3600);
      if (parsed.kind === 'seconds') expect(text).toMatch(/^(\d+|(\d+h)?(\d+m)?(\d+s)?)$/);
    }),
  );
});

test('ports: a number in range, a name, or nothing', () => {
  fc.assert(
    fc.property(fc.oneof(anyText, fc.integer({ min: -10, max: 70_000 }).map(String)), (text) => {
      const port = parsePort(text);
      if (typeof port === 'number') expect(port >= 1 && port <= 65_535 && String(port) === text).toBe(true);
      else if (port !== undefined) expect(text).toMatch(/^[a-z0-9-]{1,15}$/);
    }),
  );
});

test('printed times are read back as the same moment, at every offset', () => {
  const offset = fc
    .tuple(fc.constantFrom('+', '-'), fc.nat({ max: 13 }), fc.nat({ max: 59 }))
    .map(([sign, hours, minutes]) => `${sign}${String(hours).padStart(2, '0')}:${String(minutes).padStart(2, '0')}`);
  const wallMs = fc.integer({ min: Date.UTC(1900, 0), max: Date.UTC(2999, 0) });
  fc.assert(
    fc.property(wallMs, offset, (ms, text) => {
      const parsed = parseOffset(text);
      const printed = formatTimestamp(ms, parsed ?? UTC);
      expect(printed).toHaveLength(29);
      expect(printed.endsWith(text)).toBe(true);
      expect(Date.parse(printed)).toBe(ms);
      expect(formatTimestamp(ms, UTC)).toBe(new Date(ms).toISOString());
    }),
  );
});

test('owners: what is written is read, and nothing breaks a header line', () => {
  fc.assert(
    fc.property(podName, podName, uid, (namespace, name, podUid) => {
      const header = ownerHeader('cluster-a', { namespace, name, uid: podUid });
      expect(header).toMatch(/^[\x21-\x7e]+$/);
      if (podUid !== '')
        expect(parseOwner(header)).toEqual({ operatorId: 'cluster-a', namespace, name, uid: podUid.toWellFormed() });
    }),
  );
  fc.assert(fc.property(anyText, (text) => void parseOwner(text)));
});
