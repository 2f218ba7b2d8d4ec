// Another real authorization server (the Debian package glewlwyd, written in C)
// for the tests: other people's reading of the same standards.
//
// usage: node server.mjs
//
// Once it can be used it prints one line of JSON to stdout, and nothing else:
//   issuer, token_endpoint, introspection_endpoint, revocation_endpoint,
//   jwks_uri, scope, audience
//   client_id, client_secret        gets tokens, by client credentials or by
//                                   password: `username` and `password`
//   rs_client_id, rs_client_secret  introspects them; may get bearer tokens
//                                   with the scope `introspect` to do it
// It ends, and glewlwyd with it, on SIGTERM and as soon as its stdin closes.
// SIGKILL would leave glewlwyd running. By hand: `sleep 1000 | node server.mjs`.
//
// It needs no privileges, listens on loopback alone, and writes into a
// temporary directory. The package is unpacked to the folder `installed`
// beside this file, which scripts/test does, or installed on the machine.
//
// What is peculiar to glewlwyd 2.7.5:
//   - Access tokens are JWTs with typ `at+jwt`. Their aud is the resource, and
//     without one, or by password, the scope. Introspection answers without
//     iss and, if they were got by client credentials, without sub and
//     username; token_type is `bearer`.
//   - Refresh tokens are opaque. Introspection answers that they are active
//     too, with token_type `refresh_token` and the client_id as aud. Whoever
//     sends the hint `access_token` gets `active: false` for them, and who
//     sends an unknown hint gets it for any token.
//   - As the scope `introspect` is set up, any client that authenticates may
//     introspect and revoke the tokens of all; without, only its own.
//   - What is percent-encoded in `Authorization: Basic` is not decoded, in
//     spite of RFC 6749 section 2.3.1.
//   - Errors have no body: 401 (without WWW-Authenticate) for wrong
//     credentials, 400 for a missing token; the token endpoint says 403.
//   - Asked for a JWT (RFC 9701) it answers 400 to a token that is not active;
//     for others the aud of the JWT is the token's, not the asking client.
//   - Revoking a refresh token leaves its access tokens active.

import { execFileSync, spawn } from 'node:child_process';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import {
  existsSync, mkdtempSync, readFileSync, readdirSync, rmSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import { configure } from './configure.mjs';

const ATTEMPTS = 3;
const START_MS = 15_000;

const unpacked = fileURLToPath(new URL('installed', import.meta.url));
const root = existsSync(join(unpacked, 'usr/bin/glewlwyd')) ? unpacked : '/';
const temporary = mkdtempSync(join(tmpdir(), 'glewlwyd-'));
const database = join(temporary, 'glewlwyd.db');
let child;

process.on('exit', () => {
  child?.kill('SIGKILL');
  rmSync(temporary, { recursive: true, force: true });
});
process.on('SIGTERM', end);
process.on('SIGINT', end);
process.stdin.on('close', end);
process.stdin.on('error', end);
process.stdin.resume();

/** Ends once glewlwyd has ended, so that nobody else must reap it. */
function end() {
  if (child?.exitCode === null && child.signalCode === null) {
    child.removeAllListeners('exit').on('exit', () => process.exit(0));
    child.kill('SIGKILL');
  } else {
    process.exit(0);
  }
}

/** So that programs and libraries are found that are only unpacked. */
function environment() {
  const lib = join(root, 'usr/lib');
  const folder = readdirSync(lib).find((name) => name.endsWith('-linux-gnu'));
  return {
    PATH: `${join(root, 'usr/bin')}:${process.env.PATH}`,
    LD_LIBRARY_PATH: join(lib, folder),
  };
}

function createDatabase() {
  const data = 'usr/share/dbconfig-common/data/glewlwyd/install/sqlite3';
  execFileSync('sqlite3', [database], {
    input: readFileSync(join(root, data)),
    env: environment(),
  });
}

/** A port that was free a moment ago; it cannot choose one itself. */
async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

/** Its address, or undefined if it ended: somebody else has the port. */
async function start() {
  const port = await freePort();
  const address = `http://127.0.0.1:${port}`;
  const modules = join(root, 'usr/lib/glewlwyd');
  child = spawn(join(root, 'usr/bin/glewlwyd'), ['--env-variables'], {
    stdio: ['ignore', 2, 2],
    env: {
      ...environment(),
      GLWD_PORT: String(port),
      GLWD_BIND_ADDRESS: '127.0.0.1',
      GLWD_EXTERNAL_URL: address,
      GLWD_API_PREFIX: 'api',
      GLWD_LOG_MODE: 'console',
      GLWD_LOG_LEVEL: 'WARNING',
      GLWD_ADMIN_SCOPE: 'g_admin',
      GLWD_PROFILE_SCOPE: 'g_profile',
      GLWD_HASH_ALGORITHM: 'SHA512',
      GLWD_DATABASE_TYPE: 'sqlite3',
      GLWD_DATABASE_SQLITE3_PATH: database,
      GLWD_USER_MODULE_PATH: join(modules, 'user'),
      GLWD_CLIENT_MODULE_PATH: join(modules, 'client'),
      GLWD_AUTH_SCHEME_MODULE_PATH: join(modules, 'scheme'),
      GLWD_PLUGIN_MODULE_PATH: join(modules, 'plugin'),
    },
  });
  const deadline = Date.now() + START_MS;
  while (Date.now() < deadline) {
    await pause(50);
    // Looked at after the answer too: it might be of another on this port.
    const answer = await fetch(`${address}/config`).catch(() => undefined);
    if (child.exitCode !== null) {
      return undefined;
    }
    if (answer?.ok) {
      return address;
    }
  }
  throw new Error('glewlwyd does not answer');
}

createDatabase();
let address;
for (let attempt = 0; attempt < ATTEMPTS && !address; attempt += 1) {
  address = await start();
}
if (!address) {
  throw new Error('glewlwyd does not start');
}
child.on('exit', () => process.exit(1));

const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const key = privateKey.export({ format: 'jwk' });
const newSecret = () => randomBytes(24).toString('base64url');
const announcement = await configure(address, key, newSecret);
process.stdout.write(`${JSON.stringify(announcement)}\n`);
