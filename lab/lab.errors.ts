/** Why the lab could not do what was asked; the texts a person reads are in `lab.messages.ts`. */
export type LabErrorCode =
  | 'not_root'
  | 'missing_tools'
  | 'no_btrfs'
  | 'no_loop_devices'
  | 'no_space'
  | 'no_machine_id'
  | 'no_debian_keyring'
  | 'no_mirror'
  | 'no_free_subnet'
  | 'lab_busy'
  | 'too_many_hosts'
  | 'bad_host_name'
  | 'unknown_host'
  | 'host_off'
  | 'boot_timeout'
  | 'command_failed';

/** A refusal of the lab: `code` for programs, `detail` names the thing, `message` joins both for logs. */
export class LabError extends Error {
  readonly code: LabErrorCode;
  readonly detail: string;

  constructor(code: LabErrorCode, detail: string, options: { cause?: unknown } = {}) {
    super(`${code}: ${detail}`, options);
    this.name = 'LabError';
    this.code = code;
    this.detail = detail;
  }
}
