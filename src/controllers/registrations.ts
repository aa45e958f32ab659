// The ServiceRegistrations of a namespace as they count: with the defaults that are in force there, and those of them that
// may use their names. Remembered per namespace until something changes that they hang on. What Kubernetes said of them is
// the view's.

import { byAge } from '../domain/decide.ts';
import type { ObjectKey } from '../domain/pod.ts';
import { type RegistrationView, withDefaults } from '../domain/service-registration.ts';
import type { Defaults } from '../domain/settings.ts';
import type { Claims } from './claims.ts';
import type { LayeredDefaults } from './defaults.ts';
import type { Views } from './views.ts';

export type RegistrationsContext = {
  readonly views: Pick<Views, 'registrations'>;
  readonly defaults: Pick<LayeredDefaults, 'ofNamespace'>;
  /** The installation's, which the views have put in already. */
  readonly installation: Defaults;
  readonly claims: Pick<Claims, 'of'>;
};

export class Registrations {
  readonly #context: RegistrationsContext;
  readonly #lists = new Map<string, readonly RegistrationView[]>();
  readonly #granted = new Map<string, readonly RegistrationView[]>();

  constructor(context: RegistrationsContext) {
    this.#context = context;
  }

  of(namespace: string): readonly RegistrationView[] {
    const known = this.#lists.get(namespace);
    if (known !== undefined) return known;
    const listed = [...this.#context.views.registrations.byNamespace(namespace)].map((one) => this.#inForce(one));
    // Most namespaces have none, and are not worth remembering.
    if (listed.length > 0) this.#lists.set(namespace, listed);
    return listed;
  }

  get(key: ObjectKey): RegistrationView | undefined {
    const stored = this.#context.views.registrations.get(key);
    return stored && this.#inForce(stored);
  }

  /** Those that may use their names, in the order in which pods are asked of them. */
  grantedOf(namespace: string): readonly RegistrationView[] {
    const known = this.#granted.get(namespace);
    if (known !== undefined) return known;
    const granted = this.of(namespace)
      .filter(({ key }) => this.#context.claims.of(key).kind === 'granted')
      .toSorted(byAge);
    if (granted.length > 0) this.#granted.set(namespace, granted);
    return granted;
  }

  /** Its resources or its defaults changed. */
  forget(namespace: string): void {
    this.#lists.delete(namespace);
    this.#granted.delete(namespace);
  }

  /** Who of it may use which name changed. */
  forgetGranted(namespace: string): void {
    this.#granted.delete(namespace);
  }

  #inForce(stored: RegistrationView): RegistrationView {
    const { defaults, installation } = this.#context;
    const inForce = defaults.ofNamespace(stored.namespace);
    return inForce === installation ? stored : withDefaults(stored, inForce);
  }
}
