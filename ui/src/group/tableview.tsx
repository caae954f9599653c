import { duration } from "../shell/time.ts";
import { setQuery } from "../shell/url.ts";
import { chooseKind, chosen, group, kinds, listed, relist, sort, state, text } from "./model.ts";
import { cell, name, sign, useRows } from "./rows.tsx";
import { COLUMNS, type Column } from "./table.ts";

const timeOfDay = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });

function order(c: Column): void {
  sort.value = sort.value === c.key ? "-" + c.key : sort.value === "-" + c.key ? "" : c.key;
  setQuery({ sort: sort.value });
  relist();
}

function all(): void {
  state.value = "";
  text.value = "";
  setQuery({ state: null, q: null });
  chooseKind("");
}

export function Table() {
  const list = listed.value;
  const box = useRows(list, chosen.value, 32, "row", (c, row) => {
    name(row, 0, c);
    sign(row, 1, "", c.state);
    cell(row, 2, "opt muted mono", c.queue, c.queue);
    cell(row, 3, "opt num", c.scheduled ? duration((c.started || c.ended || Date.now()) - c.scheduled) : "");
    cell(row, 4, "opt num", c.started ? duration((c.ended || Date.now()) - c.started) : "");
    cell(row, 5, "opt muted", c.ended ? timeOfDay.format(c.ended) : "", kinds.value.get(c.id) ?? "");
  }, kinds.value);
  return (
    <div class="card vtable" role="table" aria-rowcount={list.length + 1} aria-label="Tasks">
      <div class="v-head" role="row">
        {COLUMNS.map((c) => {
          const dir = sort.value === c.key ? "ascending" : sort.value === "-" + c.key ? "descending" : undefined;
          return (
            <span key={c.key} role="columnheader" class={c.key === "name" || c.key === "state" ? "" : "opt"} aria-sort={dir}>
              <button type="button" onClick={() => order(c)}>{c.title}{dir === "ascending" ? " ↑" : dir ? " ↓" : ""}</button>
            </span>
          );
        })}
      </div>
      <div class="v-body" ref={box} tabIndex={0} role="rowgroup" aria-label="Tasks" />
      {list.length === 0 && (
        <p class="body muted">
          {group.value.cells.length === 0 ? "This group has no tasks yet. They appear here as they are made." : <>No task matches. <button type="button" class="link" onClick={all}>Show all</button></>}
        </p>
      )}
    </div>
  );
}
