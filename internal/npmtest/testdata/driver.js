// Drives a server with the npm package taskcluster-client, one scenario a run:
//   node driver.js SCENARIO
// The server and the credentials of its operator come in TASKCLUSTER_ROOT_URL,
// TASKCLUSTER_CLIENT_ID and TASKCLUSTER_ACCESS_TOKEN. A scenario that throws fails.
'use strict';

const assert = require('node:assert/strict');
const crypto = require('node:crypto');
const http = require('node:http');
const { Readable, Writable } = require('node:stream');
const tc = require('taskcluster-client');

const rootUrl = process.env.TASKCLUSTER_ROOT_URL;
const root = {
  clientId: process.env.TASKCLUSTER_CLIENT_ID,
  accessToken: process.env.TASKCLUSTER_ACCESS_TOKEN,
};
const options = { rootUrl, credentials: root, retries: 0 };
const queue = new tc.Queue(options);
const worker = { workerGroup: 'npm-group', workerId: 'npm-worker' };

/** A queue that no other scenario uses. */
const freshQueue = () => `npm-test/q${crypto.randomBytes(6).toString('hex')}`;

const definition = (taskQueueId, more = {}) => ({
  taskQueueId,
  schedulerId: 'npm-test',
  created: tc.fromNow('0 seconds'),
  deadline: tc.fromNow('1 hour'),
  expires: tc.fromNow('1 day'),
  payload: { command: [['true']], maxRunTime: 60 },
  metadata: { name: 'npm', description: 'made by the npm client', owner: 'npm@example.com', source: 'https://example.com/npm' },
  ...more,
});

const create = async (taskQueueId, more) => {
  const taskId = tc.slugid();
  await queue.createTask(taskId, definition(taskQueueId, more));
  return taskId;
};

const claimOne = async taskQueueId => {
  const { tasks } = await queue.claimWork(taskQueueId, { ...worker, tasks: 1 });
  assert.equal(tasks.length, 1);
  const [claim] = tasks;
  return { claim, taskId: claim.status.taskId, runId: claim.runId, own: new tc.Queue({ rootUrl, credentials: claim.credentials, retries: 0 }) };
};

/** Expects a call to be refused with a status and a code. */
const refused = async (promise, statusCode, code) => {
  await assert.rejects(promise, err => {
    assert.equal(err.statusCode, statusCode, err.message);
    if (code) {
      assert.equal(err.code, code);
    }
    return true;
  });
};

/** GETs a URL as a program without credentials would. */
const get = url => new Promise((resolve, reject) => {
  http.get(url, res => {
    const chunks = [];
    res.on('data', chunk => chunks.push(chunk));
    res.on('end', () => resolve({ status: res.statusCode, headers: res.headers, body: Buffer.concat(chunks) }));
  }).on('error', reject);
});

/** GETs a URL and follows redirects. */
const getAll = async url => {
  let res = await get(url);
  for (let i = 0; res.status === 303 && i < 5; i++) {
    res = await get(new URL(res.headers.location, url));
  }
  return res;
};

const object = credentials => new tc.Object({ rootUrl, credentials, retries: 0 });

const putArtifact = async (own, taskId, runId, name, data) => {
  const expires = tc.fromNow('12 hours');
  const made = await own.createArtifact(taskId, runId, name, {
    storageType: 'object', contentType: 'text/plain', contentLength: data.length, expires,
  });
  await tc.upload({
    projectId: made.projectId, name: made.name, contentType: 'text/plain', contentLength: data.length,
    expires: made.expires, object: object(made.credentials), uploadId: made.uploadId,
    streamFactory: async () => Readable.from([data]), retries: 0,
  });
  await own.finishArtifact(taskId, runId, name, { uploadId: made.uploadId });
};

