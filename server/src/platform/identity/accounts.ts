import { openAdmin } from './reconcile.ts';
import type { ProvisionerAccess } from './reconcile.ts';

/** An account with its factors known beforehand: for the first administrator, the demo and tests. */
export interface AccountDraft {
  readonly username: string;
  readonly name: string;
  readonly email: string;
  readonly locale: 'fr' | 'en';
  readonly password: string;
  /** Key of the one-time passwords as text; absent: the person enrols a code generator at first sign-in. */
  readonly totpSecret?: string;
}

const totpSettings = { subType: 'totp', digits: 6, counter: 0, period: 30, algorithm: 'HmacSHA1' } as const;

/** Creates the accounts that are absent; one that exists is left as it is. Gives each one's subject, in order. */
export async function ensureAccounts(
  access: ProvisionerAccess,
  drafts: readonly AccountDraft[],
): Promise<string[]> {
  const admin = await openAdmin(access);
  const subjects: string[] = [];
  for (const draft of drafts) {
    const [present] = await admin.users.find({ username: draft.username, exact: true, max: 1 });
    if (present?.id !== undefined) {
      subjects.push(present.id);
      continue;
    }
    const [firstName = draft.name, ...rest] = draft.name.split(' ');
    const password = { type: 'password', value: draft.password, temporary: draft.totpSecret === undefined };
    const code =
      draft.totpSecret === undefined
        ? []
        : [
            {
              type: 'otp',
              userLabel: 'ATLAS',
              secretData: JSON.stringify({ value: draft.totpSecret }),
              credentialData: JSON.stringify(totpSettings),
            },
          ];
    const { id } = await admin.users.create({
      username: draft.username,
      email: draft.email,
      emailVerified: true,
      enabled: true,
      firstName,
      lastName: rest.join(' '),
      attributes: { locale: [draft.locale] },
      credentials: [password, ...code],
      requiredActions: draft.totpSecret === undefined ? ['UPDATE_PASSWORD', 'CONFIGURE_TOTP'] : [],
    });
    subjects.push(id);
  }
  return subjects;
}
