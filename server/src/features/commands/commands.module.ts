// Owns commands and their signed results: what each host was told, and what it answered.
// Promises that a command is durable and audited before it is sent, and a result durable before it is acknowledged.
// Never decides what to tell a host, and never sends an order without the release that people signed.
import { CommandsService, type CommandsDeps } from './commands.service.ts';

export type { OrderDraft, OrderRow, StoredResult } from './commands.repository.ts';
export { checkEvidence } from './commands.evidence.ts';
export type { Principal } from './commands.entries.ts';
export type { CommandsDeps, CommandsService, Errand } from './commands.service.ts';

export function createCommandsModule(deps: CommandsDeps) {
  return { service: new CommandsService(deps) };
}
