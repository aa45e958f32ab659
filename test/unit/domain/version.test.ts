// Versions: the normalisation rule, the chain, the sources, image references of every form.

import { describe, expect, test } from 'vitest';
import type { VersionSource } from '../../../src/domain/settings.ts';
import { imageTag, normaliseVersion, resolveVersion } from '../../../src/domain/version.ts';
import { aPod } from '../../support/builders.ts';

describe('normalised', () => {
  test.each([
    ['1.4.2', '1.4.2'],
    ['0.0.0', '0.0.0'],
    ['v1.4.2', '1.4.2'],
    ['V2', '2.0.0'],
    ['1.4', '1.4.0'],
    ['7', '7.0.0'],
    ['1.4.2-rc.1', '1.4.2'],
    ['1.4-rc.1', '1.4.0'],
    ['1.4.2+build.7', '1.4.2'],
    ['v1.4.2-rc.1+build', '1.4.2'],
    ['20261123', '20261123.0.0'],
    ['7-alpine', '7.0.0'],
    ['latest', '0.0.0'],
    ['', '0.0.0'],
    ['1.04.2', '0.0.0'],
    ['1.2.3.4', '0.0.0'],
    ['1.2.', '0.0.0'],
    ['.1', '0.0.0'],
    ['-1', '0.0.0'],
    ['sha-1a2b3c', '0.0.0'],
    ['1a2b3c4', '0.0.0'],
    ['sha256:0123456789abcdef', '0.0.0'],
    ['1.2.3\n', '0.0.0'],
    ['１.２.３', '0.0.0'],
    [`${'9'.repeat(16)}.0.0`, '0.0.0'],
    [`1.0.0-${'x'.repeat(200)}`, '0.0.0'],
  ])('%j is %s', (text, version) => {
    expect(normaliseVersion(text)).toBe(version);
  });
});

describe('image tags', () => {
  const digest = 'sha256:9b2c0f4d';

  test.each<[string, string | undefined]>([
    ['repo:1.4.2', '1.4.2'],
    ['registry.example/team/repo:1.4.2', '1.4.2'],
    ['registry.example:5000/repo:1.4.2', '1.4.2'],
    ['registry.example:5000/repo', undefined],
    ['localhost:5000/a/b/repo', undefined],
    [`repo@${digest}`, digest],
    [`registry.example:5000/repo@${digest}`, digest],
    [`registry.example:5000/repo:v1@${digest}`, 'v1'],
    ['repo', undefined],
    ['repo:', undefined],
    ['', undefined],
  ])('%s', (image, tag) => {
    expect(imageTag(image)).toBe(tag);
  });
});

describe('the chain', () => {
  const image = (image: string) => [
    { name: 'app', image, ports: [] },
    { name: 'side', image: 'side:9.9.9', ports: [] },
  ];
  const chain = (pod: Parameters<typeof aPod>[0]) => resolveVersion(aPod(pod), { kind: 'Chain' });

  test.each<[string, Parameters<typeof aPod>[0], ReturnType<typeof resolveVersion>]>([
    [
      'the annotation first',
      { annotations: { version: '2.0.0' }, labels: { 'app.kubernetes.io/version': '1.0.0' } },
      { version: '2.0.0' },
    ],
    [
      'then the well-known label',
      { labels: { 'app.kubernetes.io/version': '1.0.0', version: '3.0.0' } },
      { version: '1.0.0' },
    ],
    ['then the label version', { labels: { version: '3.0.0' } }, { version: '3.0.0' }],
    ['an empty label does not count', { labels: { version: '' }, containers: image('a:4.0.0') }, { version: '4.0.0' }],
    ["then the first container's tag", { containers: image('a:4.0.0') }, { version: '4.0.0' }],
    ['without any 0.0.0, and no word', { containers: image('a') }, { version: '0.0.0' }],
    ['without containers 0.0.0', { containers: [] }, { version: '0.0.0' }],
    [
      'a blank annotation does not count',
      { annotations: { version: '  ' }, labels: { version: '3.0.0' } },
      { version: '3.0.0' },
    ],
    [
      'what does not fit is kept and said',
      { containers: image('a:v4.0') },
      { version: '4.0.0', sourceVersion: 'v4.0', note: '"v4.0" from the image tag is registered as 4.0.0' },
    ],
    [
      'a digest',
      { containers: image('a@sha256:9b2c') },
      {
        version: '0.0.0',
        sourceVersion: 'sha256:9b2c',
        note: '"sha256:9b2c" from the image tag is registered as 0.0.0',
      },
    ],
    [
      'control characters are not passed on',
      { annotations: { version: '1.0\u0000\u001bx' } },
      {
        version: '0.0.0',
        sourceVersion: '1.0??x',
        note: '"1.0??x" from the version annotation is registered as 0.0.0',
      },
    ],
  ])('%s', (_, pod, expected) => {
    expect(chain(pod)).toEqual(expected);
  });
});

describe('a source', () => {
  const pod = aPod({
    labels: { release: 'v5' },
    versionAnnotations: { 'example.com/release': '6.1' },
    containers: [
      { name: 'side', image: 'side:1.0.0', ports: [] },
      { name: 'app', image: 'app:2.0.0', ports: [] },
    ],
  });
  const absent = (what: string) => ({
    version: '0.0.0',
    note: `${what} is absent or holds no version; registered as 0.0.0`,
  });

  test.each<[string, VersionSource, object]>([
    ['a value', { kind: 'Value', value: '1.4.2' }, { version: '1.4.2' }],
    ['a value that does not fit', { kind: 'Value', value: '1.4' }, { version: '1.4.0', sourceVersion: '1.4' }],
    ['a label', { kind: 'Label', name: 'release' }, { version: '5.0.0', sourceVersion: 'v5' }],
    ['an absent label', { kind: 'Label', name: 'constructor' }, absent('the label constructor')],
    ['an annotation', { kind: 'Annotation', name: 'example.com/release' }, { version: '6.1.0', sourceVersion: '6.1' }],
    ['an absent annotation', { kind: 'Annotation', name: 'x' }, absent('the annotation x')],
    ['an image tag', { kind: 'ImageTag', container: 'app' }, { version: '2.0.0' }],
    ['an absent container', { kind: 'ImageTag', container: 'x' }, absent('the image tag of container x')],
  ])('%s', (_, source, expected) => {
    expect(resolveVersion(pod, source)).toMatchObject(expected);
  });

  test("gives way to the pod's own annotation", () => {
    const annotated = aPod({ annotations: { version: '9.9.9' } });
    expect(resolveVersion(annotated, { kind: 'Value', value: '1.0.0' })).toEqual({ version: '9.9.9' });
  });
});
