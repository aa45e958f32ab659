// Which nodes are lost: the moves of their leases, as this replica sees them, and what the API server says of them, judged
// under the brake. Nobody's clock counts but ours, and of ours only the time in which leases were seen: it passes from one
// proof of the view to the next. So a replica that was paused, an API server that was away and storage that stalled make no
// node silent. What a verdict means for pods, and the figures, are `domain/node-loss.ts`.
//
//            looks lost for long enough,             its lease moves, or
//            and the brake does not hold             Kubernetes hears it again
//   heard -> held -------------------------> judged ---------------------------> heard
//
// A lease that moves costs a comparison and a number; no reconcile comes of it unless the node's verdict changes.

import type { Clock } from '../clock.ts';
import { clusterKey } from '../domain/namespace.ts';
import type { LeaseView, NodeView } from '../domain/node.ts';
import {
  AFTER_BRAKE_MS,
  HEARD,
  HELD_ON_FOR_MS,
  JUDGED_AFTER_MS,
  type NodeVerdict,
  nodeBrakeHolds,
  OVERDUE_AFTER_MS,
  SILENT,
  sameVerdict,
  UNKNOWN_BELIEVED_AFTER_MS,
} from '../domain/node-loss.ts';
import type { PodView } from '../domain/pod.ts';
import { asTimeMs } from '../domain/raw.ts';
import type { Change, ReadonlyView } from './view.ts';

/**
 * Proofs come every two to four seconds (`watch-cluster.ts`), and one may fail. Across a longer gap nothing is known to have
 * been seen.
 */
const PROOF_GAP_MAX_MS = 8_000;
/** The watch of nodes is behind that of pods when it was not heard for so long; a quiet one is, every few seconds. */
const BEHIND_MS = 10_000;
/** Who waits for longer than this for it goes by what the one of pods says. */
const AWAITED_MS = 15_000;

/** Times are of leases seen, but for the last. */
type NodeState = {
  readonly name: string;
  /** Absent: it is deleted, or not in view yet. */
  node: NodeView | undefined;
  movedAtMs: number;
  /** Since when Kubernetes does not hear it; -Infinity: it was so when we came. */
  unknownAtMs: number | undefined;
  silenceJudged: boolean;
  unknownJudged: boolean;
  /** Wall ms: when the silence was long enough to be judged. */
  silentSinceWallMs: number | undefined;
  /** It was held and is heard; until then its kubelet may not have spoken of its pods. */
  heldOnUntilMs: number | undefined;
  verdict: NodeVerdict;
};

export type NodeWatchContext = {
  readonly views: { readonly nodes: ReadonlyView<NodeView>; readonly leases: ReadonlyView<LeaseView> };
  readonly clock: Clock;
  /** Nobody will see leases move: how old they are is read off them, as far as clocks agree. For a single look. */
  readonly byClock: boolean;
  /** A node that was not heard is heard again, or the API server says that it is lost: `takeChanged` has it. */
  readonly onChange: () => void;
};

/** Of those with leases. */
export type JudgedNodes = {
  readonly all: number;
  /** By name: whose lease does not move, or that Kubernetes does not hear. */
  readonly lost: readonly string[];
  /** So many that nothing is concluded. */
  readonly braked: boolean;
};

export class NodeWatch {
  readonly #context: NodeWatchContext;
  readonly #states = new Map<string, NodeState>();
  readonly #changed = new Set<string>();
  #seenMs = 0;
  #lastProofAtMs = Number.NEGATIVE_INFINITY;
  #brakedAtMs = Number.NEGATIVE_INFINITY;
  /** What Kubernetes says now it may have said long ago. */
  #begun = false;
  /** When a pod was first seen to be marked, with its node not looking lost. */
  readonly #markedAtMs = new WeakMap<PodView, number>();
  #silent = 0;
  #held: readonly number[] = [];

