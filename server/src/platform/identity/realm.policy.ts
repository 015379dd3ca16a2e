import type RealmRepresentation from '@keycloak/keycloak-admin-client/lib/defs/realmRepresentation.js';
import type ClientRepresentation from '@keycloak/keycloak-admin-client/lib/defs/clientRepresentation.js';

/** Name of the realm that people sign in to. */
export const realmName = 'atlas';
/** Audience that access tokens carry for this server; tokens without it are refused. */
export const apiAudience = 'atlas-api';
/** The one browser flow, made by the reconciliation. */
export const browserFlow = 'atlas-browser';
export const webClientId = 'atlas-web';
export const cliClientId = 'atlas-cli';
export const serverClientId = 'atlas-server';

const sessionIdleS = 3600;
const sessionMaxS = 10 * 3600;
const accessTokenS = 300;
/** A second factor counts as recent for as long as a session may live; level 3 is always asked afresh. */
export const levelMaxAgeS = { 2: sessionMaxS, 3: 0 } as const;

/** The library's type does not know the passkey settings yet. */
interface RealmSettings extends RealmRepresentation {
  [setting: `webAuthnPolicy${string}`]: unknown;
}

/**
 * Settings of the realm, whole and explicit, so that a drift is mended at every start.
 * Every optional way in is off: registration, password reset, remember-me.
 */
export function realmSettings(publicUrl: string): RealmSettings {
  const host = new URL(publicUrl).hostname;
  const webAuthn = { rpId: host, uv: 'required', attestation: 'direct' };
  return {
    realm: realmName,
    enabled: true,
    displayName: 'ATLAS ORCHESTRATOR™',
    sslRequired: 'external',
    registrationAllowed: false,
    resetPasswordAllowed: false,
    rememberMe: false,
    verifyEmail: false,
    editUsernameAllowed: false,
    loginWithEmailAllowed: false,
    duplicateEmailsAllowed: true,
    // Five failures lock for a minute and longer each time; after three locks a person must unlock the account.
    bruteForceProtected: true,
    permanentLockout: true,
    maxTemporaryLockouts: 3,
    failureFactor: 5,
    waitIncrementSeconds: 60,
    maxFailureWaitSeconds: 900,
    minimumQuickLoginWaitSeconds: 60,
    quickLoginCheckMilliSeconds: 1000,
    maxDeltaTimeSeconds: 43_200,
    passwordPolicy: 'length(12) and notUsername and passwordHistory(5)',
    accessTokenLifespan: accessTokenS,
    accessCodeLifespan: 60,
    accessCodeLifespanLogin: 900,
    accessCodeLifespanUserAction: 300,
    ssoSessionIdleTimeout: sessionIdleS,
    ssoSessionMaxLifespan: sessionMaxS,
    revokeRefreshToken: true,
    refreshTokenMaxReuse: 0,
    otpPolicyType: 'totp',
    otpPolicyAlgorithm: 'HmacSHA1',
    otpPolicyDigits: 6,
    otpPolicyPeriod: 30,
    otpPolicyLookAheadWindow: 1,
    webAuthnPolicyRpEntityName: 'ATLAS ORCHESTRATOR',
    webAuthnPolicyRpId: webAuthn.rpId,
    webAuthnPolicySignatureAlgorithms: ['ES256'],
    webAuthnPolicyUserVerificationRequirement: webAuthn.uv,
    webAuthnPolicyAttestationConveyancePreference: webAuthn.attestation,
    webAuthnPolicyAvoidSameAuthenticatorRegister: true,
    internationalizationEnabled: true,
    supportedLocales: ['fr', 'en'],
    defaultLocale: 'fr',
    loginTheme: 'atlas',
    eventsEnabled: true,
    eventsExpiration: 31_536_000,
    adminEventsEnabled: true,
    adminEventsDetailsEnabled: true,
    browserSecurityHeaders: {
      contentSecurityPolicy: "frame-src 'self'; frame-ancestors 'none'; object-src 'none';",
      contentSecurityPolicyReportOnly: '',
      xContentTypeOptions: 'nosniff',
      xFrameOptions: 'DENY',
      xRobotsTag: 'none',
      strictTransportSecurity: 'max-age=31536000; includeSubDomains',
      referrerPolicy: 'no-referrer',
    },
    attributes: { frontendUrl: '', 'acr.loa.map': '{}', parRequestUriLifespan: '60' },
  };
}

const closed = {
  standardFlowEnabled: false,
  implicitFlowEnabled: false,
  directAccessGrantsEnabled: false,
  serviceAccountsEnabled: false,
  fullScopeAllowed: false,
  consentRequired: false,
  frontchannelLogout: false,
} as const;

