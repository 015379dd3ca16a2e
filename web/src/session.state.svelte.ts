import type { Me, Permission } from '#contract/access.ts';
import type { RouteName } from '#contract/routes.ts';
import type Keycloak from 'keycloak-js';
import { call, connectApi, permissionOf } from './api.ts';
import type { CallOutput } from './api.ts';
import { toApiError } from './problem.ts';
import type { ApiError } from './problem.ts';
import { location } from './location.state.svelte.ts';
import { t, translator } from './messages/translate.state.svelte.ts';
import { keepWayBack, takeWayBack } from './wayBack.ts';

type Membership = Me['memberships'][number];

/** Says only that somebody was signed in in this tab, so that a reload goes back through the identity provider unasked. */
const returningKey = 'atlas.returning';
/** The only address that the identity provider sends people back to. */
const redirectUri = `${window.location.origin}/`;

/** Who is there. Tokens live in keycloak-js's memory and nowhere else. */
class Session {
  bootstrap = $state.raw<CallOutput<'getBootstrap'> | null>(null);
  me = $state.raw<Me | null>(null);
  error = $state.raw<ApiError | null>(null);
  phase = $state<'starting' | 'anonymous' | 'signedIn' | 'failed'>('starting');
  /** A fresh proof of identity that the server asked for. */
  stepUp = $state.raw<{ acrValues: string } | null>(null);
  #keycloak: Keycloak | null = null;

  async start(): Promise<void> {
    connectApi(
      () => this.#token(),
      (error) => this.#refused(error),
    );
    try {
      this.bootstrap = await call('getBootstrap');
      const { default: KeycloakClient } = await import('keycloak-js');
      const { url, realm, clientId } = this.bootstrap.identity;
      this.#keycloak = new KeycloakClient({ url, realm, clientId });
      const signedIn = await this.#keycloak.init({ pkceMethod: 'S256', checkLoginIframe: false });
      if (signedIn) await this.#enter();
      else if (sessionStorage.getItem(returningKey) !== null) await this.signIn();
      else this.phase = 'anonymous';
    } catch (error) {
      this.#fail(error);
    }
  }

  async signIn(): Promise<void> {
    keepWayBack();
    await this.#keycloak?.login({ redirectUri, locale: translator.locale });
  }

  /**
   * Back to the identity provider for a stronger or fresher proof, then here again. The level alone asks for the second
   * factor anew and moves the time of proof; a largest age would ask for the password too, and for two codes.
   */
  async confirmIdentity(): Promise<void> {
    const acr = this.stepUp?.acrValues ?? '2';
    keepWayBack();
    await this.#keycloak?.login({
      redirectUri,
      locale: translator.locale,
      acr: { values: [acr], essential: true },
    });
  }

  async signOut(): Promise<void> {
    sessionStorage.removeItem(returningKey);
    await this.#keycloak?.logout({ redirectUri });
  }

  async reloadMe(): Promise<void> {
    this.me = await call('getMe');
  }

  membership(tenantId: string): Membership | undefined {
    return this.me?.memberships.find((membership) => membership.tenantId === tenantId);
  }

  can(tenantId: string, permission: Permission): boolean {
    return this.membership(tenantId)?.permissions.includes(permission) ?? false;
  }

  /** Why the caller may not use a route here, in words; undefined when it may. */
  reasonAgainst(tenantId: string, route: RouteName): string | undefined {
    const permission = permissionOf(route);
    if (permission === 'public' || permission === 'authenticated') return undefined;
    if (permission === 'platform.manage') {
      return this.me?.platformAdmin === true ? undefined : t('reason.noPermission');
    }
    return this.can(tenantId, permission as Permission) ? undefined : t('reason.noPermission');
  }

  async #enter(): Promise<void> {
    sessionStorage.setItem(returningKey, '1');
    const keycloak = this.#keycloak;
    if (keycloak !== null) keycloak.onAuthRefreshError = () => this.#expire();
    this.me = await call('getMe');
    const wanted = takeWayBack();
    if (wanted !== null) location.go(wanted, { replace: true });
    this.phase = 'signedIn';
  }

  async #token(): Promise<string | null> {
    const keycloak = this.#keycloak;
    if (keycloak?.authenticated !== true) return null;
    try {
      await keycloak.updateToken(20);
    } catch {
      // The refresh token is over: the next line's absence of a token leads to a new sign-in.
      this.#expire();
      return null;
    }
    return keycloak.token ?? null;
  }

  #refused(error: ApiError): void {
    if (error.code === 'step_up_required') this.stepUp = { acrValues: error.acrValues ?? '2' };
    else this.#expire();
  }

  #expire(): void {
    if (this.phase === 'signedIn') void this.signIn();
  }

  #fail(error: unknown): void {
    // A failed return from the identity provider must not send the browser back there for ever.
    sessionStorage.removeItem(returningKey);
    this.error = toApiError(error);
    this.phase = 'failed';
  }
}

export const session = new Session();
