// What happens to the nodes of a schedule: few of them fall silent and speak again, and sometimes no lease moves at all.

import type { Kubelets } from './kubelets.ts';
import { type Action, pass, type Scene } from './scene.ts';
import { between, pick } from './seeded.ts';
import type { World } from './world.ts';

/** Of five: more of them would be held. */
const SILENT_MAX = 2;
/** After the brake held: 20 s for all to speak, 24 s of silence, and some air. */
const AFTER_STALL_MS = 45_000;

export const NODE_FAULTS: readonly Action[] = [
  ['a node falls silent', (scene) => silenceSome(scene)],
  ['a node falls silent for long', (scene) => longSilence(scene)],
  ['a node speaks again', ({ world: { kubelets }, random }) => letSpeak(kubelets, random)],
  ['no lease moves', (scene) => stalled(scene)],
];

export const letAllSpeak = ({ kubelets }: World): void => {
  for (const name of kubelets?.names ?? []) kubelets?.speak(name);
};

const silentOf = (kubelets: Kubelets): readonly string[] => kubelets.names.filter((name) => kubelets.isSilent(name));

const silenceSome = ({ world: { kubelets }, random }: Scene): void => {
  if (kubelets !== undefined && silentOf(kubelets).length < SILENT_MAX) kubelets.silence(pick(random, kubelets.names));
};

/** Long enough for it to be judged, if nothing else happens. */
const longSilence = async (scene: Scene): Promise<void> => {
  silenceSome(scene);
  await pass(scene.world, scene.judge, between(scene.random, 20_000, 60_000));
};

const letSpeak = (kubelets: Kubelets | undefined, random: Scene['random']): void => {
  const silent = kubelets === undefined ? [] : silentOf(kubelets);
  if (silent.length > 0) kubelets?.speak(pick(random, silent));
};

/** Nobody is to blame for it; who was silent before may be held for a while. */
const stalled = async ({ world, judge, random }: Scene): Promise<void> => {
  const { kubelets, clock } = world;
  if (kubelets === undefined) return;
  kubelets.stalled = true;
  judge.heldUntilMs = Number.POSITIVE_INFINITY;
  await pass(world, judge, between(random, 1_000, 60_000));
  kubelets.stalled = false;
  judge.heldUntilMs = clock.monotonicMs() + AFTER_STALL_MS;
};
