import type { access as source } from '../fr/access.ts';

export const access: Readonly<Record<keyof typeof source, string>> = {
  'accessibility.title': 'Accessibility statement',
  'accessibility.lead': 'ATLAS ORCHESTRATOR aims at level AA of WCAG 2.2 and of the French RGAA 4.1.',
  'accessibility.state.title': 'Compliance',
  'accessibility.state.text':
    'Partial compliance: automatic checks find no defect, but no full human audit has been made yet.',
  'accessibility.tested.title': 'What is checked',
  'accessibility.tested.text':
    'Each page is checked with axe, in French and English, in the light, dark and high contrast themes, on a wide screen and on a phone.',
  'accessibility.gaps.title': 'Known limits',
  'accessibility.gaps.text':
    'The sign-in page comes from Keycloak and follows its own rules. Technical output of servers is shown as it is, often in English.',
  'accessibility.keyboard.title': 'Keyboard',
  'accessibility.keyboard.text':
    'Everything can be done with the keyboard. The “?” key shows the shortcuts; they can be turned off in the preferences.',
  'accessibility.contact.title': 'Report a defect',
  'accessibility.contact.text':
    'Write to the person who administers ATLAS in your organisation, naming the page and what stood in your way.',
  'accessibility.recourse.title': 'Remedies',
  'accessibility.recourse.text':
    'Without a satisfactory answer, you may refer the matter to the French Défenseur des droits (defenseurdesdroits.fr).',
  'accessibility.back': 'Back to sign-in',
};
