import { createPublicKey, X509Certificate } from 'node:crypto';

/** Splits a PEM text into its certificates, in order. */
export function splitPem(pem: string): X509Certificate[] {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g) ?? [];
  return blocks.map((block) => new X509Certificate(block));
}

/**
 * Checks a chain that the authority made for this agent: leaf over my key, each certificate signed by the next, all
 * valid now. @returns null when it holds, otherwise what is wrong.
 */
export function refuseChain(chainPem: string, keyPem: string, nowMs: number): string | null {
  let chain: X509Certificate[];
  try {
    chain = splitPem(chainPem);
  } catch {
    return 'not a certificate';
  }
  const [leaf] = chain;
  if (leaf === undefined) return 'no certificate';
  if (!leaf.publicKey.equals(createPublicKey(keyPem))) return 'certificate is not over my key';
  const expired = chain.find(
    (one) => nowMs > Date.parse(one.validTo) || nowMs + 300_000 < Date.parse(one.validFrom),
  );
  if (expired) return `certificate of ${expired.subject} is not valid now`;
  const broken = chain.slice(1).findIndex((issuer, n) => !issuer.ca || !chain[n]?.verify(issuer.publicKey));
  if (broken >= 0) return 'chain is broken';
  return chain.length < 2 ? 'the issuing authority is missing' : null;
}
