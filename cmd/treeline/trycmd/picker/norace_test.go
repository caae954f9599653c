//go:build !race

package picker

// raceDetector reports whether the race detector watches, with which all takes longer.
const raceDetector = false
