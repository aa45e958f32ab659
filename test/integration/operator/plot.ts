// One walk's part of a real cluster: a namespace of its own, and names of its own for services, and pods that a service may
// be called after, because a service name is granted to one namespace. Follows the states of `test/support/walk.ts`, and says where that ended in words
// that two plots have in common.

import { type ApiClient, ApiError, type KubeObject } from '../../../hack/control-plane/api-client.ts';
import { waitFor } from '../../../hack/control-plane/wait.ts';
import type { StreamObserver } from '../../support/stream-observer.ts';
import { annotationsOf, type Texts, type WalkPod, type WalkState } from '../../support/walk.ts';
import { byText, endOf, type WalkEnd } from '../../support/walk-end.ts';
import { createPod, createRegistration, createWorkload, podsPath, workloadsPath } from './objects.ts';
import { type Registration, registrationsPath } from './stage.ts';

const IMAGE = 'app:1.2.3';
/** What the cluster gives a pod; that it is there is compared. */
const GIVEN = new Set(['start_time', 'ip', 'node']);

export class Plot {
  readonly namespace: string;
  readonly #api: ApiClient;
  readonly #suffix: string;

  /** The namespace is the caller's to make. */
  constructor(api: ApiClient, name: string) {
    this.#api = api;
    this.namespace = `plot-${name}`;
    this.#suffix = `-${name}`;
  }

  /** Makes the cluster follow from one state to the next. */
  async follow(before: WalkState, after: WalkState): Promise<void> {
    if (before.annotations !== after.annotations) {
      const annotations = annotationsOf(after.annotations);
      await this.#replace(`/api/v1/namespaces/${this.namespace}`, { '/metadata/annotations': annotations });
    }
    await this.#deployment(before, after);
    for (const name of namesOf(before.resources, after.resources)) await this.#resource(name, before, after);
    for (const name of namesOf(before.pods, after.pods)) await this.#pod(name, before, after);
  }

