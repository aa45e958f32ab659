// What the resources of a stage say of the registry, asked through the API as anybody would.

import { waitFor } from '../../hack/control-plane/wait.ts';
import { nowMs } from './monotonic.ts';
import type { Play } from './play.ts';

type Resource = {
  readonly metadata: { readonly name: string };
  readonly status?: {
    readonly conditions?: readonly { readonly type: string; readonly status: string; readonly reason: string }[];
  };
};

/** How many resources say Ready=False, or another condition with that status, with one of these reasons. */
export const saying = async (
  play: Play,
  reasons: readonly string[],
  said: { readonly type: string; readonly status: string } = { type: 'Ready', status: 'False' },
): Promise<number> => {
  const resources = await play.stage.cluster.api().list<Resource>('/apis/rollcall.dev/v1alpha1/serviceregistrations');
  return resources.filter(({ status }) =>
    status?.conditions?.some(
      ({ type, status: is, reason }) => type === said.type && is === said.status && reasons.includes(reason),
    ),
  ).length;
};

/** The time from then until one does; undefined: none did in time. */
export const untilSaid = async (
  play: Play,
  reasons: readonly string[],
  sinceMs: number,
  deadlineMs: number,
): Promise<number | undefined> => {
  try {
    await waitFor(`${reasons.join(' or ')} to be said`, async () => (await saying(play, reasons)) > 0, {
      deadlineMs: sinceMs + deadlineMs - nowMs(),
      intervalMs: 100,
    });
    return nowMs() - sinceMs;
  } catch {
    return undefined;
  }
};
