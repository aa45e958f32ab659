// What counts where a resource leaves a field out: the annotations of the pod's workload, over those of its namespace,
// over the installation's settings. Of an annotation that is wrong the last good value stays. It is remembered here and
// nowhere else: after a restart the next layer counts until the annotation is put right.

import {
  type AnnotationProblem,
  type Annotations,
  readSpecAnnotations,
  withoutPodFields,
} from '../domain/annotations.ts';
import type { SpecDefaults } from '../domain/crd-schema.ts';
import { clusterKey, type NamespaceView } from '../domain/namespace.ts';
import { DEFAULTS_ANNOTATION, readNamespaceDefaults } from '../domain/namespace-defaults.ts';
import type { PodView } from '../domain/pod.ts';
import { type Defaults, overlaid } from '../domain/settings.ts';
import type { WorkloadView } from '../domain/workload.ts';
import type { ReadonlyView } from './view.ts';

/** One layer's answer, for as long as what it was made of stays the same. */
type Answer<Source> = {
  readonly source: Source;
  readonly under: Defaults;
  /** The last good ones, where the annotation is wrong now. */
  readonly stated: SpecDefaults;
  readonly defaults: Defaults;
  readonly problem?: string;
};

/** Of a pod that speaks for itself; nobody else tells what is wrong with it. */
export type PodLayer = {
  readonly stated: SpecDefaults;
  readonly defaults: Defaults;
  readonly problems: readonly AnnotationProblem[];
};

export class LayeredDefaults {
  readonly installation: Defaults;
  readonly #namespaces: ReadonlyView<NamespaceView>;
  readonly #ofNamespace = new Map<string, Answer<NamespaceView>>();
  readonly #ofWorkload = new Map<string, Answer<WorkloadView>>();

  constructor(installation: Defaults, namespaces: ReadonlyView<NamespaceView>) {
    this.installation = installation;
    this.#namespaces = namespaces;
  }

  ofNamespace(name: string): Defaults {
    return this.#namespace(name)?.defaults ?? this.installation;
  }

  /** What is wrong with a namespace's defaults, as a sentence without a full stop. */
  problemOf(name: string): string | undefined {
    return this.#namespace(name)?.problem;
  }

  /** With what the annotations of a workload say; undefined when they say nothing. */
  ofWorkload(workload: WorkloadView): Defaults | undefined {
    const id = idOf(workload);
    if (!says(workload.annotations, NO_FIELDS)) {
      this.#ofWorkload.delete(id);
      return undefined;
    }
    const under = this.ofNamespace(workload.namespace);
    const before = this.#ofWorkload.get(id);
    const known = before?.source.uid === workload.uid ? before : undefined;
    if (known?.source.annotations === workload.annotations && known.under === under) return known.defaults;
    const stated = readSpecAnnotations(workload.annotations, under, known?.stated).spec;
    const defaults = overlaid(under, stated);
    this.#ofWorkload.set(id, { source: workload, under, stated, defaults });
    return defaults;
  }

  /**
   * Likewise of a pod that no workload we read controls: it carries the annotations of whatever made it. Nothing of it is
   * remembered here, for there may be very many: `lastGood` is what it said when it was last decided about.
   */
  ofPod({ annotations, namespace }: PodView, lastGood: SpecDefaults = {}): PodLayer | undefined {
    if (!says(annotations, POD_FIELDS)) return undefined;
    const under = this.ofNamespace(namespace);
    const { spec, problems } = readSpecAnnotations(withoutPodFields(annotations), under, lastGood);
    return { stated: spec, defaults: overlaid(under, spec), problems };
  }

  forget(workload: WorkloadView): void {
    this.#ofWorkload.delete(idOf(workload));
  }

  #namespace(name: string): Answer<NamespaceView> | undefined {
    const source = this.#namespaces.get(clusterKey(name));
    const text = source?.annotations[DEFAULTS_ANNOTATION];
    if (source === undefined || text === undefined) {
      this.#ofNamespace.delete(name);
      return undefined;
    }
    const before = this.#ofNamespace.get(name);
    const known = before?.source.uid === source.uid ? before : undefined;
    if (known?.source.annotations[DEFAULTS_ANNOTATION] === text) return known;
    const parsed = readNamespaceDefaults(text);
    const stated = parsed.kind === 'valid' ? parsed.value : (known?.stated ?? {});
    const answer: Answer<NamespaceView> = {
      source,
      under: this.installation,
      stated,
      defaults: overlaid(this.installation, stated),
      ...(parsed.kind === 'valid' ? {} : { problem: parsed.problem }),
    };
    this.#ofNamespace.set(name, answer);
    return answer;
  }
}

const idOf = ({ kind, key }: WorkloadView): string => `${kind}/${key}`;

/** Annotations that are no field of the spec, and those that a pod's own word decides anyway. */
const NO_FIELDS: readonly string[] = ['register', 'service-name'];
const POD_FIELDS: readonly string[] = [...NO_FIELDS, 'version', 'port', 'metadata'];

const says = (annotations: Annotations, but: readonly string[]): boolean => {
  for (const name in annotations) if (!but.includes(name)) return true;
  return false;
};