const scenarios = {
  async lifecycle() {
    const tq = freshQueue();
    const taskId = tc.slugid();
    const wanted = definition(tq);
    const { status } = await queue.createTask(taskId, wanted);
    assert.equal(status.state, 'pending');
    assert.equal(status.taskGroupId, taskId);
    const again = await queue.createTask(taskId, wanted);
    assert.equal(again.status.runs.length, 1);
    await refused(queue.createTask(taskId, definition(tq, { priority: 'high' })), 409, 'RequestConflict');

    const read = await queue.task(taskId);
    assert.equal(read.taskQueueId, tq);
    assert.equal(`${read.provisionerId}/${read.workerType}`, tq);
    assert.equal(read.priority, 'lowest');
    assert.equal(read.retries, 5);

    const { claim, runId, own } = await claimOne(tq);
    assert.equal(claim.status.taskId, taskId);
    assert.equal(claim.status.state, 'running');
    assert.equal(claim.workerId, worker.workerId);
    assert.deepEqual(claim.task.payload, wanted.payload);
    assert.ok(claim.credentials.clientId.startsWith(`task-client/${taskId}/0/on/${worker.workerGroup}/${worker.workerId}/until/`));

    const renewed = await own.reclaimTask(taskId, runId);
    assert.ok(new Date(renewed.takenUntil) >= new Date(claim.takenUntil));
    const newest = new tc.Queue({ rootUrl, credentials: renewed.credentials, retries: 0 });
    const done = await newest.reportCompleted(taskId, runId);
    assert.equal(done.status.state, 'completed');
    assert.equal((await newest.reportCompleted(taskId, runId)).status.state, 'completed');
    await refused(newest.reportFailed(taskId, runId), 409, 'RequestConflict');
    await refused(newest.reclaimTask(taskId, runId), 409, 'RequestConflict');
    assert.equal((await queue.status(taskId)).status.runs[0].reasonResolved, 'completed');

    const { status: rerun } = await queue.rerunTask(taskId);
    assert.equal(rerun.state, 'pending');
    assert.equal(rerun.runs.length, 2);
    assert.equal((await queue.cancelTask(taskId)).status.runs[1].reasonResolved, 'canceled');
  },

  async claims() {
    const tq = freshQueue();
    const low = await create(tq, { priority: 'low' });
    const high = await create(tq, { priority: 'highest' });
    const { tasks } = await queue.claimWork(tq, { ...worker, tasks: 4 });
    assert.deepEqual(tasks.map(t => t.status.taskId), [high, low]);

    const first = new tc.Queue({ rootUrl, credentials: tasks[0].credentials, retries: 0 });
    await refused(first.reportCompleted(low, 0), 403, 'InsufficientScopes');
    const { status } = await first.reportException(high, 0, { reason: 'worker-shutdown' });
    assert.equal(status.state, 'pending');
    assert.deepEqual(status.runs.map(r => r.reasonCreated), ['scheduled', 'retry']);

    // A worker that waits is answered as soon as there is work.
    const other = freshQueue();
    const waiting = queue.claimWork(other, { ...worker, tasks: 1 });
    const late = await create(other);
    assert.equal((await waiting).tasks[0].status.taskId, late);
  },

  async dependencies() {
    const tq = freshQueue();
    const first = await create(tq);
    const second = await create(tq, { taskGroupId: first, dependencies: [first] });
    assert.equal((await queue.status(second)).status.state, 'unscheduled');
    const { own } = await claimOne(tq);
    await own.reportCompleted(first, 0);
    assert.equal((await claimOne(tq)).taskId, second);
    const { tasks } = await queue.listDependentTasks(first);
    assert.deepEqual(tasks.map(t => t.status.taskId), [second]);
    await refused(queue.createTask(tc.slugid(), definition(tq, { dependencies: [tc.slugid()] })), 400);
  },

  async artifacts() {
    const tq = freshQueue();
    await create(tq);
    const { taskId, runId, own } = await claimOne(tq);
    const small = Buffer.from('a small text\n');
    const large = crypto.randomBytes(300000);
    await putArtifact(own, taskId, runId, 'public/small.txt', small);
    await putArtifact(own, taskId, runId, 'public/large.bin', large);
    await own.createArtifact(taskId, runId, 'public/link', {
      storageType: 'link', artifact: 'public/small.txt', contentType: 'text/plain', expires: tc.fromNow('12 hours') });
    await own.createArtifact(taskId, runId, 'public/gone', {
      storageType: 'error', reason: 'file-missing-on-worker', message: 'not there', expires: tc.fromNow('12 hours') });
    await own.reportCompleted(taskId, runId);

    const names = (await queue.listArtifacts(taskId, runId)).artifacts.map(a => a.name).sort();
    assert.deepEqual(names, ['public/gone', 'public/large.bin', 'public/link', 'public/small.txt']);

    const { storageType, url } = await queue.getArtifact(taskId, runId, 'public/small.txt');
    assert.equal(storageType, 'object');
    assert.deepEqual((await getAll(url)).body, small);
    const linked = await queue.getLatestArtifact(taskId, 'public/link');
    assert.deepEqual((await getAll(linked.url)).body, small);
    await refused(queue.getArtifact(taskId, runId, 'public/gone'), 424);
    await refused(queue.getArtifact(taskId, runId, 'public/never'), 404, 'ResourceNotFound');

    // The package's own download verifies the hashes that the server names.
    const chunks = [];
    await tc.downloadArtifact({
      taskId, runId, name: 'public/large.bin', queue, retries: 0,
      streamFactory: async () => new Writable({ write(chunk, _, done) { chunks.push(chunk); done(); } }),
    });
    assert.deepEqual(Buffer.concat(chunks), large);

    // Public artifacts need no credentials, private ones do.
    const anonymous = new tc.Queue({ rootUrl, retries: 0 });
    assert.ok((await anonymous.getArtifact(taskId, runId, 'public/small.txt')).url);
    await refused(anonymous.getArtifact(taskId, runId, 'private/x'), 403, 'InsufficientScopes');
  },

  async groups() {
    const tq = freshQueue();
    const taskGroupId = tc.slugid();
    const made = new Set();
    for (let i = 0; i < 7; i++) {
      made.add(await create(tq, { taskGroupId }));
    }
    const seen = [];
    let pages = 0;
    let query = { limit: 3 };
    do {
      const page = await queue.listTaskGroup(taskGroupId, query);
      assert.equal(page.taskGroupId, taskGroupId);
      assert.equal(page.schedulerId, 'npm-test');
      assert.ok(page.tasks.length <= 3);
      seen.push(...page.tasks.map(t => t.status.taskId));
      pages++;
      query = page.continuationToken ? { limit: 3, continuationToken: page.continuationToken } : null;
    } while (query);
    assert.ok(pages >= 3);
    assert.deepEqual(new Set(seen), made);
    assert.equal(seen.length, 7);

    let handled = 0;
    await queue.listTaskGroup(taskGroupId, { limit: 2 }).then(p => { handled += p.tasks.length; });
    assert.equal(handled, 2);
    const unknown = await get(`${queue.buildUrl(queue.listTaskGroup, taskGroupId)}?colour=blue`);
    assert.equal(unknown.status, 400);
    assert.equal(JSON.parse(unknown.body).code, 'InvalidRequestArguments');

    await queue.sealTaskGroup(taskGroupId);
    await refused(queue.createTask(tc.slugid(), definition(tq, { taskGroupId })), 409, 'RequestConflict');
    assert.equal((await queue.cancelTaskGroup(taskGroupId)).cancelledCount, 7);
  },

  async temporaryCredentials() {
    const tq = freshQueue();
    const taskId = await create(tq);
    const make = (more = {}) => tc.createTemporaryCredentials({
      start: new Date(), expiry: tc.fromNow('1 hour'), scopes: [`queue:cancel-task:npm-test/${taskId}/${taskId}`], credentials: root, ...more,
    });
    const as = credentials => new tc.Queue({ rootUrl, credentials, retries: 0 });

    // named and unnamed ones work within their scopes
    const named = make({ clientId: 'npm-named/1' });
    await refused(as(named).createTask(tc.slugid(), definition(tq)), 403, 'InsufficientScopes');
    assert.equal((await as(named).cancelTask(taskId)).status.state, 'exception');
    assert.equal((await as(make()).cancelTask(taskId)).status.state, 'exception');
    const auth = new tc.Auth({ rootUrl, credentials: named, retries: 0 });
    assert.ok((await auth.currentScopes()).scopes.includes(`queue:cancel-task:npm-test/${taskId}/${taskId}`));

    // expired, not yet valid, and forged ones do not
    const hour = 3600 * 1000;
    await refused(as(make({ start: new Date(Date.now() - 2 * hour), expiry: new Date(Date.now() - hour) })).cancelTask(taskId), 401, 'AuthenticationFailed');
    await refused(as(make({ start: new Date(Date.now() + hour), expiry: new Date(Date.now() + 2 * hour) })).cancelTask(taskId), 401, 'AuthenticationFailed');
    const forged = make();
    const certificate = JSON.parse(forged.certificate);
    certificate.scopes = ['*'];
    await refused(as({ ...forged, certificate: JSON.stringify(certificate) }).cancelTask(taskId), 401, 'AuthenticationFailed');
    await refused(as({ ...root, accessToken: 'wrong' }).cancelTask(taskId), 401, 'AuthenticationFailed');

    // authorizedScopes limit a request further
    const limited = queue.use({ authorizedScopes: ['queue:nothing'] });
    await refused(limited.cancelTask(taskId), 403, 'InsufficientScopes');
  },

  async bewit() {
    const tq = freshQueue();
    await create(tq);
    const { taskId, runId, own } = await claimOne(tq);
    const secret = Buffer.from('not for everybody');
    await putArtifact(own, taskId, runId, 'private/a/b c.txt', secret);
    const name = 'private/a/b c.txt';
    const plain = queue.buildUrl(queue.getArtifact, taskId, runId, name);
    assert.equal((await get(plain)).status, 403);

    const signed = queue.buildSignedUrl(queue.getArtifact, taskId, runId, name, { expiration: 60 });
    assert.equal((await get(signed)).status, 303);
    assert.deepEqual((await getAll(signed)).body, secret);
    assert.equal((await get(signed.replace('b%20c', 'b%20d'))).status, 401);
    assert.equal((await get(`${signed}x`)).status, 401);

    // temporary credentials sign URLs as well
    const temporary = tc.createTemporaryCredentials({
      start: new Date(), expiry: tc.fromNow('1 hour'), scopes: [`queue:get-artifact:${name}`], credentials: root });
    const theirs = new tc.Queue({ rootUrl, credentials: temporary, retries: 0 });
    assert.deepEqual((await getAll(theirs.buildSignedUrl(queue.getArtifact, taskId, runId, name))).body, secret);
    const stale = queue.buildSignedUrl(queue.getArtifact, taskId, runId, name, { expiration: -10 });
    assert.equal((await get(stale)).status, 401);
  },

  async auth() {
    const auth = new tc.Auth(options);
    assert.deepEqual((await auth.expandScopes({ scopes: ['a:b', 'a:*'] })).scopes.includes('a:*'), true);
    const clientId = `npm-test/${crypto.randomBytes(6).toString('hex')}`;
    const made = await auth.createClient(clientId, { expires: tc.fromNow('1 day'), description: 'made by npm', scopes: ['assume:npm-role'] });
    await auth.createRole('npm-role', { description: 'r', scopes: ['queue:npm-scope:*'] });
    const theirs = new tc.Auth({ rootUrl, credentials: { clientId, accessToken: made.accessToken }, retries: 0 });
    assert.ok((await theirs.currentScopes()).scopes.includes('queue:npm-scope:*'));
    await auth.deleteRole('npm-role');
    await auth.deleteClient(clientId);
    await refused(theirs.currentScopes(), 401, 'AuthenticationFailed');
  },

  async otherSystems() {
    const auth = new tc.Auth(options);
    const tunnel = await auth.websocktunnelToken('npm', 'client.1~2');
    const [head, body, mac] = tunnel.token.split('.');
    const own = crypto.createHmac('sha256', process.env.NPMTEST_TUNNEL_SECRET).update(`${head}.${body}`).digest('base64url');
    assert.equal(own, mac);
    const claims = JSON.parse(Buffer.from(body, 'base64url'));
    assert.deepEqual([claims.tid, claims.aud, claims.sub, claims.iss], ['client.1~2', 'npm', root.clientId, 'taskcluster-auth']);
    assert.equal(new Date(tunnel.expires).getTime(), claims.exp * 1000);

    assert.deepEqual((await auth.azureAccounts()).accounts, ['npmaccount']);
    const limited = new tc.Auth({ ...options, authorizedScopes: ['auth:azure-table:read-write:npmaccount/things'] });
    const table = await limited.azureTableSAS('npmaccount', 'things', 'read-only');
    assert.equal(new URLSearchParams(table.sas).get('sp'), 'r');
    await refused(limited.azureTableSAS('npmaccount', 'others', 'read-only'), 403, 'InsufficientScopes');

    // What is not configured says so, whatever the form of the path.
    for (const prefix of ['', 'a', 'a/b c/', 'ü'.normalize()]) {
      const status = prefix === 'ü' ? [400, 'InvalidRequestArguments'] : [404, 'ResourceNotFound'];
      await refused(auth.awsS3Credentials('read-only', 'a-bucket', prefix), ...status);
    }
    await refused(auth.gcpCredentials('project', 'robot@project.example'), 404, 'ResourceNotFound');
    await refused(auth.sentryDSN('project'), 404, 'ResourceNotFound');
  },

  async secrets() {
    const secrets = new tc.Secrets(options);
    const name = `project/npm/${tc.slugid()}`; // with slashes, which the client encodes
    const value = { password: 'hunter2', nested: { list: [1, 2.5, null, 'ü'] } };
    const expires = tc.fromNow('1 hour');
    assert.deepEqual(await secrets.set(name, { secret: value, expires }), {});
    const got = await secrets.get(name);
    assert.deepEqual(got.secret, value);
    assert.equal(new Date(got.expires).toJSON(), new Date(expires).toJSON());
    await secrets.set(name, { secret: { password: 'other' }, expires });
    assert.equal((await secrets.get(name)).secret.password, 'other');

    const listed = [];
    let query = { limit: 1 };
    for (;;) {
      const page = await secrets.list(query);
      listed.push(...page.secrets);
      if (!page.continuationToken) {
        break;
      }
      query = { limit: 1, continuationToken: page.continuationToken };
    }
    assert.ok(listed.includes(name), listed);
    assert.ok(!JSON.stringify(listed).includes('hunter2'));

    const reader = new tc.Secrets({ ...options, authorizedScopes: [`secrets:get:${name}`] });
    assert.equal((await reader.get(name)).secret.password, 'other');
    await refused(reader.set(name, { secret: {}, expires }), 403, 'InsufficientScopes');
    await refused(reader.remove(name), 403, 'InsufficientScopes');
    const anybody = new tc.Secrets({ rootUrl, retries: 0 });
    await refused(anybody.get(name), 403, 'InsufficientScopes');
    await refused(anybody.get('project/npm/none'), 403, 'InsufficientScopes'); // there or not

    await assert.rejects(secrets.set(name, { secret: 'hunter2', expires }), err => {
      assert.equal(err.code, 'InputValidationError');
      assert.ok(!JSON.stringify(err.body).includes('hunter2'), 'the error repeats the value');
      return true;
    });
    await secrets.set(`${name}/past`, { secret: {}, expires: tc.fromNow('-1 second') });
    await refused(secrets.get(`${name}/past`), 404, 'ResourceNotFound');
    assert.deepEqual(await secrets.remove(name), {});
    assert.deepEqual(await secrets.remove(name), {});
    await refused(secrets.get(name), 404, 'ResourceNotFound');

    // This release of the client has no method for the audit trail.
    const Trail = tc.createClient({ serviceName: 'auth', apiVersion: 'v1', entries: [{
      type: 'function', method: 'get', name: 'history', route: '/audit/<entityType>/<entityId>', args: ['entityType', 'entityId'], query: [],
    }] });
    const { auditHistory } = await new Trail(options).history('secret', name);
    assert.deepEqual(auditHistory.map(r => r.actionType), ['deleted', 'read', 'read', 'updated', 'read', 'created']);
    assert.ok(auditHistory.every(r => r.clientId === root.clientId));
    assert.equal((await secrets.ping()).alive, true);
  },

  async purgeCache() {
    const purge = new tc.PurgeCache(options);
    const pool = freshQueue();
    const [provisionerId, workerType] = pool.split('/');
    assert.deepEqual(await purge.purgeRequests(pool), { requests: [] });
    const before = Date.now();
    await purge.purgeCache(pool, { cacheName: 'one' });
    await purge.purgeCache(pool, { cacheName: 'two' });
    await purge.purgeCache(pool, { cacheName: 'one' });
    const { requests } = await purge.purgeRequests(pool);
    assert.deepEqual(requests.map(r => [r.provisionerId, r.workerType, r.cacheName]),
      [[provisionerId, workerType, 'one'], [provisionerId, workerType, 'two']]);
    assert.ok(requests.every(r => Math.abs(new Date(r.before) - before) < 60000), requests);
    assert.deepEqual((await purge.purgeRequests(pool, { since: tc.fromNow('1 hour').toJSON() })).requests, []);
    assert.equal((await purge.purgeRequests(pool, { since: tc.fromNow('-1 hour').toJSON() })).requests.length, 2);

    const all = [];
    let query = { limit: 1 };
    for (;;) {
      const page = await purge.allPurgeRequests(query);
      all.push(...page.requests);
      if (!page.continuationToken) {
        break;
      }
      query = { limit: 1, continuationToken: page.continuationToken };
    }
    assert.equal(all.filter(r => r.workerType === workerType).length, 2);

    const worker = new tc.PurgeCache({ ...options, authorizedScopes: [`purge-cache:purge-requests::${pool}`] });
    assert.equal((await worker.purgeRequests(pool)).requests.length, 2);
    await refused(worker.purgeCache(pool, { cacheName: 'one' }), 403, 'InsufficientScopes');
    const one = new tc.PurgeCache({ ...options, authorizedScopes: [`purge-cache:${pool}:one`] });
    await one.purgeCache(pool, { cacheName: 'one' });
    await refused(one.purgeCache(pool, { cacheName: 'two' }), 403, 'InsufficientScopes');
    await refused(purge.purgeCache(pool, {}), 400, 'InputValidationError');
    assert.equal((await purge.ping()).alive, true);
  },

  async notify() {
    const notify = new tc.Notify(options);
    const once = crypto.randomBytes(6).toString('hex');
    // Sent, then a duplicate; to this client both are fine.
    const twice = async (method, body) => {
      await notify[method](body);
      await notify[method](body);
    };
    const address = `npm-${once}@example.com`;
    const email = { address, subject: once, content: '# Hello\n\nfrom *npm*', link: { text: 'Look', href: 'https://example.com/' }, replyTo: 'me@example.com', template: 'simple' };
    await twice('email', email);
    await twice('pulse', { routingKey: `npm.${once}`, message: { a: [1, { b: null }] } });
    await twice('matrix', { roomId: '!whDRjjSmICCgrhFHsQ:example.org', body: once, format: 'org.matrix.custom.html', formattedBody: '<b>x</b>', msgtype: 'm.text' });
    await twice('slack', { channelId: 'C0PUBLIC', text: once, blocks: [{ type: 'divider' }], attachments: [], unfurlLinks: false, unfurlMedia: true });

    await refused(notify.email({ ...email, subject: 'a\r\nBcc: x@example.com' }), 400, 'InputError');
    await refused(notify.email({ ...email, address: 'nobody' }), 400, 'InputValidationError');
    await refused(notify.matrix({ roomId: '!elsewhere:example.org', body: once }), 400, 'InputError');
    await refused(notify.slack({ channelId: 'C404', text: once }), 400, 'InputError');
    const little = new tc.Notify({ ...options, authorizedScopes: [`notify:email:${address}`] });
    await little.email({ ...email, subject: `${once} again` });
    await refused(little.email({ ...email, address: 'other@example.com' }), 403, 'InsufficientScopes');
    await refused(little.pulse({ routingKey: 'x', message: {} }), 403, 'InsufficientScopes');
    await refused(little.listDenylist(), 403, 'InsufficientScopes');

    const denied = { notificationType: 'email', notificationAddress: address };
    await notify.addDenylistAddress(denied);
    await notify.addDenylistAddress({ notificationType: 'slack-channel', notificationAddress: once });
    await refused(notify.email({ ...email, subject: `${once} denied` }), 400, 'DenylistedAddress');
    const listed = [];
    let query = { limit: 1 };
    for (;;) {
      const page = await notify.listDenylist(query);
      listed.push(...page.addresses);
      if (!page.continuationToken) {
        break;
      }
      query = { limit: 1, continuationToken: page.continuationToken };
    }
    assert.deepEqual(listed.filter(a => a.notificationAddress === address), [denied]);
    await notify.deleteDenylistAddress(denied);
    await notify.deleteDenylistAddress(denied);
    await notify.email({ ...email, subject: `${once} allowed` });
    assert.equal((await notify.ping()).alive, true);
  },

  async hooks() {
    const hooks = new tc.Hooks(options);
    const auth = new tc.Auth(options);
    const group = `npm-${crypto.randomBytes(4).toString('hex')}`;
    const id = 'some/hook';
    const tq = freshQueue();
    const { created, ...template } = definition(tq, { deadline: { $fromNow: '2 hours' }, payload: { $eval: 'payload' }, schedulerId: 'npm-test', scopes: ['npm:scope'] });
    const hook = {
      metadata: { name: 'npm', description: 'made by the npm client', owner: 'npm@example.com' },
      schedule: ['0 3 * * 1-5', '0 0 12 L * *'],
      bindings: [{ exchange: 'exchange/taskcluster-queue/v1/task-completed', routingKeyPattern: '#' }],
      task: template,
      triggerSchema: { type: 'object', properties: { n: { type: 'integer' } }, required: ['n'] },
    };
    await refused(hooks.hook(group, id), 404, 'ResourceNotFound');
    await refused(hooks.listHooks(group), 404, 'ResourceNotFound');
    await refused(hooks.updateHook(group, id, hook), 404, 'ResourceNotFound');
    await refused(hooks.createHook(group, id, { ...hook, schedule: ['0 0 30 2 *'] }), 400, 'InputError');
    await refused(hooks.createHook(group, id, { ...hook, hookId: 'other' }), 400, 'InputError');
    await refused(hooks.createHook(group, id, { ...hook, metadata: { name: 'x' } }), 400, 'InputValidationError');
    await refused(hooks.createHook(group, id, { ...hook, bindings: [{ exchange: 'exchange/taskcluster-hooks/v1/hook-created', routingKeyPattern: '#' }] }), 400, 'InputError');
    const made = await hooks.createHook(group, id, hook);
    assert.equal(made.metadata.emailOnError, true);
    assert.deepEqual(await hooks.createHook(group, id, hook), made);
    await refused(hooks.createHook(group, id, { ...hook, schedule: [] }), 409, 'RequestConflict');
    assert.deepEqual(await hooks.hook(group, id), made);
    assert.deepEqual(await hooks.listHooks(group), { hooks: [made] });
    assert.ok((await hooks.listHookGroups()).groups.includes(group));

    const status = await hooks.getHookStatus(group, id);
    assert.equal(status.lastFire.result, 'no-fire');
    assert.ok(new Date(status.nextScheduledDate) > new Date());
    await refused(hooks.listLastFires(group, id), 404, 'ResourceNotFound');

    // The caller may do everything, the hook's role nothing yet.
    await refused(hooks.triggerHook(group, id, { n: 1 }), 403, 'InsufficientScopes');
    await auth.createRole(`hook-id:${group}/${id}`, {
      description: 'npm', scopes: [`queue:create-task:lowest:${tq}`, 'queue:create-task:project:none', 'queue:scheduler-id:npm-test', 'npm:scope'],
    });
    const fired = await hooks.triggerHook(group, id, { n: 1 });
    assert.equal(fired.status.taskId, fired.taskId);
    const task = await queue.task(fired.taskId);
    assert.deepEqual(task.payload, { n: 1 });
    assert.deepEqual(task.scopes, ['npm:scope']);
    assert.equal(task.taskGroupId, fired.taskId);
    await refused(hooks.triggerHook(group, id, { n: 'x' }), 400, 'InputError');
    await refused(hooks.triggerHook(group, 'none', { n: 1 }), 404, 'ResourceNotFound');
    const wanted = tc.slugid();
    assert.equal((await hooks.triggerHook(group, id, { n: 2, taskId: wanted })).taskId, wanted);

    const { token } = await hooks.getTriggerToken(group, id);
    const stranger = new tc.Hooks({ rootUrl, retries: 0 });
    assert.ok((await stranger.triggerHookWithToken(group, id, token, { n: 3 })).taskId);
    await refused(stranger.triggerHookWithToken(group, id, tc.slugid(), { n: 3 }), 401, 'AuthenticationFailed');
    await refused(stranger.triggerHookWithToken(group, 'none', token, { n: 3 }), 404, 'ResourceNotFound');
    const reset = await hooks.resetTriggerToken(group, id);
    assert.notEqual(reset.token, token);
    await refused(stranger.triggerHookWithToken(group, id, token, { n: 3 }), 401, 'AuthenticationFailed');
    await refused(stranger.getTriggerToken(group, id), 403, 'InsufficientScopes');

    const page = await hooks.listLastFires(group, id, { limit: 1 });
    assert.equal(page.lastFires.length, 1);
    assert.equal(page.lastFires[0].firedBy, 'triggerHookWithToken');
    assert.equal(page.lastFires[0].taskState, 'pending');
    const rest = await hooks.listLastFires(group, id, { continuationToken: page.continuationToken });
    assert.equal(rest.lastFires.length, 3);
    assert.equal(rest.continuationToken, undefined);
    assert.equal(rest.lastFires[2].result, 'error');
    assert.ok(rest.lastFires[2].error.includes(`hook-id:${group}/${id}`));
    assert.equal((await hooks.getHookStatus(group, id)).lastFire.taskId, page.lastFires[0].taskId);

    const changed = await hooks.updateHook(group, id, { ...hook, schedule: [], task: { $if: 'payload.n > 5', then: template } });
    assert.deepEqual(changed.schedule, []);
    assert.deepEqual(await hooks.triggerHook(group, id, { n: 5 }), {});
    await hooks.updateHook(group, id, { ...hook, task: { payload: { $map: { $eval: 'range(0, 100000000)' }, 'each(x)': 1 } } });
    await refused(hooks.triggerHook(group, id, { n: 1 }), 400, 'InputError');
    await hooks.removeHook(group, id);
    await hooks.removeHook(group, id);
    await refused(hooks.hook(group, id), 404, 'ResourceNotFound');
  },

  async github() {
    const github = new tc.Github(options);
    assert.deepEqual(await github.repository('acme', 'app'), { installed: true });
    assert.deepEqual(await github.repository('acme', 'other'), { installed: false });
    let builds = [];
    for (const end = Date.now() + 30000; builds.length < 2 && Date.now() < end; await new Promise(done => setTimeout(done, 100))) {
      ({ builds } = await github.builds({ organization: 'acme', repository: 'app' }));
    }
    assert.deepEqual(builds.map(b => b.eventType).sort(), ['pull_request.opened', 'push']);
    const push = builds.find(b => b.eventType === 'push');
    const pull = builds.find(b => b.eventType !== 'push');
    assert.deepEqual([push.state, push.organization, push.repository, push.pullRequestNumber], ['pending', 'acme', 'app', undefined]);
    assert.equal(pull.pullRequestNumber, 1);
    assert.match(push.eventId, /^[0-9a-f]{8}-/);
    const first = await github.builds({ limit: 1 });
    assert.equal(first.builds.length, 1);
    const rest = await github.builds({ limit: 1, continuationToken: first.continuationToken });
    assert.notEqual(rest.builds[0].taskGroupId, first.builds[0].taskGroupId);
    assert.equal((await github.builds({ organization: 'acme', repository: 'app', sha: push.sha })).builds.length, 1);
    assert.equal((await github.builds({ organization: 'acme', repository: 'app', pullRequest: 1 })).builds.length, 1);
    await refused(github.builds({ repository: 'app' }), 400, 'InputError');
    assert.equal((await queue.task(push.taskGroupId)).metadata.name, 'github-push');

    const badge = await get(github.buildSignedUrl(github.badge, 'acme', 'app', 'main'));
    assert.deepEqual([badge.status, badge.headers['content-type'], badge.headers['x-taskcluster-status']], [200, 'image/svg+xml', 'pending']);
    assert.match(badge.body.toString(), /^<svg .*pending/);
    const none = await get(github.buildSignedUrl(github.badge, 'acme', 'app', 'none'));
    assert.equal(none.headers['x-taskcluster-status'], 'newrepo');
    const latest = await get(github.buildSignedUrl(github.latest, 'acme', 'app', 'main'));
    assert.deepEqual([latest.status, latest.headers.location], [302, `${rootUrl}/tasks/groups/${push.taskGroupId}`]);
    await refused(github.latest('acme', 'app', 'none'), 404, 'ResourceNotFound');

    await github.createStatus('acme', 'app', push.sha, { state: 'success', context: 'npm', description: 'fine', target_url: 'https://example.com/npm' });
    await refused(github.createStatus('acme', 'app', push.sha, { state: 'running' }), 400, 'InputValidationError');
    await refused(github.createStatus('acme', 'app', 'f'.repeat(40), { state: 'success' }), 400);
    await refused(github.createStatus('acme', 'other', push.sha, { state: 'success' }), 404, 'ResourceNotFound');
    await github.createComment('acme', 'app', 1, { body: 'hello from npm' });
    await refused(github.createComment('acme', 'app', 77, { body: 'hello' }), 404, 'ResourceNotFound');

    const { tasks, scopes } = await github.renderTaskclusterYml({
      body: 'version: 1\ntasks: [{taskQueueId: a/b, deadline: {$fromNow: 1 day}, payload: {}, metadata: {name: n, description: d, owner: o@example.com, source: s}}]',
      fakeEvent: { type: 'github-pull-request', action: 'opened' }, organization: 'acme', repository: 'app',
    });
    assert.equal(tasks.length, 1);
    assert.ok(scopes.includes('assume:repo:github.com/acme/app:pull-request'));

    const few = new tc.Github({ ...options, authorizedScopes: ['github:cancel-builds:acme:other'] });
    await refused(few.cancelBuilds('acme', 'app', { pullRequest: 1 }), 403, 'InsufficientScopes');
    const cancelled = await github.cancelBuilds('acme', 'app', { pullRequest: 1 });
    assert.deepEqual(cancelled.builds.map(b => [b.taskGroupId, b.state]), [[pull.taskGroupId, 'cancelled']]);
    assert.equal((await queue.status(pull.taskGroupId)).status.state, 'exception');
    assert.equal((await github.ping()).alive, true);
  },

  async workerManager() {
    const called = new Set();
    const watched = credentials => new Proxy(new tc.WorkerManager({ rootUrl, credentials, retries: 0 }), {
      get(target, name) {
        called.add(name);
        return typeof target[name] === 'function' ? target[name].bind(target) : target[name];
      },
    });
    const wm = watched(root);
    // Older versions of the client do not know all endpoints.
    const known = name => typeof tc.WorkerManager.prototype[name] === 'function';
    const type = `w${crypto.randomBytes(6).toString('hex')}`;
    const pool = `npm-test/${type}`;
    const definition = { providerId: 'static', description: 'npm', owner: 'npm@example.com', emailOnError: false, config: { workerConfig: { a: 1 } } };

    assert.equal((await wm.ping()).alive, true);
    const { providers } = await wm.listProviders();
    assert.deepEqual(providers, [{ providerId: 'local', providerType: 'local' }, { providerId: 'null-provider', providerType: 'null' }, { providerId: 'static', providerType: 'static' }]);
    const made = await wm.createWorkerPool(pool, definition);
    assert.deepEqual([made.workerPoolId, made.currentCapacity, made.config], [pool, 0, definition.config]);
    assert.equal((await wm.createWorkerPool(pool, definition)).created, made.created); // for who lost the answer
    await refused(wm.createWorkerPool(pool, { ...definition, description: 'another' }), 409, 'RequestConflict');
    await refused(wm.createWorkerPool(`${pool}x`, { ...definition, providerId: 'none' }), 400);
    await refused(wm.createWorkerPool(`${pool}x`, { ...definition, config: { nonsense: true } }), 400, 'InputValidationError');
    const changed = await wm.updateWorkerPool(pool, { ...definition, description: 'changed' });
    assert.equal(changed.description, 'changed');
    assert.equal((await wm.workerPool(pool)).description, 'changed');
    assert.ok((await wm.listWorkerPools()).workerPools.some(p => p.workerPoolId === pool));

    const staticSecret = crypto.randomBytes(33).toString('base64url');
    const info = { expires: tc.fromNow('1 hour'), capacity: 2, providerInfo: { staticSecret } };
    const name = ['lab', 'bench-1'];
    assert.equal((await wm.createWorker(pool, ...name, info)).state, 'running');
    assert.equal((await wm.createWorker(pool, ...name, info)).state, 'running');
    await refused(wm.createWorker(pool, ...name, { ...info, providerInfo: { staticSecret: staticSecret.toUpperCase() } }), 409, 'RequestConflict');
    assert.equal((await wm.updateWorker(pool, ...name, { ...info, capacity: 3 })).capacity, 3);
    assert.equal((await wm.worker(pool, ...name)).capacity, 3);
    assert.equal((await wm.listWorkersForWorkerPool(pool)).workers.length, 1);
    assert.equal((await wm.listWorkersForWorkerGroup(pool, 'lab')).workers.length, 1);
    assert.equal((await wm.listWorkersForWorkerGroup(pool, 'none')).workers.length, 0);

    const register = { workerPoolId: pool, providerId: 'static', workerGroup: 'lab', workerId: 'bench-1', workerIdentityProof: { staticSecret } };
    const anonymous = watched(undefined);
    await refused(anonymous.registerWorker({ ...register, workerIdentityProof: { staticSecret: 'x'.repeat(44) } }), 400, 'InputError');
    const one = await anonymous.registerWorker(register);
    assert.deepEqual(one.workerConfig, { a: 1 });
    const own = watched(one.credentials);
    const again = { workerPoolId: pool, workerGroup: 'lab', workerId: 'bench-1', secret: one.secret };
    const two = await own.reregisterWorker(again);
    await refused(own.reregisterWorker(again), 400, 'InputError');
    assert.notEqual(two.secret, one.secret);
    if (known('shouldWorkerTerminate')) {
      assert.deepEqual(await own.shouldWorkerTerminate(pool, ...name), { terminate: false, reason: 'needed' });
    }
    await refused(own.deleteWorkerPool(pool), 403, 'InsufficientScopes');

    // The worker's credentials are good for work, and for no other worker's.
    const work = new tc.Queue({ rootUrl, credentials: two.credentials, retries: 0 });
    const taskId = await create(pool);
    const { tasks } = await work.claimWork(pool, { workerGroup: 'lab', workerId: 'bench-1', tasks: 1 });
    assert.equal(tasks[0].status.taskId, taskId);
    await refused(work.claimWork(pool, { workerGroup: 'lab', workerId: 'bench-2', tasks: 1 }), 403);

    const error = { workerGroup: 'lab', workerId: 'bench-1', kind: 'worker-error', title: 'Broken', description: 'it is', extra: { code: 'E7' } };
    const reported = await own.reportWorkerError(pool, error);
    assert.equal(reported.title, 'Broken');
    const { workerPoolErrors } = await wm.listWorkerPoolErrors(pool);
    assert.deepEqual(workerPoolErrors.map(e => e.errorId), [reported.errorId]);
    if (known('workerPoolErrorStats')) {
      const { totals } = await wm.workerPoolErrorStats({ workerPoolId: pool });
      assert.deepEqual([totals.total, totals.code, totals.title], [1, { E7: 1 }, { Broken: 1 }]);
    }

    const { workers } = await wm.listWorkers('npm-test', type);
    assert.deepEqual(workers.map(w => [w.workerId, w.state, w.capacity, w.latestTask.taskId]), [['bench-1', 'running', 3, taskId]]);
    assert.equal((await wm.listWorkers('npm-test', type, { quarantined: 'true' })).workers.length, 0);
    assert.equal((await wm.getWorker('npm-test', type, ...name)).providerId, 'static');

    const scaled = `npm-test/${type}s`;
    const launchConfigs = [{ workerManager: { launchConfigId: 'small', capacityPerInstance: 2 } }, { env: { BIG: '1' } }];
    const config = { minCapacity: 0, maxCapacity: 4, launchConfigs };
    await wm.createWorkerPool(scaled, { ...definition, providerId: 'local', config });
    if (known('listWorkerPoolLaunchConfigs')) {
      const { workerPoolLaunchConfigs } = await wm.listWorkerPoolLaunchConfigs(scaled);
      assert.equal(workerPoolLaunchConfigs.length, 2);
      assert.ok(workerPoolLaunchConfigs.some(c => c.launchConfigId === 'small'));
      await wm.updateWorkerPool(scaled, { ...definition, providerId: 'local', config: { ...config, launchConfigs: launchConfigs.slice(1) } });
      assert.equal((await wm.listWorkerPoolLaunchConfigs(scaled)).workerPoolLaunchConfigs.length, 1);
      assert.equal((await wm.listWorkerPoolLaunchConfigs(scaled, { includeArchived: true })).workerPoolLaunchConfigs.length, 2);
    }
    if (known('workerPoolStats')) {
      assert.equal((await wm.workerPoolStats(scaled)).launchConfigStats.length, 2);
    }
    if (known('listWorkerPoolsStats')) {
      assert.ok((await wm.listWorkerPoolsStats()).workerPoolsStats.some(p => p.workerPoolId === scaled));
    }

    // The worker is removed by itself; its task is given back at once.
    await own.removeWorker(pool, ...name);
    assert.equal((await queue.status(taskId)).status.runs[0].reasonResolved, 'worker-shutdown');
    assert.equal((await wm.deleteWorkerPool(pool)).providerId, 'null-provider');
    await wm.deleteWorkerPool(scaled);
    for (const probe of ['lbheartbeat', 'version', 'heartbeat']) {
      if (known(probe)) {
        await wm[probe]();
      }
    }
    const common = new Set(Object.getOwnPropertyNames(tc.Notify.prototype));
    const missing = Object.getOwnPropertyNames(tc.WorkerManager.prototype).filter(n => !common.has(n) && !called.has(n));
    assert.deepEqual(missing, []);
  },

  async index() {
    const tq = freshQueue();
    const path = `npm.${crypto.randomBytes(6).toString('hex')}.latest`;
    const taskId = await create(tq, { routes: [`index.${path}`], extra: { index: { rank: 3, data: { a: 1 } } } });
    const index = new tc.Index(options);
    await refused(index.findTask(path), 404, 'ResourceNotFound');
    const { own } = await claimOne(tq);
    await own.reportCompleted(taskId, 0);
    const found = await index.findTask(path);
    assert.equal(found.taskId, taskId);
    assert.equal(found.rank, 3);
    assert.deepEqual(found.data, { a: 1 });

    const other = tc.slugid();
    await index.insertTask(path, { taskId: other, rank: 2, data: {}, expires: tc.fromNow('1 day') });
    assert.equal((await index.findTask(path)).taskId, taskId);
    await index.insertTask(path, { taskId: other, rank: 4, data: {}, expires: tc.fromNow('1 day') });
    assert.equal((await index.findTask(path)).taskId, other);
  },
};

const name = process.argv[2];
if (name === '--list') {
  console.log(Object.keys(scenarios).join('\n'));
} else if (!scenarios[name]) {
  console.error(`no scenario ${name}`);
  process.exit(2);
} else {
  scenarios[name]().then(() => process.exit(0), err => {
    console.error(err);
    process.exit(1);
  });
}
