/** Name in the secret store of the secret of the server's own client in the realm. */
export const serverSecretName = 'identity.server-client';
