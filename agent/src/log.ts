/** One line to the journal of the system; systemd adds time and unit. */
export function log(event: string, facts: Readonly<Record<string, unknown>> = {}): void {
  const pairs = Object.entries(facts).map(([key, value]) => `${key}=${JSON.stringify(value)}`);
  process.stderr.write(`${[event, ...pairs].join(' ')}\n`);
}
