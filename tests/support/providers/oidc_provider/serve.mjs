// npm's certified oidc-provider on loopback: `node serve.mjs STATE_DIRECTORY`, with `idp.json` in that directory.
//
// What it is here for, and canaille and glewlwyd are not: `acr` and `amr` in ID and access tokens, `sid`, RFC 9068
// access tokens for a resource, back-channel logout, the device flow, client credentials with private_key_jwt, and
// step-up by `prompt`, `max_age` and `acr_values`.
//
// It is told about people and spoken to by the tests under /control (a bearer token from `idp.json` opens it).
import { createHmac, generateKeyPairSync, timingSafeEqual } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

// ES modules are not looked up through NODE_PATH: the packages live in a cache folder, not beside this file.
const packages = createRequire(join(process.env.IDP_PACKAGES, 'index.js'));
const { default: Provider, interactionPolicy, errors } = await import(
  pathToFileURL(packages.resolve('oidc-provider')).href
);

const state = process.argv[2];
const given = JSON.parse(readFileSync(join(state, 'idp.json'), 'utf8'));
const people = new Map(given.people.map((person) => [person.name, { ...person, is_active: true }]));
const TWO_FACTORS = given.acr_two_factors;
const ONE_FACTOR = given.acr_one_factor;
const RESOURCE = given.resource;
const events = [];

function signingKeys() {
  const path = join(state, 'idp-signing.json');
  if (!existsSync(path)) {
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const jwk = { ...privateKey.export({ format: 'jwk' }), kid: 'rsa-1', alg: 'RS256', use: 'sig' };
    writeFileSync(path, JSON.stringify({ keys: [jwk] }), { mode: 0o600 });
  }
  return JSON.parse(readFileSync(path, 'utf8'));
}

function account(name) {
  const person = people.get(name);
  if (!person || !person.is_active) return undefined;
  return {
    accountId: name,
    claims: () => ({
      sub: name,
      name: person.display_name,
      preferred_username: name,
      email: person.email,
      email_verified: true,
      department: person.department,
      groups: person.groups,
    }),
  };
}

// What a token for the resource says beside RFC 9068's own members: who this is, and how they signed in.
async function accessClaims(ctx, token) {
  if (token.kind !== 'AccessToken' || !token.accountId) return undefined;
  const session = token.sessionUid ? await ctx.oidc.provider.Session.findByUid(token.sessionUid) : undefined;
  const person = people.get(token.accountId);
  return {
    name: person.display_name,
    email: person.email,
    department: person.department,
    groups: person.groups,
    ...(session ? { acr: session.acr, amr: session.amr, auth_time: session.loginTs } : {}),
  };
}

const policy = interactionPolicy.base();
policy.get('login').checks.add(
  new interactionPolicy.Check('acr_values', 'a stronger sign-in is asked for', (ctx) => {
    const asked = (ctx.oidc.params.acr_values || '').split(' ').filter(Boolean);
    const satisfied = !asked.length || asked.includes(ctx.oidc.session.acr) || ctx.oidc.result?.login;
    return satisfied ? interactionPolicy.Check.NO_NEED_TO_PROMPT : interactionPolicy.Check.REQUEST_PROMPT;
  }),
);

