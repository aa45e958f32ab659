// Judges what is left when nothing happens any more: every Ready pod's keys stand (I9), say what is true (I4), and the
// statuses count them (I8).

import type { KeyForm } from '../../../src/domain/names.ts';
import { isUp, type Live } from './live.ts';
import { REGISTRATIONS, type World } from './world.ts';

export const judgeConverged = (
  world: World,
  live: ReadonlyMap<string, Live>,
  newest: ReadonlyMap<string, string>,
  forms: readonly KeyForm[],
): void => {
  const isPresent = (uid: string, form: KeyForm) =>
    [...live.values()].some((one) => one.uid === uid && one.key.form === form && isUp(one.status));
  for (const pod of world.livingPods) {
    const missing = forms.filter((form) => !isPresent(pod.uid, form));
    if (world.wants(pod) && missing.length > 0) {
      throw new Error(`I9: pod ${pod.name} is Ready and has no live key in form ${missing.join(' and ')}`);
    }
  }
  judgeTruth(world, live, newest, forms);
  const ready = world.livingPods.filter((pod) => world.wants(pod)).length;
  const told = toldOf(world, 'active') + toldOf(world, 'standby');
  // A key that is left to lapse is ACTIVE until it does.
  if (told !== ready && !(world.isLapsing && told > ready))
    throw new Error(`I8: status tells ${told} active or standby instances where ${ready} pods are Ready`);
  const shared = world.spec?.stickyActiveGroup !== undefined;
  const expected = shared ? Math.min(ready, 1) : ready;
  if (toldOf(world, 'active') !== expected && !world.isLapsing)
    throw new Error(`I8: status tells ${toldOf(world, 'active')} active instances where there must be ${expected}`);
};

/** I4: what stands says of its pod what the API server says. */
const judgeTruth = (
  world: World,
  live: ReadonlyMap<string, Live>,
  newest: ReadonlyMap<string, string>,
  forms: readonly KeyForm[],
): void => {
  const { spec } = world;
  for (const [subject, { uid, value, key, status }] of live) {
    const pod = world.pods.get(uid);
    if (spec === undefined || pod === undefined || !isUp(status) || !world.wants(pod)) continue;
    // One that was left behind lapses as it was.
    if (!forms.includes(key.form) || newest.get(`${key.form} ${uid}`) !== subject) continue;
    const { metadata, stickyActiveGroup } = value;
    const said = [metadata['pod'], metadata['ip'], metadata['team'], stickyActiveGroup];
    const true_ = [pod.name, pod.ip, spec.metadata['team'], spec.stickyActiveGroup ?? null];
    if (said.some((one, index) => one !== true_[index]))
      throw new Error(`I4: ${subject} says ${JSON.stringify(said)} where ${JSON.stringify(true_)} is true`);
  }
};

/** A count of the status, over all registrations. */
const toldOf = (world: World, count: 'active' | 'standby'): number =>
  REGISTRATIONS.reduce((sum, name) => {
    const status = world.api.get('ServiceRegistration', 'default', name)?.['status'];
    return sum + ((status as { instances?: Record<string, number> } | undefined)?.instances?.[count] ?? 0);
  }, 0);
