// Reads one {"template":…, "context":…} a line and answers each with {"result":…} or {"class":…, "text":…}.
// Errors that are not JSON-e's own have the class "native". Numbers that JSON lacks are written as ["\u0000num", text].
const FIXED = 1484843240974; // 2017-01-19T16:27:20.974Z
const RealDate = Date;
global.Date = class extends RealDate {
  constructor(...args) {
    if (args.length === 0) super(FIXED);
    else super(...args);
  }
};
const jsone = require('json-e');

const own = ['SyntaxError', 'InterpreterError', 'TemplateError', 'BuiltinError'];
const plain = (v) => {
  if (typeof v === 'number' && !Number.isFinite(v)) return ['\u0000num', String(v)];
  if (v === undefined) return null;
  if (Array.isArray(v)) return v.map(plain);
  if (v !== null && typeof v === 'object') {
    const out = Object.create(null);
    for (const key of Object.keys(v)) out[key] = plain(v[key]);
    return out;
  }
  return v;
};
const answer = (line) => {
  const {template, context} = JSON.parse(line);
  try {
    return {result: plain(jsone(template, context))};
  } catch (err) {
    if (own.includes(err.name) && 'location' in err) return {class: err.name, text: err.toString()};
    return {class: 'native', text: String(err)};
  }
};

let rest = '';
process.stdin.setEncoding('utf8');
process.stdin.on('data', (chunk) => {
  const lines = (rest + chunk).split('\n');
  rest = lines.pop();
  process.stdout.write(lines.map((line) => JSON.stringify(answer(line)) + '\n').join(''));
});
