import { createLab, openLab } from '../../lab/lab.ts';
import type { LabHost } from '../../lab/host.ts';
import { describeLabStep } from '../../lab/lab-story.ts';
import { findInstallation, openContext } from './installation.ts';

/** Ends updated. */
export const goodHost = 'app-1';
/** Has the package pending whose new version breaks its web server. */
export const brokenHost = 'portail';

/** Makes and boots the two machines. */
export async function createMachines(): Promise<void> {
  const { stateDir, cacheDir } = findInstallation();
  const { say, text } = openContext();
  const lab = await createLab({ stateDir, cacheDir, log: (step) => say(`  ${text(describeLabStep(step))}`) });
  await lab.create([{ name: goodHost }, { name: brokenHost, brokenPackagePending: true }]);
}

/** A machine that `createMachines` made. */
export function openMachine(name: string): LabHost {
  const lab = openLab({ stateDir: findInstallation().stateDir, log: () => undefined });
  if (lab === undefined) throw new Error('there is no lab');
  return lab.host(name);
}
