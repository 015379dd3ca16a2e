import { translator } from './messages/translate.state.svelte.ts';
import type { Locale } from './messages/translate.state.svelte.ts';

export const themes = ['auto', 'light', 'dark', 'contrast'] as const;
export type Theme = (typeof themes)[number];
export const densities = ['dense', 'comfortable'] as const;
export type Density = (typeof densities)[number];

const storageKey = 'atlas.preferences';

interface Stored {
  theme: Theme;
  density: Density;
  shortcuts: boolean;
  navigation: 'open' | 'folded';
  locale: Locale | null;
}

/** Choices of this browser, kept here and nowhere else. */
class Preferences {
  theme = $state<Theme>('auto');
  density = $state<Density>('dense');
  shortcuts = $state(true);
  navigation = $state<'open' | 'folded'>('open');
  locale = $state<Locale | null>(null);
  #darkSystem = window.matchMedia('(prefers-color-scheme: dark)');
  #contrastSystem = window.matchMedia('(prefers-contrast: more)');

  start(): void {
    this.#read();
    this.apply();
    const again = (): void => this.apply();
    this.#darkSystem.addEventListener('change', again);
    this.#contrastSystem.addEventListener('change', again);
  }

  set(change: Partial<Stored>): void {
    Object.assign(this, change);
    this.apply();
    const stored: Stored = {
      theme: this.theme,
      density: this.density,
      shortcuts: this.shortcuts,
      navigation: this.navigation,
      locale: this.locale,
    };
    localStorage.setItem(storageKey, JSON.stringify(stored));
  }

  async setLocale(locale: Locale): Promise<void> {
    await translator.use(locale);
    this.set({ locale });
  }

  apply(): void {
    const root = document.documentElement;
    root.dataset['theme'] = this.theme === 'auto' ? this.#systemTheme() : this.theme;
    root.dataset['density'] = this.density;
  }

  #systemTheme(): Theme {
    if (this.#contrastSystem.matches) return 'contrast';
    return this.#darkSystem.matches ? 'dark' : 'light';
  }

  #read(): void {
    try {
      const stored = JSON.parse(localStorage.getItem(storageKey) ?? '{}') as Partial<Stored>;
      if (themes.includes(stored.theme as Theme)) this.theme = stored.theme as Theme;
      if (densities.includes(stored.density as Density)) this.density = stored.density as Density;
      if (typeof stored.shortcuts === 'boolean') this.shortcuts = stored.shortcuts;
      if (stored.navigation === 'folded') this.navigation = 'folded';
      if (stored.locale === 'fr' || stored.locale === 'en') this.locale = stored.locale;
    } catch {
      // Someone else's text under our key: start from the defaults and overwrite it at the next choice.
      localStorage.removeItem(storageKey);
    }
  }
}

export const preferences = new Preferences();
