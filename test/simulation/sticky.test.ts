// The judge of sticky groups is judged: a hand-over as it should be passes, and batches that are tampered with on their
// way to the stream are caught.

import { afterEach, expect, test } from 'vitest';
import type { BatchMessage, CommitOutcome } from '../../src/writer/registry.ts';
import { FakeRegistry } from '../support/fake-registry.ts';
import type { FakeStream } from '../support/fake-stream.ts';
import { Judge } from './support/judge.ts';
import { seeded } from './support/seeded.ts';
import { PLAIN, World } from './support/world.ts';

type Tamper = (keys: readonly BatchMessage[]) => readonly BatchMessage[];

class TamperedRegistry extends FakeRegistry {
  readonly #tamper: Tamper;

  constructor(stream: FakeStream, name: string, tamper: Tamper) {
    super(stream, name);
    this.#tamper = tamper;
  }

  override commit([lock, ...keys]: readonly BatchMessage[], signal: AbortSignal): Promise<CommitOutcome> {
    return super.commit([...(lock === undefined ? [] : [lock]), ...this.#tamper(keys)], signal);
  }
}

const textOf = ({ body }: { readonly body: Uint8Array }): string => Buffer.from(body).toString();
const isUp = (message: { readonly body: Uint8Array }): boolean => textOf(message).includes('"status":"ACTIVE"');

const worlds: World[] = [];
afterEach(async () => {
  for (const world of worlds.splice(0)) await world.end();
});

/** Three Ready pods of one group; the ACTIVE one dies 5 s later. Judged all the way. */
const handOver = async (tamper: Tamper, whenNotReady: 'MarkUnhealthy' | 'Lapse' | 'Remove'): Promise<World> => {
  const world = new World(seeded(7), (stream, name) => new TamperedRegistry(stream, name, tamper));
  worlds.push(world);
  const judge = new Judge(world);
  world.setSpec({ ...PLAIN, whenNotReady, stickyActiveGroup: 'blue' });
  for (const name of ['a', 'b', 'c']) world.addPod(name, true, false);
  world.startReplica();
  const pass = async (ms: number) => {
    const endMs = world.clock.monotonicMs() + ms;
    while (world.clock.monotonicMs() < endMs) {
      await world.clock.advance(100);
      judge.check();
    }
  };
  await pass(5_000);
  const active = world.stream.messages('$KV.service-registry.>').find(isUp);
  const pod = world.pods.get(active?.headers['Rollcall-Owner']?.split('/')[3] ?? '');
  if (pod === undefined) throw new Error('nobody is ACTIVE');
  world.deletePod(pod);
  await pass(15_000);
  return world;
};

test.each(['MarkUnhealthy', 'Lapse', 'Remove'] as const)('%s: a hand-over is one batch', async (whenNotReady) => {
  const world = await handOver((keys) => keys, whenNotReady);
  const changes = world.stream
    .history()
    .flatMap((entry) =>
      entry.kind === 'stored' && /Terminating|RoleChange/.test(entry.message.headers['Rollcall-Reason'] ?? '')
        ? entry
        : [],
    );
  expect(changes).toHaveLength(2);
  expect(new Set(changes.map(({ batch }) => batch)).size).toBe(1);
  expect(changes.map(({ message }) => isUp(message))).toEqual([false, true]);
});

test.each<[string, Tamper]>([
  ['ACTIVE before STANDBY', (keys) => keys.toReversed()],
  ['only the half that goes up', (keys) => (keys.some(isUp) ? keys.filter(isUp) : keys)],
  ['only the half that goes down', (keys) => keys.filter((key) => !isUp(key))],
  [
    'the term of the one before',
    (keys) =>
      keys.map((key) => ({ ...key, body: Buffer.from(textOf(key).replace(/"stickyTerm":\d+/, '"stickyTerm":3')) })),
  ],
])('a planted bug is caught: %s', async (_, tamper) => {
  await expect(handOver(tamper, 'MarkUnhealthy')).rejects.toThrow(/I5/);
});
