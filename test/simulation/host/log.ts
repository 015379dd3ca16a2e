/** The agents of the simulated world say nothing to people. */
export function log(): void {
  // The story is told from what happens, not from what is logged.
}
