import { signal } from "@preact/signals";

let zone: string | undefined; // of all dates that are shown; undefined for the browser's

/** Has dates shown in a time zone. */
export function setZone(name: string): void {
  zone = name === "" ? undefined : name;
}

/** Milliseconds now, moving once a second while the page is visible. */
export const now = signal(Date.now());

export function tick(): void {
  setInterval(() => {
    if (document.visibilityState === "visible") now.value = Date.now();
  }, 1000);
}

const two = (n: number) => String(n).padStart(2, "0");

/** "45s", "3m 05s", "1h 02m", "2d 03h"; below a second "0.4s". */
export function duration(ms: number): string {
  if (ms < 0) ms = 0;
  if (ms < 1000) return `${(Math.floor(ms / 100) / 10).toFixed(1)}s`;
  const s = Math.floor(ms / 1000);
  if (s < 60) return `${s}s`;
  const m = Math.floor(s / 60);
  if (m < 60) return `${m}m ${two(s % 60)}s`;
  const h = Math.floor(m / 60);
  if (h < 24) return `${h}h ${two(m % 60)}m`;
  return `${Math.floor(h / 24)}d ${two(h % 24)}h`;
}

/** "just now", "5 min ago", "3 h ago", "2 days ago", then the date; "in 5 min" for what is to come. */
export function relative(at: number, to: number): string {
  const ahead = at > to + 1000;
  const s = Math.abs(to - at) / 1000;
  if (s < 10) return ahead ? "in a moment" : "just now";
  const of = (n: number, unit: string) => (ahead ? `in ${n} ${unit}` : `${n} ${unit} ago`);
  if (s < 60) return of(Math.floor(s), "s");
  if (s < 3600) return of(Math.floor(s / 60), "min");
  if (s < 86400) return of(Math.floor(s / 3600), "h");
  const days = Math.floor(s / 86400);
  if (days < 30) return of(days, days === 1 ? "day" : "days");
  return new Date(at).toLocaleDateString(undefined, { year: "numeric", month: "short", day: "numeric", timeZone: zone });
}

/** The whole date and time in the user's zone, which it names when it is not the browser's. */
export const absolute = (at: number): string =>
  new Date(at).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium", timeZone: zone }) + (zone ? ` ${zone}` : "");

/** When something will be, in the user's zone and with its name there: "Sun, Mar 28, 2027, 08:00 GMT+2". */
export const appointment = (at: number): string =>
  new Date(at).toLocaleString(undefined, {
    weekday: "short", year: "numeric", month: "short", day: "numeric", hour: "2-digit", minute: "2-digit",
    hour12: false, timeZone: zone, timeZoneName: "short",
  });

/** "12 B", "3.4 KB", "5.6 MB". */
export function bytes(n: number): string {
  if (n < 0) return "";
  if (n < 1000) return `${n} B`;
  const units = ["KB", "MB", "GB", "TB"];
  let i = -1;
  do {
    n /= 1000;
    i++;
  } while (n >= 999.5 && i < units.length - 1);
  return `${n < 10 ? n.toFixed(1) : Math.round(n)} ${units[i]}`;
}

export const plural = (n: number, one: string, many = one + "s"): string => `${n.toLocaleString()} ${n === 1 ? one : many}`;
