// A server that lost what it had acknowledged gives those revisions a second time: what the writer makes of it.

import { beforeEach, expect, test } from 'vitest';
import { LOCK, WriterBench } from '../../support/writer-bench.ts';

let bench: WriterBench;

beforeEach(() => {
  bench = new WriterBench();
});

const aLeader = async () => {
  const replica = bench.replica('a');
  await bench.clock.until(() => replica.writer.leading, 10_000);
  await bench.clock.advance(10_300);
  return replica;
};
const lockRevision = () => bench.stream.last(LOCK)?.revision ?? 0;
/** Another replica's lock comes to have this revision. */
const takenAt = (revision: number) => {
  while (bench.stream.lastRevision < revision - 1) bench.stream.put('$KV.service-registry.other', 'a value');
  const headers = { 'Rollcall-Holder': 'b', 'Rollcall-Term': '1' };
  expect(bench.stream.put(LOCK, '', { ttlSeconds: 6, headers })).toBe(revision);
};

test('a last revision below the acknowledged lock ends the term within a second, though the term began below it', async () => {
  await aLeader();
  bench.stream.loseNewest(2);
  expect(bench.stream.lastRevision).toBeGreaterThan(1);
  await bench.clock.advance(1_050);
  expect(bench.lines.map(({ fields }) => Object(fields).why)).toContain('the stream lost its newest messages');
});

test('when the connection is back the lock of another replica is not taken for ours, whatever its revision', async () => {
  const { registry, stop, ended } = await aLeader();
  const revision = lockRevision();
  registry.setLink('disconnected');
  bench.stream.loseNewest(2);
  takenAt(revision);
  registry.setLink('up');
  await bench.clock.advance(3_000);
  expect(bench.stream.last(LOCK)).toMatchObject({ revision, headers: { 'Rollcall-Holder': 'b' } });
  stop.abort();
  await bench.clock.advance(100);
  await ended;
});
