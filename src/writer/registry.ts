// What the writer needs from JetStream: one atomic batch at a time, and ways to read what is really there.
// The port, not the adapter: `nats/` implements it for a server, the simulation implements it in memory, and one
// contract test holds both to the meaning written here.

/** A stream sequence. The revision of a subject is the sequence of its last message; 0 means: no message. */
export type Revision = number;

export type BatchMessage = {
  readonly subject: string;
  /** The batch is refused unless this is the subject's last revision (0: the subject must be empty). */
  readonly expectedRevision: Revision;
  /** Whole seconds, >= 1, counted by the server from the moment it stores the message. */
  readonly ttlSeconds: number;
  /** `PURGE` replaces all of the subject's messages by a marker with this TTL. */
  readonly operation: 'PUT' | 'PURGE';
  /** Further headers, each `Name: value\r\n`, ready to be sent. */
  readonly headerLines: string;
  readonly body: Uint8Array;
};

export type CommitOutcome =
  /** All messages are stored, with consecutive revisions in the order given; `lastRevision` is the last one's. */
  | { readonly kind: 'committed'; readonly lastRevision: Revision }
  /** Nothing is stored: some subject's last revision was another one. `actualRevision` is that subject's (0: none). */
  | { readonly kind: 'conflict'; readonly actualRevision: Revision }
  /** Nothing is stored, and trying again later may work (in-flight conflict of a replicated stream, no leader). */
  | { readonly kind: 'retry'; readonly description: string }
  /** Nothing is stored, and it will not be until a person changes something; `subjects`: whose fault it is, if known. */
  | {
      readonly kind: 'rejected';
      readonly reason: RejectReason;
      readonly description: string;
      readonly subjects?: readonly string[];
      /** Of each subject, where it says more than `description`. */
      readonly descriptions?: readonly string[];
    }
  /** No answer came: all of it is stored or nothing is, now or within the next moments. Read back before assuming. */
  | { readonly kind: 'unknown'; readonly description: string };

export type RejectReason = 'Denied' | 'Full' | 'TooLarge' | 'Unsupported' | 'NoStream' | 'Other';

/** The last message of a subject. */
export type StoredMessage = {
  readonly subject: string;
  readonly revision: Revision;
  /** The server's wall clock when it stored the message, ms since the epoch. */
  readonly storedAtMs: number;
  /** `PUT`: a value. `PURGE`, `DEL`: a client removed it. `MaxAge`, `Remove`: the server's marker of a lapse or removal. */
  readonly operation: 'PUT' | 'PURGE' | 'DEL' | 'MaxAge' | 'Remove';
  /** The TTL header in seconds, undefined when the message has none and never lapses by itself. */
  readonly ttlSeconds?: number;
  /** `Rollcall-*` headers by their full name; empty for messages of others. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
};

export type BucketReport =
  | {
      readonly kind: 'usable';
      readonly serverVersion: string;
      /** The stream's creation time as the server prints it: another text is another incarnation. */
      readonly incarnation: string;
      readonly lastRevision: Revision;
      readonly messages: number;
      readonly bytes: number;
      /** -1: no limit. */
      readonly maxBytes: number;
      /** Seconds; 0: none. Shortens every TTL that is longer. */
      readonly maxAgeSeconds: number;
      readonly markerTtlSeconds: number;
      readonly history: number;
      readonly replicas: number;
      /** The wall clock of the server that answered minus ours; absent: the answer took too long to tell. */
      readonly clockOffsetMs?: number;
    }
  | UnsupportedBucket
  | { readonly kind: 'missing'; readonly serverVersion: string; readonly description: string }
  | { readonly kind: 'denied'; readonly description: string }
  | { readonly kind: 'unavailable'; readonly description: string };

/** It will not do, and why, in sentences that say what to do, without a full stop. */
export type UnsupportedBucket = {
  readonly kind: 'unsupported';
  readonly serverVersion: string;
  readonly reasons: readonly string[];
  /** What mends all of it: a newer server, the additions of `bucketPolicy` Upgrade, or a person with the rights to. */
  readonly mendedBy: 'newer-server' | 'additions' | 'person';
};

/** Reading failed. `transient`: back off and try again; `denied`: a right is missing; `missing`: there is no stream. */
export class RegistryError extends Error {
  readonly kind: 'transient' | 'denied' | 'missing';
  constructor(kind: 'transient' | 'denied' | 'missing', message: string) {
    super(message);
    this.name = 'RegistryError';
    this.kind = kind;
  }
}

/** One message outside any batch, without a body. */
export type Announcement = {
  readonly subject: string;
  readonly ttlSeconds: number;
  /** `Rollcall-*` headers, each `Name: value\r\n`. */
  readonly headerLines: string;
};

export type Registry = {
  /** Stores 1 to 1,000 messages on different subjects, all or none. Never rejects but for a bug in the caller. */
  commit(messages: readonly BatchMessage[], signal: AbortSignal): Promise<CommitOutcome>;
  /** The last message of each subject, asked of the stream's leader; undefined where there is none. @throws RegistryError */
  read(subjects: readonly string[], signal: AbortSignal): Promise<readonly (StoredMessage | undefined)[]>;
  /** The message with this revision, undefined when it is gone. @throws RegistryError */
  readRevision(revision: Revision, signal: AbortSignal): Promise<StoredMessage | undefined>;
  /** The last message of every subject that matches one of the filters, which must not overlap, markers included, in
   * the order of their revisions, in pages. May lag behind the leader; complete up to the stream's last revision at the
   * time of the call. `gently`: slower, where nobody waits for it, and without the subjects that are written meanwhile.
   * @throws RegistryError */
  readBack(filters: readonly string[], signal: AbortSignal, pace?: 'gently'): AsyncIterable<readonly StoredMessage[]>;
  /** Creates the bucket if `bucketPolicy` allows it, then says whether it will do. Never rejects. */
  inspect(signal: AbortSignal): Promise<BucketReport>;
  /** Calls back with the last message of a subject and every later one, until the signal aborts. Resumes after gaps. */
  follow(subject: string, onMessage: (message: StoredMessage) => void, signal: AbortSignal): Promise<void>;
  /** Writes without any condition and without waiting for an answer: lost when the bucket cannot be written just now. */
  announce(announcement: Announcement): void;
  /** Whether a connection stands right now; changes are told to `onConnectionChange`. */
  connected(): boolean;
  onConnectionChange(listener: (connected: boolean) => void): void;
};
