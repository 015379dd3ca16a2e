import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import type { MachineAptSettings } from './apt-sources.ts';
import { requireCommand } from './command.ts';
import { buildLabPackage } from './lab-packages.ts';
import type { DistributionSources } from './lab-record.ts';
import { debianKeyring } from './preflight.ts';

const packages = [
  'systemd-sysv',
  'dbus',
  'iproute2',
  'iputils-ping',
  'nginx-light',
  'ca-certificates',
  'openssl',
  'curl',
  'procps',
  'mount',
  'btrfs-progs',
  'needrestart',
];

/** Virtual size of a host's disk; the file is sparse and grows with what the host writes. */
const diskSize = '8G';

const certificatesDir = '/usr/local/share/ca-certificates';

/** The mount unit stands for an fstab line, which systemd ignores for devices inside a container. */
const stateMountUnit = `[Unit]
Description=State of the ATLAS agent, outside the root that a rollback replaces
Before=local-fs.target

[Mount]
What=/dev/disk/by-label/atlas-host
Where=/var/lib/atlas-agent
Type=btrfs
Options=subvol=@atlas-agent,noatime

[Install]
WantedBy=local-fs.target
`;

function distributionStanza(uri: string, suites: string): string {
  return `Types: deb\nURIs: ${uri}\nSuites: ${suites}\nComponents: main\nSigned-By: ${debianKeyring}\n`;
}

/** Every text file that the base has on top of Debian (path → content). */
function baseFiles(sources: DistributionSources, settings: MachineAptSettings): Record<string, string> {
  const { suite, releaseUri, securityUri } = sources;
  const files: Record<string, string> = {
    'etc/systemd/system/var-lib-atlas\\x2dagent.mount': stateMountUnit,
    'etc/apt/sources.list': '',
    'etc/apt/sources.list.d/debian.sources': [
      distributionStanza(releaseUri, `${suite} ${suite}-updates`),
      distributionStanza(securityUri, `${suite}-security`),
    ].join('\n'),
    'etc/apt/apt.conf.d/50machine': `${settings.lines.join('\n')}\n`,
    // systemd-nspawn wants the file; each host gets an identity of its own.
    'etc/machine-id': '',
    'etc/hostname': 'lab-base\n',
  };
  for (const name of existsSync(certificatesDir) ? readdirSync(certificatesDir) : []) {
    if (name.endsWith('.crt')) {
      files[`usr/local/share/ca-certificates/${name}`] = readFileSync(join(certificatesDir, name), 'utf8');
    }
  }
  return files;
}

/** Writes text files below `root`; shared by the base and the hosts. */
export function writeFiles(root: string, files: Record<string, string>): void {
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), content, { mode: 0o644 });
  }
}

const buildScript = join(import.meta.dirname, 'build-base.sh');

/** Same recipe, same name: a changed package list, script, mirror or certificate makes another image. */
function recipeDigest(files: Record<string, string>, sources: DistributionSources): string {
  const packageRecipe = readFileSync(join(import.meta.dirname, 'lab-packages.ts'), 'utf8');
  const recipe = [packages, diskSize, files, sources, readFileSync(buildScript, 'utf8'), packageRecipe];
  return createHash('sha256').update(JSON.stringify(recipe)).digest('hex').slice(0, 12);
}

/** What the base is made from and where it is kept between labs. */
export interface BaseOptions {
  cacheDir: string;
  sources: DistributionSources;
  settings: MachineAptSettings;
  /** Called only when an image really has to be built. */
  onBuild: () => void;
}

/** Hosts have copies of their own: an image of an older recipe serves nobody any more. */
function removeOlderImages(cacheDir: string, image: string): void {
  for (const name of readdirSync(cacheDir)) {
    const isImage = name.startsWith('lab-base-') && name.endsWith('.img');
    if (isImage && join(cacheDir, name) !== image) rmSync(join(cacheDir, name));
  }
}

async function buildImage(image: string, options: BaseOptions, files: Record<string, string>): Promise<void> {
  const { suite, releaseUri } = options.sources;
  const work = mkdtempSync(join(options.cacheDir, 'lab-base-work-'));
  try {
    const filesDir = join(work, 'files');
    writeFiles(filesDir, files);
    await buildLabPackage('lab-site', '1.0', join(filesDir, 'root/packages'));
    const part = join(work, 'base.img');
    await requireCommand(
      'unshare',
      [
        '--mount',
        '--propagation=private',
        'sh',
        buildScript,
        part,
        filesDir,
        suite,
        packages.join(','),
        diskSize,
      ],
      // The release alone: what was fixed since then is then really pending on the hosts.
      { input: `deb [signed-by=${debianKeyring}] ${releaseUri} ${suite} main\n` },
    );
    renameSync(part, image);
    removeOlderImages(options.cacheDir, image);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** The image every host starts from, built once (20 to 40 s) and found again afterwards. */
export async function getBaseImage(options: BaseOptions): Promise<{ image: string; cached: boolean }> {
  mkdirSync(options.cacheDir, { recursive: true });
  const files = baseFiles(options.sources, options.settings);
  const image = join(options.cacheDir, `lab-base-${recipeDigest(files, options.sources)}.img`);
  if (existsSync(image)) return { image, cached: true };
  options.onBuild();
  await buildImage(image, options, files);
  return { image, cached: false };
}