const configuration = {
  jwks: signingKeys(),
  clients: given.clients,
  cookies: { keys: [given.secret_key] },
  scopes: ['openid', 'offline_access', 'profile', 'email', 'groups'],
  claims: {
    // Said in every ID token, not only where `claims` asks for them one by one.
    openid: ['sub', 'acr', 'amr', 'auth_time'],
    profile: ['name', 'preferred_username', 'department'],
    email: ['email', 'email_verified'],
    groups: ['groups'],
    iss: null, sid: null,
  },
  conformIdTokenClaims: given.groups_in === 'userinfo',
  acrValues: [TWO_FACTORS, ONE_FACTOR],
  clientDefaults: { id_token_signed_response_alg: 'RS256' },
  clockTolerance: 5,
  pkce: { required: () => true },
  interactions: { policy, url: (_, interaction) => `/interaction/${interaction.uid}` },
  findAccount: (_, name) => account(name),
  extraTokenClaims: accessClaims,
  // Every sign-in of a client that may refresh gets a refresh token: nobody is asked for consent here, and without
  // `prompt=consent` the scope offline_access is not granted (Core 11).
  issueRefreshToken: async (_, client) => client.grantTypeAllowed('refresh_token'),
  rotateRefreshToken: true,
  // The company's own applications: their consent is the company's.
  loadExistingGrant: async (ctx) => {
    const id = ctx.oidc.session.grantIdFor(ctx.oidc.client.clientId);
    const found = id && (await ctx.oidc.provider.Grant.find(id));
    if (found) return found;
    const grant = new ctx.oidc.provider.Grant({
      clientId: ctx.oidc.client.clientId,
      accountId: ctx.oidc.session.accountId,
    });
    grant.addOIDCScope('openid profile email groups offline_access');
    grant.addResourceScope(RESOURCE, given.resource_scopes.join(' '));
    await grant.save();
    return grant;
  },
  ttl: { AccessToken: 300, IdToken: 300, RefreshToken: 8 * 3600, Session: 8 * 3600, DeviceCode: 300, Interaction: 600,
         Grant: 8 * 3600, AuthorizationCode: 60, ClientCredentials: 300 },
  features: {
    devInteractions: { enabled: false },
    backchannelLogout: { enabled: true },
    rpInitiatedLogout: {
      enabled: true,
      logoutSource: (ctx, form) => {
        ctx.body = page('Sign out', form.replace('</form>', '<button name="logout" value="yes">Sign out</button></form>')
          .replace('<button', '<input type="hidden" name="logout" value="yes"/><button'));
      },
      postLogoutSuccessSource: (ctx) => { ctx.body = page('Signed out', '<p>You are signed out.</p>'); },
    },
    revocation: { enabled: true },
    introspection: { enabled: true },
    clientCredentials: { enabled: true },
    deviceFlow: {
      enabled: true,
      userCodeInputSource: (ctx, form, _out, error) => {
        ctx.status = error ? 400 : 200;
        ctx.body = page('Connect a device', form);
      },
      userCodeConfirmSource: (ctx, form, _client, _info, code) => {
        ctx.body = page('Connect a device', `<p>Is this the code on your device? ${code}</p>${form}`);
      },
      successSource: (ctx) => { ctx.body = page('Connected', '<p id="connected">You may close this page.</p>'); },
    },
    resourceIndicators: {
      enabled: true,
      // The browser's client gets opaque tokens for userinfo; all others get tokens for the resource.
      defaultResource: (_, client) => (client.clientId === given.browser_client_id ? undefined : RESOURCE),
      useGrantedResource: () => true,
      getResourceServerInfo: (_, resource) => {
        if (resource !== RESOURCE) throw new errors.InvalidTarget();
        return {
          audience: RESOURCE,
          scope: given.resource_scopes.join(' '),
          accessTokenFormat: 'jwt',
          accessTokenTTL: 300,
          jwt: { sign: { alg: 'RS256' } },
        };
      },
    },
  },
  // Its own guard refuses loopback, where the gateway under test listens. Asks nobody but loopback, follows nothing.
  fetch: (url, options) => {
    if (!['127.0.0.1', 'localhost', '::1'].includes(new URL(url).hostname)) throw new Error('loopback only');
    const { dispatcher, agent, ...rest } = options ?? {};
    return globalThis.fetch(url, { ...rest, redirect: 'manual', signal: AbortSignal.timeout(5000) });
  },
};

const provider = new Provider(given.issuer, configuration);
for (const name of ['backchannel.success', 'backchannel.error', 'server_error', 'grant.error', 'authorization.error']) {
  provider.on(name, (_, ...rest) => {
    const error = rest.find((each) => each instanceof Error);
    events.push({ event: name, message: error ? `${error.message} ${error.error_description ?? ''}`.trim() : '' });
    if (error) console.error(name, error);
  });
}

// ---------------------------------------------------------------------------------------------- sign-in, three pages

// Half-done sign-ins by interaction: which factors were given, newest last.
const halfway = new Map();

function page(title, body) {
  return `<!doctype html><html lang="en"><title>${title}</title><main><h1>${title}</h1>${body}</main></html>`;
}

function question(uid, name, label, type, wrong) {
  const hint = wrong ? '<p id="error">That is not right. Try again.</p>' : '';
  return page('Example Company', `${hint}<form method="post" action="/interaction/${uid}"><label>${label}
    <input name="${name}" type="${type}" autocomplete="off" required></label><button>Go on</button></form>`);
}

const STEPS = { login: ['Your name', 'text'], password: ['Password', 'password'], otp: ['One-time code', 'text'] };

