// A real authorization server (the npm package oidc-provider) for the tests.
//
// usage: node server.mjs [--port N]
//
// Once it listens it prints one line of JSON to stdout, and nothing else:
//   {"issuer":"http://127.0.0.1:PORT","control":"http://127.0.0.1:PORT",
//    "resource_servers":{NAME:{"client_id":"...","client_secret":"..."},...}}
// It ends on SIGTERM and as soon as its stdin closes, so that an aborted test
// leaves nothing running. By hand: `sleep 1000 | node server.mjs`.
//
// The client `test-client` gets tokens by client credentials: JWTs for the
// resources that have an algorithm, else opaque ones, with an audience for
// https://api.example/opaque, without one if it names no resource. Only opaque
// tokens can be introspected. These resource servers may do so:
//   basic            client_secret_basic
//   special          the same; its id and its secret must be encoded
//   post             client_secret_post
//   private_key_jwt  ES256; has "private_key" (PKCS #8, PEM) and no secret
//   signed           client_secret_basic
// Who accepts application/token-introspection+jwt is answered with a JWT
// (RFC 9701): `signed` in ES256, the others in RS256. Nobody else, not even
// test-client, sees an active token. A client may revoke its own tokens.
//
// The control address is for the tests:
//   POST /rotate       replace all keys at once; answers {"kids":[...]}
//   GET  /counts       {"jwks":n,"discovery":n,"token":n,"introspection":n,
//                      "revocation":n,"elsewhere":n}: requests so far
//   POST /delay?ms=N   from now on answer requests for the JWKS N ms late
//   POST /introspection?ms=N&fault=F
//                      from now on send answers of introspection N ms after
//                      they are made, and make instead of them, if F is
//                        500, 503, 401  a failure, in JSON
//                        html           a page, with status 200
//                        garbage        broken JSON
//                        oversize       JSON of more than 2 MiB
//                        redirect       302 to where every token is active;
//                                       who follows is counted as elsewhere
//                        hang           no answer
//                      What is absent is 0 and `none`: it ends the trouble.

import { generateKeyPair, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { parseArgs, promisify } from 'node:util';

import Provider, { errors } from 'oidc-provider';

import { generateResourceServers, register } from './clients.mjs';
import {
  ELSEWHERE, Trouble, parseDelay, send, sendElsewhere,
} from './introspection.mjs';
import { Store } from './store.mjs';

// oidc-provider asks for Node 22; this is the only newer function that it
// calls here, and with it the older Node 20 of many machines does as well.
URL.parse ??= (input, base) => {
  try {
    return new URL(input, base);
  } catch {
    return null;
  }
};

// Stdout is for the one line: notices of oidc-provider go to stderr.
console.info = console.error;
console.log = console.error;

const SCOPE = 'todo:read todo:write';
const TOKEN_SECONDS = 600;

// The resource that a client asks for (RFC 8707) chooses how its token is
// signed; a resource without an algorithm gets an opaque token.
const RESOURCES = new Map([
  ['https://api.example/rs256', 'RS256'],
  ['https://api.example/ps256', 'PS256'],
  ['https://api.example/es256', 'ES256'],
  ['https://api.example/eddsa', 'EdDSA'],
  ['https://api.example/ed25519', 'Ed25519'],
  ['https://api.example/opaque', undefined],
]);

// What is counted, and as what.
const COUNTED = new Map([
  ['/.well-known/openid-configuration', 'discovery'],
  ['/.well-known/oauth-authorization-server', 'discovery'],
  ['/jwks', 'jwks'],
  ['/token', 'token'],
  ['/token/introspection', 'introspection'],
  ['/token/revocation', 'revocation'],
  [ELSEWHERE, 'elsewhere'],
]);

const newKeyPair = promisify(generateKeyPair);

async function generateKey(type, options, alg) {
  const { privateKey } = await newKeyPair(type, options);
  const kid = randomBytes(12).toString('base64url');
  return { ...privateKey.export({ format: 'jwk' }), kid, use: 'sig', alg };
}

async function generateKeys() {
  const keys = await Promise.all([
    generateKey('rsa', { modulusLength: 2048 }, 'RS256'),
    generateKey('rsa', { modulusLength: 2048 }, 'PS256'),
    generateKey('ec', { namedCurve: 'P-256' }, 'ES256'),
    // No alg: one key signs as EdDSA and, by its name of RFC 9864, Ed25519.
    generateKey('ed25519', {}, undefined),
  ]);
  return { keys };
}

function resourceServerInfo(_ctx, resource) {
  if (!RESOURCES.has(resource)) {
    throw new errors.InvalidTarget();
  }
  const alg = RESOURCES.get(resource);
  return {
    scope: SCOPE,
    audience: resource,
    accessTokenFormat: alg ? 'jwt' : 'opaque',
    jwt: alg ? { sign: { alg } } : undefined,
  };
}

function newProvider(issuer, jwks) {
  const introspecting = Object.values(resourceServers);
  const mayIntrospect = (id) => introspecting.some((rs) => rs.client_id === id);
  const provider = new Provider(issuer, {
    jwks,
    adapter: Store,
    clients: register(resourceServers, SCOPE),
    scopes: SCOPE.split(' '),
    ttl: { ClientCredentials: TOKEN_SECONDS },
    cookies: { keys: [randomBytes(32).toString('base64url')] },
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      introspection: {
        enabled: true,
        allowedPolicy: (_ctx, client) => mayIntrospect(client.clientId),
      },
      jwtIntrospection: { enabled: true },
      revocation: { enabled: true },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: resourceServerInfo,
      },
    },
  });
  provider.on('server_error', (_ctx, error) => console.error(error));
  return provider.callback();
}

