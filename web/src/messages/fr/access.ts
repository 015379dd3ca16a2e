export const access = {
  'accessibility.title': 'Déclaration d’accessibilité',
  'accessibility.lead': 'ATLAS ORCHESTRATOR vise le niveau AA des règles WCAG 2.2 et du RGAA 4.1.',
  'accessibility.state.title': 'État de conformité',
  'accessibility.state.text':
    'Conformité partielle : les contrôles automatiques ne trouvent aucun défaut, mais aucun audit humain complet n’a encore été mené.',
  'accessibility.tested.title': 'Ce qui est vérifié',
  'accessibility.tested.text':
    'Chaque page est contrôlée avec axe, en français et en anglais, dans les thèmes clair, sombre et contraste élevé, en grand écran et en téléphone.',
  'accessibility.gaps.title': 'Limites connues',
  'accessibility.gaps.text':
    'La page d’identification est fournie par Keycloak et suit ses propres règles. Les sorties techniques des serveurs sont affichées telles quelles, souvent en anglais.',
  'accessibility.keyboard.title': 'Clavier',
  'accessibility.keyboard.text':
    'Tout se fait au clavier. La touche « ? » montre les raccourcis ; ils peuvent être désactivés dans les préférences.',
  'accessibility.contact.title': 'Signaler un défaut',
  'accessibility.contact.text':
    'Écrivez à la personne qui administre ATLAS dans votre établissement en indiquant la page et ce qui vous a gêné.',
  'accessibility.recourse.title': 'Voies de recours',
  'accessibility.recourse.text':
    'Sans réponse satisfaisante, vous pouvez saisir le Défenseur des droits (defenseurdesdroits.fr).',
  'accessibility.back': 'Revenir à la connexion',
} as const;
