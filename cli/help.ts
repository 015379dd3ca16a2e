import type { Command } from 'commander';
import type { CliContext } from './context.ts';

// commander's own words; everything else in the help comes from the commands.
const french: Record<string, string> = {
  'Usage:': 'Utilisation :',
  'Arguments:': 'Arguments :',
  'Options:': 'Options :',
  'Global Options:': 'Options générales :',
  'Commands:': 'Commandes :',
};

/** commander's notes behind a description. */
function translateNotes(text: string): string {
  return text.replace(/\bchoices: /, 'choix : ').replace(/\bdefault: /, 'défaut : ');
}

/** Puts the help of a command and of all below it into the person's language. */
export function translateHelp(command: Command, context: CliContext): void {
  if (context.language === 'fr') {
    command.configureHelp({
      styleTitle: (title) => french[title] ?? title,
      styleOptionDescription: translateNotes,
      styleArgumentDescription: translateNotes,
      styleUsage: (usage) => usage.replace('[command]', '[commande]'),
    });
  }
  command.helpOption('-h, --help', context.text(['montre cette aide', 'shows this help']));
  command.helpCommand(false);
  for (const child of command.commands) translateHelp(child, context);
}
