import { hostHere } from './simulatedHost.ts';

const needRestart = new WeakMap<object, string>();

/** Remembers that packages were replaced since this boot. */
export function noteReplaced(names: readonly string[]): Promise<void> {
  const host = hostHere();
  if (names.length > 0) needRestart.set(host, host.bootId);
  return Promise.resolve();
}

/** A host asks for a restart in the boot in which something was replaced. */
export function readRestartSignals() {
  const host = hostHere();
  const isRequired = needRestart.get(host) === host.bootId;
  return Promise.resolve({ isRequired, reasons: isRequired ? ['packages were replaced'] : [], services: [] });
}
