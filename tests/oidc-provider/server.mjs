// A real authorization server (the npm package oidc-provider) for the tests.
//
// usage: node server.mjs [--port N]
//
// Once it listens it prints one line of JSON to stdout, and nothing else:
//   {"issuer":"http://127.0.0.1:PORT","control":"http://127.0.0.1:PORT"}
// It ends on SIGTERM and as soon as its stdin closes, so that an aborted test
// leaves nothing running. By hand: `sleep 1000 | node server.mjs`.
//
// The control address is for the tests:
//   POST /rotate       replace all keys at once; answers {"kids":[...]}
//   GET  /counts       {"jwks":n,"discovery":n,"token":n}: requests so far
//   POST /delay?ms=N   from now on answer requests for the JWKS N ms late

import { generateKeyPair, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { parseArgs, promisify } from 'node:util';

import Provider, { errors } from 'oidc-provider';

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
const MAX_DELAY_MS = 60_000;

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

const DISCOVERY_PATHS = [
  '/.well-known/openid-configuration',
  '/.well-known/oauth-authorization-server',
];

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
  const provider = new Provider(issuer, {
    jwks,
    clients: [
      {
        client_id: 'test-client',
        client_secret: 'test-secret',
        token_endpoint_auth_method: 'client_secret_basic',
        grant_types: ['client_credentials'],
        response_types: [],
        redirect_uris: [],
        scope: SCOPE,
      },
    ],
    scopes: SCOPE.split(' '),
    ttl: { ClientCredentials: TOKEN_SECONDS },
    cookies: { keys: [randomBytes(32).toString('base64url')] },
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: resourceServerInfo,
      },
    },
  });
  provider.on('server_error', (_ctx, error) => console.error(error));
  return provider.callback();
}

function sendJson(response, status, body) {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(body));
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

const counts = { jwks: 0, discovery: 0, token: 0 };
let jwksDelay = 0;
let handle;

const main = createServer((request, response) => {
  const path = request.url.split('?')[0];
  if (path === '/token') {
    counts.token += 1;
  } else if (DISCOVERY_PATHS.includes(path)) {
    counts.discovery += 1;
  } else if (path === '/jwks') {
    counts.jwks += 1;
    // What is answered late are the keys of then, not those of now.
    setTimeout(() => handle(request, response), jwksDelay);
    return;
  }
  handle(request, response);
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
      sendJson(response, 200, await rotate());
      break;
    case 'GET /counts':
      sendJson(response, 200, counts);
      break;
    case 'POST /delay': {
      const ms = Number(url.searchParams.get('ms') ?? NaN);
      if (!(ms >= 0 && ms <= MAX_DELAY_MS)) {
        sendJson(response, 400, { error: `ms: 0 to ${MAX_DELAY_MS}` });
        break;
      }
      jwksDelay = ms;
      sendJson(response, 200, { ms });
      break;
    }
    default:
      sendJson(response, 404, { error: 'unknown' });
  }
});

const controlAddress = await listen(control, 0);
const announcement = JSON.stringify({ issuer, control: controlAddress });
process.stdout.write(`${announcement}\n`);
