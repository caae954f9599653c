// Package ui is Treeline's pages.
//
// Every page comes from the server with its outline, state and links, and works without script.
// Then the script of ui/src takes over: it gets the same data as JSON in the page, and follows one
// stream of events. The pages call the rooms' verbs in process, with the scopes of who is signed
// in; they hold no rights of their own.
//
// Each area of pages is a package below this one, with its handlers and templates: jobs, tasks, groups, logs, actions,
// hookview, calendar, diffview, access. They are made with package page, show tasks as package cell has them, and move by
// package live.
//
// Logs, artifacts, task names and descriptions are written by strangers. They appear as text, or as
// Markdown cut down to harmless tags; artifacts are never served with the rights of these pages.
package ui
