package task

import "strings"

// maxIdentifier is how many characters a name has at most, and each half of a task queue's.
const maxIdentifier = 38

// IsIdentifier reports whether s can name a scheduler, a provider, a worker or a worker's group: 1 to 38 of a-zA-Z0-9-_
// (taskcluster-map 5.1).
func IsIdentifier(s string) bool {
	return s != "" && len(s) <= maxIdentifier && !strings.ContainsFunc(s, func(r rune) bool {
		return !lowerCase(r) && (r < 'A' || r > 'Z') && r != '_'
	})
}

// IsQueueID reports whether s can name a task queue, and so a worker pool: provisionerId/workerType, the second of
// 1 to 38 of a-z0-9-, with a letter first and no - last (taskcluster-map 5.1).
func IsQueueID(s string) bool {
	provisioner, worker, both := strings.Cut(s, "/")
	return both && IsIdentifier(provisioner) && worker != "" && len(worker) <= maxIdentifier &&
		worker[0] >= 'a' && worker[0] <= 'z' && worker[len(worker)-1] != '-' &&
		!strings.ContainsFunc(worker, func(r rune) bool { return !lowerCase(r) })
}

// lowerCase is what names of worker types are made of.
func lowerCase(r rune) bool { return r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' }
