import type { Text } from '../stack/text.ts';

/** What the exit status of every command means. */
export const exitCodes = {
  ok: 0,
  failed: 1,
  usage: 2,
  missing: 3,
  notRunning: 4,
  refused: 5,
} as const;

export const exitCodesHelp: Text = [
  `
Codes de sortie :
  0  réussi
  1  l’opération a échoué, ou un essai a échoué
  2  commande ou option inconnue
  3  il manque quelque chose sur cette machine (voir « atlas doctor »)
  4  les services ne tournent pas (voir « atlas up »), ou le serveur ne répond pas
  5  connexion ou droit manquant (voir « atlas login »)`,
  `
Exit status:
  0  done
  1  the operation failed, or a test failed
  2  unknown command or option
  3  something is missing on this machine (see 'atlas doctor')
  4  the services are not running (see 'atlas up'), or the server does not answer
  5  not signed in, or the right is missing (see 'atlas login')`,
];
