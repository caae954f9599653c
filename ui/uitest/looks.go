//go:build !uilong

package uitest

// allLooks has axe-core look at pages in every look. Without it two of the four have to do, each theme and each width
// once: a look costs seconds.
const allLooks = false
