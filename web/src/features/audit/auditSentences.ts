import type { AuditEntry } from '#contract/audit.ts';
import { t, tCode } from '../../messages/translate.state.svelte.ts';
import type { Tone } from '../../ui/tones.ts';

function sayActor(entry: AuditEntry): string {
  if (entry.actorName !== null) return entry.actorName;
  return t(`auditActor.${entry.leaf.actorKind}`);
}

/** One entry as a sentence: who, what, on what. */
export function sayEntry(entry: AuditEntry): string {
  const act = tCode('auditAction', entry.leaf.action);
  const subject = entry.subjectName;
  return subject === null
    ? t('audit.sentence', { actor: sayActor(entry), act })
    : t('audit.sentenceOn', { actor: sayActor(entry), act, subject });
}

export function auditTone(entry: AuditEntry): Tone {
  const tones = { ok: 'done', refused: 'needs', failed: 'failed', indeterminate: 'unknown' } as const;
  return tones[entry.leaf.outcome];
}
