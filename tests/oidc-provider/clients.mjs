// Who the provider knows: a client that gets tokens, and resource servers that
// introspect them, each with its own way to authenticate.

import { createPublicKey, generateKeyPair, randomBytes } from 'node:crypto';
import { promisify } from 'node:util';

const newKeyPair = promisify(generateKeyPair);

/** What the tests need to know of them, by name; see server.mjs. */
export async function generateResourceServers() {
  const { privateKey } = await newKeyPair('ec', { namedCurve: 'P-256' });
  return {
    basic: {
      client_id: 'rs-basic',
      client_secret: newSecret(),
    },
    // Each character of these has cost somebody an interoperable client.
    special: {
      client_id: 'rs: special+100%/&=?',
      client_secret: 'a:b%c d+/=&?"\\~%2B%zz',
    },
    post: {
      client_id: 'rs-post',
      client_secret: newSecret(),
    },
    private_key_jwt: {
      client_id: 'rs-private-key-jwt',
      private_key: privateKey.export({ type: 'pkcs8', format: 'pem' }),
    },
    signed: {
      client_id: 'rs-signed',
      client_secret: newSecret(),
    },
  };
}

/** The metadata of all clients (RFC 7591), as oidc-provider reads it. */
export function register(resourceServers, scope) {
  const { basic, special, post, private_key_jwt, signed } = resourceServers;
  return [
    client('client_secret_basic', {
      client_id: 'test-client',
      client_secret: 'test-secret',
      grant_types: ['client_credentials'],
      scope,
    }),
    client('client_secret_basic', basic),
    client('client_secret_basic', special),
    client('client_secret_post', post),
    client('private_key_jwt', {
      client_id: private_key_jwt.client_id,
      jwks: { keys: [publicJwk(private_key_jwt.private_key)] },
    }),
    client('client_secret_basic', {
      ...signed,
      introspection_signed_response_alg: 'ES256',
    }),
  ];
}

function client(method, metadata) {
  return {
    token_endpoint_auth_method: method,
    grant_types: [],
    response_types: [],
    redirect_uris: [],
    ...metadata,
  };
}

function publicJwk(pem) {
  const jwk = createPublicKey(pem).export({ format: 'jwk' });
  return { ...jwk, use: 'sig', alg: 'ES256' };
}

function newSecret() {
  return randomBytes(32).toString('base64url');
}
