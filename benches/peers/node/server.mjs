// One route, open or protected by a library: answers 200 `ok`, or 401.
//
// usage: node server.mjs open|jose|fast-jwt|fast-jwt-cached ALGORITHM JWKS-FILE
//
// Prints a line of JSON with its port, and ends when its standard input does.

import { createPublicKey } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';

import { createVerifier } from 'fast-jwt';
import { createLocalJWKSet, jwtVerify } from 'jose';

const ISSUER = 'https://id.example.com';
const AUDIENCE = 'https://api.example.com';

// More than the tokens that come.
const CACHED = 20_000;

const [what, algorithm, file] = process.argv.slice(2);
const jwks = JSON.parse(readFileSync(file, 'utf8'));

const verifiers = { open, jose, 'fast-jwt': fastJwt, 'fast-jwt-cached': fastJwt };
const verify = verifiers[what]();

function open() {
  return null;
}

function jose() {
  const keys = createLocalJWKSet(jwks);
  const options = {
    algorithms: [algorithm],
    audience: AUDIENCE,
    issuer: ISSUER,
    requiredClaims: ['exp'],
    typ: 'at+jwt',
  };
  return (token) => jwtVerify(token, keys, options);
}

function fastJwt() {
  const key = createPublicKey({ key: jwks.keys[0], format: 'jwk' });
  return createVerifier({
    algorithms: [algorithm],
    allowedAud: AUDIENCE,
    allowedIss: ISSUER,
    cache: what === 'fast-jwt-cached' ? CACHED : false,
    checkTyp: 'at+jwt',
    key: key.export({ type: 'spki', format: 'pem' }),
    requiredClaims: ['aud', 'exp', 'iss'],
  });
}

function answer(response) {
  response.writeHead(200, { 'content-type': 'text/plain', 'content-length': 2 });
  response.end('ok');
}

function refuse(response) {
  response.writeHead(401, { 'www-authenticate': 'Bearer', 'content-length': 0 });
  response.end();
}

// The scheme is compared without case, as all do.
function bearer(request) {
  const value = request.headers.authorization ?? '';
  return /^bearer /i.test(value) ? value.slice(7) : '';
}

const handlers = {
  open: (request, response) => answer(response),
  jose: (request, response) => {
    verify(bearer(request)).then(
      () => answer(response),
      () => refuse(response),
    );
  },
  'fast-jwt': (request, response) => {
    try {
      verify(bearer(request));
    } catch {
      return refuse(response);
    }
    answer(response);
  },
};
handlers['fast-jwt-cached'] = handlers['fast-jwt'];

const require = createRequire(import.meta.url);
const version = (name) => `${name} ${require(`./node_modules/${name}/package.json`).version}`;
const versions = [`Node.js ${process.versions.node}`, version('jose'), version('fast-jwt')];

const server = createServer({ keepAliveTimeout: 60_000 }, handlers[what]);
server.listen(0, '127.0.0.1', () => {
  console.log(JSON.stringify({ port: server.address().port, versions }));
});
process.stdin.on('end', () => process.exit()).resume();
