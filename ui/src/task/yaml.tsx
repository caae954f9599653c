// YAML with its keys, strings and numbers told apart. A colouring by line, not a parser: the
// server wrote the text.

const LINE = /^(\s*(?:- )*)((?:"(?:[^"\\]|\\.)*"|'[^']*'|[^\s"'#-][^:#]*?):(?=\s|$))?(.*)$/;

function kind(value: string): string {
  const v = value.trim();
  if (/^-?\d+(\.\d+)?$|^(true|false|null|~)$/.test(v)) return "n";
  return v === "" || v === "{}" || v === "[]" || /^[|>][+-]?\d*$/.test(v) ? "" : "s";
}

export function Yaml({ text }: { text: string }) {
  let literal = -1; // indentation of the key whose block of text we are in
  return (
    <pre class="code yaml" tabIndex={0}>
      {text.split("\n").map((line) => {
        const indent = line.search(/\S/);
        if (literal >= 0 && (indent < 0 || indent > literal)) return <span class="s">{line + "\n"}</span>;
        literal = -1;
        const m = LINE.exec(line);
        if (!m) return line + "\n";
        if (/[|>][+-]?\d*$/.test(m[3]!)) literal = indent;
        const k = kind(m[3]!);
        return (
          <>
            {m[1]}
            {m[2] && <span class="k">{m[2]}</span>}
            {k ? <span class={k}>{m[3]}</span> : m[3]}
            {"\n"}
          </>
        );
      })}
    </pre>
  );
}
