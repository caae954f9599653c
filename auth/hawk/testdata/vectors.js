// Writes npm.json: what the npm packages hawk and taskcluster-client make of some requests.
// Run with `npm install taskcluster-client@55.3.2` in a folder of its own, then
// `NODE_PATH=that/folder/node_modules node vectors.js > npm.json`. Seeds are drawn by the package, so
// a new run changes the file.
const hawk = require('hawk');
const tc = require('taskcluster-client');
const url = require('url');

const out = {headers: [], bewits: [], temporary: [], payload: []};
const issuer = {clientId: 'tester/one', accessToken: 'WM2LbkqBQK6K7xw3zQ1Rkgabcdefghijklmnopqrstuv'};
const start = 1700000000123;
const expiry = 1700003600456;

function temporary(options) {
  const credentials = tc.createTemporaryCredentials({
    credentials: issuer, start: new Date(start), expiry: new Date(expiry), ...options});
  out.temporary.push({issuer, name: options.clientId || '', scopes: options.scopes, credentials, start, expiry});
  return credentials;
}

function ext(credentials, authorizedScopes) {
  const e = {};
  if (credentials.certificate) { e.certificate = JSON.parse(credentials.certificate); }
  if (authorizedScopes) { e.authorizedScopes = authorizedScopes; }
  return Object.keys(e).length ? Buffer.from(JSON.stringify(e)).toString('base64') : undefined;
}

function place(u) {
  const p = url.parse(u);
  return {resource: p.path, host: p.hostname, port: +(p.port || (p.protocol === 'http:' ? 80 : 443))};
}

const unnamed = temporary({scopes: ['queue:*', 'a:<b>&c']});
const named = temporary({scopes: ['x', 'y:*'], clientId: 'tester/named'});
const none = temporary({scopes: []});
const callers = [[issuer, null], [issuer, ['a:*', 'b<']], [unnamed, null], [named, ['x']], [none, []]];
const urls = ['http://localhost:8080/api/queue/v1/task/abc?limit=5&x=%2Fy', 'https://TC.example.com/api/auth/v1/client/a%2Fb',
  'http://h.example/x?', 'https://h.example', 'http://[::1]:99/p'];

urls.forEach((u, i) => {
  const [credentials, authorizedScopes] = callers[i];
  const key = {id: credentials.clientId, key: credentials.accessToken, algorithm: 'sha256'};
  const e = ext(credentials, authorizedScopes);
  const method = i % 2 ? 'get' : 'POST';
  const common = {credentials, authorizedScopes, url: u, ext: e || ''};
  for (const payload of [null, '{"a":1}']) {
    const options = {credentials: key, ext: e, timestamp: 1700000000 + i, nonce: 'nOnce' + i, contentType: 'application/json; charset=utf-8'};
    if (payload !== null) { options.payload = payload; }
    const {header} = hawk.client.header(u, method, options);
    out.headers.push({...common, method, ts: options.timestamp, nonce: options.nonce, payload, header, ...place(u)});
  }
  const bewit = hawk.client.getBewit(u, {credentials: key, ttlSec: 900, ext: e});
  const parts = url.parse(u);
  parts.search = (parts.search ? parts.search + '&' : '?') + 'bewit=' + bewit;
  const expires = +Buffer.from(bewit, 'base64url').toString().split('\\')[1];
  out.bewits.push({...common, expires, bewit, ...place(url.format(parts))});
});
for (const [contentType, body] of [['application/json', '{}'], ['Text/Plain; charset=utf-8', 'héllo'], ['', '']]) {
  out.payload.push({contentType, body, hash: hawk.crypto.calculatePayloadHash(body, 'sha256', contentType)});
}
console.log(JSON.stringify(out, null, 1));
