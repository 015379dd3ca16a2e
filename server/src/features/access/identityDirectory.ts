import { randomBytes } from 'node:crypto';
import KeycloakAdminClient from '@keycloak/keycloak-admin-client';
import { AppError } from '../../platform/errors.ts';

export interface Account {
  readonly subject: string;
  readonly username: string;
  readonly name: string;
  readonly email: string | null;
}

/** Accounts at the identity provider: the port that the members' use cases need. */
export interface IdentityDirectory {
  readonly find: (username: string) => Promise<Account | null>;
  /** Creates an account whose first password works once: it must be changed, and a code generator enrolled, at first sign-in. */
  readonly create: (draft: Omit<Account, 'subject' | 'email'> & { readonly email: string }) => Promise<{
    readonly account: Account;
    readonly firstPassword: string;
  }>;
  /** Undoes a creation that led to nothing. */
  readonly remove: (subject: string) => Promise<void>;
}

interface KeycloakDirectoryOptions {
  readonly baseUrl: string;
  readonly realm: string;
  readonly clientId: string;
  /** Read at each use: the secret may be made after the server has started. */
  readonly clientSecret: () => Promise<string>;
}

/** Twenty characters without look-alikes, about 100 bits; it satisfies the realm's password policy. */
export function makeFirstPassword(): string {
  const alphabet = 'abcdefghjkmnpqrstuvwxyzABCDEFGHJKMNPQRSTUVWXYZ23456789';
  const pick = (): string => {
    for (;;) {
      const byte = randomBytes(1)[0] ?? 255;
      if (byte < alphabet.length * 4) return alphabet[byte % alphabet.length] ?? '';
    }
  };
  for (;;) {
    const password = Array.from({ length: 20 }, pick).join('');
    if (/[a-z]/.test(password) && /[A-Z]/.test(password) && /\d/.test(password)) return password;
  }
}

function splitName(name: string): { firstName: string; lastName: string } {
  const [first = name, ...rest] = name.split(' ');
  return { firstName: first, lastName: rest.join(' ') || first };
}

export function createKeycloakDirectory(options: KeycloakDirectoryOptions): IdentityDirectory {
  const withAdmin = async <T>(use: (admin: KeycloakAdminClient) => Promise<T>): Promise<T> => {
    const admin = new KeycloakAdminClient({ baseUrl: options.baseUrl, realmName: options.realm });
    try {
      const clientSecret = await options.clientSecret();
      await admin.auth({ grantType: 'client_credentials', clientId: options.clientId, clientSecret });
      return await use(admin);
    } catch (error) {
      const status = (error as { response?: { status?: number } }).response?.status;
      if (status === 409)
        throw new AppError('already_exists', {
          detail: 'the name or the e-mail address is taken',
          cause: error,
        });
      throw new AppError('identity_provider_unavailable', { cause: error, retryAfterS: 5 });
    }
  };

  const find = (username: string): Promise<Account | null> =>
    withAdmin(async (admin) => {
      const [user] = await admin.users.find({ username, exact: true, max: 1 });
      if (user?.id === undefined) return null;
      const name = [user.firstName, user.lastName].filter(Boolean).join(' ') || username;
      return { subject: user.id, username, name, email: user.email ?? null };
    });

  return {
    find,
    create: (draft) =>
      withAdmin(async (admin) => {
        const firstPassword = makeFirstPassword();
        const { id } = await admin.users.create({
          username: draft.username,
          email: draft.email,
          emailVerified: true,
          enabled: true,
          ...splitName(draft.name),
          credentials: [{ type: 'password', value: firstPassword, temporary: true }],
          requiredActions: ['UPDATE_PASSWORD', 'CONFIGURE_TOTP'],
        });
        return { account: { subject: id, ...draft }, firstPassword };
      }),
    remove: async (subject) => {
      await withAdmin((admin) => admin.users.del({ id: subject }));
    },
  };
}
