// Writes to the cluster: merge patches of status; creation, server-side apply and deletion of what we own, if it still is
// ours; and the question what we may do. Never replaces a whole object, so fields it does not know survive.

import type { Cluster, LeaseShown, ObjectRef, PodCondition, Right, WriteOutcome } from '../controllers/cluster.ts';
import { MANAGED_BY_LABEL, MANAGED_BY_VALUE } from '../domain/service-registration.ts';
import {
  ApiError,
  type ApiRequest,
  type ApiResponse,
  type ApiTransport,
  field,
  successful,
  textField,
} from './api-transport.ts';
import { microTime } from './micro-time.ts';
import { apiVersionOf, collectionPath, objectPath, resources } from './resources.ts';

export const FIELD_MANAGER = 'rollcall';

export const createCluster = (transport: ApiTransport): Cluster => new ClusterWriter(transport);

class ClusterWriter implements Cluster {
  readonly #transport: ApiTransport;

  constructor(transport: ApiTransport) {
    this.#transport = transport;
  }

  async patchStatus(
    registration: ObjectRef & { readonly status?: unknown },
    status: object,
    signal: AbortSignal,
  ): Promise<WriteOutcome> {
    const { namespace, name, uid, resourceVersion } = registration;
    const answer = await this.#transport.request({
      method: 'PATCH',
      path: `${objectPath(resources.ServiceRegistration, namespace, name)}/status`,
      query: { fieldManager: FIELD_MANAGER },
      contentType: 'application/merge-patch+json',
      body: {
        ...(resourceVersion === undefined ? {} : { metadata: { resourceVersion } }),
        status: withRemovals(registration.status, status),
      },
      signal,
    });
    const outcome = outcomeOf(answer);
    // A patch of the status cannot demand a UID (measured on 1.36: one in the patch is ignored), so it is looked at
    // afterwards. The other incarnation's own reconcile puts its status right.
    const other = outcome.kind === 'done' && uid !== undefined && textField(answer.body, 'metadata', 'uid') !== uid;
    return other ? { kind: 'conflict', description: `${namespace}/${name} is another object now` } : outcome;
  }

  async patchPodCondition(
    { namespace, name, uid }: ObjectRef & { readonly uid: string },
    condition: PodCondition,
    signal: AbortSignal,
  ): Promise<WriteOutcome> {
    const answer = await this.#transport.request({
      method: 'PATCH',
      path: `${objectPath(resources.Pod, namespace, name)}/status`,
      query: { fieldManager: FIELD_MANAGER },
      // By type: the conditions of others stay.
      contentType: 'application/strategic-merge-patch+json',
      body: { metadata: { uid }, status: { conditions: [condition] } },
      signal,
    });
    const outcome = outcomeOf(answer);
    // Another UID than the stored one would be a change of an immutable field (measured on 1.36: 422).
    return outcome.kind === 'invalid' && blamesUid(answer.body) ? { ...outcome, kind: 'conflict' } : outcome;
  }

  createOwned(manifest: Parameters<Cluster['createOwned']>[0], signal: AbortSignal): Promise<WriteOutcome> {
    return this.#write({
      method: 'POST',
      path: collectionPath(resources.ServiceRegistration, manifest.metadata.namespace),
      query: { fieldManager: FIELD_MANAGER },
      body: manifest,
      signal,
    });
  }

  async applyOwned(manifest: Parameters<Cluster['applyOwned']>[0], signal: AbortSignal): Promise<WriteOutcome> {
    const { namespace, name } = manifest.metadata;
    const { refusal } = await this.#owned({ namespace, name }, signal);
    if (refusal !== undefined) return refusal;
    return this.#write({
      method: 'PATCH',
      path: objectPath(resources.ServiceRegistration, namespace, name),
      query: { fieldManager: FIELD_MANAGER, force: true },
      // JSON is YAML.
      contentType: 'application/apply-patch+yaml',
      body: manifest,
      signal,
    });
  }

  async restoreOwned(
    owned: ObjectRef & { readonly uid: string; readonly spec?: unknown },
    spec: object,
    signal: AbortSignal,
  ): Promise<WriteOutcome> {
    const { refusal, resourceVersion } = await this.#owned(owned, signal);
    if (refusal !== undefined) return refusal;
    return this.#write({
      method: 'PATCH',
      path: objectPath(resources.ServiceRegistration, owned.namespace, owned.name),
      query: { fieldManager: FIELD_MANAGER },
      contentType: 'application/merge-patch+json',
      body: { metadata: { uid: owned.uid, resourceVersion }, spec: withRemovals(owned.spec, spec) },
      signal,
    });
  }

  async deleteOwned(owned: ObjectRef & { readonly uid: string }, signal: AbortSignal): Promise<WriteOutcome> {
    const { namespace, name, uid } = owned;
    const { refusal, resourceVersion } = await this.#owned(owned, signal);
    if (refusal !== undefined) return refusal;
    return this.#write({
      method: 'DELETE',
      path: objectPath(resources.ServiceRegistration, namespace, name),
      body: { preconditions: { uid, resourceVersion } },
      signal,
    });
  }

  /** A view is always a little old: a person may have taken the resource over by removing its label, a moment ago. */
  async #owned(
    { namespace, name }: ObjectRef,
    signal: AbortSignal,
  ): Promise<{ readonly refusal?: WriteOutcome; readonly resourceVersion?: string }> {
    const path = objectPath(resources.ServiceRegistration, namespace, name);
    const answer = await this.#transport.request({ method: 'GET', path, signal });
    const outcome = outcomeOf(answer);
    if (outcome.kind !== 'done') return { refusal: outcome };
    if (textField(answer.body, 'metadata', 'labels', MANAGED_BY_LABEL) !== MANAGED_BY_VALUE)
      return { refusal: { kind: 'conflict', description: `${namespace}/${name} is a person's by now` } };
    return { resourceVersion: textField(answer.body, 'metadata', 'resourceVersion') ?? '' };
  }

  applyLease(lease: LeaseShown, signal: AbortSignal): Promise<WriteOutcome> {
    const { namespace, name, holder, seconds, acquiredAtMs, renewedAtMs } = lease;
    return this.#write({
      method: 'PATCH',
      path: objectPath(resources.Lease, namespace, name),
      query: { fieldManager: FIELD_MANAGER, force: true },
      contentType: 'application/apply-patch+yaml',
      body: {
        apiVersion: apiVersionOf(resources.Lease),
        kind: resources.Lease.kind,
        metadata: { namespace, name },
        spec: {
          holderIdentity: holder,
          leaseDurationSeconds: seconds,
          acquireTime: microTime(acquiredAtMs),
          renewTime: microTime(renewedAtMs),
        },
      },
      signal,
    });
  }

  async canI(right: Right, signal: AbortSignal): Promise<boolean> {
    const { verb, group, namespace } = right;
    const [resource = '', subresource] = right.resource.split('/', 2);
    const review = resources.SelfSubjectAccessReview;
    const response = await this.#transport.request({
      method: 'POST',
      path: collectionPath(review),
      body: {
        apiVersion: apiVersionOf(review),
        kind: review.kind,
        spec: {
          resourceAttributes: {
            verb,
            group,
            resource,
            ...(subresource === undefined ? {} : { subresource }),
            ...(namespace === undefined ? {} : { namespace }),
          },
        },
      },
      signal,
    });
    return field(successful(response).body, 'status', 'allowed') === true;
  }

  async #write(request: ApiRequest): Promise<WriteOutcome> {
    return outcomeOf(await this.#transport.request(request));
  }
}

