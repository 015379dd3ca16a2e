import { setTimeout as sleep } from 'node:timers/promises';
import { totp } from '../../cli/demo/totp.ts';
import type { DemoAccount } from '../../cli/demo/sign-in.ts';

/** A page as a browser shows it, and the browser that shows it: follows redirects and keeps cookies. */
class Browser {
  readonly #cookies = new Map<string, string>();
  page = '';
  address = '';

  async visit(address: string, form?: Record<string, string>): Promise<void> {
    const cookie = [...this.#cookies].map(([name, value]) => `${name}=${value}`).join('; ');
    const response = await fetch(address, {
      redirect: 'manual',
      headers: { cookie, 'accept-language': 'fr' },
      ...(form === undefined ? {} : { method: 'POST', body: new URLSearchParams(form) }),
    });
    for (const line of response.headers.getSetCookie()) {
      const [pair = ''] = line.split(';');
      const at = pair.indexOf('=');
      this.#cookies.set(pair.slice(0, at), pair.slice(at + 1));
    }
    const next = response.headers.get('location');
    if (next !== null) return this.visit(new URL(next, address).href);
    this.address = address;
    this.page = await response.text();
  }

  /** Sends the page's form; hidden fields go along. Throws when the page does not ask for the first field given. */
  async send(fields: Record<string, string>): Promise<void> {
    const action = /<form[^>]*\saction="([^"]+)"/.exec(this.page)?.[1]?.replaceAll('&amp;', '&');
    const [first = ''] = Object.keys(fields);
    if (action === undefined || !this.page.includes(`name="${first}"`))
      throw new Error(`${this.address} does not ask for "${first}"`);
    const hidden = [...this.page.matchAll(/<input type="hidden" name="([^"]+)" value="([^"]*)"/g)];
    const kept = Object.fromEntries(hidden.map(([, name = '', value = '']) => [name, value]));
    await this.visit(new URL(action, this.address).href, { ...kept, ...fields });
  }
}

const spent = new Map<string, string>();

/** A one-time code serves once: whoever signs in twice within its thirty seconds waits for the next one. */
async function freshCode(account: DemoAccount): Promise<string> {
  let code = totp(account.totpSecret, Date.now());
  while (spent.get(account.username) === code) {
    await sleep(500);
    code = totp(account.totpSecret, Date.now());
  }
  spent.set(account.username, code);
  return code;
}

/** Opens the address that a terminal showed, signs in with both factors and answers the question. Gives the last page. */
export async function answerDevice(
  address: string,
  account: DemoAccount,
  answer: 'accept' | 'cancel',
): Promise<string> {
  const browser = new Browser();
  await browser.visit(address);
  await browser.send({ username: account.username, password: account.password, credentialId: '' });
  await browser.send({ otp: await freshCode(account) });
  await browser.send({ [answer]: 'yes' });
  return browser.page;
}
