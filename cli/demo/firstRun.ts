import type { CliContext } from '../context.ts';
import { serverCommand } from '../serverCommand.ts';
import { accountPlans, keepAccounts } from './accounts.ts';
import { signInAs } from './demo-client.ts';
import type { DemoPerson } from './demo-client.ts';
import { enrolPasskey, keepPasskey, publishPolicy } from './trust.ts';

/** The demo's tenant with its people signed in and its trust in place. */
export interface DemoTenant {
  readonly tenantId: string;
  readonly siteId: string;
  readonly person: (username: string) => DemoPerson;
}

const tenant = { name: 'Laboratoire', slug: 'laboratoire', colour: 'teal' } as const;
const site = { name: 'Salle du laboratoire', timeZone: 'Europe/Paris' };

interface Bootstrapped {
  readonly tenantId: string;
  readonly siteId: string;
}

/** Makes tenant, site and accounts; what exists stays as it is. */
export async function bootstrapDemo(context: CliContext): Promise<Bootstrapped> {
  const accounts = keepAccounts(context.directories.stateDir);
  const input = {
    tenant,
    site,
    accounts: accountPlans.map(({ username, roles }) => {
      const account = accounts.get(username);
      if (account === undefined) throw new Error(`no account ${username}`);
      return {
        username,
        name: username,
        email: `${username}@atlas.invalid`,
        locale: context.language,
        password: account.password,
        totpSecret: account.totpSecret.toString('utf8'),
        roles: [...roles],
      };
    }),
  };
  const printed = await serverCommand(context.directories, ['bootstrap'], JSON.stringify(input));
  return JSON.parse(printed.trim().split('\n').at(-1) ?? '') as Bootstrapped;
}

/** Signs everybody in with password and one-time code, enrols the approvers' passkeys and publishes who may release. */
export async function openDemoTenant(context: CliContext, baseUrl: string): Promise<DemoTenant> {
  const { stateDir } = context.directories;
  const { tenantId, siteId } = await bootstrapDemo(context);
  const accounts = keepAccounts(stateDir);
  const people = new Map<string, DemoPerson>();
  for (const [username, account] of accounts) people.set(username, await signInAs(baseUrl, account));
  const person = (username: string): DemoPerson => {
    const known = people.get(username);
    if (known === undefined) throw new Error(`nobody is called ${username}`);
    return known;
  };
  let added = false;
  for (const username of ['valideur-1', 'valideur-2']) {
    const passkey = await keepPasskey(stateDir, username, baseUrl);
    added = (await enrolPasskey(person(username), tenantId, passkey)) || added;
  }
  if (added) {
    const epoch = await publishPolicy(person('admin').api, tenantId, stateDir);
    context.say([
      `  document de politique publié, époque ${epoch} : deux clés racines sur trois l’ont signé`,
      `  policy document published, epoch ${epoch}: two of three root keys signed it`,
    ]);
  }
  return { tenantId, siteId, person };
}
