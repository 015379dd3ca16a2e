/** Days as RFC 5545 names them, Monday first. */
export const ruleDays = ['MO', 'TU', 'WE', 'TH', 'FR', 'SA', 'SU'] as const;
export type RuleDay = (typeof ruleDays)[number];

/** A rule as a person fills it in; what has no fields here is written as it stands. */
export type RuleForm =
  | { readonly kind: 'daily' }
  | { readonly kind: 'weekly'; readonly interval: number; readonly days: readonly RuleDay[] }
  | { readonly kind: 'monthlyNth'; readonly nth: number; readonly day: RuleDay }
  | { readonly kind: 'monthlyDay'; readonly date: number }
  | { readonly kind: 'yearly'; readonly month: number; readonly date: number }
  | { readonly kind: 'custom'; readonly text: string };

export const ruleKinds = ['weekly', 'daily', 'monthlyNth', 'monthlyDay', 'yearly', 'custom'] as const;
export const nths = [1, 2, 3, 4, -1] as const;

/** The fields that write this rule, or the rule itself when no fields do. */
export function readRule(text: string): RuleForm {
  if (text === 'FREQ=DAILY') return { kind: 'daily' };
  const weekly =
    /^FREQ=WEEKLY(?:;INTERVAL=([1-9]\d?))?;BYDAY=((?:MO|TU|WE|TH|FR|SA|SU)(?:,(?:MO|TU|WE|TH|FR|SA|SU))*)$/.exec(
      text,
    );
  if (weekly !== null) {
    const days = (weekly[2] ?? '').split(',') as RuleDay[];
    return { kind: 'weekly', interval: Number(weekly[1] ?? 1), days };
  }
  const nth = /^FREQ=MONTHLY;BYDAY=([1-4]|-1)(MO|TU|WE|TH|FR|SA|SU)$/.exec(text);
  if (nth !== null) return { kind: 'monthlyNth', nth: Number(nth[1]), day: nth[2] as RuleDay };
  const date = /^FREQ=MONTHLY;BYMONTHDAY=(-1|[1-9]|[12]\d|3[01])$/.exec(text);
  if (date !== null) return { kind: 'monthlyDay', date: Number(date[1]) };
  const yearly = /^FREQ=YEARLY;BYMONTH=([1-9]|1[0-2]);BYMONTHDAY=([1-9]|[12]\d|3[01])$/.exec(text);
  if (yearly !== null) return { kind: 'yearly', month: Number(yearly[1]), date: Number(yearly[2]) };
  return { kind: 'custom', text };
}

/** The rule that these fields mean. */
export function writeRule(form: RuleForm): string {
  switch (form.kind) {
    case 'daily':
      return 'FREQ=DAILY';
    case 'weekly': {
      const days = ruleDays.filter((day) => form.days.includes(day)).join(',');
      return `FREQ=WEEKLY${form.interval > 1 ? `;INTERVAL=${form.interval}` : ''};BYDAY=${days}`;
    }
    case 'monthlyNth':
      return `FREQ=MONTHLY;BYDAY=${form.nth}${form.day}`;
    case 'monthlyDay':
      return `FREQ=MONTHLY;BYMONTHDAY=${form.date}`;
    case 'yearly':
      return `FREQ=YEARLY;BYMONTH=${form.month};BYMONTHDAY=${form.date}`;
    case 'custom':
      return form.text;
  }
}

/** A first rule of a kind, near the one before. */
export function ruleOfKind(kind: RuleForm['kind'], before: string): RuleForm {
  switch (kind) {
    case 'daily':
      return { kind };
    case 'weekly':
      return { kind, interval: 1, days: ['SA'] };
    case 'monthlyNth':
      return { kind, nth: 2, day: 'TU' };
    case 'monthlyDay':
      return { kind, date: 1 };
    case 'yearly':
      return { kind, month: 12, date: 15 };
    case 'custom':
      return { kind, text: before };
  }
}