async function listen(server, port) {
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  return `http://127.0.0.1:${server.address().port}`;
}

process.on('SIGTERM', () => process.exit(0));
process.stdin.on('close', () => process.exit(0));
process.stdin.on('error', () => process.exit(0));
process.stdin.resume();

const { values } = parseArgs({
  options: { port: { type: 'string', default: '0' } },
});

const counts = {};
for (const name of COUNTED.values()) {
  counts[name] = 0;
}
const trouble = new Trouble();
const resourceServers = await generateResourceServers();
let jwksDelay = 0;
let handle;

const main = createServer((request, response) => {
  const counted = COUNTED.get(request.url.split('?')[0]);
  if (counted) {
    counts[counted] += 1;
  }
  switch (counted) {
    case 'jwks':
      // What is answered late are the keys of then, not those of now.
      setTimeout(() => handle(request, response), jwksDelay);
      break;
    case 'introspection':
      trouble.answer(request, response, handle);
      break;
    case 'elsewhere':
      sendElsewhere(response);
      break;
    default:
      handle(request, response);
  }
});

let keys = await generateKeys();
const issuer = await listen(main, Number(values.port));
handle = newProvider(issuer, keys);

// Ready beforehand, so that a rotation takes no time.
let nextKeys = generateKeys();

async function rotate() {
  const ready = nextKeys;
  nextKeys = generateKeys();
  keys = await ready;
  handle = newProvider(issuer, keys);
  return { kids: keys.keys.map((key) => key.kid) };
}

const control = createServer(async (request, response) => {
  const url = new URL(request.url, 'http://127.0.0.1');
  switch (`${request.method} ${url.pathname}`) {
    case 'POST /rotate':
      send(response, 200, await rotate());
      break;
    case 'GET /counts':
      send(response, 200, counts);
      break;
    case 'POST /delay': {
      const ms = parseDelay(url.searchParams.get('ms'));
      if (ms === undefined) {
        send(response, 400, { error: 'no such delay' });
        break;
      }
      jwksDelay = ms;
      send(response, 200, { ms });
      break;
    }
    case 'POST /introspection': {
      const fault = url.searchParams.get('fault') ?? 'none';
      const ms = url.searchParams.get('ms') ?? '0';
      if (!trouble.set(fault, ms)) {
        send(response, 400, { error: 'no such fault or delay' });
        break;
      }
      send(response, 200, { fault, ms });
      break;
    }
    default:
      send(response, 404, { error: 'unknown' });
  }
});

const controlAddress = await listen(control, 0);
const announcement = JSON.stringify({
  issuer,
  control: controlAddress,
  resource_servers: resourceServers,
});
process.stdout.write(`${announcement}\n`);
