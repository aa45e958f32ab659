// The pods of a campaign and what becomes of them: fifty services in ten namespaces, twenty of them sticky groups, and
// their daily churn. Everything asked of the API is first written down as asked, so that the truth is known.

import { ApiClient, ApiError, type KubeObject } from '../../../hack/control-plane/api-client.ts';
import { waitFor } from '../../../hack/control-plane/wait.ts';
import { nowMs, pause } from '../monotonic.ts';
import type { Listeners } from './listeners.ts';
import { type KnownPod, type PodTruth, stateOf } from './pod-truth.ts';
import { CAMPAIGN_LABEL, READY_ANNOTATION, shownPod, VERSION_LABEL } from './pod-watch.ts';

export const NAMESPACES = 10;
const SERVICES_PER_NAMESPACE = 5;
/** The first ones of each namespace. */
const GROUPS_PER_NAMESPACE = 2;
export const GROUP = 'primary';
const NODES = 4;
const IN_FLIGHT = 16;
const REGISTRATIONS = '/apis/rollcall.dev/v1alpha1';
const CHURN_EVERY_MS = 200;
/** What churn does, one after the other: mostly what a rollout does. */
const CHURN = ['replace', 'flap', 'replace', 'version', 'replace'] as const;
const FLAP_MS = 3_000;
const DOUBT_MAX_MS = 300_000;

export type Service = { readonly namespace: string; readonly service: string; readonly group: string | null };

export class Population {
  readonly #api: ApiClient;
  readonly #truth: PodTruth;
  readonly services: readonly Service[];
  #churning: AbortController | undefined;
  #churned: Promise<unknown> = Promise.resolve();
  #made = 0;
  readonly #closed = new Set<string>();
  /** Whether a request that failed had its effect is being asked. */
  readonly #doubts = new Set<Promise<void>>();
  /** Where pods listen; undefined: they do not. */
  readonly #listeners: Listeners | undefined;

  constructor(api: ApiClient, truth: PodTruth, listeners: Listeners | undefined) {
    this.#api = api;
    this.#truth = truth;
    this.#listeners = listeners;
    this.services = Array.from({ length: NAMESPACES * SERVICES_PER_NAMESPACE }, (_, index) => {
      const [space, number] = [index % NAMESPACES, Math.trunc(index / NAMESPACES)];
      const group = number < GROUPS_PER_NAMESPACE ? GROUP : null;
      return { namespace: `space-${space}`, service: `service-${space}-${number}`, group };
    });
  }

  /** Namespaces, registrations and so many pods, spread evenly. */
  async make(pods: number, ttlSeconds: number | undefined): Promise<void> {
    const namespaces = new Set(this.services.map(({ namespace }) => namespace));
    await Promise.all([...namespaces].map((name) => this.#api.post('/api/v1/namespaces', { metadata: { name } })));
    for (const namespace of namespaces) {
      // Made by the controller manager where there is one; else none is asked for.
      const account = `/api/v1/namespaces/${namespace}/serviceaccounts`;
      await this.#api.post(account, { metadata: { name: 'default' } }).catch(ignoreExisting);
    }
    await this.register(this.services, ttlSeconds);
    await this.add(pods);
  }

  async register(services: readonly Service[], ttlSeconds?: number): Promise<void> {
    await inParallel(services, ({ namespace, service, group }) =>
      this.#api.post(`${REGISTRATIONS}/namespaces/${namespace}/serviceregistrations`, {
        apiVersion: 'rollcall.dev/v1alpha1',
        kind: 'ServiceRegistration',
        metadata: { name: service },
        spec: {
          selector: { matchLabels: { app: service } },
          ...(group === null ? {} : { stickyActiveGroup: group }),
          ...(ttlSeconds === undefined ? {} : { ttlSeconds }),
        },
      }),
    );
  }

  /** Churn makes no more pods of this service. */
  close(service: string): void {
    this.#closed.add(service);
  }

  /** So many pods listen no longer, and live; resolves with their UIDs. */
  mute(count: number): readonly string[] {
    const pods = this.living().slice(0, count);
    for (const { ip } of pods) if (ip !== undefined) this.#listeners?.close(ip);
    return pods.map(({ uid }) => uid);
  }

