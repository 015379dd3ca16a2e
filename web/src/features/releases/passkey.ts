import type { WebAuthnSignature } from '#contract/dsse.ts';
import { fromBase64Url, toBase64Url } from './bytes.ts';
import { signingChallenge } from './pae.ts';

interface SigningRequest {
  readonly payloadType: string;
  readonly payload: string;
  readonly rpId: string;
  /** Credential ids of the signer. */
  readonly keyIds: readonly string[];
}

/** Asks the signer's passkey for an assertion over exactly these bytes; throws when the person declines. */
export async function signWithPasskey(request: SigningRequest): Promise<WebAuthnSignature> {
  const challenge = await signingChallenge(request.payloadType, fromBase64Url(request.payload));
  const credential = await navigator.credentials.get({
    publicKey: {
      challenge,
      rpId: request.rpId,
      userVerification: 'required',
      timeout: 120_000,
      allowCredentials: request.keyIds.map((id) => ({ type: 'public-key', id: fromBase64Url(id) })),
    },
  });
  if (!(credential instanceof PublicKeyCredential)) throw new Error('the browser gave no passkey assertion');
  const response = credential.response as AuthenticatorAssertionResponse;
  return {
    keyid: toBase64Url(credential.rawId),
    kind: 'webauthn',
    authenticatorData: toBase64Url(response.authenticatorData),
    clientDataJSON: toBase64Url(response.clientDataJSON),
    signature: toBase64Url(response.signature),
  };
}

/** Makes a new signing passkey from the server's options; the answer goes to the server as it is. */
export async function createPasskey(options: object): Promise<object> {
  const publicKey = PublicKeyCredential.parseCreationOptionsFromJSON(
    options as PublicKeyCredentialCreationOptionsJSON,
  );
  const credential = await navigator.credentials.create({ publicKey });
  if (!(credential instanceof PublicKeyCredential)) throw new Error('the browser made no passkey');
  return credential.toJSON();
}
