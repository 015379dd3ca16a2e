import KeycloakAdminClient from '@keycloak/keycloak-admin-client';
import { invariant } from '../errors.ts';
import { ensureBrowserFlow } from './browserFlow.ts';
import {
  browserFlow,
  realmClients,
  realmName,
  realmSettings,
  serverClientId,
  serverRealmRights,
} from './realm.policy.ts';

/** How the realm is reached for its reconciliation: a client of the master realm, used by this job alone. */
export interface ProvisionerAccess {
  /** Where the identity provider answers on the inside, with its path. */
  readonly baseUrl: string;
  readonly clientId: string;
  readonly clientSecret: string;
}

/** What the reconciliation changed, and the secret that the server uses from then on. */
export interface Reconciled {
  readonly created: boolean;
  readonly flowMade: boolean;
  readonly serverClientSecret: string;
}

/** Opens the admin interface of the realm. The token is asked of the master realm. */
export async function openAdmin(access: ProvisionerAccess): Promise<KeycloakAdminClient> {
  const admin = new KeycloakAdminClient({ baseUrl: access.baseUrl, realmName: 'master' });
  await admin.auth({
    grantType: 'client_credentials',
    clientId: access.clientId,
    clientSecret: access.clientSecret,
  });
  admin.setConfig({ realmName });
  return admin;
}

async function ensureRealm(admin: KeycloakAdminClient, publicUrl: string): Promise<boolean> {
  const present = await admin.realms.findOne({ realm: realmName });
  if (present === undefined || present === null) {
    await admin.realms.create(realmSettings(publicUrl));
    return true;
  }
  await admin.realms.update({ realm: realmName }, realmSettings(publicUrl));
  return false;
}

async function ensureClients(admin: KeycloakAdminClient, publicUrl: string): Promise<void> {
  for (const wanted of realmClients(publicUrl)) {
    const [present] = await admin.clients.find({ clientId: wanted.clientId });
    if (present?.id === undefined) {
      await admin.clients.create(wanted);
      continue;
    }
    await admin.clients.update(
      { id: present.id },
      { ...wanted, protocolMappers: present.protocolMappers ?? [] },
    );
    for (const mapper of wanted.protocolMappers ?? []) {
      const there = present.protocolMappers?.find(({ name }) => name === mapper.name);
      if (there?.id === undefined) await admin.clients.addProtocolMapper({ id: present.id }, mapper);
      else
        await admin.clients.updateProtocolMapper(
          { id: present.id, mapperId: there.id },
          { ...mapper, id: there.id },
        );
    }
  }
}

async function grantServerRights(admin: KeycloakAdminClient): Promise<string> {
  const [server] = await admin.clients.find({ clientId: serverClientId });
  const [management] = await admin.clients.find({ clientId: 'realm-management' });
  invariant(
    server?.id !== undefined && management?.id !== undefined,
    'the realm misses a client that it was given',
  );
  const account = await admin.clients.getServiceAccountUser({ id: server.id });
  invariant(account.id !== undefined, 'the server has no account in the realm');
  const available = await admin.clients.listRoles({ id: management.id });
  const rights = available.flatMap(({ id, name }) =>
    id !== undefined && name !== undefined && serverRealmRights.some((right) => right === name)
      ? [{ id, name }]
      : [],
  );
  invariant(rights.length === serverRealmRights.length, 'the realm misses a right that the server needs');
  await admin.users.addClientRoleMappings({ id: account.id, clientUniqueId: management.id, roles: rights });
  const { value } = await admin.clients.getClientSecret({ id: server.id });
  invariant(value !== undefined, 'the server’s client has no secret');
  return value;
}

async function ensureRequiredActions(admin: KeycloakAdminClient): Promise<void> {
  const actions = await admin.authenticationManagement.getRequiredActions();
  for (const action of actions) {
    // Terms, profile pages and deletion by oneself are not ours; passwords, one-time codes and passkeys are.
    const enabled = ['UPDATE_PASSWORD', 'CONFIGURE_TOTP', 'webauthn-register'].includes(action.alias ?? '');
    if (action.enabled === enabled && action.defaultAction !== true) continue;
    await admin.authenticationManagement.updateRequiredAction(
      { alias: action.alias ?? '' },
      { ...action, enabled, defaultAction: false },
    );
  }
}

/** People may have one name only; everything else of the profile stays the identity provider's own. */
async function ensureProfile(admin: KeycloakAdminClient): Promise<void> {
  const profile = await admin.users.getProfile();
  const attributes = (profile.attributes ?? []).map((attribute) => {
    if (attribute.name !== 'lastName') return attribute;
    const { required: _required, ...optional } = attribute;
    return optional;
  });
  await admin.users.updateProfile({ ...profile, attributes });
}

/** Makes the realm as it is written, and mends every drift. Safe to run at each start. */
export async function reconcileRealm(access: ProvisionerAccess, publicUrl: string): Promise<Reconciled> {
  const admin = await openAdmin(access);
  const created = await ensureRealm(admin, publicUrl);
  // A realm's creator gets rights over it with its next token.
  const renewed = created ? await openAdmin(access) : admin;
  const flowMade = await ensureBrowserFlow(renewed);
  await renewed.realms.update({ realm: realmName }, { browserFlow });
  await ensureRequiredActions(renewed);
  await ensureProfile(renewed);
  await ensureClients(renewed, publicUrl);
  return { created, flowMade, serverClientSecret: await grantServerRights(renewed) };
}
