// A bucket in which others are at work: everything lapses at once, it fills up, keys of ours are taken.

import { untilSaid } from '../conditions.ts';
import { type FaultCase, type Figure, longest } from '../fault-case.ts';
import type { Play } from '../play.ts';

const SERVICES = ['service-1-2', 'service-2-2'] as const;

const clockJumps: FaultCase = {
  id: 'F26',
  fault: "the NATS server's clock jumps by more than a TTL: every key lapses at once",
  shortened:
    'not by the clock, which no process can be given another of in Go: the real server is made to expire everything at once by a max_age of 100 ms that is taken back; that the stamps of messages jump is in the simulation',
  stage: { nats: 'one server' },
  seconds: 40,
  run: async (play) => {
    const backMs = await play.fault('every key lapses', 'keys', () => play.observer.expire(30_000));
    await play.pause(5_000);
    return [longest('back to 0 missing', [backMs], 12_000)];
  },
};

const full: FaultCase = {
  id: 'F30',
  fault: 'another client fills the bucket to its max_bytes for 25 s, then makes room',
  stage: { nats: 'one server' },
  seconds: 60,
  run: async (play) => {
    const { observer } = play;
    const sinceMs = play.now();
    const { said, freedMs } = await play.fault('the bucket is full', 'registry', async () => {
      await observer.fill();
      try {
        const said = (await untilSaid(play, ['RegistryFull'], sinceMs, 20_000)) ?? Number.NaN;
        await play.pause(sinceMs + 25_000 - play.now());
        return { said, freedMs: play.now() };
      } finally {
        await observer.free();
      }
    });
    const backMs = await observer.whole(freedMs);
    return [longest('condition', [said], 15_000), longest('recovery', [backMs - freedMs], 5_000)];
  },
};

const taken: FaultCase = {
  id: 'F28b',
  fault: 'others write over the keys of two services, whose pods die in the same moment or live on',
  stage: { nats: 'one server' },
  seconds: 50,
  run: async (play) => {
    const keys = await play.fault('40 keys are taken', 'none', async () => {
      // One where the key is removed, and one whose farewell is a value. Apart, or the refusal of one would save the other.
      await whenNotReady(play, SERVICES[0], 'Remove');
      await play.pause(1_000);
      const removed = await play.observer.overwrite([SERVICES[0]]);
      await play.pause(2_000);
      const told = await play.observer.overwrite([SERVICES[1]]);
      // Those that live on are refreshed meanwhile.
      await play.pause(12_000);
      await play.observer.killAll(SERVICES);
      await play.pause(2_000);
      return [...removed, ...told];
    });
    const left = await play.observer.untouched(keys);
    await whenNotReady(play, SERVICES[0], null);
    await play.observer.replenish(play.stage.pods);
    const figure: Figure = {
      name: 'taken keys still as others wrote them',
      value: left,
      unit: '',
      atLeast: keys.length,
    };
    return [{ name: 'keys taken', value: keys.length, unit: '', atLeast: 20 }, figure];
  },
};

/** The resources have the names of their services: `service-1-2` is in `space-1`. */
const whenNotReady = async (play: Play, service: string, value: 'Remove' | null): Promise<void> => {
  const namespace = `space-${service.split('-')[1]}`;
  const path = `/apis/rollcall.dev/v1alpha1/namespaces/${namespace}/serviceregistrations/${service}`;
  await play.stage.cluster.api().patch(path, { spec: { whenNotReady: value } });
};

export const natsBucketCases: readonly FaultCase[] = [clockJumps, full, taken];
