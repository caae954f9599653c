/** How well a name fits the letters of text, which is in lower case: the smaller the better, -1 when it does not. */
export function rank(name: string, text: string): number {
  const n = name.toLowerCase();
  const whole = n.indexOf(text);
  if (whole >= 0) return whole === 0 ? 0 : /\W/.test(n[whole - 1]!) ? 1 : 2;
  let at = 0;
  let gaps = 0;
  for (const c of text) {
    const next = n.indexOf(c, at);
    if (next < 0) return -1;
    gaps += next - at;
    at = next + 1;
  }
  return 3 + gaps;
}
