// Where the stories run, as they see it: a cluster with real kubelets and a NATS server, and the three cruelties they
// need. `on-real-node.ts` and `on-kind.ts` make one each.

export type Target = {
  readonly kubectl: string;
  /** An administrator's. */
  readonly kubeconfig: string;
  readonly natsUrl: string;
  readonly bucket: string;
  /** An image with a shell and `sleep`. */
  readonly image: string;
  /** SIGKILL to a container's first process. `id` as in the pod's status. */
  readonly killContainer: (node: string, id: string) => Promise<void>;
  /** The kubelet of the node ends without a word; its containers run on. */
  readonly loseNode: (node: string) => Promise<void>;
  readonly recoverNode: (node: string) => Promise<void>;
  /** Throws when the operator is known to have ended. */
  readonly checkOperator: () => Promise<void>;
};
