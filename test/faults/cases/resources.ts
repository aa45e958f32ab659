// Resources that are deleted while their pods live: one of many pods, a namespace with all that is in it, the definition of
// the kind itself.

import { join } from 'node:path';
import { ApiError } from '../../../hack/control-plane/api-client.ts';
import { waitFor } from '../../../hack/control-plane/wait.ts';
import { type FaultCase, longest } from '../fault-case.ts';
import type { Play } from '../play.ts';

const TOLD_MS = 5_000;
/** The policy is MarkUnhealthy: the key says so, and lapses a TTL later. */
const TTL_MS = 30_500;
const LARGE = 500;
const LARGE_SERVICE = 'service-large';
const BACK_MS = 15_000;
const NAMESPACE = 'space-9';
const API = '/apis/rollcall.dev/v1alpha1';
const crd = join(import.meta.dirname, '../../../crds/serviceregistrations.rollcall.dev.yaml');

/** Being gone takes a TTL more, in which the case goes on. */
type Ending = { readonly toldMs: number; readonly gone: Promise<number> };

/** How long until the keys of these pods said so, and until they were gone. */
const endingOf = async (play: Play, uids: readonly string[], sinceMs: number): Promise<Ending> => {
  const toldMs = (await play.observer.ended(uids, 60_000)) - sinceMs;
  const gone = play.observer.ended(uids, 60_000, true).then((goneMs) => goneMs - sinceMs);
  // Awaited at the end of the case.
  gone.catch(() => {});
  return { toldMs, gone };
};

const largeDeleted = async (play: Play): Promise<Ending> => {
  const { observer, cluster } = play.stage;
  play.progress(`${LARGE} pods of one resource`);
  await observer.enlarge({ services: [{ namespace: 'space-0', service: LARGE_SERVICE, group: null }], pods: LARGE });
  await observer.converged(60_000);
  return play.fault('a resource with 500 pods is deleted', 'none', async () => {
    const uids = await observer.leaving([LARGE_SERVICE]);
    await cluster.api().delete(`${API}/namespaces/space-0/serviceregistrations/${LARGE_SERVICE}`);
    const sinceMs = play.now();
    await observer.withdrawn([LARGE_SERVICE]);
    return endingOf(play, uids, sinceMs);
  });
};

/** The controller deletes what is in it, each kind in its turn; counted from when the last pod was gone. */
const namespaceDeleted = async (play: Play): Promise<Ending> => {
  const { observer, cluster } = play.stage;
  return play.fault(`namespace ${NAMESPACE} is deleted`, 'none', async () => {
    const uids = await observer.leaving(servicesOf(9));
    await cluster.api().delete(`/api/v1/namespaces/${NAMESPACE}`);
    await waitFor(
      'the pods to be gone',
      async () => (await cluster.api().list(`/api/v1/namespaces/${NAMESPACE}/pods`)).length === 0,
      { deadlineMs: 90_000 },
    );
    return endingOf(play, uids, play.now());
  });
};

/** Resolves with how the keys ended, and when all were back after the definition was. */
const definitionDeleted = async (
  play: Play,
): Promise<Ending & { readonly backMs: number; readonly running: number }> => {
  const { observer, cluster, replicas } = play.stage;
  const services = Array.from({ length: 9 }, (_, space) => servicesOf(space)).flat();
  return play.fault('the CustomResourceDefinition is deleted, and applied again', 'blind', async () => {
    const uids = await observer.leaving(services);
    await cluster.kubectlOk(['delete', '--wait=true', '-f', crd]);
    const sinceMs = play.now();
    await observer.withdrawn(services);
    const ending = await endingOf(play, uids, sinceMs);
    // Or they would be back before.
    await ending.gone;
    const running = replicas.filter(({ operator }) => operator.process.running).length;
    await cluster.kubectlOk(['apply', '-f', crd]);
    await waitFor('the kind to be served', () => isServed(play), { deadlineMs: 30_000 });
    await observer.restore(services);
    const restoredMs = play.now();
    const backMs = (await observer.converged(60_000)) - restoredMs;
    return { ...ending, backMs, running };
  });
};

const isServed = async (play: Play): Promise<boolean> => {
  try {
    await play.stage.cluster.api().list(`${API}/serviceregistrations`);
    return true;
  } catch (error) {
    if (error instanceof ApiError) return false;
    throw error;
  }
};

const servicesOf = (space: number): readonly string[] =>
  Array.from({ length: 5 }, (_, number) => `service-${space}-${number}`);

const deleted: FaultCase = {
  id: 'F35',
  fault: 'a resource with 500 pods deleted; a namespace deleted; the CRD deleted, and applied again',
  stage: { nats: 'one server', controllers: true },
  seconds: 180,
  leaves: 'ruins',
  run: async (play) => {
    // What changes by itself meanwhile would be taken for part of it.
    await play.observer.calm();
    const large = await largeDeleted(play);
    const namespace = await namespaceDeleted(play);
    const definition = await definitionDeleted(play);
    const [largeGone, namespaceGone, definitionGone] = await Promise.all([large.gone, namespace.gone, definition.gone]);
    await play.observer.shrink([LARGE_SERVICE]);
    await play.observer.churn(true);
    await play.pause(10_000);
    return [
      longest('500 keys told', [large.toldMs], TOLD_MS),
      longest('500 keys gone', [largeGone], TOLD_MS + TTL_MS),
      longest("a namespace's keys told", [namespace.toldMs], TOLD_MS),
      longest("a namespace's keys gone", [namespaceGone], TOLD_MS + TTL_MS),
      longest('without the CRD, told', [definition.toldMs], TOLD_MS),
      longest('without the CRD, gone', [definitionGone], TOLD_MS + TTL_MS),
      { name: 'operators that live without it', value: definition.running, unit: '', atLeast: 2 },
      longest('with the CRD, all back', [definition.backMs], BACK_MS),
    ];
  },
};

export const resourceCases: readonly FaultCase[] = [deleted];
