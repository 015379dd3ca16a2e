export type Language = 'fr' | 'en';

/** What a person reads, in both languages, French first. */
export type Text = readonly [fr: string, en: string];

export function pick(text: Text, language: Language): string {
  return language === 'fr' ? text[0] : text[1];
}

/** A failure that a person can mend: what is wrong, and what to do. */
export class StackError extends Error {
  readonly text: Text;
  /** Last lines of the log that explain it, if there is one. */
  readonly detail: string;

  constructor(text: Text, options: { detail?: string; cause?: unknown } = {}) {
    super(text[1], { cause: options.cause });
    this.name = 'StackError';
    this.text = text;
    this.detail = options.detail ?? '';
  }
}
