// Which ServiceRegistrations may use the name that they ask for. Follows the views change by change: a change asks anew
// only about the names that it touches, so that a pod's event costs one look into a map. What decides is
// `name-claims.ts` and, for the quota of services, `quotas.ts`; here is only the memory of who asks for what.

import {
  type Claim,
  type Claimant,
  GRANTED,
  judgeName,
  type NameClaimMode,
  registryName,
  unfitClaim,
} from '../domain/name-claims.ts';
import { clusterKey, type NamespaceView } from '../domain/namespace.ts';
import type { ObjectKey } from '../domain/pod.ts';
import { OldestFirst, type Ranked } from '../domain/quotas.ts';
import { type PolicyView, policyMatches } from '../domain/service-name-policy.ts';
import type { RegistrationView } from '../domain/service-registration.ts';
import type { Change } from './view.ts';
import type { Views } from './views.ts';

/** A name of the registry that somebody asks for. */
type Asked = {
  readonly claimants: Map<ObjectKey, Claimant>;
  /** Those that match the name. */
  policies: readonly PolicyView[];
};

/** A name that a namespace asks for, as its quota of services sees it. */
type Service = Ranked & { readonly name: string };

type Services = { readonly ranking: OldestFirst<Service>; readonly byName: Map<string, Service> };

type ClaimViews = Pick<Views, 'registrations' | 'namespaces' | 'policies'>;

export class Claims {
  readonly #views: ClaimViews;
  readonly #mode: NameClaimMode;
  readonly #servicesMax: number | undefined;
  readonly #asked = new Map<string, Asked>();
  readonly #claims = new Map<ObjectKey, Claim>();
  /** Of namespaces, also of those that went while they had registrations: an empty list is no reason to deny. */
  readonly #labels = new Map<string, NamespaceView['labels']>();
  /** By namespace; empty without a quota. */
  readonly #services = new Map<string, Services>();

  /** `servicesMax`: how many names a namespace may have; absent: any number. */
  constructor(views: ClaimViews, mode: NameClaimMode, servicesMax?: number) {
    this.#views = views;
    this.#mode = mode;
    this.#servicesMax = servicesMax;
  }

  of(registration: ObjectKey): Claim {
    return this.#claims.get(registration) ?? GRANTED;
  }