  constructor(context: NodeWatchContext) {
    this.#context = context;
    const { nodes, leases } = context.views;
    for (const lease of leases.values()) this.#moved({ key: lease.key, after: lease });
    leases.onChange((change) => this.#moved(change));
    nodes.onChange(({ before, after }) => {
      const state = this.#states.get((after ?? before)?.name ?? '');
      if (state === undefined) return;
      state.node = after;
      if (this.#begun) this.#update(state);
    });
  }

  /** How many nodes were judged to be silent. */
  get silent(): number {
    return this.#silent;
  }

  /** Of nodes that the brake keeps from being judged, since when, in wall ms. */
  get held(): readonly number[] {
    return this.#held;
  }

  get judged(): JudgedNodes {
    const nodes = [...this.#states.values()].filter(({ node }) => node !== undefined);
    const lost = nodes.filter((state) => state.unknownAtMs !== undefined || this.#isSilent(state));
    return {
      all: nodes.length,
      lost: lost.map(({ name }) => name).toSorted(),
      braked: this.#seenMs - this.#brakedAtMs < AFTER_BRAKE_MS,
    };
  }

  verdictOf(node: string | undefined): NodeVerdict {
    return (node === undefined ? undefined : this.#states.get(node)?.verdict) ?? HEARD;
  }

  /**
   * The node controller took the pod's readiness, and the watch of nodes is behind the one of pods, as after an API outage,
   * so that the node does not look lost. Before it was heard nothing is to be concluded: the brake may hold the node.
   */
  awaits(pod: PodView): boolean {
    if (!pod.unreadyByNode || pod.deleting) return false;
    const { views, clock } = this.#context;
    const node = pod.node === undefined ? undefined : this.#states.get(pod.node)?.node;
    if (node === undefined || node.unknownSinceMs !== undefined) return false;
    const nowMs = clock.monotonicMs();
    const sinceMs = this.#markedAtMs.get(pod) ?? nowMs;
    this.#markedAtMs.set(pod, sinceMs);
    return sinceMs - views.nodes.lastProofAtMs > BEHIND_MS && nowMs - sinceMs < AWAITED_MS;
  }

  /** Nodes whose verdict is another than when this was asked last. */
  takeChanged(): ReadonlySet<string> {
    const changed = new Set(this.#changed);
    this.#changed.clear();
    return changed;
  }

  /** Judges; to be called about once a second. */
  look(): void {
    const { nodes, leases } = this.#context.views;
    if (!nodes.synced || !leases.synced) return;
    this.#advance(leases.lastProofAtMs);
    let [all, lost] = [0, 0];
    const concerned: NodeState[] = [];
    for (const state of this.#states.values()) {
      this.#noteUnknown(state);
      const looksLost = this.#quietMs(state) >= OVERDUE_AFTER_MS || state.unknownAtMs !== undefined;
      if (looksLost || state.verdict.kind !== 'heard') concerned.push(state);
      if (state.node === undefined) continue;
      all += 1;
      if (looksLost) lost += 1;
    }
    this.#begun = true;
    if (nodeBrakeHolds(lost, all)) this.#brakedAtMs = this.#seenMs;
    const mayJudge = this.#seenMs - this.#brakedAtMs >= AFTER_BRAKE_MS;
    this.#silent = 0;
    const held: number[] = [];
    for (const state of concerned) {
      const isLong = this.#isUnknownForLong(state) || this.#isSilent(state);
      if (isLong) this.#judge(state, mayJudge);
      this.#update(state);
      const { verdict } = state;
      if (verdict.kind === 'silent') this.#silent += 1;
      if (verdict.kind === 'held' && isLong) held.push(verdict.sinceWallMs);
    }
    this.#held = held;
  }

  #moved({ before, after }: Change<LeaseView>): void {
    // A move is a proof by itself, and of now: the view will say so when it has told everybody.
    this.#advance(this.#context.clock.monotonicMs());
    const name = (after ?? before)?.name ?? '';
    const known = this.#states.get(name);
    if (after === undefined) {
      if (known === undefined) return;
      this.#states.delete(name);
      if (known.verdict.kind !== 'heard') this.#note(name);
      return;
    }
    if (known === undefined) {
      this.#states.set(name, {
        name,
        node: this.#context.views.nodes.get(clusterKey(name)),
        movedAtMs: this.#seenMs - this.#ageByClock(after),
        unknownAtMs: undefined,
        silenceJudged: false,
        unknownJudged: false,
        silentSinceWallMs: undefined,
        heldOnUntilMs: undefined,
        verdict: HEARD,
      });
      return;
    }
    known.movedAtMs = this.#seenMs;
    known.silenceJudged = false;
    known.silentSinceWallMs = undefined;
    if (known.verdict.kind !== 'heard') this.#update(known);
  }

  /** The time in which leases were seen goes on. */
  #advance(proofAtMs: number): void {
    const gapMs = proofAtMs - this.#lastProofAtMs;
    if (gapMs <= 0) return;
    if (gapMs <= PROOF_GAP_MAX_MS) this.#seenMs += gapMs;
    this.#lastProofAtMs = proofAtMs;
  }

  #ageByClock({ renewTime }: LeaseView): number {
    const { byClock, clock } = this.#context;
    const renewedAtMs = byClock ? asTimeMs(renewTime) : undefined;
    return renewedAtMs === undefined ? 0 : Math.max(0, clock.wallMs() - renewedAtMs);
  }

  #quietMs({ movedAtMs }: NodeState): number {
    return this.#seenMs - movedAtMs;
  }

