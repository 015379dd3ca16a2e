import { StackError } from '../stack/text.ts';
import type { Text } from '../stack/text.ts';

/** Why the lab could not do what was asked. */
export type LabErrorCode =
  | 'not_root'
  | 'missing_tools'
  | 'no_btrfs'
  | 'no_loop_devices'
  | 'no_space'
  | 'no_machine_id'
  | 'no_mirror'
  | 'no_free_subnet'
  | 'lab_busy'
  | 'too_many_hosts'
  | 'bad_host_name'
  | 'unknown_host'
  | 'host_off'
  | 'boot_timeout'
  | 'command_failed';

/** What is wrong and what to do about it. */
const texts: Record<LabErrorCode, (subject: string) => Text> = {
  not_root: () => [
    'Le laboratoire crée des machines : il lui faut les droits root. Relancez avec sudo.',
    'The lab makes machines: it needs root. Run it again with sudo.',
  ],
  missing_tools: (subject) => [
    `Il manque des outils : ${subject}. Installez-les : apt-get install ${subject}`,
    `Tools are missing: ${subject}. Install them: apt-get install ${subject}`,
  ],
  no_btrfs: () => [
    'Le noyau ne connaît pas btrfs. Chargez le module : modprobe btrfs',
    'The kernel does not know btrfs. Load its module: modprobe btrfs',
  ],
  no_loop_devices: () => [
    'Aucun périphérique loop (/dev/loop-control absent). Chargez le module : modprobe loop',
    'No loop devices (/dev/loop-control is absent). Load the module: modprobe loop',
  ],
  no_space: (subject) => [
    `Pas assez de place sur le disque : ${subject}. Libérez de la place ou changez ATLAS_STATE_DIR.`,
    `Not enough disk space: ${subject}. Free some, or move ATLAS_STATE_DIR.`,
  ],
  no_machine_id: () => [
    '/etc/machine-id est vide, systemd-nspawn le refuse. Créez-le : systemd-machine-id-setup',
    '/etc/machine-id is empty and systemd-nspawn refuses that. Make one: systemd-machine-id-setup',
  ],
  no_mirror: (subject) => [
    `Aucun dépôt Debian trouvé : ${subject}. Vérifiez les sources d’apt et le réseau.`,
    `No Debian repository found: ${subject}. Check apt's sources and the network.`,
  ],
  no_free_subnet: () => [
    'Aucun sous-réseau 10.x.y.0/24 libre. Supprimez un ancien laboratoire : ./atlas lab reset',
    'No free 10.x.y.0/24 subnet. Remove an old lab: ./atlas lab reset',
  ],
  lab_busy: (subject) => [
    `Une autre commande travaille sur ce laboratoire (${subject}). Attendez sa fin.`,
    `Another command is working on this lab (${subject}). Wait until it ends.`,
  ],
  too_many_hosts: (subject) => [
    `Trop de machines : ${subject}. Retirez-en, ou faites : ./atlas lab reset`,
    `Too many hosts: ${subject}. Remove some, or run: ./atlas lab reset`,
  ],
  bad_host_name: (subject) => [
    `Nom de machine refusé : ${subject}. Lettres minuscules, chiffres et tirets, 1 à 30 signes.`,
    `Host name refused: ${subject}. Lower-case letters, digits and dashes, 1 to 30 of them.`,
  ],
  unknown_host: (subject) => [
    `Machine inconnue : ${subject}. Les noms connus : ./atlas lab list`,
    `Unknown host: ${subject}. Known names: ./atlas lab list`,
  ],
  host_off: (subject) => [
    `La machine ${subject} est éteinte. Démarrez-la : ./atlas lab up`,
    `Host ${subject} is off. Start it: ./atlas lab up`,
  ],
  boot_timeout: (subject) => [
    `Une machine n’a pas fini de démarrer : ${subject}. Voyez sa console dans le répertoire d’état.`,
    `A host did not finish booting: ${subject}. See its console log in the state directory.`,
  ],
  command_failed: (subject) => [
    `Une commande du laboratoire a échoué : ${subject}`,
    `A command of the lab failed: ${subject}`,
  ],
};

/** A refusal of the lab: `code` for programs, `subject` names the thing it is about. */
export class LabError extends StackError {
  readonly code: LabErrorCode;
  readonly subject: string;

  constructor(code: LabErrorCode, subject: string, options: { cause?: unknown } = {}) {
    super(texts[code](subject), options);
    this.name = 'LabError';
    this.code = code;
    this.subject = subject;
  }
}
