import type { Command } from 'commander';
import { StackError } from '../../stack/text.ts';
import type { CliContext } from '../context.ts';
import { exitCodes } from '../exitCodes.ts';
import { accountPlans, keepAccounts } from '../demo/accounts.ts';
import { totp } from '../demo/totp.ts';

/** `code`: the one-time code of a demo account, for those who try the demo without an authenticator app. */
export function registerCode(program: Command, context: CliContext): void {
  program
    .command('code <account>')
    .description(
      context.text([
        'donne le code à usage unique d’un compte de démonstration',
        'gives the one-time code of a demo account',
      ]),
    )
    .action((name: string) => {
      if (!accountPlans.some(({ username }) => username === name)) {
        const known = accountPlans.map(({ username }) => username).join(', ');
        context.fail(
          new StackError([
            `compte inconnu : ${name} ; il y a ${known}`,
            `unknown account: ${name}; there are ${known}`,
          ]),
          exitCodes.usage,
        );
        return;
      }
      const account = keepAccounts(context.directories.stateDir).get(name);
      if (account === undefined) return;
      const code = totp(account.totpSecret, Date.now());
      const secondsLeft = 30 - (Math.floor(Date.now() / 1000) % 30);
      context.say([`${code}  (encore ${secondsLeft} s)`, `${code}  (${secondsLeft} s left)`]);
      context.answer({ code, secondsLeft });
    });
}
