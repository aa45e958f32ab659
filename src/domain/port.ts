// Which port an instance shows: a number, or nothing. Names are looked up among the container's declared ports.

import type { PodView } from './pod.ts';

/** A port's name in Kubernetes: at most 15 of these, with at least one letter. */
const PORT_NAME = /^(?=.*[a-z])[a-z0-9](?:[a-z0-9-]{0,13}[a-z0-9])?$/;

export const isPortName = (text: string): boolean => PORT_NAME.test(text);

export const isPortNumber = (value: number): boolean => Number.isInteger(value) && value >= 1 && value <= 65_535;

/** An annotation's text: a number, or a name; undefined when it is neither. */
export const parsePort = (text: string): string | number | undefined => {
  if (/^[1-9]\d{0,4}$/.test(text)) return isPortNumber(Number(text)) ? Number(text) : undefined;
  return isPortName(text) ? text : undefined;
};

/**
 * A number counts as it is, declared or not. A name that no container declares gives nothing, and so does its absence
 * unless exactly one port number is declared.
 */
export const resolvePort = (pod: PodView, wanted: string | number | undefined): number | undefined => {
  if (typeof wanted === 'number') return wanted;
  const declared = pod.containers.flatMap(({ ports }) => ports);
  if (wanted !== undefined) return declared.find(({ name }) => name === wanted)?.port;
  const numbers = new Set(declared.map(({ port }) => port));
  const [only] = numbers;
  return numbers.size === 1 ? only : undefined;
};
