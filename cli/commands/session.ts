import type { Command } from 'commander';
import type { Me } from '#contract/access.ts';
import type { CliContext } from '../context.ts';
import { findProvider, revokeSession, signInByDevice } from '../deviceFlow.ts';
import type { DeviceCode } from '../deviceFlow.ts';
import { createApi } from '../api.ts';
import { guarded } from '../failures.ts';
import { connect, findServer, withServer } from '../serverAccess.ts';
import type { ServerFlags } from '../serverAccess.ts';
import { readSession, removeSession, writeSession } from '../sessionFile.ts';

type LoginFlags = Pick<ServerFlags, 'server'>;

/** `login`, `logout`, `whoami`: a person's session with a server, opened in a browser by a code (RFC 8628). */
export function registerSession(program: Command, context: CliContext): void {
  const serverText = context.text([
    'serveur (défaut : cette installation)',
    'server (default: this installation)',
  ]);
  program
    .command('login')
    .description(
      context.text([
        'connecte ce terminal : affiche un code à approuver dans un navigateur',
        'signs this terminal in: shows a code to approve in a browser',
      ]),
    )
    .option('--server <url>', serverText)
    .action(guarded(context, (flags: LoginFlags) => login(context, flags)));
  program
    .command('logout')
    .description(context.text(['termine la session de ce terminal', 'ends the session of this terminal']))
    .option('--server <url>', serverText)
    .action(guarded(context, (flags: LoginFlags) => logout(context, flags)));
  withServer(program.command('whoami'), context)
    .description(
      context.text([
        'dit qui est connecté et avec quels droits',
        'says who is signed in and with which rights',
      ]),
    )
    .action(
      guarded(context, async (flags: ServerFlags) => {
        const me = await connect(context, flags).call('getMe', {});
        sayCaller(context, me);
        context.answer(me);
      }),
    );
}

async function login(context: CliContext, flags: LoginFlags): Promise<void> {
  const { url, sessionFile, anonymous } = findServer(context, flags);
  const { identity } = await anonymous.call('getBootstrap', {});
  const provider = await findProvider(url, identity);
  const session = await signInByDevice(url, provider, (code) => sayCode(context, code));
  writeSession(sessionFile, session);
  const api = createApi({ baseUrl: url, token: () => Promise.resolve(session.accessToken) });
  const me = await api.call('getMe', {});
  sayCaller(context, me);
  context.answer({ signedIn: true, server: url, name: me.name, id: me.id });
}

function sayCode(context: CliContext, code: DeviceCode): void {
  const minutes = Math.floor(code.expiresInS / 60);
  context.say(['Ouvrez dans un navigateur :', 'Open in a browser:']);
  context.say(`\n  ${code.completeAddress}\n`);
  context.say([
    `ou ${code.address} et saisissez le code  ${code.code}`,
    `or ${code.address} and type the code  ${code.code}`,
  ]);
  context.say([
    `Vérifiez que la page montre ce code. Il vaut ${minutes} minutes. En attente…`,
    `Check that the page shows this code. It is good for ${minutes} minutes. Waiting…`,
  ]);
  context.answer({ verificationUri: code.completeAddress, userCode: code.code, expiresInS: code.expiresInS });
}

async function logout(context: CliContext, flags: LoginFlags): Promise<void> {
  const { url, sessionFile, anonymous } = findServer(context, flags);
  const session = readSession(sessionFile, url);
  // The file goes first: whatever the network does, this terminal is signed out.
  removeSession(sessionFile);
  if (session !== undefined) {
    const { identity } = await anonymous.call('getBootstrap', {});
    await revokeSession(await findProvider(url, identity), session);
  }
  context.say(
    session === undefined
      ? ['Il n’y avait pas de session.', 'There was no session.']
      : ['Session terminée.', 'Signed out.'],
  );
  context.answer({ signedOut: session !== undefined, server: url });
}

function sayCaller(context: CliContext, me: Me): void {
  const kind = context.text(me.kind === 'apiKey' ? ['clé d’API', 'API key'] : ['personne', 'person']);
  context.say(`${me.name} (${kind})${me.email === null ? '' : ` · ${me.email}`}`);
  for (const { tenantName, roles, permissions } of me.memberships) {
    const what = roles.length > 0 ? roles : permissions;
    context.say(`  ${tenantName}: ${what.join(', ')}`);
  }
}