function blamesUid(status: unknown): boolean {
  const causes = field(status, 'details', 'causes');
  return Array.isArray(causes) && causes.some((cause) => textField(cause, 'field') === 'metadata.uid');
}

function outcomeOf(response: ApiResponse): WriteOutcome {
  if (response.status >= 200 && response.status < 300) return { kind: 'done' };
  const error = ApiError.fromStatus(response.status, response.headers, response.body);
  switch (error.kind) {
    case 'notFound':
    case 'gone':
      return { kind: 'notFound' };
    case 'conflict':
    case 'denied':
    case 'invalid':
      return { kind: error.kind, description: error.message };
    case 'transient':
    case 'tooMany':
      throw error;
    default:
      return error.kind satisfies never;
  }
}

/** The merge patch (RFC 7386) that turns `stored` into `wanted`: all of `wanted`, and null for what only `stored` has. */
export function withRemovals(stored: unknown, wanted: object): object {
  const patch: Record<string, unknown> = {};
  for (const name of isMap(stored) ? Object.keys(stored) : []) {
    if (!Object.hasOwn(wanted, name)) patch[name] = null;
  }
  for (const [name, value] of Object.entries(wanted)) {
    patch[name] = isMap(value) ? withRemovals(field(stored, name), value) : value;
  }
  return patch;
}

const isMap = (value: unknown): value is object => typeof value === 'object' && value !== null && !Array.isArray(value);
