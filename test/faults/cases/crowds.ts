// Very many pods at once: a service that is scaled from nothing to thousands and back, and thousands that flap. What is
// quiet beside them must not notice, and what is true must be visible soon.

import { type FaultCase, type Figure, longest } from '../fault-case.ts';
import type { Play } from '../play.ts';

const VISIBLE_MS = 5_000;
const QUIET_REFRESH_MS = 25_000;
const CROWD = 3_000;
const FLAPS = 2;
const SHORTENED = `${CROWD.toLocaleString('en')} pods rather than 10,000: servers and pods share two cores`;

const services = (name: string) =>
  Array.from({ length: 10 }, (_, space) => ({ namespace: `space-${space}`, service: `${name}-${space}`, group: null }));

const scaleUp = async (play: Play, name: string): Promise<number> => {
  const sinceMs = play.now();
  await play.observer.enlarge({ services: services(name), pods: CROWD });
  return play.now() - sinceMs;
};

const scaleDown = async (play: Play, name: string): Promise<number> => {
  const sinceMs = play.now();
  await play.observer.shrink(services(name).map(({ service }) => service));
  return play.now() - sinceMs;
};

const perSecond = (name: string, count: number, ms: number): Figure => ({
  name,
  value: (count / ms) * 1_000,
  unit: '',
});

const flapping: FaultCase = {
  id: 'F36',
  fault: `${CROWD.toLocaleString('en')} pods flap, ${FLAPS} times each`,
  shortened: SHORTENED,
  stage: { nats: 'one server' },
  seconds: 200,
  lapsesAtMost: 0,
  oldestRefreshBelowMs: QUIET_REFRESH_MS,
  visibleP99Ms: VISIBLE_MS,
  run: async (play) => {
    const names = services('flapping').map(({ service }) => service);
    play.progress('they come');
    await scaleUp(play, 'flapping');
    const sinceMs = play.now();
    for (let flap = 1; flap <= FLAPS; flap += 1) {
      await play.blow(`flap ${flap}: none is Ready`, () => play.observer.flap({ services: names, ready: false }));
      await play.blow(`flap ${flap}: all are Ready`, () => play.observer.flap({ services: names, ready: true }));
    }
    const flappedMs = play.now() - sinceMs;
    const calmMs = play.now();
    await play.observer.calm();
    const figures = [
      perSecond('changes a second', 2 * FLAPS * CROWD, flappedMs),
      longest('right after the last one', [(await play.observer.converged(60_000)) - calmMs], 15_000),
    ];
    play.progress('they go');
    await scaleDown(play, 'flapping');
    return figures;
  },
};

const scaled: FaultCase = {
  id: 'F37',
  fault: `scale 0 to ${CROWD.toLocaleString('en')} pods and back`,
  shortened: SHORTENED,
  stage: { nats: 'one server' },
  seconds: 120,
  lapsesAtMost: 0,
  oldestRefreshBelowMs: QUIET_REFRESH_MS,
  visibleP99Ms: VISIBLE_MS,
  run: async (play) => {
    const upMs = await play.blow('scale up', () => scaleUp(play, 'crowd'));
    await play.pause(15_000);
    const downMs = await play.blow('scale down', () => scaleDown(play, 'crowd'));
    return [perSecond('pods a second up', CROWD, upMs), perSecond('pods a second down', CROWD, downMs)];
  },
};

export const crowdCases: readonly FaultCase[] = [scaled, flapping];
