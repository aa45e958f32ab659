// Who may use a service name: the key in the registry has no namespace in it, so names are granted, not taken. Pure and
// free of time: every replica with the same view says the same, whatever order the objects came in.
//
//   policies that match the name     mode                  a namespace may use it when
//   -------------------------------- --------------------- ------------------------------------------
//   some                             any                   one of them selects it
//   none                             Open                  always
//   none                             FirstCome, Prefixed   its claim to the name is the oldest one
//
// `Prefixed` puts the namespace before the name first; two pairs can come to the same text, and then the older has it.

import { isServiceName } from './names.ts';
import type { ObjectKey } from './pod.ts';
import { selects } from './selector.ts';
import type { PolicyView } from './service-name-policy.ts';

export const NAME_CLAIM_MODES = ['FirstCome', 'Open', 'Prefixed'] as const;
export type NameClaimMode = (typeof NAME_CLAIM_MODES)[number];

/** A ServiceRegistration that asks for a name. */
export type Claimant = {
  readonly key: ObjectKey;
  readonly namespace: string;
  /** ms since the epoch. */
  readonly createdAtMs: number;
};

export type Claim =
  | { readonly kind: 'granted' }
  /** The labels of the namespace decide, and are not in view yet. */
  | { readonly kind: 'pending' }
  /** `message`: sentences that name the policy or the holder, and say what to do. */
  | { readonly kind: 'denied'; readonly message: string }
  /** The namespace has more services than its quota. */
  | { readonly kind: 'excess'; readonly message: string }
  /** There is no such name; what is wrong, without a full stop. */
  | { readonly kind: 'unfit'; readonly problem: string };

export const GRANTED: Claim = { kind: 'granted' };
const PENDING: Claim = { kind: 'pending' };

/** The name under which a namespace's service stands in the registry. It may fail the grammar of names. */
export const registryName = (mode: NameClaimMode, namespace: string, serviceName: string): string =>
  mode === 'Prefixed' ? `${namespace}-${serviceName}` : serviceName;

/** Undefined: the name is fit to be claimed. */
export const unfitClaim = (mode: NameClaimMode, namespace: string, serviceName: string): Claim | undefined => {
  const name = registryName(mode, namespace, serviceName);
  if (mode !== 'Prefixed' || isServiceName(name)) return undefined;
  const problem = `the service name with its namespace before it (--name-claims=Prefixed), "${name}", must be 3 to 64 characters without "--" in it: use a shorter or another name`;
  return { kind: 'unfit', problem };
};

export type NameQuestion = {
  /** As it would stand in the registry. */
  readonly name: string;
  readonly mode: NameClaimMode;
  /** All that ask for it. */
  readonly claimants: Iterable<Claimant>;
  /** Those that match it. */
  readonly policies: readonly PolicyView[];
  /** Undefined for a namespace that is not in view. */
  readonly labelsOf: (namespace: string) => Readonly<Record<string, string>> | undefined;
};

/** The answer for each namespace that asks. */
export const judgeName = (question: NameQuestion): ((namespace: string) => Claim) => {
  const { name, mode, policies } = question;
  if (policies.length > 0) return (namespace) => judgeByPolicy(question, namespace);
  if (mode === 'Open') return () => GRANTED;
  const holder = oldestOf(question.claimants);
  const message = holder === undefined ? '' : heldMessage(name, holder, mode);
  return (namespace) =>
    holder === undefined || holder.namespace === namespace ? GRANTED : { kind: 'denied', message };
};

const judgeByPolicy = ({ name, policies, labelsOf }: NameQuestion, namespace: string): Claim => {
  const labels = labelsOf(namespace);
  if (labels === undefined) return PENDING;
  if (policies.some((policy) => selects(policy.namespaces, labels))) return GRANTED;
  return { kind: 'denied', message: guardedMessage(name, namespace, policies) };
};

/** By creation time, then namespace, then name, which only the message tells. */
const oldestOf = (claimants: Iterable<Claimant>): Claimant | undefined => {
  let oldest: Claimant | undefined;
  for (const claimant of claimants) if (oldest === undefined || byAge(claimant, oldest) < 0) oldest = claimant;
  return oldest;
};

const byAge = (a: Claimant, b: Claimant): number =>
  a.createdAtMs - b.createdAtMs || textOrder(a.namespace, b.namespace) || textOrder(a.key, b.key);

const textOrder = (a: string, b: string): number => (a === b ? 0 : a < b ? -1 : 1);

const heldMessage = (name: string, { namespace, key }: Claimant, mode: NameClaimMode): string => {
  const held = `The service name ${name} is held by namespace ${namespace}, whose ServiceRegistration ${key} is the oldest for it.`;
  const share = mode === 'FirstCome' ? `, or have a ServiceNamePolicy grant ${name} to both namespaces` : '';
  return `${held} Nothing of this resource is registered. Make one with another service name${share}.`;
};

const POLICIES_NAMED = 3;

const guardedMessage = (name: string, namespace: string, policies: readonly PolicyView[]): string => {
  const names = policies.map((policy) => policy.name).toSorted();
  const more = names.length > POLICIES_NAMED ? ` and ${names.length - POLICIES_NAMED} more` : '';
  const who = `${names.length === 1 ? 'ServiceNamePolicy' : 'ServiceNamePolicies'} ${names.slice(0, POLICIES_NAMED).join(', ')}${more}`;
  const why = `The service name ${name} may be used only by the namespaces that ${who} ${names.length === 1 ? 'selects' : 'select'}, and ${namespace} is none of them.`;
  return `${why} Nothing of this resource is registered. Use another service name, or ask whoever keeps the policies to let this namespace in (kubectl get snp).`;
};
