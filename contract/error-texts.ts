import type { ErrorCode } from '#contract/errors.ts';

/** French, English. */
type BothLanguages = readonly [fr: string, en: string];

/**
 * What each code means and what its reader does about it, for callers without the web's screens: the command line and
 * `docs/errors.md`. The web has its own words, which may speak of its pages.
 */
export const errorTexts: Readonly<
  Record<ErrorCode, { readonly meaning: BothLanguages; readonly remedy: BothLanguages }>
> = {
  invalid_request: {
    meaning: [
      'Un paramètre ou un champ n’a pas la forme attendue.',
      'A parameter or field has not the form that is asked.',
    ],
    remedy: ['Corrigez les champs que `fields` nomme.', 'Correct the fields that `fields` names.'],
  },
  malformed_body: {
    meaning: [
      'Le corps de la demande n’est pas du JSON lisible.',
      'The body of the request is not readable JSON.',
    ],
    remedy: ['Envoyez un objet JSON en UTF-8.', 'Send one JSON object in UTF-8.'],
  },
  unauthenticated: {
    meaning: [
      'Il n’y a pas de jeton ni de clé valable, ou la session est finie.',
      'There is no valid token or key, or the session has ended.',
    ],
    remedy: [
      'Connectez-vous (`./atlas login`), ou donnez une clé d’API en vigueur.',
      'Sign in (`./atlas login`), or give an API key that is in force.',
    ],
  },
  token_expired: {
    meaning: ['Le jeton d’accès a expiré.', 'The access token has expired.'],
    remedy: ['Renouvelez-le, ou connectez-vous de nouveau.', 'Renew it, or sign in again.'],
  },
  step_up_required: {
    meaning: [
      'Ce geste demande un second facteur récent ; l’en-tête WWW-Authenticate dit lequel.',
      'This act asks for a recent second factor; the WWW-Authenticate header says which.',
    ],
    remedy: ['Confirmez votre identité, puis recommencez.', 'Confirm your identity, then try again.'],
  },
  forbidden: {
    meaning: ['Le rôle ou la clé ne permet pas ce geste.', 'The role or the key does not allow this act.'],
    remedy: [
      'Demandez ce droit à un administrateur du client, ou une clé qui le porte.',
      'Ask an administrator of the tenant for the right, or for a key that carries it.',
    ],
  },
  origin_refused: {
    meaning: [
      'La demande vient d’une page d’une autre adresse.',
      'The request comes from a page at another address.',
    ],
    remedy: ['Ouvrez ATLAS à son adresse publique.', 'Open ATLAS at its public address.'],
  },
  not_found: {
    meaning: [
      'L’objet n’existe pas, n’existe plus, ou appartient à un autre client.',
      'The object does not exist, exists no more, or belongs to another tenant.',
    ],
    remedy: ['Vérifiez l’identifiant et le client.', 'Check the identifier and the tenant.'],
  },
  method_not_allowed: {
    meaning: ['Ce chemin n’accepte pas cette méthode.', 'This path does not take that method.'],
    remedy: ['Lisez `docs/openapi.json`.', 'Read `docs/openapi.json`.'],
  },
  conflict: {
    meaning: [
      'Quelqu’un d’autre a changé la même chose au même moment.',
      'Somebody else changed the same thing at the same moment.',
    ],
    remedy: ['Relisez l’objet, puis recommencez.', 'Read the object again, then try again.'],
  },
  already_exists: {
    meaning: ['Un objet de ce nom existe déjà.', 'An object of that name exists already.'],
    remedy: [
      'Choisissez un autre nom, ou prenez celui qui existe.',
      'Choose another name, or use the one that exists.',
    ],
  },
  transition_refused: {
    meaning: ['L’état actuel ne permet pas ce geste.', 'The current state does not allow this act.'],
    remedy: ['Relisez l’objet : son état a changé.', 'Read the object again: its state has changed.'],
  },
  enrolment_token_unusable: {
    meaning: [
      'Le jeton d’enrôlement a servi, a expiré ou a été retiré.',
      'The enrolment token was used, has expired or was withdrawn.',
    ],
    remedy: [
      'Émettez un nouveau jeton (`./atlas tokens create`).',
      'Issue a new token (`./atlas tokens create`).',
    ],
  },
  guard_unavailable: {
    meaning: [
      'La politique exige un point de retour que ces hôtes ne peuvent pas prendre.',
      'The policy demands a checkpoint that these hosts cannot take.',
    ],
    remedy: [
      'Libérez de l’espace sur l’hôte, ou changez la politique.',
      'Free some space on the host, or change the policy.',
    ],
  },
  frozen: {
    meaning: ['Un gel couvre ce moment.', 'A freeze holds that time.'],
    remedy: [
      'Choisissez un autre moment, ou faites lever le gel que `detail` nomme.',
      'Choose another time, or have the freeze that `detail` names lifted.',
    ],
  },
  plan_impossible: {
    meaning: [
      'Aucun ordre ne respecte à la fois les dépendances et les budgets des groupes.',
      'No order respects both the dependencies and the budgets of the groups.',
    ],
    remedy: [
      'L’aperçu du plan écrit chaque obstacle : retirez un serveur, ou corrigez le groupe ou la dépendance.',
      'The plan’s preview writes each obstacle out: remove a host, or mend the group or the dependency.',
    ],
  },
  nothing_to_install: {
    meaning: ['Aucune mise à jour ne répond à la politique.', 'No update answers the policy.'],
    remedy: ['Choisissez d’autres hôtes ou une autre politique.', 'Choose other hosts or another policy.'],
  },
  hosts_unavailable: {
    meaning: ['L’agent d’un hôte n’est pas joignable.', 'The agent of a host cannot be reached.'],
    remedy: [
      'Vérifiez que l’hôte est allumé et que l’agent tourne.',
      'Check that the host is on and its agent runs.',
    ],
  },
  precondition_failed: {
    meaning: [
      'L’objet a changé depuis la version donnée par If-Match.',
      'The object has changed since the version given by If-Match.',
    ],
    remedy: [
      'Relisez l’objet et refaites le changement sur sa version actuelle.',
      'Read the object again and make the change on its current version.',
    ],
  },
  payload_too_large: {
    meaning: ['Le corps de la demande dépasse la limite.', 'The body of the request is above the limit.'],
    remedy: ['Partagez la demande en plusieurs.', 'Split the request.'],
  },
  unsupported_media_type: {
    meaning: ['Ce type de contenu n’est pas accepté.', 'This media type is not accepted.'],
    remedy: ['Envoyez `application/json`.', 'Send `application/json`.'],
  },
  signature_refused: {
    meaning: [
      'La signature est fausse, ou sa clé n’a pas ce pouvoir.',
      'The signature is wrong, or its key has no such power.',
    ],
    remedy: [
      'Signez les octets du serveur avec une clé du document de politique en vigueur.',
      'Sign the server’s very bytes with a key of the policy document in force.',
    ],
  },
  policy_refused: {
    meaning: [
      'Le document de politique du client ne le permet pas.',
      'The tenant’s policy document does not allow it.',
    ],
    remedy: [
      'Lisez ce qu’il permet (`./atlas policy show`), ou publiez l’époque suivante.',
      'Read what it allows (`./atlas policy show`), or publish the next epoch.',
    ],
  },
  precondition_required: {
    meaning: ['L’en-tête If-Match manque.', 'The If-Match header is missing.'],
    remedy: ['Envoyez la version que vous avez lue.', 'Send the version that you read.'],
  },
  rate_limited: {
    meaning: ['Trop de demandes en peu de temps.', 'Too many requests in a short time.'],
    remedy: ['Attendez le temps que dit Retry-After.', 'Wait as long as Retry-After says.'],
  },
  internal: {
    meaning: [
      'Le serveur a rencontré une erreur qui est un défaut.',
      'The server met an error that is a defect.',
    ],
    remedy: [
      'Transmettez `requestId` à l’assistance : le journal du serveur le porte.',
      'Give `requestId` to support: the server’s log carries it.',
    ],
  },
  overloaded: {
    meaning: ['Une file est pleine : le serveur se protège.', 'A queue is full: the server protects itself.'],
    remedy: ['Attendez le temps que dit Retry-After.', 'Wait as long as Retry-After says.'],
  },
  audit_unavailable: {
    meaning: [
      'Le journal d’audit n’accepte pas d’écriture : rien n’est fait sans lui.',
      'The audit log takes no entry: nothing is done without it.',
    ],
    remedy: [
      'Vérifiez l’espace disque et PostgreSQL (`./atlas doctor`, `./atlas status`).',
      'Check the disk space and PostgreSQL (`./atlas doctor`, `./atlas status`).',
    ],
  },
  identity_provider_unavailable: {
    meaning: ['Keycloak ne répond pas.', 'Keycloak does not answer.'],
    remedy: [
      'Regardez `./atlas status` et `./atlas logs keycloak`.',
      'See `./atlas status` and `./atlas logs keycloak`.',
    ],
  },
};