  /** KWOK ends pods by their names, and by mistake the next of a name as well: makes those anew. */
  async restore({ pods }: WalkState): Promise<void> {
    const there = new Set((await this.#api.list(podsPath(this.namespace))).map(({ metadata }) => metadata.name));
    for (const [name, pod] of Object.entries(pods)) {
      if (!there.has(`${name}${this.#suffix}`)) await this.#createPod(name, pod);
    }
  }

  /** Whole seconds of the resources' creation, by their names in the state. */
  async bornAt(): Promise<ReadonlyMap<string, string>> {
    const stored = await this.#registrations();
    return new Map(stored.map(({ metadata }) => [metadata.name.replace(this.#suffix, ''), metadata.creationTimestamp]));
  }

  /** The registry's part and the resources, without what two clusters can never have in common. */
  async end(observer: StreamObserver): Promise<WalkEnd> {
    const resources = (await this.#registrations()).map(({ metadata, spec, status }) => ({
      name: nameOf(metadata),
      labels: metadata.labels,
      spec,
      status,
      generation: metadata.generation,
    }));
    const keys = this.keys(observer).map((key) => {
      const { value, headers } = observer.live.get(key) ?? {};
      return { key, value: { ...value }, ttl: headers?.['Nats-TTL'] };
    });
    const end = endOf(keys, resources);
    return {
      keys: end.keys.map((key) => this.#plain(key)).toSorted(byText),
      groups: end.groups.map((group) => ({ ...group, serviceName: this.#unnamed(group.serviceName) })).toSorted(byText),
      resources: end.resources.map((resource) => this.#plain(resource)).toSorted(byText),
    };
  }

  /** Its live keys. */
  keys(observer: StreamObserver): readonly string[] {
    return [...observer.live]
      .filter(([, { value }]) => value?.metadata['namespace'] === this.namespace)
      .map(([key]) => key);
  }

  #registrations(): Promise<readonly Registration[]> {
    return this.#api.list<Registration>(registrationsPath(this.namespace));
  }

  async #resource(name: string, { resources: before }: WalkState, { resources: after }: WalkState): Promise<void> {
    const path = `${registrationsPath(this.namespace)}/${name}${this.#suffix}`;
    const had = before[name];
    const wanted = after[name];
    if (had !== undefined && had.incarnation !== wanted?.incarnation) await this.#delete(path);
    if (wanted === undefined || had?.spec === wanted.spec) return;
    const spec = this.#named(wanted.spec);
    if (had?.incarnation === wanted.incarnation) await this.#replace(path, { '/spec': spec });
    else await createRegistration(this.#api, this.namespace, `${name}${this.#suffix}`, spec);
  }

  async #deployment({ deployment: before }: WalkState, { deployment: after }: WalkState): Promise<void> {
    const name = `gamma${this.#suffix}`;
    const path = `${workloadsPath(this.namespace, 'Deployment')}/${name}`;
    if (before !== undefined && before.incarnation !== after?.incarnation) await this.#delete(path);
    if (after === undefined) return;
    const { replicas } = after;
    const annotations = this.#annotations(after.annotations);
    const podAnnotations = this.#annotations(after.template.annotations);
    if (before?.incarnation !== after.incarnation) {
      const options = { replicas, annotations, podAnnotations, image: IMAGE, port: 80 };
      await createWorkload(this.#api, this.namespace, name, options);
      return;
    }
    await this.#replace(path, {
      ...(before.annotations === after.annotations ? {} : { '/metadata/annotations': annotations }),
      ...(before.template === after.template ? {} : { '/spec/template/metadata/annotations': podAnnotations }),
      ...(before.replicas === after.replicas ? {} : { '/spec/replicas': replicas }),
    });
  }

  async #pod(name: string, { pods: before }: WalkState, { pods: after }: WalkState): Promise<void> {
    const path = this.#podPath(name);
    const had = before[name];
    const wanted = after[name];
    if (had !== undefined && had.incarnation !== wanted?.incarnation) await this.#delete(path);
    if (wanted === undefined || had === wanted) return;
    if (had?.incarnation !== wanted.incarnation) return this.#createPod(name, wanted);
    const fields = { '/metadata/labels': wanted.labels, '/metadata/annotations': this.#podAnnotations(wanted) };
    await unlessGone(this.#replace(path, fields), () => this.#createPod(name, wanted));
  }

  async #createPod(name: string, pod: WalkPod): Promise<void> {
    // With a grace it is KWOK that ends the pod, as a kubelet does.
    const options = { labels: pod.labels, image: IMAGE, port: 'http', node: 'node-0', graceSeconds: 1 };
    const annotations = this.#podAnnotations(pod);
    await createPod(this.#api, this.namespace, `${name}${this.#suffix}`, { ...options, annotations });
  }

  #podAnnotations({ annotations, ready }: WalkPod): Texts {
    return { ...this.#annotations(annotations), ...(ready ? {} : { 'rollcall.dev/demo-ready': 'false' }) };
  }

  #podPath(name: string): string {
    return `${podsPath(this.namespace)}/${name}${this.#suffix}`;
  }

  #named(spec: Readonly<Record<string, unknown>>): object {
    const { serviceName } = spec;
    return typeof serviceName === 'string' ? { ...spec, serviceName: `${serviceName}${this.#suffix}` } : spec;
  }

  #annotations(texts: Texts): Texts {
    const name = texts['service-name'];
    return annotationsOf(name === undefined ? texts : { ...texts, 'service-name': `${name}${this.#suffix}` });
  }

  async #delete(path: string): Promise<void> {
    await unlessGone(this.#api.delete(path));
    await waitFor(`${path} to be gone`, async () => (await this.#api.find(path)) === undefined, { deadlineMs: 30_000 });
  }

  /** `fields`: by their paths in the object. */
  async #replace(path: string, fields: Readonly<Record<string, unknown>>): Promise<void> {
    const patch = Object.entries(fields).map(([field, value]) => ({ op: 'add', path: field, value }));
    if (patch.length > 0) await this.#api.patch(path, patch, 'json');
  }

  #unnamed(text: string): string {
    return text.replaceAll(this.namespace, 'NAMESPACE').replaceAll(this.#suffix, '');
  }

  #plain(value: unknown): unknown {
    const text = JSON.stringify(value, (key, entry: unknown) => (GIVEN.has(key) ? 'given' : entry));
    const unnamed = this.#unnamed(text)
      .replaceAll(/-[0-9a-f]{8}\b/g, '-UID')
      .replaceAll(/gamma-(UID|[0-9a-z]{6,10})-[0-9a-z]{5}\b/g, 'gamma-pod');
    const plain = JSON.parse(unnamed) as { status?: { details?: unknown[] } };
    plain.status?.details?.sort(byText);
    return plain;
  }
}

const unlessGone = async (attempt: Promise<unknown>, gone: () => Promise<void> = async () => {}): Promise<void> => {
  try {
    await attempt;
  } catch (error) {
    if (!(error instanceof ApiError && error.status === 404)) throw error;
    await gone();
  }
};

const namesOf = (a: object, b: object): readonly string[] =>
  [...new Set([...Object.keys(a), ...Object.keys(b)])].toSorted();

type Owned = KubeObject['metadata'] & {
  readonly ownerReferences?: readonly { readonly kind: string; readonly name: string }[];
};

/** What an owned resource is called depends on which names were taken when it was made; whose it is does not. */
const nameOf = (metadata: Owned): string =>
  metadata.ownerReferences === undefined
    ? metadata.name
    : `owned by ${metadata.ownerReferences
        .map(({ kind, name }) => `${kind} ${name}`)
        .toSorted()
        .join()}`;
