import { describe, expect, it } from 'vitest';
import { browserFlowSteps, cliClientId, realmClients, realmSettings } from './realm.policy.ts';
import type { FlowStep } from './realm.policy.ts';

const publicUrl = 'http://localhost:8080';
const realm = realmSettings(publicUrl);
const clients = realmClients(publicUrl);

function providers(steps: readonly FlowStep[]): string[] {
  return steps.flatMap((step) => [
    ...(step.provider === undefined ? [] : [step.provider]),
    ...providers(step.children ?? []),
  ]);
}

describe('the identity realm', () => {
  it('keeps every optional way in shut', () => {
    expect(realm).toMatchObject({
      registrationAllowed: false,
      resetPasswordAllowed: false,
      rememberMe: false,
      editUsernameAllowed: false,
    });
    for (const client of clients) {
      expect(client.implicitFlowEnabled, client.clientId).toBe(false);
      expect(client.directAccessGrantsEnabled, client.clientId).toBe(false);
      expect(client.fullScopeAllowed, client.clientId).toBe(false);
      expect(client.attributes?.['oidc.ciba.grant.enabled'], client.clientId).toBe('false');
      expect(client.attributes?.['standard.token.exchange.enabled'], client.clientId).toBe('false');
      const device = client.attributes?.['oauth2.device.authorization.grant.enabled'];
      expect(device, client.clientId).toBe(client.clientId === cliClientId ? 'true' : 'false');
    }
  });

  it('locks an account after five failures, and for good after three locks', () => {
    expect(realm).toMatchObject({
      bruteForceProtected: true,
      failureFactor: 5,
      permanentLockout: true,
      maxTemporaryLockouts: 3,
    });
  });

  it('gives short tokens to exact addresses with PKCE, and ends idle sessions after an hour', () => {
    expect(realm.accessTokenLifespan).toBeLessThanOrEqual(300);
    expect(realm.ssoSessionIdleTimeout).toBe(3600);
    for (const client of clients) {
      for (const address of [...(client.redirectUris ?? []), ...(client.webOrigins ?? [])]) {
        expect(address).not.toContain('*');
        expect(address).not.toBe('+');
      }
      if (client.publicClient === true && client.standardFlowEnabled === true) {
        expect(client.attributes?.['pkce.code.challenge.method']).toBe('S256');
      }
    }
  });

  it('records who signs in and who administers', () => {
    expect(realm).toMatchObject({
      eventsEnabled: true,
      adminEventsEnabled: true,
      adminEventsDetailsEnabled: true,
    });
  });

  it('demands user verification of passkeys, bound to the public host', () => {
    expect(realm).toMatchObject({
      webAuthnPolicyRpId: 'localhost',
      webAuthnPolicyUserVerificationRequirement: 'required',
      webAuthnPolicyAttestationConveyancePreference: 'direct',
    });
  });

  it('asks for a second factor at level 2 and for a fresh one at level 3', () => {
    const all = providers(browserFlowSteps);
    expect(all.filter((provider) => provider === 'auth-otp-form')).toHaveLength(2);
    expect(all.filter((provider) => provider === 'webauthn-authenticator')).toHaveLength(2);
    const forms = browserFlowSteps[1]?.children ?? [];
    expect(forms.map((step) => step.children?.[0]?.config)).toEqual([
      { 'loa-condition-level': '2', 'loa-max-age': '36000' },
      { 'loa-condition-level': '3', 'loa-max-age': '0' },
    ]);
  });

  it('speaks French first and English too', () => {
    expect(realm).toMatchObject({
      defaultLocale: 'fr',
      supportedLocales: ['fr', 'en'],
      internationalizationEnabled: true,
    });
  });
});
