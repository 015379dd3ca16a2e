import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { requireCommand } from './command.ts';

/** A small Debian package of the lab: its control fields and files (path → content). */
interface LabPackage {
  name: string;
  version: string;
  description: string;
  files: Record<string, string>;
  postinst: string;
}

// A maintainer script as careless as many are: it asks nginx for its new configuration and looks away.
const restartNginx = `#!/bin/sh
set -e
if [ "$1" = configure ] && [ -d /run/systemd/system ]; then
  deb-systemd-invoke restart nginx.service || true
fi
`;

const siteConfiguration = `server {
    listen 80 default_server;
    root /var/www/lab-site;
    location / { ssi on; }
    location = /health { default_type application/json; return 200 '{"host":"$hostname","status":"up"}\\n'; }
}
`;

function sitePackage(version: string): LabPackage {
  return {
    name: 'lab-site',
    version,
    description: 'Page of a lab host, served by nginx',
    files: {
      'etc/nginx/conf.d/lab-site.conf': siteConfiguration,
      'var/www/lab-site/index.html': `<!doctype html>
<html lang="en"><title>lab-site</title>
<h1><!--# echo var="hostname" --></h1>
<p>lab-site ${version}</p>
</html>
`,
    },
    postinst: restartNginx,
  };
}

function portalPackage(version: string, configuration: string): LabPackage {
  return {
    name: 'lab-portal',
    version,
    description: 'Portal of a lab host; version 1.1 breaks nginx on purpose',
    files: {
      'etc/nginx/conf.d/lab-portal.conf': configuration,
      'var/www/lab-portal/index.html': `<!doctype html><title>lab-portal</title><p>lab-portal ${version}</p>\n`,
    },
    postinst: restartNginx,
  };
}

const portal10 = `server {
    listen 8080;
    root /var/www/lab-portal;
}
`;

// The fault: the release switched to TLS and forgot to ship the certificate. nginx refuses its whole configuration,
// so the reload after the upgrade fails and the next boot comes up without any web server.
const portal11 = `server {
    listen 8443 ssl;
    ssl_certificate /etc/lab-portal/portal.pem;
    ssl_certificate_key /etc/lab-portal/portal.key;
    root /var/www/lab-portal;
}
`;

/** Packages the lab's repository offers; a host gets version 1.0 when it is made and finds 1.1 pending. */
export const labPackages: readonly LabPackage[] = [
  sitePackage('1.0'),
  sitePackage('1.1'),
  portalPackage('1.0', portal10),
  portalPackage('1.1', portal11),
];

function controlFile(item: LabPackage): string {
  return `Package: ${item.name}
Version: ${item.version}
Architecture: all
Maintainer: ATLAS lab <lab@atlas.invalid>
Depends: nginx-light | nginx
Section: web
Priority: optional
Description: ${item.description}
`;
}

function writeTree(root: string, files: Record<string, string>): void {
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), content, { mode: 0o644 });
  }
}

async function buildPackage(item: LabPackage, outputDir: string): Promise<string> {
  const tree = mkdtempSync(join(tmpdir(), 'atlas-lab-package-'));
  try {
    const conffiles = Object.keys(item.files).filter((path) => path.startsWith('etc/'));
    writeTree(tree, {
      ...item.files,
      'DEBIAN/control': controlFile(item),
      'DEBIAN/conffiles': conffiles.map((path) => `/${path}\n`).join(''),
    });
    writeFileSync(join(tree, 'DEBIAN/postinst'), item.postinst, { mode: 0o755 });
    const file = join(outputDir, `${item.name}_${item.version}_all.deb`);
    await requireCommand('dpkg-deb', ['--root-owner-group', '--build', tree, file]);
    return file;
  } finally {
    rmSync(tree, { recursive: true, force: true });
  }
}

/** Builds one package of the lab into `outputDir` and returns the file's path. */
export async function buildLabPackage(name: string, version: string, outputDir: string): Promise<string> {
  const item = labPackages.find((each) => each.name === name && each.version === version);
  if (item === undefined) throw new Error(`the lab has no package ${name} ${version}`);
  mkdirSync(outputDir, { recursive: true });
  return buildPackage(item, outputDir);
}

const sha256 = (content: Buffer | string): string => createHash('sha256').update(content).digest('hex');

async function indexEntry(repositoryDir: string, file: string): Promise<string> {
  const control = await requireCommand('dpkg-deb', ['--field', join(repositoryDir, file)]);
  const content = readFileSync(join(repositoryDir, file));
  return `${control.trim()}\nFilename: ./${file}\nSize: ${content.length}\nSHA256: ${sha256(content)}\n`;
}

/**
 * Makes the lab's repository: a flat one (no dists/), unsigned. Hosts take it as `[trusted=yes]`: it is made minutes
 * before on this machine, holds nothing but the packages above and is served on the lab's own bridge alone.
 */
export async function buildLabRepository(repositoryDir: string): Promise<void> {
  if (existsSync(join(repositoryDir, 'Release'))) return;
  mkdirSync(repositoryDir, { recursive: true });
  for (const item of labPackages) await buildPackage(item, repositoryDir);
  const files = readdirSync(repositoryDir).filter((file) => file.endsWith('.deb'));
  const entries = await Promise.all(files.sort().map((file) => indexEntry(repositoryDir, file)));
  const index = entries.join('\n');
  writeFileSync(join(repositoryDir, 'Packages'), index);
  const release = `Origin: ATLAS lab
Label: ATLAS lab
Suite: lab
Codename: lab
Date: ${new Date().toUTCString()}
Architectures: all amd64
SHA256:
 ${sha256(index)} ${Buffer.byteLength(index)} Packages
`;
  writeFileSync(join(repositoryDir, 'Release'), release);
}