async function interaction(request, response, uid) {
  const details = await provider.interactionDetails(request, response);
  if (details.uid !== uid) throw new Error('another interaction than this browser has');
  if (details.prompt.name === 'consent') return consent(request, response, details);
  const so = halfway.get(uid) ?? { step: 'login', amr: [] };
  halfway.set(uid, so);
  if (request.method === 'GET') return send(response, 200, question(uid, so.step, ...STEPS[so.step]));
  const form = new URLSearchParams(await read(request));
  const person = people.get(so.name ?? form.get('login') ?? '');
  if (so.step === 'login') {
    so.name = form.get('login') ?? '';
    so.step = 'password';
  } else if (so.step === 'password') {
    if (!person || !person.is_active || !same(form.get('password') ?? '', person.password)) {
      return send(response, 200, question(uid, 'password', ...STEPS.password, true));
    }
    so.amr.push('pwd');
    so.step = person.totp_secret ? 'otp' : 'done';
  } else {
    if (!isCode(person.totp_secret, form.get('otp') ?? '')) {
      return send(response, 200, question(uid, 'otp', ...STEPS.otp, true));
    }
    so.amr.push('otp', 'mfa');
    so.step = 'done';
  }
  if (so.step !== 'done') return send(response, 200, question(uid, so.step, ...STEPS[so.step]));
  halfway.delete(uid);
  const login = { accountId: so.name, acr: so.amr.includes('otp') ? TWO_FACTORS : ONE_FACTOR, amr: so.amr };
  return provider.interactionFinished(request, response, { login }, { mergeWithLastSubmission: false });
}

// Programs on people's own machines are asked about each time (RFC 8252, 8.6): anyone can pretend to be one.
async function consent(request, response, details) {
  if (request.method === 'GET') {
    return send(response, 200, page('Example Company', `<form method="post" action="/interaction/${details.uid}">
      <p>Let ${details.params.client_id} act for you?</p><button name="confirm" value="yes">Yes</button></form>`));
  }
  const grant = details.grantId
    ? await provider.Grant.find(details.grantId)
    : new provider.Grant({ accountId: details.session.accountId, clientId: details.params.client_id });
  const { missingOIDCScope, missingResourceScopes } = details.prompt.details;
  if (missingOIDCScope) grant.addOIDCScope(missingOIDCScope.join(' '));
  for (const [resource, scopes] of Object.entries(missingResourceScopes ?? {})) {
    grant.addResourceScope(resource, scopes.join(' '));
  }
  const result = { consent: { grantId: await grant.save() } };
  return provider.interactionFinished(request, response, result, { mergeWithLastSubmission: true });
}

function same(one, other) {
  const digest = (text) => createHmac('sha256', given.secret_key).update(text).digest();
  return timingSafeEqual(digest(one), digest(other));
}

// RFC 6238 with its defaults, one step of tolerance to either side.
function isCode(secret, code) {
  const now = Math.floor(Date.now() / 30000);
  return [now, now - 1, now + 1].some((counter) => same(totp(secret, counter), code));
}

function totp(secret, counter) {
  const bits = [...secret.replace(/=+$/, '')].map((c) => 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'.indexOf(c)
    .toString(2).padStart(5, '0')).join('');
  const key = Buffer.from(bits.match(/.{8}/g).map((byte) => parseInt(byte, 2)));
  const moment = Buffer.alloc(8);
  moment.writeBigUInt64BE(BigInt(counter));
  const mac = createHmac('sha1', key).update(moment).digest();
  const offset = mac[19] & 15;
  return String((mac.readUInt32BE(offset) & 0x7fffffff) % 1_000_000).padStart(6, '0');
}

// ------------------------------------------------------------------------------------------------------------ control

async function control(request, response, path) {
  if (!same(request.headers.authorization ?? '', `Bearer ${given.control_token}`)) return send(response, 401, '');
  if (path === 'events') return send(response, 200, JSON.stringify(events), 'application/json');
  const person = people.get(path.replace('people/', ''));
  if (request.method !== 'POST' || !person) return send(response, 404, '');
  Object.assign(person, JSON.parse(await read(request)));
  return send(response, 204, '');
}

async function read(request) {
  let text = '';
  for await (const chunk of request) {
    text += chunk;
    if (text.length > 65536) throw new Error('too long');
  }
  return text;
}

function send(response, status, body, type = 'text/html; charset=utf-8') {
  response.writeHead(status, { 'content-type': type, 'cache-control': 'no-store' });
  response.end(body);
}

const callback = provider.callback();
const server = createServer((request, response) => {
  const { pathname } = new URL(request.url, given.issuer);
  const [, first, ...rest] = pathname.split('/');
  if (first !== 'interaction' && first !== 'control') return callback(request, response);
  const answer = first === 'control' ? control : interaction;
  return answer(request, response, rest.join('/')).catch((error) => {
    console.error(error);
    if (!response.headersSent) send(response, 400, page('Stopped', '<p>This sign-in can not go on.</p>'));
  });
});
server.listen(given.port, given.host, () => console.log(`listening at ${given.issuer}`));
process.on('SIGTERM', () => { server.closeAllConnections(); server.close(() => process.exit(0)); });
