// The application of the stories: a Deployment of real containers that is Ready while a file exists in each, annotated for
// registration. Plain Kubernetes objects; nothing of the operator's.

export const serviceName = 'orders';
export const replicas = 3;
export const version = '2.7.1';
export const ttlMs = 30_000;
export const refreshIntervalMs = 10_000;

const readyFile = '/tmp/ready';
/** What tells the Deployment's pods apart. */
export const shortName = (pod: string): string => `pod ${pod.split('-').at(-1) ?? pod}`;

const labels = { app: serviceName };

export const failProbe = ['rm', readyFile] as const;
export const restoreProbe = ['touch', readyFile] as const;

export const deployment = (namespace: string, image: string): object => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name: serviceName, namespace, annotations: { 'rollcall.dev/register': 'true' } },
  spec: {
    replicas,
    selector: { matchLabels: labels },
    template: {
      metadata: { labels, annotations: { 'rollcall.dev/version': version } },
      spec: {
        automountServiceAccountToken: false,
        enableServiceLinks: false,
        terminationGracePeriodSeconds: 5,
        // The pods of a lost node shall stay where they are: what the registry says of them is the story.
        tolerations: ['unreachable', 'not-ready'].map((condition) => ({
          key: `node.kubernetes.io/${condition}`,
          operator: 'Exists',
          effect: 'NoExecute',
        })),
        containers: [
          {
            name: 'app',
            image,
            imagePullPolicy: 'IfNotPresent',
            // The shell ends at once on TERM; as process 1 it would ignore it without a trap. It takes a second to get
            // ready, as applications do, so that every crash is a time of not being Ready.
            command: ['sh', '-c', `trap 'exit 0' TERM; sleep 1; touch ${readyFile}; sleep 1000000 & wait`],
            ports: [{ name: 'http', containerPort: 8080 }],
            readinessProbe: {
              exec: { command: ['cat', readyFile] },
              periodSeconds: 1,
              failureThreshold: 1,
              // A probe that a busy machine delays is not the failure that the stories are about.
              timeoutSeconds: 10,
            },
          },
        ],
      },
    },
  },
});