const audienceMapper = {
  name: 'atlas-audience',
  protocol: 'openid-connect',
  protocolMapper: 'oidc-audience-mapper',
  config: {
    'included.custom.audience': apiAudience,
    'access.token.claim': 'true',
    'id.token.claim': 'false',
    'introspection.token.claim': 'true',
  },
};

const refused = {
  'oauth2.device.authorization.grant.enabled': 'false',
  'oidc.ciba.grant.enabled': 'false',
  'standard.token.exchange.enabled': 'false',
  'client.use.lightweight.access.token.enabled': 'false',
} as const;

/** The three clients of the realm, and no other of ours: see decision 4. */
export function realmClients(publicUrl: string): (ClientRepresentation & { readonly clientId: string })[] {
  const logoutUrl = `${publicUrl}/api/back-channel-logout`;
  return [
    {
      ...closed,
      clientId: webClientId,
      name: 'ATLAS',
      publicClient: true,
      standardFlowEnabled: true,
      rootUrl: publicUrl,
      baseUrl: '/',
      // One exact address: the application finds its own way back from there.
      redirectUris: [`${publicUrl}/`],
      webOrigins: [publicUrl],
      protocolMappers: [audienceMapper],
      attributes: {
        ...refused,
        'pkce.code.challenge.method': 'S256',
        'post.logout.redirect.uris': `${publicUrl}/`,
        'default.acr.values': '2',
        'backchannel.logout.url': logoutUrl,
        'backchannel.logout.session.required': 'true',
        'backchannel.logout.revoke.offline.tokens': 'true',
        'access.token.lifespan': String(accessTokenS),
      },
    },
    {
      ...closed,
      clientId: cliClientId,
      name: 'ATLAS (terminal)',
      publicClient: true,
      redirectUris: [],
      webOrigins: [],
      protocolMappers: [audienceMapper],
      attributes: {
        ...refused,
        'oauth2.device.authorization.grant.enabled': 'true',
        'oauth2.device.code.lifespan': '300',
        'default.acr.values': '2',
        'backchannel.logout.url': logoutUrl,
        'backchannel.logout.session.required': 'true',
        'backchannel.logout.revoke.offline.tokens': 'true',
        'access.token.lifespan': String(accessTokenS),
      },
    },
    {
      ...closed,
      clientId: serverClientId,
      name: 'ATLAS (server)',
      publicClient: false,
      clientAuthenticatorType: 'client-secret',
      serviceAccountsEnabled: true,
      redirectUris: [],
      webOrigins: [],
      attributes: { ...refused, 'use.refresh.tokens': 'false' },
    },
  ];
}

/** Rights of the server's own account in the realm: people, and nothing else. */
export const serverRealmRights = ['manage-users', 'view-users', 'query-users'] as const;

/** A step of the browser flow; children make it a sub-flow. */
export interface FlowStep {
  readonly requirement: 'REQUIRED' | 'ALTERNATIVE' | 'CONDITIONAL';
  readonly provider?: string;
  readonly flow?: string;
  readonly config?: Readonly<Record<string, string>>;
  readonly children?: readonly FlowStep[];
}

function level(number: 2 | 3, children: readonly FlowStep[]): FlowStep {
  return {
    requirement: 'CONDITIONAL',
    flow: `atlas level ${number}`,
    children: [
      {
        requirement: 'REQUIRED',
        provider: 'conditional-level-of-authentication',
        config: { 'loa-condition-level': String(number), 'loa-max-age': String(levelMaxAgeS[number]) },
      },
      ...children,
    ],
  };
}

const oneTimeCodeOrPasskey: readonly FlowStep[] = [
  { requirement: 'ALTERNATIVE', provider: 'auth-otp-form' },
  { requirement: 'ALTERNATIVE', provider: 'webauthn-authenticator' },
];

/**
 * Level 2: password and second factor. Level 3: a fresh second factor, for step-up.
 * A new account has none yet: its temporary password leads to the required action that sets one up, and to nothing else.
 */
export const browserFlowSteps: readonly FlowStep[] = [
  { requirement: 'ALTERNATIVE', provider: 'auth-cookie' },
  {
    requirement: 'ALTERNATIVE',
    flow: 'atlas forms',
    children: [
      level(2, [
        { requirement: 'REQUIRED', provider: 'auth-username-password-form' },
        {
          requirement: 'CONDITIONAL',
          flow: 'atlas second factor',
          children: [
            { requirement: 'REQUIRED', provider: 'conditional-user-configured' },
            ...oneTimeCodeOrPasskey,
          ],
        },
      ]),
      level(3, [
        { requirement: 'REQUIRED', flow: 'atlas fresh second factor', children: oneTimeCodeOrPasskey },
      ]),
    ],
  },
];
