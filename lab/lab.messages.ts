import type { LabError, LabErrorCode } from './lab.errors.ts';

/** Languages of the product; French is the default one. */
export type LabLanguage = 'fr' | 'en';

type Text = Record<LabLanguage, (detail: string) => string>;

const errorTexts: Record<LabErrorCode, Text> = {
  not_root: {
    fr: () => 'Le laboratoire crée des machines : il lui faut les droits root. Relancez avec sudo.',
    en: () => 'The lab makes machines: it needs root. Run it again with sudo.',
  },
  missing_tools: {
    fr: (detail) => `Il manque des outils : ${detail}. Installez-les : apt-get install ${detail}`,
    en: (detail) => `Tools are missing: ${detail}. Install them: apt-get install ${detail}`,
  },
  no_btrfs: {
    fr: () => 'Le noyau ne connaît pas btrfs. Chargez le module : modprobe btrfs',
    en: () => 'The kernel does not know btrfs. Load its module: modprobe btrfs',
  },
  no_loop_devices: {
    fr: () => 'Aucun périphérique loop (/dev/loop-control absent). Chargez le module : modprobe loop',
    en: () => 'No loop devices (/dev/loop-control is absent). Load the module: modprobe loop',
  },
  no_space: {
    fr: (detail) =>
      `Pas assez de place sur le disque : ${detail}. Libérez de la place ou changez ATLAS_STATE_DIR.`,
    en: (detail) => `Not enough disk space: ${detail}. Free some, or move ATLAS_STATE_DIR.`,
  },
  no_machine_id: {
    fr: () => '/etc/machine-id est vide, systemd-nspawn le refuse. Créez-le : systemd-machine-id-setup',
    en: () => '/etc/machine-id is empty and systemd-nspawn refuses that. Make one: systemd-machine-id-setup',
  },
  no_debian_keyring: {
    fr: (detail) =>
      `Les clés de Debian manquent (${detail}). Installez : apt-get install debian-archive-keyring`,
    en: (detail) => `Debian's keys are missing (${detail}). Install: apt-get install debian-archive-keyring`,
  },
  no_mirror: {
    fr: (detail) => `Aucun dépôt Debian trouvé : ${detail}. Vérifiez les sources d’apt et le réseau.`,
    en: (detail) => `No Debian repository found: ${detail}. Check apt's sources and the network.`,
  },
  no_free_subnet: {
    fr: () => 'Aucun sous-réseau 10.x.y.0/24 libre. Supprimez un ancien laboratoire : ./atlas lab reset',
    en: () => 'No free 10.x.y.0/24 subnet. Remove an old lab: ./atlas lab reset',
  },
  lab_busy: {
    fr: (detail) => `Une autre commande travaille sur ce laboratoire (${detail}). Attendez sa fin.`,
    en: (detail) => `Another command is working on this lab (${detail}). Wait until it ends.`,
  },
  too_many_hosts: {
    fr: (detail) => `Trop de machines : ${detail}. Retirez-en, ou faites : ./atlas lab reset`,
    en: (detail) => `Too many hosts: ${detail}. Remove some, or run: ./atlas lab reset`,
  },
  bad_host_name: {
    fr: (detail) =>
      `Nom de machine refusé : ${detail}. Lettres minuscules, chiffres et tirets, 1 à 30 signes.`,
    en: (detail) => `Host name refused: ${detail}. Lower-case letters, digits and dashes, 1 to 30 of them.`,
  },
  unknown_host: {
    fr: (detail) => `Machine inconnue : ${detail}. Les noms connus : ./atlas lab list`,
    en: (detail) => `Unknown host: ${detail}. Known names: ./atlas lab list`,
  },
  host_off: {
    fr: (detail) => `La machine ${detail} est éteinte. Démarrez-la : ./atlas lab up`,
    en: (detail) => `Host ${detail} is off. Start it: ./atlas lab up`,
  },
  boot_timeout: {
    fr: (detail) =>
      `Une machine n’a pas fini de démarrer : ${detail}. Voyez sa console dans le répertoire d’état.`,
    en: (detail) => `A host did not finish booting: ${detail}. See its console log in the state directory.`,
  },
  command_failed: {
    fr: (detail) => `Une commande du laboratoire a échoué : ${detail}`,
    en: (detail) => `A command of the lab failed: ${detail}`,
  },
};

/** What went wrong and what to do about it, in one sentence or two for a person. */
export function describeLabError(error: LabError, language: LabLanguage = 'fr'): string {
  return errorTexts[error.code][language](error.detail);
}

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
  [Kind in LabStep['kind']]: Record<LabLanguage, (step: Extract<LabStep, { kind: Kind }>) => string>;
} = {
  base_building: {
    fr: (step) => `Construction de la base Debian ${step.suite} (une seule fois, moins d’une minute)…`,
    en: (step) => `Building the Debian ${step.suite} base (once, less than a minute)…`,
  },
  base_ready: {
    fr: (step) =>
      step.cached ? 'Base Debian déjà prête' : `Base Debian prête en ${step.seconds.toFixed(1)} s`,
    en: (step) =>
      step.cached ? 'Debian base already there' : `Debian base ready in ${step.seconds.toFixed(1)} s`,
  },
  network_ready: {
    fr: (step) => `Réseau du laboratoire ${step.subnet} sur ${step.bridge}`,
    en: (step) => `Lab network ${step.subnet} on ${step.bridge}`,
  },
  host_started: {
    fr: (step) => `${step.name} démarrée en ${step.seconds.toFixed(1)} s (${step.address})`,
    en: (step) => `${step.name} up in ${step.seconds.toFixed(1)} s (${step.address})`,
  },
  host_stopped: { fr: (step) => `${step.name} éteinte`, en: (step) => `${step.name} is off` },
  agent_installed: {
    fr: (step) => `Agent installé et enrôlé sur ${step.name}`,
    en: (step) => `Agent installed and enrolled on ${step.name}`,
  },
  reset_done: { fr: () => 'Laboratoire supprimé', en: () => 'Lab removed' },
};

/** One line of the story in the reader's language. */
export function describeLabStep(step: LabStep, language: LabLanguage = 'fr'): string {
  const texts = stepTexts[step.kind] as Record<LabLanguage, (step: LabStep) => string>;
  return texts[language](step);
}
