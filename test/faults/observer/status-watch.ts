// What the resources say of themselves, looked at every three seconds, for I8. A look that fails is left out: nobody
// can be deceived by a status that cannot be read.

import { ApiClient } from '../../../hack/control-plane/api-client.ts';
import { nowMs, pause } from '../monotonic.ts';
import type { ApiAccess } from './pod-watch.ts';

const EVERY_MS = 3_000;

/** The services of which the resource says Ready=True. */
export type StatusSample = { readonly atMs: number; readonly ready: ReadonlySet<string> };

type Resource = {
  readonly metadata: { readonly name: string };
  readonly status?: { readonly conditions?: readonly { readonly type: string; readonly status: string }[] };
};

export class StatusWatch {
  readonly samples: StatusSample[] = [];

  constructor(access: ApiAccess) {
    void this.#look(new ApiClient(access));
  }

  async #look(api: ApiClient): Promise<void> {
    for (;;) {
      await pause(EVERY_MS);
      try {
        const resources = await api.list<Resource>('/apis/rollcall.dev/v1alpha1/serviceregistrations');
        const ready = resources.filter(({ status }) =>
          status?.conditions?.some(({ type, status: is }) => type === 'Ready' && is === 'True'),
        );
        this.samples.push({ atMs: nowMs(), ready: new Set(ready.map(({ metadata }) => metadata.name)) });
      } catch {
        // The API is away.
      }
    }
  }
}
