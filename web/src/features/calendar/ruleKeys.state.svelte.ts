import { call } from '../../api.ts';
import { t } from '../../messages/translate.state.svelte.ts';
import { notices } from '../../notices.state.svelte.ts';
import { session } from '../../session.state.svelte.ts';
import { moveRule, type RuleDraft, type RuleMove } from './ruleMove.ts';

/** What keys move on a calendar: a window or a freeze. */
export interface Movable {
  readonly kind: string;
  readonly id: string;
}

/** A change that keys propose. It is a proposal until the rule's own dialog has shown its preview and saved it. */
export class RuleKeys {
  /** As it was read, to say what would change. */
  before = $state.raw<RuleDraft | null>(null);
  draft = $state.raw<RuleDraft | null>(null);
  /** The rule whose dialog is open. */
  editing = $state.raw<RuleDraft | null>(null);
  readonly #tenantId: string;
  #reading = false;

  constructor(tenantId: string) {
    this.#tenantId = tenantId;
  }

  /** Moves the proposal on, reading the rule first when it is another one. */
  async move({ kind, id }: Movable, move: RuleMove): Promise<void> {
    if ((kind !== 'window' && kind !== 'freeze') || !this.#may(kind)) return;
    const from = this.draft?.rule.id === id ? this.draft : await this.#read(kind, id);
    if (from === null) return;
    const moved = moveRule(from, move);
    if (moved === null) notices.say(t('timeline.cannotMove'));
    else this.draft = moved;
  }

  /** Opens the rule's dialog without a proposal. */
  async edit({ kind, id }: Movable): Promise<void> {
    if ((kind !== 'window' && kind !== 'freeze') || !this.#may(kind)) return;
    this.editing = await this.#read(kind, id);
  }

  /** Opens the dialog in which the proposal is looked at and saved. */
  review(): void {
    this.editing = this.draft;
  }

  drop(): void {
    this.draft = null;
    this.before = null;
    this.editing = null;
  }

  #may(kind: RuleDraft['kind']): boolean {
    const forbidden = session.reasonAgainst(
      this.#tenantId,
      kind === 'window' ? 'updateWindow' : 'updateFreeze',
    );
    if (forbidden !== undefined) notices.say(forbidden);
    return forbidden === undefined && !this.#reading;
  }

  async #read(kind: 'window' | 'freeze', id: string): Promise<RuleDraft | null> {
    this.#reading = true;
    const tenantId = this.#tenantId;
    try {
      const read: RuleDraft =
        kind === 'window'
          ? { kind, rule: await call('getWindow', { params: { tenantId, windowId: id } }) }
          : { kind, rule: await call('getFreeze', { params: { tenantId, freezeId: id } }) };
      this.before = read;
      return read;
    } catch (error) {
      notices.failed(error);
      return null;
    } finally {
      this.#reading = false;
    }
  }
}
