// Lines, events, and what of an object is not even parsed.

import { describe, expect, test } from 'vitest';
import { LineSplitter } from '../../../src/kubernetes/line-splitter.ts';
import { decodeWatch, type WatchEvent } from '../../../src/kubernetes/watch-decoder.ts';
import { FakeClock } from '../../support/fake-clock.ts';

const lines = (...pieces: readonly (string | Uint8Array)[]): string[] => {
  const splitter = new LineSplitter();
  return pieces.flatMap((piece) => [...splitter.push(Buffer.from(piece))].map((line) => line.toString()));
};

describe('lines', () => {
  test.each([
    ['several in one piece', ['a\nb\nc\n'], ['a', 'b', 'c']],
    ['one over several pieces', ['a', 'b', 'c\n'], ['abc']],
    ['a newline of its own', ['ab', '\n', 'cd\n'], ['ab', 'cd']],
    ['empty lines are none', ['\n\na\n\n'], ['a']],
    ['the rest waits', ['a\nb'], ['a']],
    ['a character cut in half', [Buffer.from('é\n').subarray(0, 1), Buffer.from('é\n').subarray(1)], ['é']],
  ])('%s', (_, pieces, expected) => {
    expect(lines(...pieces)).toEqual(expected);
  });

  test('a line without end is refused before it fills the memory', () => {
    const splitter = new LineSplitter();
    const piece = Buffer.alloc(1024 * 1024, 'x');
    expect(() => {
      for (let i = 0; i < 20; i++) for (const _ of splitter.push(piece));
    }).toThrow('a line of more than');
  });
});

async function decode(...pieces: readonly string[]): Promise<WatchEvent[]> {
  const clock = new FakeClock();
  async function* body() {
    for (const piece of pieces) yield Buffer.from(piece);
  }
  const events: WatchEvent[] = [];
  for await (const event of decodeWatch(body(), clock)) events.push(event);
  return events;
}

const line = (type: string, object: unknown) => `${JSON.stringify({ type, object })}\n`;

describe('events', () => {
  test('each type, with its version', async () => {
    const object = { metadata: { name: 'a', resourceVersion: '7' } };
    const end = { metadata: { resourceVersion: '9', annotations: { 'k8s.io/initial-events-end': 'true' } } };
    const events = await decode(
      line('ADDED', object),
      line('MODIFIED', object),
      line('DELETED', object),
      line('BOOKMARK', object),
      line('BOOKMARK', end),
    );
    expect(events).toEqual([
      { kind: 'added', resourceVersion: '7', object },
      { kind: 'modified', resourceVersion: '7', object },
      { kind: 'deleted', resourceVersion: '7', object },
      { kind: 'bookmark', resourceVersion: '7', initialEventsEnd: false },
      { kind: 'bookmark', resourceVersion: '9', initialEventsEnd: true },
    ]);
  });

  test.each([
    ['410', { code: 410, message: 'too old' }, 'gone'],
    ['500', { code: 500 }, 'transient'],
    ['403', { code: 403 }, 'denied'],
    ['429', { code: 429, details: { retryAfterSeconds: 3 } }, 'tooMany'],
    ['no code', {}, 'transient'],
    ['a version from the future', { code: 504, details: { causes: [{ reason: 'ResourceVersionTooLarge' }] } }, 'gone'],
  ])('an ERROR event is judged by its code: %s', async (_, status, kind) => {
    await expect(decode(line('ERROR', status))).rejects.toMatchObject({ name: 'ApiError', kind });
  });

  test.each([
    ['no JSON', 'garbage\n'],
    ['no object', '"text"\n'],
    ['an unknown type', line('NEWS', { metadata: { resourceVersion: '1' } })],
    ['no version', line('ADDED', { metadata: {} })],
    ['an end within a line', '{"type":"ADDED","obj'],
  ])('%s is a transient error', async (_, text) => {
    await expect(decode(text)).rejects.toMatchObject({ kind: 'transient' });
  });
});

describe('managed fields', () => {
  const managed = [{ manager: 'm', fieldsV1: { 'f:spec': { 'k:{"name":"x"}': { '.': {}, 'f:a': {} } } } }];
  const decodeObject = async (object: object) => {
    const [event] = await decode(line('ADDED', object));
    return event?.kind === 'added' ? event.object : undefined;
  };

  test('are left out of what the API server writes in its order', async () => {
    const spec = { containers: [{ name: 'a' }] };
    const decoded = await decodeObject({
      metadata: { resourceVersion: '1', labels: { a: 'b' }, managedFields: managed },
      spec,
    });
    expect(decoded).toEqual({ metadata: { resourceVersion: '1', labels: { a: 'b' } }, spec });
  });

  test.each([
    [
      'another order',
      { metadata: { managedFields: managed, resourceVersion: '1', uid: 'u' }, spec: { a: [{ b: 1 }] } },
    ],
    ['no spec', { metadata: { resourceVersion: '1', managedFields: managed }, data: { a: 'b' } }],
    [
      'a spec somewhere deeper',
      { metadata: { resourceVersion: '1', managedFields: managed }, data: { x: { y: [{}] }, spec: { z: 1 } } },
    ],
    [
      'a spec somewhere else',
      { metadata: { resourceVersion: '1', managedFields: managed }, data: [{ a: [{}] }], spec: { z: 1 } },
    ],
  ])('%s: nothing else is lost', async (_, object) => {
    const decoded = await decodeObject(object);
    const whole = structuredClone(object);
    const without = { ...whole, metadata: { ...whole.metadata, managedFields: undefined } };
    expect([whole, without]).toContainEqual(decoded);
  });

  test('text that looks like them is text', async () => {
    const nasty = ',"managedFields":[{}]},"spec":{';
    const object = {
      metadata: { resourceVersion: '1', annotations: { a: nasty, b: `\\${nasty}` } },
      spec: { a: nasty },
    };
    expect(await decodeObject(object)).toEqual(object);
  });
});
