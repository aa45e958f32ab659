// How it is asked whether something still listens at a pod's address. The port, types only; `network/` implements it.

export type ProbeTarget = {
  /** An IP address. */
  readonly host: string;
  /** TCP. */
  readonly port: number;
};

/** `impossible`: not tried, or our own machine is at fault; it says nothing about the target. */
export type ProbeOutcome = 'answered' | 'failed' | 'impossible';

export type Prober = {
  /** Opens a TCP connection and closes it; not a byte is sent. Ends within seconds, never rejects. */
  probe(target: ProbeTarget, signal: AbortSignal): Promise<ProbeOutcome>;
};
