import { describe, expect, it } from 'vitest';
import { chooseLanguage } from './context.ts';

describe('the language', () => {
  it('is French when the settings of the machine say so, and English otherwise', () => {
    expect(chooseLanguage([], { LANG: 'fr_FR.UTF-8' })).toBe('fr');
    expect(chooseLanguage([], { LANG: 'C.UTF-8' })).toBe('en');
    expect(chooseLanguage([], {})).toBe('en');
  });

  it('is what --lang says before all, then ATLAS_LANG', () => {
    expect(chooseLanguage(['up', '--lang', 'en'], { ATLAS_LANG: 'fr' })).toBe('en');
    expect(chooseLanguage(['up', '--lang=fr'], { LANG: 'en_GB.UTF-8' })).toBe('fr');
    expect(chooseLanguage([], { ATLAS_LANG: 'fr', LANG: 'en_GB.UTF-8' })).toBe('fr');
  });
});
