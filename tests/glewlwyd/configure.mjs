// What glewlwyd is told through its API for administrators: the scopes, the
// plugin that speaks OpenID Connect, the clients and the user of server.mjs.

const SCOPES = ['todo:read', 'todo:write'];
const INTROSPECT = 'introspect';
const AUDIENCE = 'https://api.example/glewlwyd';
const PLUGIN = 'oidc';
const TOKEN_SECONDS = 600;

/** Answers with what server.mjs announces. */
export async function configure(address, key, newSecret) {
  const issuer = `${address}/api/${PLUGIN}`;
  const client = { id: 'todo-client', secret: newSecret() };
  const resourceServer = { id: 'todo-api', secret: newSecret() };
  const user = { name: 'alice', password: newSecret() };

  const add = await administrator(address);
  for (const name of [...SCOPES, INTROSPECT]) {
    await add('scope', { name, display_name: name, description: name });
  }
  await add('mod/plugin', plugin(issuer, key));
  const grants = ['client_credentials', 'password'];
  await add('client', confidential(client, SCOPES, grants));
  await add('client', confidential(resourceServer, [INTROSPECT], grants));
  await add('user', {
    username: user.name,
    name: 'Alice',
    password: user.password,
    scope: SCOPES,
    enabled: true,
  });

  return {
    issuer,
    token_endpoint: `${issuer}/token`,
    introspection_endpoint: `${issuer}/introspect`,
    revocation_endpoint: `${issuer}/revoke`,
    jwks_uri: `${issuer}/jwks`,
    scope: SCOPES.join(' '),
    audience: AUDIENCE,
    client_id: client.id,
    client_secret: client.secret,
    username: user.name,
    password: user.password,
    rs_client_id: resourceServer.id,
    rs_client_secret: resourceServer.secret,
  };
}

/** Logs in, and answers with a function that adds things. */
async function administrator(address) {
  const post = async (path, headers, body) => {
    const answer = await fetch(`${address}/api/${path}/`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: JSON.stringify(body),
    });
    if (!answer.ok) {
      const text = await answer.text();
      throw new Error(`glewlwyd: ${path}: ${answer.status} ${text}`);
    }
    return answer;
  };
  // Its database is made with this administrator in it.
  const login = { username: 'admin', password: 'password' };
  const session = await post('auth', {}, login);
  const cookie = session.headers.getSetCookie()[0].split(';')[0];
  return (path, body) => post(path, { cookie }, body);
}

function plugin(issuer, key) {
  const jwks = { keys: [{ ...key, kid: 'es256', alg: 'ES256', use: 'sig' }] };
  const resources = SCOPES.map((scope) => [scope, [AUDIENCE]]);
  return {
    module: 'oidc',
    name: PLUGIN,
    display_name: PLUGIN,
    parameters: {
      iss: issuer,
      'jwks-private': JSON.stringify(jwks),
      'jwks-show': true,
      'jwt-type': 'ecdsa',
      'jwt-key-size': '256',
      'access-token-duration': TOKEN_SECONDS,
      'refresh-token-duration': TOKEN_SECONDS,
      'code-duration': TOKEN_SECONDS,
      // Grants without a browser, of OAuth and not of OpenID Connect.
      'allow-non-oidc': true,
      'auth-type-client-enabled': true,
      'auth-type-password-enabled': true,
      'auth-type-code-enabled': false,
      'auth-type-token-enabled': false,
      'auth-type-refresh-enabled': false,
      'resource-allowed': true,
      'resource-scope': Object.fromEntries(resources),
      'introspection-revocation-allowed': true,
      'introspection-revocation-allow-target-client': true,
      'introspection-revocation-auth-scope': [INTROSPECT],
    },
  };
}

function confidential({ id, secret }, scope, grants) {
  return {
    client_id: id,
    client_secret: secret,
    name: id,
    confidential: true,
    enabled: true,
    redirect_uri: [],
    token_endpoint_auth_method: ['client_secret_basic', 'client_secret_post'],
    authorization_type: grants,
    scope,
  };
}
