import { describe, expect, it } from 'vitest';
import {
  parseAptSettings,
  parseDeb822Sources,
  parseOneLineSources,
  selectDistribution,
} from './apt-sources.ts';

describe('apt sources', () => {
  it('takes the mirrors of a deb822 file and leaves comments and disabled stanzas out', () => {
    const text = `Types: deb
# http://snapshot.example/archive
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main

Types: deb
URIs: http://off.example/debian
Suites: bookworm
Enabled: no

Types: deb deb-src
URIs: http://security.example/debian-security
Suites: bookworm-security
`;
    expect(parseDeb822Sources(text)).toEqual([
      { uri: 'http://mirror.example/debian', suites: ['bookworm', 'bookworm-updates'] },
      { uri: 'http://security.example/debian-security', suites: ['bookworm-security'] },
    ]);
  });

  it('reads one-line sources with and without options', () => {
    const text = `# deb http://old.example/ bookworm main
deb [signed-by=/k.gpg arch=amd64] http://mirror.example/debian bookworm main
deb-src http://mirror.example/debian bookworm main
deb http://security.example/ bookworm-security main`;
    expect(parseOneLineSources(text)).toEqual([
      { uri: 'http://mirror.example/debian', suites: ['bookworm'] },
      { uri: 'http://security.example/', suites: ['bookworm-security'] },
    ]);
  });

  it('serves the lab’s own suite from the machine’s mirrors, and nothing when security is missing', () => {
    const release = { uri: 'http://a.example/debian', suites: ['trixie'] };
    const security = { uri: 'http://b.example/security', suites: ['trixie-security'] };
    expect(selectDistribution([release, security], 'trixie')).toEqual({
      suite: 'bookworm',
      releaseUri: release.uri,
      securityUri: security.uri,
    });
    expect(selectDistribution([release], 'trixie')).toBeUndefined();
  });

  it('inherits only settings about reaching and believing a repository', () => {
    const dump = `APT::Get::Assume-Yes "true";
Acquire::Check-Valid-Until "false";
Acquire::http::Proxy "http://proxy.example:3128";
Dir::Cache "/elsewhere";`;
    expect(parseAptSettings(dump)).toEqual({
      lines: ['Acquire::Check-Valid-Until "false";'],
      httpProxy: 'http://proxy.example:3128',
    });
  });
});
