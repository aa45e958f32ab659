// Bugs that somebody could make, each as a small change of the sources and the case of the campaign that must notice. They
// exist here alone: `copy.ts` applies one to a copy.

import type { Edit } from './edit.ts';

export type Plant = {
  readonly id: string;
  readonly bug: string;
  readonly edits: readonly Edit[];
  /** Of the campaign, played in its short form. */
  readonly caughtBy: string;
  /** What the verdict has to name, so that another failure is not taken for it. */
  readonly shows: RegExp;
};

export const plants: readonly Plant[] = [
  {
    id: 'no-ttl',
    bug: 'no TTL header',
    edits: [
      {
        file: 'src/nats/batch.ts',
        find: '${operation}\\r\\nNats-TTL: ${message.ttlSeconds}`',
        replace: '${operation}`',
      },
    ],
    caughtBy: 'F02',
    shows: /I11/,
  },
  {
    id: 'no-lock-in-batch',
    bug: 'no lock in the batch: keys go alone, and the lock is renewed apart',
    edits: [
      {
        file: 'src/writer/commit.ts',
        find: 'context.registry.commit([lock, ...keys.map((key) => key.message)], UNSTOPPABLE),',
        replace: 'context.registry.commit(keys.length === 0 ? [lock] : keys.map((key) => key.message), UNSTOPPABLE),',
      },
      {
        file: 'src/writer/commit.ts',
        find: '  term.lockRevision = lockRevision;\n  term.renewedAtMs = sentAtMs;\n',
        replace: '  if (keys.length === 0) Object.assign(term, { lockRevision, renewedAtMs: sentAtMs });\n',
      },
    ],
    caughtBy: 'F03b',
    shows: /I6/,
  },
  {
    id: 'retry-on-10071',
    bug: 'retry on 10071 with the revision that the server names',
    edits: [
      {
        file: 'src/writer/commit.ts',
        find: 'settleChanged(context, term, changed, message);\n      return writes.filter((write) => write !== changed);',
        replace:
          'return writes.map((write) => (write === changed ? { ...write, expectedRevision: actualRevision } : write));',
      },
    ],
    caughtBy: 'F28b',
    shows: /I7/,
  },
  {
    id: 'purge-by-name',
    bug: 'purge by name, whatever the key has become',
    edits: [
      {
        file: 'src/nats/batch.ts',
        find: '`\\r\\nNats-Expected-Last-Subject-Sequence: ${message.expectedRevision}\\r\\n${message.headerLines}\\r\\n`;',
        replace:
          "(message.operation === 'PURGE' ? '' : `\\r\\nNats-Expected-Last-Subject-Sequence: ${message.expectedRevision}`) +\n      `\\r\\n${message.headerLines}\\r\\n`;",
      },
    ],
    caughtBy: 'F28b',
    shows: /I7|taken keys/,
  },
  {
    id: 'no-brake',
    bug: 'relist without brake',
    edits: [
      {
        file: 'src/domain/brake.ts',
        find: 'absent > Math.max(ABSENT_MAX, all * ABSENT_SHARE_MAX);',
        replace: 'absent > ABSENT_MAX + all + ABSENT_SHARE_MAX;',
      },
    ],
    caughtBy: 'F15',
    shows: /I1|lapses|held by the brake/,
  },
  {
    id: 'wall-clock-fence',
    bug: 'wall clock in the self-fence',
    edits: [
      {
        file: 'src/writer/election.ts',
        find: 'const sentAtMs = clock.monotonicMs();',
        replace: 'const sentAtMs = clock.wallMs();',
      },
      {
        file: 'src/writer/commit.ts',
        find: 'const sentAtMs = context.clock.monotonicMs();',
        replace: 'const sentAtMs = context.clock.wallMs();',
      },
      {
        file: 'src/writer/writer.ts',
        find: 'if (nowMs - term.renewedAtMs > FENCE_MS) return',
        replace: 'if (clock.wallMs() - term.renewedAtMs > FENCE_MS) return',
      },
      {
        file: 'src/writer/writer.ts',
        find: 'writes.length === 0 && nowMs - term.renewedAtMs < RENEW_EVERY_MS',
        replace: 'writes.length === 0 && clock.wallMs() - term.renewedAtMs < RENEW_EVERY_MS',
      },
      {
        file: 'src/writer/writer.ts',
        find: 'term.renewedAtMs + RENEW_EVERY_MS, moreMs',
        replace: 'nowMs + RENEW_EVERY_MS, moreMs',
      },
      {
        file: 'src/writer/writer.ts',
        find: 'if (this.#context.clock.monotonicMs() - term.renewedAtMs < RENEW_EVERY_MS)',
        replace: 'if (this.#context.clock.wallMs() - term.renewedAtMs < RENEW_EVERY_MS)',
      },
      {
        file: 'src/writer/writer.ts',
        find: 'if (clock.monotonicMs() - term.renewedAtMs > FENCE_MS) return;',
        replace: 'if (clock.wallMs() - term.renewedAtMs > FENCE_MS) return;',
      },
    ],
    caughtBy: 'F27',
    shows: /terms that ended/,
  },
  {
    id: 'default-pings',
    bug: 'client default pings',
    edits: [
      {
        file: 'src/nats/connection.ts',
        find: '      pingInterval: PING_INTERVAL_MS,\n      maxPingOut: PINGS_OUT_MAX,\n',
        replace: '',
      },
    ],
    caughtBy: 'F20b',
    shows: /gap|lapses|I1/,
  },
  {
    id: 'active-first',
    bug: 'ACTIVE before STANDBY',
    edits: [
      {
        file: 'src/table/hand-over.ts',
        find: '[...writes.filter(({ row }) => !promotes(row)), ...ups]',
        replace: '[...ups, ...writes.filter(({ row }) => !promotes(row))]',
      },
    ],
    caughtBy: 'F42',
    shows: /I5: .*ACTIVE beside/,
  },
  {
    id: 'status-before-ack',
    bug: 'status before ack: what is wished for is called registered',
    edits: [
      {
        file: 'src/table/row.ts',
        find: "return { status: 'Pending', reason: observed.kind === 'ours' && !stands ? 'Lapsed' : 'Registering' };",
        replace: 'return { status: row.role, reason: undefined };',
      },
      {
        file: 'src/domain/registration-status.ts',
        find: "if (input.registry.kind === 'broken') {",
        replace: "if (input.registry.kind === 'broken' && counts.registered === 0) {",
      },
    ],
    caughtBy: 'F30',
    shows: /I8/,
  },
  {
    id: 'bucket-without-ttl',
    bug: 'bucket made without TTL',
    edits: [
      {
        file: 'src/nats/bucket.ts',
        find: '    allow_msg_ttl: true,\n    allow_atomic: true,\n    subject_delete_marker_ttl: MARKER_TTL_SECONDS * NS_PER_SECOND,\n',
        replace: '    allow_atomic: true,\n',
      },
    ],
    // Not played: the operators refuse the bucket that they made, never get ready, and the stage does not come about.
    caughtBy: 'F02',
    shows: /operator-0 was not ready/,
  },
  {
    id: 'deaf-watcher',
    bug: 'watcher that stops on an error, here 410 Gone',
    edits: [
      {
        file: 'src/kubernetes/reflector.ts',
        find: "await clock.sleep(await this.#failed(ApiError.fromFailure('watch', cause)), signal);",
        replace:
          "const error = ApiError.fromFailure('watch', cause);\n        if (error.status === 410) return;\n        await clock.sleep(await this.#failed(error), signal);",
      },
    ],
    caughtBy: 'F13',
    shows: /I1|I2|I4/,
  },
];
