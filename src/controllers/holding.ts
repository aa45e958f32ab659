// What the brakes hold, of lists and of nodes, seen together: how much it is, for which resources it is told, and what goes
// when it was confirmed or a person says so. When a brake holds is `domain/brake.ts` and `domain/node-loss.ts`.

import type { Clock } from '../clock.ts';
import type { Holding as Told } from '../domain/limitations.ts';
import type { ObjectKey } from '../domain/pod.ts';
import { releases } from '../domain/release-brake.ts';
import type { RegistrationView } from '../domain/service-registration.ts';
import type { Log } from '../log.ts';
import type { InstanceTable } from '../table/instance-table.ts';
import type { NodeWatch } from './node-watch.ts';
import { allViews, type Views } from './views.ts';

export type HoldingContext = {
  readonly views: Views;
  readonly table: InstanceTable;
  readonly nodes: Pick<NodeWatch, 'held' | 'silent'>;
  readonly clock: Clock;
  readonly log: Log;
  /** Every status may read differently. */
  readonly onChange: () => void;
};

export class Holding {
  readonly #context: HoldingContext;
  #told = '';
  #nodesTold = '0 0';

  constructor(context: HoldingContext) {
    this.#context = context;
  }

  /** Objects and keys that the brake holds although they are not to be seen. */
  get held(): number {
    const { views, table } = this.#context;
    return allViews(views).reduce((held, view) => held + view.held, table.held);
  }

  /** Nodes that do not renew their leases: those that count as lost, and those that the brake holds. */
  get nodes(): { readonly silent: number; readonly held: number } {
    const { nodes } = this.#context;
    return { silent: nodes.silent, held: nodes.held.length };
  }

  of(registration: RegistrationView): Told | undefined {
    if (this.held > 0) return 'missing';
    const { settings } = registration;
    if (settings.kind === 'valid' && settings.value.nodeLoss !== 'NodeLease') return undefined;
    return this.#context.nodes.held.some((sinceWallMs) => !releases(registration, sinceWallMs)) ? 'nodes' : undefined;
  }

  /** Logs what changed, and has it told. */
  tell(): void {
    const { log, onChange } = this.#context;
    const { held, nodes } = this;
    const holding = [held > 0 ? 'missing' : '', nodes.held > 0 ? 'nodes' : ''].join(' ').trim();
    if (this.#told !== holding) {
      const message = holding === '' ? 'the brake is released' : 'the brake holds what is not to be seen';
      log.warn({ held, nodes: nodes.held }, message);
      this.#told = holding;
      onChange();
    }
    const told = `${nodes.silent} ${nodes.held}`;
    if (this.#nodesTold !== told) log.warn(nodes, 'nodes do not renew their leases');
    this.#nodesTold = told;
  }

  /** Of all that was held: what was confirmed since, or is let go by a person. */
  letGo(): void {
    const { clock, table, views } = this.#context;
    const nowMs = clock.monotonicMs();
    const isReleased = (registration: ObjectKey, sinceMs: number): boolean => {
      const stored = views.registrations.get(registration);
      return stored !== undefined && releases(stored, clock.wallMs() - (nowMs - sinceMs));
    };
    // A pod is gone or it is not, whatever resources select it: the word of one of them is enough.
    const isPodReleased = (pod: ObjectKey, sinceMs: number): boolean =>
      table.registrationsOf(pod).some((registration) => isReleased(registration, sinceMs));
    for (const view of [...allViews(views), views.nodes, views.leases]) {
      const released = view === views.pods ? isPodReleased : view === views.registrations ? isReleased : () => false;
      view.letGo(nowMs, released);
    }
    table.letGo(({ registration }, sinceMs) => isReleased(registration, sinceMs));
  }
}