  /** The name that a registration's pods have in the registry. */
  registryName(namespace: string, serviceName: string): string {
    return registryName(this.#mode, namespace, serviceName);
  }

  /** These and the others return the registrations whose claim is another than before. */
  registrationChanged({ key, before, after }: Change<RegistrationView>): readonly ObjectKey[] {
    const asked = this.#nameOf(before);
    const asks = this.#nameOf(after);
    // A resource's name never changes, and most changes are of its status.
    if (asked === asks && before?.createdAtMs === after?.createdAtMs) return [];
    const namespace = (after ?? before)?.namespace ?? '';
    const names = new Set<string>();
    for (const name of [asked, asks]) if (name !== undefined) names.add(name);
    if (asked !== undefined) this.#withdraw(asked, key);
    if (after === undefined) this.#forget(namespace, key);
    else if (asks !== undefined) this.#enter(asks, { key, namespace, createdAtMs: after.createdAtMs });
    const changed = new Set<ObjectKey>();
    if (after !== undefined && asks === undefined) this.#set(key, this.#unclaimed(after), changed);
    for (const name of [...names]) for (const other of this.#rank(namespace, name)) names.add(other);
    for (const name of names) this.#judge(name, changed);
    return [...changed];
  }

  policyChanged({ before, after }: Change<PolicyView>): readonly ObjectKey[] {
    const changed = new Set<ObjectKey>();
    for (const [name, asked] of this.#asked) {
      const matches = after !== undefined && policyMatches(after, name);
      if (!matches && !(before !== undefined && policyMatches(before, name))) continue;
      const others = asked.policies.filter(({ key }) => key !== (after ?? before)?.key);
      asked.policies = matches ? [...others, after] : others;
      this.#judge(name, changed);
    }
    return [...changed];
  }

  namespaceChanged({ before, after }: Change<NamespaceView>): readonly ObjectKey[] {
    const namespace = (after ?? before)?.name ?? '';
    const changed = new Set<ObjectKey>();
    if (after === undefined) this.#forget(namespace);
    if (after === undefined || after.labels === this.#labels.get(namespace)) return [];
    this.#labels.set(namespace, after.labels);
    for (const registration of this.#views.registrations.byNamespace(namespace)) {
      const name = this.#nameOf(registration);
      if (name !== undefined && (this.#asked.get(name)?.policies.length ?? 0) > 0) this.#judge(name, changed);
    }
    return [...changed];
  }

  /** What a registration asks for; undefined for one that asks for nothing. */
  #nameOf(registration: RegistrationView | undefined): string | undefined {
    if (registration?.serviceName === undefined || registration.deleting) return undefined;
    const { namespace, serviceName } = registration;
    if (unfitClaim(this.#mode, namespace, serviceName) !== undefined) return undefined;
    return this.registryName(namespace, serviceName);
  }

  #unclaimed({ namespace, serviceName, deleting }: RegistrationView): Claim {
    if (serviceName === undefined || deleting) return GRANTED;
    return unfitClaim(this.#mode, namespace, serviceName) ?? GRANTED;
  }

  #enter(name: string, claimant: Claimant): void {
    const asked = this.#asked.get(name) ?? { claimants: new Map(), policies: this.#policiesFor(name) };
    asked.claimants.set(claimant.key, claimant);
    this.#asked.set(name, asked);
  }

  #withdraw(name: string, key: ObjectKey): void {
    const asked = this.#asked.get(name);
    asked?.claimants.delete(key);
    if (asked?.claimants.size === 0) this.#asked.delete(name);
  }

  #forget(namespace: string, registration?: ObjectKey): void {
    if (registration !== undefined) this.#claims.delete(registration);
    const [left] = this.#views.registrations.byNamespace(namespace);
    if (left === undefined && this.#views.namespaces.get(clusterKey(namespace)) === undefined) {
      this.#labels.delete(namespace);
    }
  }

  #policiesFor(name: string): readonly PolicyView[] {
    return [...this.#views.policies.values()].filter((policy) => policyMatches(policy, name));
  }

  #judge(name: string, changed: Set<ObjectKey>): void {
    const asked = this.#asked.get(name);
    if (asked === undefined) return;
    const claimants = [...asked.claimants.values()].filter(({ namespace }) => this.#isWithin(namespace, name));
    const verdict = judgeName({
      name,
      mode: this.#mode,
      claimants,
      policies: asked.policies,
      labelsOf: (namespace) => this.#labels.get(namespace),
    });
    for (const { key, namespace } of asked.claimants.values()) {
      this.#set(key, this.#isWithin(namespace, name) ? verdict(namespace) : this.#excess(namespace), changed);
    }
  }

  #set(key: ObjectKey, claim: Claim, changed: Set<ObjectKey>): void {
    const before = this.#claims.get(key) ?? GRANTED;
    if (claim === GRANTED) this.#claims.delete(key);
    else this.#claims.set(key, claim);
    if (!isSame(before, claim)) changed.add(key);
  }

  // ---- the quota of services ----

  /** Draws the namespace's line anew after a change of who asks for the name. Returns the names that moved over it. */
  #rank(namespace: string, name: string): readonly string[] {
    if (this.#servicesMax === undefined) return [];
    const services = this.#services.get(namespace) ?? {
      ranking: new OldestFirst<Service>(this.#servicesMax),
      byName: new Map<string, Service>(),
    };
    let createdAtMs: number | undefined;
    for (const claimant of this.#asked.get(name)?.claimants.values() ?? []) {
      if (claimant.namespace !== namespace) continue;
      createdAtMs = Math.min(createdAtMs ?? claimant.createdAtMs, claimant.createdAtMs);
    }
    const before = services.byName.get(name);
    const after = createdAtMs === undefined ? undefined : { createdAtMs, id: name, bytes: 0, name };
    const moved = services.ranking.replace(before, after);
    if (after === undefined) services.byName.delete(name);
    else services.byName.set(name, after);
    if (services.ranking.size === 0) this.#services.delete(namespace);
    else this.#services.set(namespace, services);
    return moved.map((service) => service.name);
  }

  #isWithin(namespace: string, name: string): boolean {
    const services = this.#services.get(namespace);
    const service = services?.byName.get(name);
    return services === undefined || service === undefined || services.ranking.isWithin(service);
  }

  #excess(namespace: string): Claim {
    const quota = `Namespace ${namespace} asks for more service names than its quota of ${this.#servicesMax} (--quota-services), and the oldest ones count.`;
    const message = `${quota} Nothing of this resource is registered. Delete ServiceRegistrations that are not needed, or have the quota raised.`;
    return { kind: 'excess', message };
  }
}

const isSame = (a: Claim, b: Claim): boolean =>
  a.kind === b.kind && ('message' in a ? a.message : '') === ('message' in b ? b.message : '');