  #isSilent(state: NodeState): boolean {
    return this.#quietMs(state) >= JUDGED_AFTER_MS;
  }

  #isUnknownForLong({ unknownAtMs }: NodeState): boolean {
    return unknownAtMs !== undefined && this.#seenMs - unknownAtMs >= UNKNOWN_BELIEVED_AFTER_MS;
  }

  #noteUnknown(state: NodeState): void {
    if (state.node?.unknownSinceMs === undefined) {
      state.unknownAtMs = undefined;
      state.unknownJudged = false;
      return;
    }
    state.unknownAtMs ??= this.#begun ? this.#seenMs : Number.NEGATIVE_INFINITY;
    // That it is lost was known.
    if (state.silenceJudged) state.unknownJudged = true;
  }

  #judge(state: NodeState, mayJudge: boolean): void {
    if (this.#isSilent(state)) state.silentSinceWallMs ??= this.#context.clock.wallMs();
    if (!mayJudge) return;
    if (this.#isUnknownForLong(state)) state.unknownJudged = true;
    if (this.#isSilent(state)) state.silenceJudged = true;
  }

  #update(state: NodeState): void {
    this.#noteUnknown(state);
    const verdict = this.#verdictOn(state);
    if (sameVerdict(verdict, state.verdict)) return;
    state.verdict = verdict;
    this.#note(state.name);
  }

  #verdictOn(state: NodeState): NodeVerdict {
    const { node, silentSinceWallMs, unknownJudged } = state;
    // Of a node that is gone the pods decide.
    if (node === undefined) return HEARD;
    if (state.silenceJudged) return SILENT;
    // Of one that is judged so what Kubernetes says of its pods is believed.
    const unknownSinceMs = unknownJudged ? undefined : node.unknownSinceMs;
    const sinceWallMs = unknownSinceMs ?? (unknownJudged ? undefined : silentSinceWallMs);
    if (sinceWallMs === undefined) return this.#heldOn(state);
    state.heldOnUntilMs = undefined;
    return { kind: 'held', silent: silentSinceWallMs !== undefined, sinceWallMs };
  }

  /** Heard, unless it was held a moment ago. */
  #heldOn(state: NodeState): NodeVerdict {
    const { verdict } = state;
    if (verdict.kind !== 'held' || state.unknownJudged) return HEARD;
    state.heldOnUntilMs ??= this.#seenMs + HELD_ON_FOR_MS;
    return this.#seenMs < state.heldOnUntilMs ? { ...verdict, silent: false } : HEARD;
  }

  #note(name: string): void {
    this.#changed.add(name);
    this.#context.onChange();
  }
}
