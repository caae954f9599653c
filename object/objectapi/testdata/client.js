// Uploads and downloads through the npm package taskcluster-client; exits with 0 when all is well.
const assert = require('assert');
const crypto = require('crypto');
const {Readable, Writable} = require('stream');
const {Object: ObjectService, upload, download, fromNow} = require('taskcluster-client');

const object = new ObjectService({rootUrl: process.argv[2], credentials: {clientId: 'someone', accessToken: 'x'}});

async function roundTrip(name, size) {
  const data = crypto.randomBytes(size);
  await upload({projectId: 'p', name, contentType: 'image/x-test', contentLength: size, expires: fromNow('1 hour'),
    object, streamFactory: async () => Readable.from([data])});
  let got;
  const contentType = await download({name, object, streamFactory: async () => {
    got = [];
    return new Writable({write(chunk, _, done) { got.push(chunk); done(); }});
  }});
  assert.strictEqual(contentType, 'image/x-test');
  assert(data.equals(Buffer.concat(got)), `${name}: other bytes came back`);
}

(async () => {
  await roundTrip('small/a b.bin', 100);
  await roundTrip('large/x', 3 << 20);
  await assert.rejects(object.object('none'), err => err.statusCode === 404 && err.code === 'ResourceNotFound');
})().catch(err => { console.error(err); process.exit(1); });
