import type { EnrolErrorCode } from './enrol.errors.ts';

/** Texts of the agent's own command line, French first. */
export const messages = {
  fr: {
    usage: `Usage : atlas-agent <commande>
  enrol <jeton> [--again]   inscrit cet hôte auprès d’ATLAS ORCHESTRATOR
  run                       travaille (lancé par systemd)
  visit, serve              travaille pour qui vient par SSH (lancé par le serveur ATLAS)
  status [--json]           état de l’agent
  version                   version
Options : --state <dossier>  --lang fr|en`,
    steps: {
      server: 'Vérification du serveur…',
      keys: 'Création des clés sur cet hôte (RSA 4096)…',
      request: 'Demande d’inscription…',
    },
    enrolled: 'Hôte inscrit.',
    notEnrolled: 'Cet hôte n’est pas inscrit : atlas-agent enrol <jeton>',
    visitedOnly:
      'ATLAS atteint cet hôte par SSH : l’agent ne démarre pas. Rendez-lui la main depuis la page de l’hôte.',
    errors: {
      token_malformed: 'Le jeton d’inscription est illisible : copiez-le en entier.',
      already_enrolled: 'Cet hôte est déjà inscrit. Ajoutez --again pour l’inscrire de nouveau.',
      unreachable: 'Le serveur ne répond pas : vérifiez l’adresse, le réseau et le pare-feu.',
      wrong_server: 'Le serveur n’est pas celui du jeton : rien n’a été envoyé.',
      refused: 'Le serveur refuse l’inscription : jeton expiré, révoqué ou déjà utilisé.',
      answer_malformed: 'La réponse du serveur est incompréhensible : versions incompatibles ?',
      certificate_wrong: 'Le certificat reçu ne convient pas : rien n’a été gardé.',
      policy_wrong: 'La politique de confiance reçue n’est pas celle du jeton : rien n’a été gardé.',
      not_root: 'Cette commande demande les droits de root.',
    } satisfies Record<EnrolErrorCode, string>,
  },
  en: {
    usage: `Usage: atlas-agent <command>
  enrol <token> [--again]   enrols this host with ATLAS ORCHESTRATOR
  run                       works (started by systemd)
  visit, serve              works for who comes over SSH (started by the ATLAS server)
  status [--json]           state of the agent
  version                   version
Options: --state <directory>  --lang fr|en`,
    steps: {
      server: 'Checking the server…',
      keys: 'Making the keys on this host (RSA 4096)…',
      request: 'Asking for the enrolment…',
    },
    enrolled: 'Host enrolled.',
    notEnrolled: 'This host is not enrolled: atlas-agent enrol <token>',
    visitedOnly:
      'ATLAS reaches this host over SSH: the agent does not start. Give it back from the page of the host.',
    errors: {
      token_malformed: 'The enrolment token cannot be read: copy all of it.',
      already_enrolled: 'This host is enrolled already. Add --again to enrol it anew.',
      unreachable: 'The server does not answer: check the address, the network and the firewall.',
      wrong_server: 'The server is not the one of the token: nothing was sent.',
      refused: 'The server refuses the enrolment: token expired, revoked or used.',
      answer_malformed: 'The server’s answer makes no sense: incompatible versions?',
      certificate_wrong: 'The certificate received does not fit: nothing was kept.',
      policy_wrong: 'The trust policy received is not the one of the token: nothing was kept.',
      not_root: 'This command needs root.',
    } satisfies Record<EnrolErrorCode, string>,
  },
} as const;

export type Language = keyof typeof messages;
