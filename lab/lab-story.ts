import type { Text } from '../stack/text.ts';

/** What the lab is doing, for the line-by-line story in the terminal. */
export type LabStep =
  | { kind: 'base_building'; suite: string }
  | { kind: 'base_ready'; seconds: number; cached: boolean }
  | { kind: 'network_ready'; bridge: string; subnet: string }
  | { kind: 'host_started'; name: string; address: string; seconds: number }
  | { kind: 'host_stopped'; name: string }
  | { kind: 'agent_installed'; name: string }
  | { kind: 'reset_done' };

const stepTexts: {
  [Kind in LabStep['kind']]: (step: Extract<LabStep, { kind: Kind }>) => Text;
} = {
  base_building: (step) => [
    `Construction de la base Debian ${step.suite} (une seule fois, moins d’une minute)…`,
    `Building the Debian ${step.suite} base (once, less than a minute)…`,
  ],
  base_ready: (step) => [
    step.cached ? 'Base Debian déjà prête' : `Base Debian prête en ${step.seconds.toFixed(1)} s`,
    step.cached ? 'Debian base already there' : `Debian base ready in ${step.seconds.toFixed(1)} s`,
  ],
  network_ready: (step) => [
    `Réseau du laboratoire ${step.subnet} sur ${step.bridge}`,
    `Lab network ${step.subnet} on ${step.bridge}`,
  ],
  host_started: (step) => [
    `${step.name} démarrée en ${step.seconds.toFixed(1)} s (${step.address})`,
    `${step.name} up in ${step.seconds.toFixed(1)} s (${step.address})`,
  ],
  host_stopped: (step) => [`${step.name} éteinte`, `${step.name} is off`],
  agent_installed: (step) => [
    `Agent installé et enrôlé sur ${step.name}`,
    `Agent installed and enrolled on ${step.name}`,
  ],
  reset_done: () => ['Laboratoire supprimé', 'Lab removed'],
};

/** One line of the story in both languages. */
export function describeLabStep(step: LabStep): Text {
  const describe = stepTexts[step.kind] as (step: LabStep) => Text;
  return describe(step);
}
