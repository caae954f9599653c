// Starts an action as Taskcluster's own pages do, with its client:
//   node peer.js GROUP NAME INPUT
// The server and the credentials come in TASKCLUSTER_ROOT_URL and so on. It prints the action task.
'use strict';

const assert = require('node:assert/strict');
const tc = require('taskcluster-client');

const [groupId, name, input] = process.argv.slice(2);
const options = {
  rootUrl: process.env.TASKCLUSTER_ROOT_URL,
  credentials: { clientId: process.env.TASKCLUSTER_CLIENT_ID, accessToken: process.env.TASKCLUSTER_ACCESS_TOKEN },
  retries: 0,
};
const queue = new tc.Queue(options);
const auth = new tc.Auth(options);
const hooks = new tc.Hooks(options);

/** The template of a payload, which uses nothing of JSON-e but $eval of three names. */
const render = (template, names) => {
  if (Array.isArray(template)) {
    return template.map(t => render(t, names));
  }
  if (template === null || typeof template !== 'object') {
    return template;
  }
  if ('$eval' in template) {
    assert.ok(template.$eval in names, template.$eval);
    return names[template.$eval];
  }
  return Object.fromEntries(Object.entries(template).map(([k, v]) => [k, render(v, names)]));
};

const main = async () => {
  const listing = await queue.getLatestArtifact(groupId, 'public/actions.json');
  const actions = listing.url ? await (await fetch(listing.url)).json() : listing;
  assert.equal(actions.version, 1);
  const action = actions.actions.find(a => a.name === name && a.context.length === 0);
  assert.ok(action, `no action ${name} in ${JSON.stringify(actions).slice(0, 300)}`);
  assert.equal(action.kind, 'hook');

  const decision = await queue.task(groupId);
  const { scopes } = await auth.expandScopes({ scopes: decision.scopes });
  const want = `in-tree:hook-action:${action.hookGroupId}/${action.hookId}`;
  assert.ok(scopes.some(s => s === want || (s.endsWith('*') && want.startsWith(s.slice(0, -1)))), want);

  const payload = render(action.hookPayload, { input: JSON.parse(input), taskId: null, taskGroupId: groupId, ...actions.variables });
  const { status } = await hooks.triggerHook(action.hookGroupId, action.hookId, payload);
  const made = await queue.task(status.taskId);
  assert.equal(made.tags.kind, 'action-callback');
  console.log(status.taskId);
};

main().catch(err => {
  console.error(err);
  process.exit(1);
});
