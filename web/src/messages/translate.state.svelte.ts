import { IntlMessageFormat } from 'intl-messageformat';
import type { MessageKey } from './fr.ts';

/** A text, or its parsed form: the build parses every text that takes values (plugins/compiledMessages.ts). */
type Source = ConstructorParameters<typeof IntlMessageFormat>[0];

export type Locale = 'fr' | 'en';
export type MessageValues = Readonly<Record<string, string | number | boolean | Date | null | undefined>>;

const loaders: Readonly<Record<Locale, () => Promise<Readonly<Record<MessageKey, Source>>>>> = {
  fr: async () => (await import('./fr.ts')).fr,
  en: async () => (await import('./en.ts')).en,
};

/** A value that the server left out is shown as a dash: a sentence with a gap is better than no sentence. */
const missingAsDash: ProxyHandler<MessageValues> = {
  has: () => true,
  get: (values, name) => values[String(name)] ?? '–',
};

class Translator {
  locale = $state<Locale>('fr');
  #texts = $state.raw<Readonly<Record<string, Source>>>({});
  #formats = new Map<string, IntlMessageFormat>();

  /** Loads a language and shows everything in it. */
  async use(locale: Locale): Promise<void> {
    const texts = await loaders[locale]();
    this.#formats.clear();
    this.#texts = texts;
    this.locale = locale;
    document.documentElement.lang = locale;
  }

  has(key: string): key is MessageKey {
    return key in this.#texts;
  }

  text(key: string, values?: MessageValues): string {
    const source = this.#texts[key];
    if (source === undefined) return key;
    if (typeof source === 'string' && !source.includes('{')) return source;
    let format = this.#formats.get(key);
    if (format === undefined) {
      format = new IntlMessageFormat(source, this.locale);
      this.#formats.set(key, format);
    }
    return String(format.format(new Proxy(values ?? {}, missingAsDash)));
  }
}

export const translator = new Translator();

/** The text of a key in the reader's language. */
export function t(key: MessageKey, values?: MessageValues): string {
  return translator.text(key, values);
}

/** The text of a key that the server chose; when this version does not know it, the code itself is shown. */
export function tCode(prefix: string, code: string, values?: MessageValues): string {
  const key = `${prefix}.${code}`;
  return translator.has(key) ? translator.text(key, values) : code;
}