  /** These die, or so many others that listen, and the API server is not there to see it; returns the UIDs. */
  dieUnseen(which: readonly string[] | number): readonly string[] {
    const pods = this.living().filter((pod, index, { length }) =>
      typeof which === 'number' ? index >= length - which : which.includes(pod.uid),
    );
    for (const pod of pods) {
      this.#truth.askedToGo(pod, nowMs());
      if (pod.ip !== undefined) this.#listeners?.close(pod.ip);
    }
    return pods.map(({ uid }) => uid);
  }

  /** So many pods more, one service after the other. */
  async add(count: number, services = this.services): Promise<void> {
    const rounds = Math.ceil(count / services.length);
    const wanted = Array.from({ length: rounds }, () => services)
      .flat()
      .slice(0, count);
    await inParallel(wanted, (service) => this.#create(service));
  }

  /** Waits until every pod that should be Ready was shown so. */
  untilReady(deadlineMs: number): Promise<unknown> {
    const coming = () => [...this.#truth.pods.values()].filter((pod) => stateOf(pod) === 'coming').length;
    return waitFor('the pods to be Ready', () => coming() === 0, { deadlineMs });
  }

  living(): readonly KnownPod[] {
    return [...this.#truth.pods.values()].filter((pod) => stateOf(pod) === 'ready');
  }

  churn(on: boolean): void {
    if (on === (this.#churning !== undefined)) return;
    this.#churning?.abort();
    this.#churning = on ? new AbortController() : undefined;
    if (this.#churning !== undefined) this.#churned = this.#keepChurning(this.#churning.signal);
  }

  /** Resolves when nothing that churn began is left undone. */
  async still(): Promise<void> {
    this.churn(false);
    await this.#churned;
    await Promise.all(this.#doubts);
  }

  /** Deletes these pods and remembers that it did. */
  kill(pods: readonly KnownPod[]): Promise<void> {
    return inParallel(pods, (pod) => this.#delete(pod));
  }

  /** Makes KWOK report these as Ready or not. */
  setReady(pods: readonly KnownPod[], ready: boolean): Promise<void> {
    return inParallel(pods, (pod) => this.#setReady(pod, ready));
  }

  /** Changes what means nothing to anybody. */
  async touch(pods: readonly KnownPod[]): Promise<void> {
    const annotations = { touched: String(nowMs()) };
    await inParallel(pods, async (pod) => {
      await this.#api.patch(pathOf(pod), { metadata: { annotations } }).catch(() => {});
    });
  }

  /** Takes away the label by which they are selected. */
  async relabel(pods: readonly KnownPod[]): Promise<void> {
    await inParallel(pods, async (pod) => {
      this.#truth.askedToGo(pod, nowMs());
      const labels = { app: null };
      await this.#api.patch(pathOf(pod), { metadata: { labels } }).catch((error: unknown) => this.#doubt(pod, error));
    });
  }

  async #keepChurning(signal: AbortSignal): Promise<void> {
    const under = new Set<Promise<void>>();
    for (let turn = 0; !signal.aborted; turn += 1) {
      const pods = this.living();
      const pod = pods[Math.trunc(Math.random() * pods.length)];
      const what = CHURN[turn % CHURN.length];
      // An API that is away must not pile up requests.
      if (pod !== undefined && what !== undefined && under.size < IN_FLIGHT) {
        const work: Promise<void> = this.#change(pod, what).finally(() => under.delete(work));
        under.add(work);
      }
      await pause(CHURN_EVERY_MS);
    }
    await Promise.all(under);
  }

  async #change(pod: KnownPod, what: (typeof CHURN)[number]): Promise<void> {
    switch (what) {
      case 'replace':
        await this.#delete(pod);
        if (!this.#closed.has(pod.service)) await this.#create(pod).catch(() => {});
        return;
      case 'flap':
        await this.#setReady(pod, false);
        await pause(FLAP_MS);
        await this.#untilDone(() => this.#setReady(pod, true), pod);
        return;
      case 'version': {
        const version = `1.${pod.versions.length}.${Math.trunc(Math.random() * 1_000)}`;
        this.#truth.askedVersion(pod, version, nowMs());
        await this.#api
          .patch(pathOf(pod), { metadata: { labels: { [VERSION_LABEL]: version } } })
          .catch((error: unknown) => this.#doubt(pod, error));
      }
    }
  }

  /** A pod that is left not Ready would fail what follows: asked for until the API takes it or has the pod no more. */
  async #untilDone(ask: () => Promise<void>, pod: KnownPod): Promise<void> {
    for (;;) {
      await ask();
      if (pod.pending || pod.gone || stateOf(pod) === 'ready') return;
      await pause(1_000);
    }
  }

  async #create({ namespace, service, group }: Service): Promise<void> {
    this.#made += 1;
    const name = `${service}-${this.#made}`;
    const node = `node-${this.#made % NODES}`;
    const version = '1.4.2';
    const ip = await this.#listeners?.open(this.#made);
    const annotations = ip === undefined ? {} : { 'rollcall.dev/demo-ip': ip };
    const atMs = nowMs();
    const { metadata } = await this.#api.post<KubeObject>(`/api/v1/namespaces/${namespace}/pods`, {
      metadata: { name, annotations, labels: { app: service, [VERSION_LABEL]: version, [CAMPAIGN_LABEL]: 'true' } },
      spec: {
        nodeName: node,
        terminationGracePeriodSeconds: 1,
        automountServiceAccountToken: false,
        containers: [{ name: 'app', image: 'registry.invalid/app:1.0.0', ports: [{ containerPort: 8080 }] }],
      },
    });
    this.#truth.made({ uid: metadata.uid, namespace, name, service, group, node }, version, atMs);
  }

  async #delete(pod: KnownPod): Promise<void> {
    this.#truth.askedToGo(pod, nowMs());
    await this.#api.delete(pathOf(pod)).catch((error: unknown) => this.#doubt(pod, error));
  }

  async #setReady(pod: KnownPod, ready: boolean): Promise<void> {
    // Of what is so already nothing would be shown, and it would be waited for in vain.
    const state = stateOf(pod);
    if (pod.gone || (ready ? state === 'ready' : state === 'dead' || state === 'leaving')) return;
    if (ready) this.#truth.askedBack(pod, nowMs());
    else this.#truth.askedToGo(pod, nowMs());
    const annotations = { [READY_ANNOTATION]: ready ? null : 'false' };
    await this.#api
      .patch(pathOf(pod), { metadata: { annotations } })
      .catch((error: unknown) => this.#doubt(pod, error));
  }

  #doubt(pod: KnownPod, error: unknown): void {
    if (error instanceof ApiError && error.status === 404) return this.#truth.disappeared(pod.uid, nowMs());
    this.#truth.doubted(pod);
    const asking: Promise<void> = this.#ask(pod).finally(() => this.#doubts.delete(asking));
    this.#doubts.add(asking);
  }

  /** Nothing may ever be shown of a request that was lost: asked until the API server answers, or is away for too long. */
  async #ask(pod: KnownPod): Promise<void> {
    const untilMs = nowMs() + DOUBT_MAX_MS;
    while (nowMs() < untilMs) {
      await pause(1_000);
      try {
        const found = await this.#api.find(pathOf(pod));
        if (found === undefined || found.metadata.uid !== pod.uid) this.#truth.disappeared(pod.uid, nowMs());
        else this.#truth.shown(shownPod(found), nowMs());
        return;
      } catch {
        // Away.
      }
    }
  }
}

const pathOf = ({ namespace, name }: KnownPod): string => `/api/v1/namespaces/${namespace}/pods/${name}`;

const ignoreExisting = (error: unknown): void => {
  if (!(error instanceof ApiError && error.status === 409)) throw error;
};

const inParallel = async <T>(items: readonly T[], work: (item: T) => Promise<unknown>): Promise<void> => {
  const rest = items.values();
  await Promise.all(
    Array.from({ length: IN_FLIGHT }, async () => {
      for (const item of rest) await work(item);
    }),
  );
};
